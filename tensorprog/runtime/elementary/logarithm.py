"""log and log1p: x = 2^k m with √½ ≤ m < √2, and log(1 + f) = f − f²/2 + s(f²/2 + R(s)), s = f / (2 + f)."""

from __future__ import annotations

import math

from tensorprog.runtime.elementary.floats import (
    SHIFT,
    bits,
    fma,
    number,
    polynomial,
    power_of_two,
    scalar,
    sum_error,
    where,
)

__all__ = ["log", "log1p"]

_LOG2_HIGH, _LOG2_LOW = 0.693147180559663, 2.8235290563031577e-13
"""log 2 in two parts, the first of 41 bits: k log 2 is exact with it."""

_LOG = (
    0.14616449685043406, 0.15331721600556042, 0.18182889125261723, 0.2222221113479508, 0.28571428625975487,
    0.39999999999899505, 0.666666666666667,
)  # fmt: skip
"""(log((1 + s) / (1 − s)) − 2s) / s³ as a polynomial in s², the highest power first (`scripts/fit_elementary.py`)."""

_ONE = 0x3FF0000000000000
_ROOT = 0x3FE6A09E667F3BCD  # √½
_FRACTION = 0x000FFFFFFFFFFFFF
_HUGE = 0x4330000000000000  # 2^52


@scalar
def _split(x: float) -> tuple[float, float]:
    """Return m and k for a positive normal x."""
    moved = bits(x) + (_ONE - _ROOT)
    k = number((moved >> 52) | _HUGE) - 4503599627371519.0  # 2^52 + 1023
    return number((moved & _FRACTION) + _ROOT), k


@scalar
def _joined(f: float, c: float, k: float) -> float:
    """Return k log 2 + log(1 + f) + c, c small."""
    s = f / (2.0 + f)
    square = s * s
    half = 0.5 * f * f
    rest = fma(k, _LOG2_LOW, fma(s, fma(square, polynomial(square, _LOG), half), c))
    return fma(k, _LOG2_HIGH, f - (half - rest))


@scalar
def _ends(value: float, x: float, argument: float) -> float:
    """Return the value of a logarithm of x > 0, with its limits at 0 and ∞, and NaN for all other x."""
    value = where(x > 0.0, value, where(x == 0.0, -math.inf, math.nan))
    return where(argument == math.inf, argument, value)


@scalar
def log(x: float) -> float:
    """Return the natural logarithm, −inf at 0, NaN below."""
    tiny = x < 2.2250738585072014e-308
    m, k = _split(where(tiny, x * 18014398509481984.0, x))
    value = _joined(m - 1.0, 0.0, where(tiny, k - 54.0, k))
    return _ends(value, x, x)


@scalar
def log1p(x: float) -> float:
    """Return log(1 + x), −inf at −1, NaN below.

    Near 0, f = x; elsewhere 1 + x = 2^k (1 + f) + c, and c counts as 2^−k c / (1 + f).
    """
    total = 1.0 + x
    m, k = _split(total)
    near = (x > -0.29) & (x < 0.41)
    f = where(near, x, m - 1.0)
    lost = sum_error(1.0, x, total) * power_of_two(SHIFT - where(k > 1000.0, 1000.0, k))
    lost *= fma(-f, fma(-f, 1.0 - f, 1.0), 1.0)
    value = _joined(f, where(near, 0.0, lost), where(near, 0.0, k))
    return where(abs(x) < 1e-16, x, _ends(value, total, x))
