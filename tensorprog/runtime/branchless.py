"""Special functions of the limit without branches and calls, so that loops over them vectorize.

As in `intrinsics`, no fast-math flag: what rounding errors are computed here must not be contracted.
"""

from __future__ import annotations

import math

from numba import njit

from tensorprog.runtime.intrinsics import fma

__all__ = ["angle", "atan2", "det"]

_COEFFICIENTS = (
    -0.017805397205419446,
    0.03796525745386593,
    -0.05035102456601552,
    0.05846878297330872,
    -0.06662951813629191,
    0.07692045330902225,
    -0.09090896809064027,
    0.11111110744919658,
    -0.14285714279250245,
    0.19999999999940893,
    -0.3333333333333312,
)
"""(atan(z) / z − 1) / z² as a polynomial in z² for |z| ≤ tan(π/8), the highest power first."""


@njit(error_model="numpy", fastmath=False)
def det(q1: float, q2: float, c: float) -> float:
    """Return q₁q₂ − c² ≥ 0, from exact products."""
    product, square = q1 * q2, c * c
    low = fma(q1, q2, -product) - fma(c, c, -square)
    difference = product - square
    exact = difference + low
    found = exact if abs(low) < math.inf else difference
    return 0.0 if found < 0.0 else found


@njit(error_model="numpy", fastmath=False)
def _upper_angle(y: float, x: float) -> float:
    """Return atan2(y, x) for y ≥ 0, in [0, π], π/2 if both vanish.

    The ratio of the smaller to the larger of y, |x| lies in [0, 1]; above tan(π/8) it is turned by −π/4.
    """
    size = abs(x)
    steep = y > size
    large = y if steep else size
    small = size if steep else y
    turned = small > 0.41421356237309503 * large
    above = small - large if turned else small
    below = small + large if turned else large
    z = above / below
    w = z * z
    p = _COEFFICIENTS[0]
    p = p * w + _COEFFICIENTS[1]
    p = p * w + _COEFFICIENTS[2]
    p = p * w + _COEFFICIENTS[3]
    p = p * w + _COEFFICIENTS[4]
    p = p * w + _COEFFICIENTS[5]
    p = p * w + _COEFFICIENTS[6]
    p = p * w + _COEFFICIENTS[7]
    p = p * w + _COEFFICIENTS[8]
    p = p * w + _COEFFICIENTS[9]
    p = p * w + _COEFFICIENTS[10]
    octant = (0.7853981633974483 if turned else 0.0) + (z + z * (w * p))
    quadrant = 1.5707963267948966 - octant if steep else octant
    half = 3.141592653589793 - quadrant if x < 0.0 else quadrant
    return 1.5707963267948966 if large == 0.0 else half


@njit(error_model="numpy", fastmath=False)
def angle(q1: float, q2: float, c: float) -> float:
    """Return arccos(c / √(q₁q₂)) = atan2(√(q₁q₂ − c²), c), π/2 if both vanish."""
    return _upper_angle(math.sqrt(det(q1, q2, c)), c)


@njit(error_model="numpy", fastmath=False)
def atan2(y: float, x: float) -> float:
    """Return the angle of the point (x, y), 0 at the origin."""
    found = math.copysign(_upper_angle(abs(y), x), y)
    return 0.0 if y == 0.0 and x == 0.0 else found
