"""The special functions of the limit for compiled code, one scalar function each.

Like those of `elementary` they have no branches and no fast-math flag: loops over them vectorize, and the rounding
errors that are computed here are never contracted into others: q₁q₂ − c² must come out right when it is 1e-16 of its
terms.
"""

from __future__ import annotations

import math

from tensorprog.runtime.elementary.exponential import exp, expm1
from tensorprog.runtime.elementary.floats import fma, not_negative, scalar, where
from tensorprog.runtime.elementary.inverse import inverse_cosine, turn

__all__ = [
    "NEAR",
    "angle",
    "arc",
    "clipped",
    "damped_cosh",
    "damped_exp",
    "damped_sinh",
    "det",
    "either",
    "far",
    "gap",
    "near",
    "near_angle",
    "near_det",
    "reciprocal",
    "share",
    "shortfall",
    "sign",
    "sine",
    "snapped",
    "support",
    "versine",
]

NEAR = 2.0**-16
"""Versines below are carried: from second moments they are not exact enough."""


@scalar
def det(q1: float, q2: float, c: float) -> float:
    """Return q₁q₂ − c² ≥ 0, from exact products."""
    product, square = q1 * q2, c * c
    low = fma(q1, q2, -product) - fma(c, c, -square)
    difference = product - square
    return not_negative(where(abs(low) < math.inf, difference + low, difference))


@scalar
def angle(q1: float, q2: float, c: float) -> float:
    """Return arccos(c / √(q₁q₂)) = atan2(√(q₁q₂ − c²), c), π/2 if both vanish."""
    return turn(math.sqrt(det(q1, q2, c)), c)


@scalar
def arc(t: float, c: float, s: float) -> float:
    """Return arccos(1 − t) for 0 ≤ t ≤ 2, its supplement for c < 0; π/2 for s = 0."""
    beyond = t > 1.0
    small = not_negative(where(beyond, 2.0 - t, t))
    return where(s == 0.0, 0.5 * math.pi, inverse_cosine(1.0 - small, small, beyond != (c < 0.0)))


@scalar
def sine(square: float) -> float:
    """Return √s, 0 for s < 0."""
    return math.sqrt(not_negative(square))


@scalar
def versine(t: float, c: float) -> float:
    """Return 1 − cos θ, given 1 − |cos θ| and a covariance with the sign of cos θ."""
    return where(c < 0.0, 2.0 - t, t)


@scalar
def shortfall(a: float, b: float, c: float) -> float:
    """Return 1 − c/(a b), 1 if a or b is 0."""
    size = a * b
    return where(size == 0.0, 1.0, 1.0 - c / size)


@scalar
def share(a: float, q: float) -> float:
    """Return √(a/q), 0 where a or q is not positive."""
    return where((a <= 0.0) | (q <= 0.0), 0.0, math.sqrt(a / q))


@scalar
def either(s: float, a: float, b: float) -> float:
    """Return a if s > 0, else b."""
    return where(s > 0.0, a, b)


@scalar
def near(v: float) -> float:
    """Return 1 if v < 2⁻¹⁶, else 0; NaN stays."""
    return where(v < NEAR, 1.0, where(v >= NEAR, 0.0, v))


@scalar
def far(v: float) -> float:
    """Return 0 if v < 2⁻¹⁶, else v."""
    return where(v < NEAR, 0.0, v)


@scalar
def gap(a: float, b: float) -> float:
    """Return (a − b)²/2."""
    return 0.5 * (a - b) * (a - b)


@scalar
def near_det(q1: float, q2: float, c: float, v: float) -> float:
    """Return q₁q₂ − c² ≥ 0, from the versine v if that is below 2⁻¹⁶."""
    exact = not_negative(v)
    return where(v < NEAR, q1 * q2 * exact * (2.0 - exact), det(q1, q2, c))


@scalar
def near_angle(q1: float, q2: float, c: float, v: float) -> float:
    """Return the angle of the point (√near_det, c), π/2 at the origin."""
    return turn(math.sqrt(near_det(q1, q2, c, v)), c)


@scalar
def support(q: float) -> float:
    """Return 1 where q > 0, 0 where q = 0."""
    return where(q > 0.0, 1.0, 0.0 * q)


@scalar
def damped_sinh(q1: float, q2: float, c: float, s: float) -> float:
    """Return exp(−s(q₁ + q₂)/2) sinh(s c), for |c| ≤ √(q₁q₂)."""
    size = abs(c)
    return -0.5 * sign(c) * exp(-0.5 * s * ((q1 - size) + (q2 - size))) * expm1(-2.0 * s * size)


@scalar
def damped_cosh(q1: float, q2: float, c: float, s: float) -> float:
    """Return exp(−s(q₁ + q₂)/2) cosh(s c), for |c| ≤ √(q₁q₂)."""
    size = abs(c)
    return 0.5 * exp(-0.5 * s * ((q1 - size) + (q2 - size))) * (1.0 + exp(-2.0 * s * size))


@scalar
def damped_exp(q1: float, q2: float, c: float, s: float) -> float:
    """Return exp(−s((q₁ − c) + (q₂ − c))/2), for |c| ≤ √(q₁q₂)."""
    return exp(-0.5 * s * ((q1 - c) + (q2 - c)))


@scalar
def sign(x: float) -> float:
    """Return −1, 0 or 1, NaN for NaN."""
    return where(abs(x) > 0.0, math.copysign(1.0, x), 0.0 * x)


@scalar
def reciprocal(q: float) -> float:
    """Return 1/q, 0 for q = 0."""
    return where(q == 0.0, 0.0, 1.0 / q)


@scalar
def snapped(m: float, s: float) -> float:
    """Return m, 0 where |m| ≤ 8 ε s."""
    return where(abs(m) <= 1.7763568394002505e-15 * s, 0.0, m)


@scalar
def clipped(m: float, s: float) -> float:
    """Return m within ±s; NaN stays."""
    return where(m < -s, -s, where(m > s, s, m))
