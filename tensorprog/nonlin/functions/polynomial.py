"""Powers and Hermite polynomials: square, cube, sqrt, hermite."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorprog.nonlin.base import Parity, Primitive
from tensorprog.nonlin.expression import ONE, ZERO, Expr, Number, apply

__all__ = ["PRIMITIVES", "hermite_coefficients"]


def hermite_coefficients(k: int) -> tuple[int, ...]:
    """Return the integer coefficients of He_k, lowest power first: He_{j+1}(u) = u He_j(u) − j He_{j−1}(u)."""
    before, now = [0], [1]
    for j in range(k):
        shifted = [0, *now]
        padded = before + [0] * (len(shifted) - len(before))
        before, now = now, [a - j * b for a, b in zip(shifted, padded, strict=True)]
    return tuple(now)


def _hermite_value(u: Any, k: Any) -> Any:
    """Return He_k(u)/√k! by the three-term recursion of the normalized polynomials; zero for negative k."""
    order = int(k)
    before, now = np.zeros_like(u), np.ones_like(u)
    if order < 0:
        return before
    for j in range(order):
        before, now = now, (u * now - math.sqrt(j) * before) / math.sqrt(j + 1)
    return now


def _hermite_derivative(u: Expr, k: Expr) -> Expr:
    return apply("sqrt", k) * apply("hermite", u, k - ONE)


def _hermite_expansion(u: Expr, k: Expr) -> Expr:
    """Return the polynomial in Horner form."""
    if not isinstance(k, Number):
        raise ValueError("the order of a Hermite polynomial must be a number")
    coefficients = hermite_coefficients(int(k.value))
    result: Expr = Number(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * u + Number(coefficient) if coefficient else result * u
    return result / apply("sqrt", Number(math.factorial(int(k.value))))


PRIMITIVES = (
    Primitive("square", 1, np.square, (lambda u: 2 * u,), "({0} * {0})", lambda u: u**2, parity=Parity.EVEN),
    Primitive(
        "cube", 1, lambda u: u * u * u, (lambda u: 3 * u**2,), "({0} * {0} * {0})", lambda u: u**3, parity=Parity.ODD
    ),
    Primitive("sqrt", 1, np.sqrt, (lambda u: ONE / (2 * apply("sqrt", u)),), "math.sqrt({0})"),
    Primitive(
        "hermite",
        2,
        _hermite_value,
        (_hermite_derivative, lambda u, k: ZERO),
        "",
        _hermite_expansion,
        integers=(1,),
    ),
)
