"""Angles: asin and acos by one square root and one polynomial, atan2 by one division and one polynomial."""

from __future__ import annotations

import math

from tensorprog.runtime.elementary.floats import fma, not_negative, polynomial, scalar, where

__all__ = ["acos", "arcversine", "asin", "atan", "atan2", "inverse_cosine", "turn"]

_HALF_TURN = 3.141592653589793
_RIGHT, _RIGHT_LOW = 1.5707963267948966, 6.123233995736766e-17
_EIGHTH, _EIGHTH_LOW = 0.7853981633974483, 3.061616997868383e-17
"""π, and π/2 and π/4 in two parts."""

_SMALLER = 2.0**-100
"""A factor for numbers whose sum would overflow."""

_ASIN = (
    0.028757851367421566, -0.014851887071247204, 0.01740087944269402, 0.005457506718640358, 0.01032281435018578,
    0.011479177415184906, 0.013971212973552933, 0.017352392720869973, 0.02237217294214989, 0.030381944138531247,
    0.04464285714635543, 0.07499999999998433, 0.16666666666666669,
)  # fmt: skip
"""(asin x − x) / x³ as a polynomial in x² ≤ 1/4, the highest power first (`scripts/fit_elementary.py`)."""

_ATAN = (
    -0.009215792047089858, 0.025006503566489507, -0.03806653672057366, 0.04628024868570153, -0.05240099507994713,
    0.05879578429582425, -0.06666435677235948, 0.07692294712540285, -0.09090908620322523, 0.11111111100917376,
    -0.14285714285599188, 0.19999999999999488, -0.3333333333333333,
)  # fmt: skip
"""(atan x − x) / x³ as a polynomial in x² ≤ 1/4, likewise."""


@scalar
def _from(base: float, base_low: float, x: float, rest: float) -> float:
    """Return base + base_low + x + rest, for base = 0 or |base| ≥ |x|, rest and base_low small."""
    total = base + x
    return total + (((base - total) + x) + (base_low + rest))


@scalar
def asin(x: float) -> float:
    """Return arcsin(x): for |x| > 1/2 it is π/2 − 2 arcsin √((1 − |x|)/2). NaN beyond ±1."""
    size = abs(x)
    far = size > 0.5
    double = 2.0 - 2.0 * size
    square = where(far, 0.25 * double, size * size)
    root = where(far, -math.sqrt(double), size)
    rest = root * (square * polynomial(square, _ASIN))
    return math.copysign(_from(where(far, _RIGHT, 0.0), where(far, _RIGHT_LOW, 0.0), root, rest), x)


@scalar
def inverse_cosine(cosine: float, small: float, behind: bool) -> float:
    """Return arccos of the cosine ≥ 0 or, if it is behind, of its negative, given 1 − cosine, which need not be exact.

    From π/2 − arcsin for cosine ≤ 1/2, from 2 arcsin √((1 − cosine)/2) above.
    """
    near = small < 0.5
    square = where(near, 0.5 * small, cosine * cosine)
    root = where(near, -math.sqrt(2.0 * small), cosine)
    total = fma(root * square, polynomial(square, _ASIN), root)
    base = where(near, where(behind, _HALF_TURN, 0.0), _RIGHT)
    return base - where(behind, -total, total)


@scalar
def acos(x: float) -> float:
    """Return arccos(x), NaN beyond ±1."""
    size = abs(x)
    return inverse_cosine(size, 1.0 - size, x < 0.0)


@scalar
def arcversine(v: float) -> float:
    """Return arccos(1 − v) for 0 ≤ v ≤ 2, that of the nearest bound beyond them; NaN stays."""
    behind = v > 1.0
    small = not_negative(where(behind, 2.0 - v, v))
    return inverse_cosine(1.0 - small, small, behind)


@scalar
def turn(y: float, x: float) -> float:
    """Return the angle of the point (x, y), y ≥ 0, in [0, π]; π/2 at the origin."""
    return _upper_angle(y, x, _RIGHT)


@scalar
def atan2(y: float, x: float) -> float:
    """Return the angle of the point (x, y) in [−π, π], with the sign of y; 0 at the origin."""
    return math.copysign(_upper_angle(abs(y), x, 0.0), y)


@scalar
def atan(x: float) -> float:
    """Return arctan(x)."""
    return math.copysign(_upper_angle(abs(x), 1.0, 0.0), x)


@scalar
def _upper_angle(y: float, x: float, origin: float) -> float:
    """Return the angle of the point (x, y), y ≥ 0, as atan2 does but at the origin.

    The ratio of the smaller to the larger of y, |x| lies in [0, 1]; above 1/2 it is turned by −π/4.
    """
    size = abs(x)
    steep = y > size
    large, small = where(steep, y, size), where(steep, size, y)
    scale = where(large > 1e300, _SMALLER, 1.0)
    small_scaled, large_scaled = scale * small, scale * large
    turned = small > 0.5 * large
    above = where(turned, small_scaled - large_scaled, small_scaled)
    below = where(turned, small_scaled + large_scaled, large_scaled)
    diagonal = (small == math.inf) & (large == math.inf)
    z = where(diagonal, 0.0, above / below)
    behind = x < 0.0
    sense = where(steep != behind, -1.0, 1.0)
    eighths = where(steep, 2.0, where(behind, 4.0, 0.0)) + where(turned | diagonal, sense, 0.0)
    square = z * z
    rest = fma(z * square, polynomial(square, _ATAN), sense * eighths * _EIGHTH_LOW)
    return where((large == 0.0) & (small == 0.0), origin, fma(eighths, _EIGHTH, sense * (z + rest)))
