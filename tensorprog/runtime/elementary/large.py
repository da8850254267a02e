"""Large angles in quarter turns: x = 2^k M with an integer M, and M (2^k 2/π mod 4) from products of doubles.

The method is that of Payne and Hanek (1983), "Radian reduction for trigonometric functions", SIGNUM Newsletter 18(1),
19–24, with floating-point numbers and errors of products in place of integers.
"""

from __future__ import annotations

import math

import numpy as np

from tensorprog.runtime.elementary.floats import SHIFT, bits, fma, number, rounded, scalar, sum_error, where

__all__ = ["LARGE", "reduced_large"]

LARGE = 2.0**40
"""From here on angles are large."""

_PLACES = 1216
_TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424d"
    "d2e006492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639"
    "835339f49c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f46"
    "3f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6bab",
    16,
)
"""2/π times 2^1216, rounded down (`scripts/fit_elementary.py`)."""

_RIGHT, _RIGHT_LOW = 1.5707963267948966, 6.123233995736766e-17
_FIRST = 1023 + 40
_STRIDE = 4
_FRACTION = 0x000FFFFFFFFFFFFF


def _in_parts(shift: int) -> tuple[float, float, float]:
    """Return 2^shift 2/π mod 4 as a sum of doubles, each of at most 53 bits, truncated."""
    rest = (_TWO_OVER_PI << (shift + 12)) % (4 << (_PLACES + 12))
    parts = []
    for _ in range(3):
        last = max(rest.bit_length() - 53, 0)
        parts.append(math.ldexp(rest >> last, last - _PLACES - 12))
        rest -= (rest >> last) << last
    return parts[0], parts[1], parts[2]


_FIRSTS, _SECONDS, _THIRDS = (
    np.array(column) for column in zip(*(_in_parts(_STRIDE * row - 12) for row in range(247)), strict=True)
)
"""2^(4 row − 12) 2/π mod 4 in three parts."""


@scalar
def reduced_large(x: float) -> tuple[float, float, int]:
    """Return x − n π/2 = r + e, e the rounding error of r, and the lowest bits of n, for |x| ≥ 2^40; NaN for ±∞.

    The error is below 2^−97 or 2^−53 |r|: |r| is smaller than 2^−44 for one x in 2^44. M < 2^56, four exponents to a
    row; of its product with the first part whole turns are taken off exactly.
    """
    size = abs(x)
    word = bits(where(size < LARGE, LARGE, size))
    place = (word >> 52) - _FIRST
    row = np.uint64(place >> 2)
    m = number((word & _FRACTION) | ((1075 + (place & 3)) << 52))
    first, second = _FIRSTS[row], _SECONDS[row]
    a, b = m * first, m * second
    a_low, b_low = fma(m, first, -a), fma(m, second, -b)
    a = fma(-4.0, rounded(0.25 * a), a)
    part = a + a_low
    total = part + b
    n = rounded(total)
    quarters = total - n
    low = (sum_error(a, a_low, part) + sum_error(part, b, total)) + fma(m, _THIRDS[row], b_low)
    angle = quarters * _RIGHT
    angle_low = fma(quarters, _RIGHT, -angle) + fma(quarters, _RIGHT_LOW, low * _RIGHT)
    sign = math.copysign(1.0, x) + 0.0 * x
    r = angle + angle_low
    return sign * r, sign * ((angle - r) + angle_low), bits(fma(sign, n, SHIFT))
