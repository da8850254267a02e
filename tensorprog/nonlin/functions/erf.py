"""The error function family: erf, Phi, gelu, gauss."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorprog.nonlin import special
from tensorprog.nonlin.base import Parity, Primitive
from tensorprog.nonlin.expression import ONE, Expr, Number, Symbol, apply

__all__ = ["PRIMITIVES"]

_PI = Symbol("pi")


def _gauss_value(u: Any) -> Any:
    return np.exp(-(u * u))


def _gauss(u: Expr) -> Expr:
    return apply("gauss", u)


def _phi_derivative(u: Expr) -> Expr:
    """Return the normal density, exp(−u²/2)/√(2π)."""
    return _gauss(u / apply("sqrt", Number(2))) / apply("sqrt", 2 * _PI)


def _phi_expansion(u: Expr) -> Expr:
    return (ONE + apply("erf", u / apply("sqrt", Number(2)))) / 2


def _gelu_derivative(u: Expr) -> Expr:
    return apply("Phi", u) + u * _phi_derivative(u)


PRIMITIVES = (
    Primitive(
        "erf",
        1,
        lambda u: special.erf(u),
        (lambda u: 2 / apply("sqrt", _PI) * _gauss(u),),
        "math.erf({0})",
        parity=Parity.ODD,
        centres=(0.0,),
    ),
    Primitive(
        "Phi",
        1,
        lambda u: special.ndtr(u),
        (_phi_derivative,),
        "(0.5 * math.erfc(-{0} * 0.7071067811865476))",
        _phi_expansion,
        centres=(0.0,),
    ),
    Primitive(
        "gelu",
        1,
        lambda u: u * special.ndtr(u),
        (_gelu_derivative,),
        "(0.5 * {0} * math.erfc(-{0} * 0.7071067811865476))",
        lambda u: u * apply("Phi", u),
        centres=(0.0,),
    ),
    Primitive(
        "gauss",
        1,
        _gauss_value,
        (lambda u: -2 * u * _gauss(u),),
        "math.exp(-{0} * {0})",
        parity=Parity.EVEN,
        centres=(0.0,),
    ),
)
