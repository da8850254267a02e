"""exp, expm1 and the hyperbolic functions: x = n log 2 + r, |r| ≤ log(2)/2, and the even and odd series of exp(r)."""

from __future__ import annotations

import math

from tensorprog.runtime.elementary.floats import SHIFT, fma, polynomial, power_of_two, scalar, sum_error, where

__all__ = ["cosh", "exp", "exp_normal", "exp_parts", "expm1", "expm1_parts", "sinh", "tanh"]

_LOG2_HIGH, _LOG2_LOW = 0.693147180559663, 2.8235290563031577e-13
"""log 2 in two parts, the first of 41 bits: n log 2 is exact with it."""

_EVEN = (
    2.091821231913398e-09, 2.755726307730941e-07, 2.480158733663095e-05, 0.0013888888888879004, 0.04166666666666668,
    0.5,
)  # fmt: skip
"""(cosh r − 1) / r² as a polynomial in r², the highest power first (`scripts/fit_elementary.py`)."""

_ODD = (
    2.5100472505694996e-08, 2.7557268276905696e-06, 0.00019841269863171557, 0.008333333333330039, 0.16666666666666669,
)  # fmt: skip
"""(sinh r − r) / r³ likewise."""


@scalar
def _reduced(x: float) -> tuple[float, float, float]:
    """Return n = x / log 2 to the nearest integer, and x − n log 2 = r + e, e the rounding error of r."""
    n = fma(x, 1.4426950408889634, SHIFT) - SHIFT
    high = fma(-n, _LOG2_HIGH, x)
    r = fma(-n, _LOG2_LOW, high)
    return n, r, fma(-n, _LOG2_LOW, high - r)


@scalar
def _series(r: float, e: float) -> float:
    """Return exp(r + e) − 1 − r."""
    square = r * r
    return fma(square, fma(r, polynomial(square, _ODD), polynomial(square, _EVEN)), e)


@scalar
def _clamped(x: float, low: float, high: float) -> float:
    """Return x within bounds; NaN stays."""
    x = where(x < low, low, x)
    return where(x > high, high, x)


@scalar
def exp_parts(x: float, low: float) -> tuple[float, float, float, float]:
    """Return exp(x + low) = (a + b) s t, for −787 ≤ x ≤ 710 and |low| < 1e-12: b the error of a.

    The powers of two s, t are such that only the last product may leave the normal range.
    """
    n, r, e = _reduced(x)
    part = r + _series(r, e)
    whole = 1.0 + part
    half = fma(n, 0.5, SHIFT)
    rest = (n - (half - SHIFT)) + SHIFT
    return whole, fma(low, whole, (1.0 - whole) + part), power_of_two(half), power_of_two(rest)


@scalar
def exp(x: float) -> float:
    """Return the exponential of x."""
    whole, _, first, second = exp_parts(_clamped(x, -746.0, 710.0), 0.0)
    return whole * first * second


@scalar
def exp_normal(x: float) -> float:
    """Return exp(x) for −700 ≤ x ≤ 700."""
    n, r, e = _reduced(x)
    return (1.0 + (r + _series(r, e))) * power_of_two(n + SHIFT)


@scalar
def expm1_parts(x: float) -> tuple[float, float]:
    """Return (exp(x) − 1)/2 as a double and its error, for −40 ≤ x ≤ 710.

    With s = 2^(n−1) it is (s − 1/2) + s(exp(r) − 1).
    """
    n, r, e = _reduced(x)
    scale = power_of_two((n - 1.0) + SHIFT)
    whole, part = scale - 0.5, scale * r
    total = whole + part
    rest = fma(scale, _series(r, e), (whole - total) + part)
    high = total + rest
    return high, (total - high) + rest


@scalar
def expm1(x: float) -> float:
    """Return exp(x) − 1."""
    high, _ = expm1_parts(_clamped(x, -40.0, 710.0))
    return where(abs(x) < 1e-16, x, 2.0 * high)


@scalar
def tanh(x: float) -> float:
    """Return the hyperbolic tangent E / (E + 2), E = exp(2x) − 1, with the size of x."""
    size = abs(x)
    high, low = expm1_parts(where(size > 20.0, 40.0, 2.0 * size))
    below = high + 1.0
    inverse = 1.0 / below
    ratio = high * inverse
    rest = fma(-ratio, below, high) + fma(-ratio, sum_error(high, 1.0, below) + low, low)
    return math.copysign(where(size < 1e-9, size, fma(rest, inverse, ratio)), x)


@scalar
def _hyperbolic(even: float, odd: float, r: float, e: float) -> float:
    """Return even · cosh(r + e) + odd · sinh(r + e), for |even| ≥ |odd · r|."""
    square = r * r
    part = odd * r
    total = even + part
    rest = ((even - total) + part) + fma(odd, r, -part)
    tail = fma(square * r, polynomial(square, _ODD), e)
    return total + fma(even, square * polynomial(square, _EVEN), fma(odd, tail, rest))


@scalar
def _quarters(n: float) -> tuple[float, float]:
    """Return 2^(n−2) and 2^(−n−2), the latter 0 for n > 100."""
    return power_of_two((n - 2.0) + SHIFT), where(n > 100.0, 0.0, power_of_two(SHIFT - (n + 2.0)))


@scalar
def sinh(x: float) -> float:
    """Return the hyperbolic sine of x, that of n log 2 + r by the theorem of addition."""
    size = abs(x)
    n, r, e = _reduced(where(size > 710.5, 710.5, size))
    rising, falling = _quarters(n)
    value = 2.0 * _hyperbolic(rising - falling, rising + falling, r, e)
    return math.copysign(where(size < 1e-9, size, value), x)


@scalar
def cosh(x: float) -> float:
    """Return the hyperbolic cosine of x, likewise."""
    size = abs(x)
    n, r, e = _reduced(where(size > 710.5, 710.5, size))
    rising, falling = _quarters(n)
    return 2.0 * _hyperbolic(rising + falling, rising - falling, r, e)
