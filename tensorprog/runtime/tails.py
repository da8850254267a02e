"""The normal distribution function and its relatives for compiled code, free of overflow and cancellation.

Like those of `elementary`, `bump`, `tail` and `opening` have no branches and no fast-math flag.
"""

from __future__ import annotations

import math

from tensorprog.runtime.elementary.circular import sin_cos
from tensorprog.runtime.elementary.error_function import erfcx
from tensorprog.runtime.elementary.exponential import exp
from tensorprog.runtime.elementary.floats import fma, polynomial, scalar, where

__all__ = ["bump", "opening", "plus_product", "standard", "tail"]

_LARGEST = 1e30
_ROOT_HALF = math.sqrt(0.5)

_OPENING = (
    -3.9145882126782523e-19, 1.4797143443923793e-16, -4.498331606952833e-14, 1.0706029224547743e-11,
    -1.9270852604185937e-09, 2.505210838544172e-07, -2.2045855379188714e-05, 0.0011904761904761906,
    -0.03333333333333333, 0.3333333333333333,
)  # fmt: skip
"""(sin θ − θ cos θ) / θ³ as a polynomial in θ², its Taylor series, the highest power first."""


@scalar
def plus_product(e: float, a: float, b: float) -> float:
    """Return e + a·b, to one rounding of the result: an exponent, a phase in which large terms cancel."""
    product = a * b
    total = e + product
    moved = total - e
    low = fma(a, b, -product) + ((e - (total - moved)) + (product - moved))
    return where(abs(low) < math.inf, total + low, total)


@scalar
def standard(m: float, v: float) -> float:
    """Return m/√v, clipped to ±1e30; 0 for m = 0."""
    h = m / math.sqrt(v)
    h = where(h > _LARGEST, _LARGEST, where(h < -_LARGEST, -_LARGEST, h))
    return where((m == 0.0) & (v == 0.0), 0.0, h)


@scalar
def bump(e: float, m: float, v: float) -> float:
    """Return exp(e − m²/(2v)); exp(e) for m = v = 0, and 0 for v = 0 otherwise."""
    h = standard(m, v)
    size = abs(m)
    square = m * m
    quotient = square / v
    low = (fma(-quotient, v, square) + fma(m, m, -square)) / v
    extreme = (size < 1e-140) | (size > 1e140) | (abs(h) > 1e8)
    return exp(where(extreme, e - 0.5 * h * h, plus_product(e, -0.5, quotient) - 0.5 * low))


@scalar
def tail(e: float, h: float) -> float:
    """Return exp(e) Φ(h), Φ the standard normal distribution function."""
    half = 0.5 * erfcx(abs(h) * _ROOT_HALF)
    above = h > 0.0
    whole = exp(where(above, e, plus_product(e, -0.5 * h, h)))
    return whole * where(above, 1.0 - exp(-0.5 * h * h) * half, half)


@scalar
def opening(theta: float) -> float:
    """Return sin θ − θ cos θ for 0 ≤ θ ≤ π."""
    sine, cosine = sin_cos(theta)
    square = theta * theta
    return where(theta > 1.25, sine - theta * cosine, polynomial(square, _OPENING) * square * theta)
