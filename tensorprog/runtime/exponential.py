"""The exponential function without calls and branches, so that loops over it vectorize."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from tensorprog.runtime.intrinsics import fma

__all__ = ["exp_below"]

_SHIFT = 6755399441055744.0  # 1.5 · 2^52: the sum with it holds a rounded integer in its lowest bits
_LOG2_HIGH, _LOG2_LOW = 0.6931471805599453, 2.3190468138462996e-17
_COEFFICIENTS = np.array([
    1.6059043836821613e-10, 2.08767569878681e-09, 2.505210838544172e-08, 2.755731922398589e-07, 2.7557319223985893e-06,
    2.48015873015873e-05, 0.0001984126984126984, 0.001388888888888889, 0.008333333333333333, 0.041666666666666664,
    0.16666666666666666, 0.5, 1.0, 1.0,
])  # fmt: skip
"""The Taylor series of exp to the 13th power, the highest first: 2e-18 for |x| ≤ log(2)/2."""


@intrinsic
def _power_of_two(typing_context: Any, shifted: Any) -> Any:
    """Return 2^n, −1023 < n < 1024, for the sum of n and 1.5 · 2^52."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        bits = builder.add(builder.bitcast(args[0], word), ir.Constant(word, 1023))
        return builder.bitcast(builder.shl(bits, ir.Constant(word, 52)), ir.DoubleType())

    return types.float64(types.float64), generate


@njit(error_model="numpy", fastmath=False)
def exp_below(x: float) -> float:
    """Return exp(x) for −700 ≤ x ≤ 0, to one ulp: exp(x − n log 2) · 2^n."""
    shifted = fma(x, 1.4426950408889634, _SHIFT)
    count = shifted - _SHIFT
    rest = fma(-count, _LOG2_LOW, fma(-count, _LOG2_HIGH, x))
    total = _COEFFICIENTS[0]
    for number in range(1, 14):
        total = fma(total, rest, _COEFFICIENTS[number])
    return total * _power_of_two(shifted)
