"""The record of an elementwise function, and the registry of all of them.

To add an activation, add a module to `nonlin/functions/` that exports `PRIMITIVES`; it is found by itself.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

from tensorprog.nonlin import functions
from tensorprog.nonlin.expression import Expr

__all__ = ["Parity", "Primitive", "nearest", "primitive", "registry"]

Rule = Callable[..., Expr]


class Parity(Enum):
    """How a function of one variable behaves under u → −u."""

    EVEN = "even"
    ODD = "odd"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Primitive:
    """An elementwise function φ(u₁, …, u_arity).

    `value` computes it with numpy, keeping the dtype. `derivatives` holds one rule per argument, from the argument
    expressions to the partial derivative that backpropagation uses; `distributional`, where it differs, the first
    argument's derivative in the sense of distributions. `expansion` writes the function in terms of simpler ones.
    `source` is a scalar Python expression with `{0}`, `{1}` for the arguments, which must be names or numbers (they may
    occur several times), and `math.` for functions; it is empty where the expansion is to be emitted instead.

    `integers` are the positions of arguments that must be integer constants. `parity`, `kinks` (where the value or a
    derivative jumps), `jump` (whether it is the value) and `centres` (about which the function bends on a scale of
    one) speak of the first argument.
    """

    name: str
    arity: int
    value: Callable[..., Any]
    derivatives: tuple[Rule, ...]
    source: str = ""
    expansion: Rule | None = None
    distributional: Rule | None = None
    integers: tuple[int, ...] = ()
    parity: Parity = Parity.NONE
    kinks: tuple[float, ...] = ()
    jump: bool = False
    centres: tuple[float, ...] = ()
    internal: bool = False


@functools.cache
def registry() -> Mapping[str, Primitive]:
    """Return all elementwise functions by name, those of arithmetic and internal ones included."""
    found: dict[str, Primitive] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(functions.__path__)):
        for record in importlib.import_module(f"{functions.__name__}.{module}").PRIMITIVES:
            if record.name in found:
                raise ValueError(f"two elementwise functions are called {record.name}")
            found[record.name] = record
    return MappingProxyType(found)


def primitive(name: str) -> Primitive:
    """Return the elementwise function called `name`; KeyError if there is none."""
    return registry()[name]


def nearest(name: str) -> str | None:
    """Return the function of the language whose name is most like `name`, if any is."""
    known = [record.name for record in registry().values() if not record.internal]
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)
