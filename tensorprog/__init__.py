"""tensorprog: a compiler for Tensor Programs, from a network's text to its infinite-width kernels."""

from tensorprog.activation import dual_activation
from tensorprog.errors import (
    CheckError,
    DataError,
    Diagnostic,
    LimitError,
    ParseError,
    PrecisionWarning,
    TensorProgramError,
)
from tensorprog.program import Program, load, parse

__version__ = "0.1.0"

__all__ = [
    "CheckError",
    "DataError",
    "Diagnostic",
    "LimitError",
    "ParseError",
    "PrecisionWarning",
    "Program",
    "TensorProgramError",
    "__version__",
    "dual_activation",
    "load",
    "parse",
]
