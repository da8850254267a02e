"""The special functions, classes of sympy, with what computes them (`dual.values`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from tensorprog.dual import special
from tensorprog.dual.values import VALUES, angle, damped_cosh, damped_exp, damped_sinh, determinant

__all__ = ["SPECIALS", "angle", "damped_cosh", "damped_exp", "damped_sinh", "determinant"]

SPECIALS: Mapping[type[sp.Function], Callable[..., Any]] = {
    getattr(special, name): function for name, function in VALUES.items()
}
"""What computes every special function."""
