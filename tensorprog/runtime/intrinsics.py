"""The special functions of the limit for compiled code, one scalar function each.

They are compiled without any fast-math flag (explicitly: callees inherit what they do not say), so that the products
and sums whose rounding errors are computed here are never contracted into others: q₁q₂ − c² must come out right when
it is 1e-16 of its terms.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    "angle",
    "arc",
    "atan2",
    "clipped",
    "correlation",
    "damped_cosh",
    "damped_exp",
    "damped_sinh",
    "det",
    "either",
    "expm1",
    "fma",
    "reciprocal",
    "share",
    "shortfall",
    "sign",
    "sine",
    "snapped",
    "support",
    "turn",
    "versine",
]

_ARCSINE = (
    0.028169218060881414,
    -0.010749050339697808,
    0.01603551434914882,
    0.0078029494773533175,
    0.011875494382636922,
    0.013929652902326633,
    0.017355259955786323,
    0.02237204763174451,
    0.03038194736709848,
    0.044642857103423646,
    0.07500000000020764,
    0.1666666666666665,
)
"""(asin(z)/z − 1)/z² as a polynomial in z² for |z| ≤ ½, the highest power first: 6e-17 of asin(z)."""


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a·b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), generate


@njit(error_model="numpy", fastmath=False)
def det(q1: float, q2: float, c: float) -> float:
    """Return q₁q₂ − c² ≥ 0, from exact products."""
    product, square = q1 * q2, c * c
    low = fma(q1, q2, -product) - fma(c, c, -square)
    difference = (product - square) + (low if abs(low) < math.inf else 0.0)
    return 0.0 if difference < 0.0 else difference


@njit(error_model="numpy", fastmath=False)
def angle(q1: float, q2: float, c: float) -> float:
    """Return arccos(c / √(q₁q₂)) = atan2(√(q₁q₂ − c²), c), π/2 if both vanish."""
    root = math.sqrt(det(q1, q2, c))
    return 0.5 * math.pi if root == 0.0 and c == 0.0 else math.atan2(root, c)


@njit(error_model="numpy", fastmath=False)
def turn(y: float, x: float) -> float:
    """Return the angle of the point (x, y), y ≥ 0, in [0, π]; π/2 at the origin."""
    return 0.5 * math.pi if y == 0.0 and x == 0.0 else math.atan2(y, x)


@njit(error_model="numpy", fastmath=False)
def arc(t: float, c: float, s: float) -> float:
    """Return arccos(1 − t) for 0 ≤ t ≤ 2, its supplement for c < 0; π/2 for s = 0.

    From 2 asin √(t/2) for t ≤ ½, from π/2 − asin(1 − t) for ½ < t ≤ 1; by the supplement for t > 1.
    """
    far = t > 1.0
    near = 2.0 - t if far else t
    near = 0.0 if near < 0.0 else near
    steep = near > 0.5
    square = (1.0 - near) * (1.0 - near) if steep else 0.5 * near
    z = 1.0 - near if steep else math.sqrt(square)
    p = _ARCSINE[0]
    for number in range(1, 12):
        p = fma(p, square, _ARCSINE[number])
    half = fma(z * square, p, z)
    found = 0.5 * math.pi - half if steep else half + half
    found = math.pi - found if far != (c < 0.0) else found
    return 0.5 * math.pi if s == 0.0 else found


@njit(error_model="numpy", fastmath=False)
def sine(square: float) -> float:
    """Return √s, 0 for s < 0."""
    return math.sqrt(0.0 if square < 0.0 else square)


@njit(error_model="numpy", fastmath=False)
def versine(t: float, c: float) -> float:
    """Return 1 − cos θ, given 1 − |cos θ| and a covariance with the sign of cos θ."""
    return 2.0 - t if c < 0.0 else t


@njit(error_model="numpy", fastmath=False)
def shortfall(a: float, b: float, c: float) -> float:
    """Return 1 − c/(a b), 1 if a or b is 0."""
    size = a * b
    return 1.0 if size == 0.0 else 1.0 - c / size


@njit(error_model="numpy", fastmath=False)
def share(a: float, q: float) -> float:
    """Return √(a/q), 0 where a or q is not positive."""
    return 0.0 if a <= 0.0 or q <= 0.0 else math.sqrt(a / q)


@njit(error_model="numpy", fastmath=False)
def either(s: float, a: float, b: float) -> float:
    """Return a if s > 0, else b."""
    return a if s > 0.0 else b


@njit(error_model="numpy", fastmath=False)
def correlation(q1: float, q2: float, c: float) -> float:
    """Return c / √(q₁q₂) within [−1, 1], 0 if a variance vanishes."""
    deviation = math.sqrt(q1) * math.sqrt(q2)
    rho = c / deviation
    rho = 1.0 if rho > 1.0 else -1.0 if rho < -1.0 else rho
    return 0.0 if deviation == 0.0 else rho


@njit(error_model="numpy", fastmath=False)
def support(q: float) -> float:
    """Return 1 where q > 0, 0 where q = 0."""
    return 1.0 if q > 0.0 else 0.0 * q


@njit(error_model="numpy", fastmath=False)
def expm1(x: float) -> float:
    """Return exp(x) − 1 without cancellation near 0."""
    return math.expm1(x)


@njit(error_model="numpy", fastmath=False)
def atan2(y: float, x: float) -> float:
    """Return the angle of the point (x, y), 0 at the origin."""
    return math.atan2(y, x)


@njit(error_model="numpy", fastmath=False)
def damped_sinh(q1: float, q2: float, c: float, s: float) -> float:
    """Return exp(−s(q₁ + q₂)/2) sinh(s c), for |c| ≤ √(q₁q₂)."""
    size = abs(c)
    return -0.5 * sign(c) * math.exp(-0.5 * s * ((q1 - size) + (q2 - size))) * math.expm1(-2.0 * s * size)


@njit(error_model="numpy", fastmath=False)
def damped_cosh(q1: float, q2: float, c: float, s: float) -> float:
    """Return exp(−s(q₁ + q₂)/2) cosh(s c), for |c| ≤ √(q₁q₂)."""
    size = abs(c)
    return 0.5 * math.exp(-0.5 * s * ((q1 - size) + (q2 - size))) * (1.0 + math.exp(-2.0 * s * size))


@njit(error_model="numpy", fastmath=False)
def damped_exp(q1: float, q2: float, c: float, s: float) -> float:
    """Return exp(−s((q₁ − c) + (q₂ − c))/2), for |c| ≤ √(q₁q₂)."""
    return math.exp(-0.5 * s * ((q1 - c) + (q2 - c)))


@njit(error_model="numpy", fastmath=False)
def sign(x: float) -> float:
    """Return −1, 0 or 1, NaN for NaN."""
    return math.copysign(1.0, x) if abs(x) > 0.0 else 0.0 * x


@njit(error_model="numpy", fastmath=False)
def reciprocal(q: float) -> float:
    """Return 1/q, 0 for q = 0."""
    return 1.0 / q if q != 0.0 else 0.0


@njit(error_model="numpy", fastmath=False)
def snapped(m: float, s: float) -> float:
    """Return m, 0 where |m| ≤ 8 ε s."""
    return 0.0 if abs(m) <= 1.7763568394002505e-15 * s else m


@njit(error_model="numpy", fastmath=False)
def clipped(m: float, s: float) -> float:
    """Return m within ±s; NaN stays."""
    return -s if m < -s else (s if m > s else m)
