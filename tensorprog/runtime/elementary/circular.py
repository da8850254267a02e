"""sin, cos and tan: x = n π/2 + r, |r| ≤ π/4, with r in two doubles, and the series of sin r and cos r.

The only values with less than full relative accuracy are those below 2^−44 for |x| > 2^40, which are right to 2^−97.
"""

from __future__ import annotations

from tensorprog.runtime.elementary.floats import SHIFT, bits, fma, number, polynomial, scalar, sum_error, where
from tensorprog.runtime.elementary.large import LARGE, reduced_large

__all__ = ["cos", "sin", "sin_cos", "tan"]

_RIGHT, _RIGHT_LOW, _RIGHT_LOWEST = 1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33
"""π/2 in three parts."""

_SIN = (
    1.5917848524808262e-10, -2.5051127944014188e-08, 2.755731608381636e-06, -0.00019841269836722418,
    0.008333333333330925, -0.16666666666666666,
)  # fmt: skip
"""(sin r − r) / r³ as a polynomial in r², the highest power first (`scripts/fit_elementary.py`)."""

_COS = (
    -1.1382456778061306e-11, 2.0876143827993133e-09, -2.7557317260008837e-07, 2.480158729874307e-05,
    -0.0013888888888887382, 0.041666666666666664,
)  # fmt: skip
"""(cos r − 1 + r²/2) / r⁴ likewise."""


@scalar
def _reduced(x: float) -> tuple[float, float, int]:
    """Return x − n π/2 = r + e, e the rounding error of r, and the lowest bits of n (Cody and Waite 1980).

    The first difference is exact, since the last bits of both terms are; so are all its errors but the last.
    """
    shifted = fma(x, 0.6366197723675814, SHIFT)
    n = shifted - SHIFT
    high = fma(-n, _RIGHT, x)
    part = n * _RIGHT_LOW
    r = high - part
    e = fma(-n, _RIGHT_LOWEST, sum_error(high, -part, r) - fma(n, _RIGHT_LOW, -part))
    r, e = _normal(r, e)
    return r, e, bits(shifted)


@scalar
def _reduced_any(x: float) -> tuple[float, float, int]:
    """Return the same for every x, NaN for infinite ones."""
    r, e, n = _reduced(x)
    r_large, e_large, n_large = reduced_large(x)
    small = abs(x) < LARGE
    return where(small, r, r_large), where(small, e, e_large), bits(where(small, number(n), number(n_large)))


@scalar
def _sine(r: float, e: float) -> tuple[float, float]:
    """Return sin(r + e) in two parts."""
    square = r * r
    return r, fma(r * square, polynomial(square, _SIN), fma(-0.5 * square, e, e))


@scalar
def _cosine(r: float, e: float) -> tuple[float, float]:
    """Return cos(r + e) in two parts."""
    square = r * r
    half = 0.5 * square
    high = 1.0 - half
    return high, ((1.0 - high) - half) + fma(square * square, polynomial(square, _COS), -r * e)


@scalar
def _normal(a: float, b: float) -> tuple[float, float]:
    """Return a + b as a double and its error, |a| ≥ |b|."""
    total = a + b
    return total, (a - total) + b


@scalar
def _resolved(r: float, e: float, n: int) -> tuple[float, float]:
    """Return the sine and the cosine of n π/2 + r + e."""
    sine, sine_low = _sine(r, e)
    cosine, cosine_low = _cosine(r, e)
    odd = (n & 1) != 0
    first = where(odd, cosine, sine) + where(odd, cosine_low, sine_low)
    second = where(odd, sine, cosine) + where(odd, sine_low, cosine_low)
    return number(bits(first) ^ ((n & 2) << 62)), number(bits(second) ^ (((n + 1) & 2) << 62))


@scalar
def sin(x: float) -> float:
    """Return the sine of x, NaN for infinite x."""
    return where(abs(x) < 1e-9, x, _resolved(*_reduced_any(x))[0])


@scalar
def cos(x: float) -> float:
    """Return the cosine of x, NaN for infinite x."""
    return _resolved(*_reduced_any(x))[1]


@scalar
def sin_cos(x: float) -> tuple[float, float]:
    """Return sin(x) and cos(x) for |x| < 2^40."""
    return _resolved(*_reduced(x))


@scalar
def tan(x: float) -> float:
    """Return the tangent of x, NaN for infinite x."""
    r, e, n = _reduced_any(x)
    sine, sine_low = _normal(*_sine(r, e))
    cosine, cosine_low = _normal(*_cosine(r, e))
    odd = (n & 1) != 0
    above, above_low = where(odd, -cosine, sine), where(odd, -cosine_low, sine_low)
    below, below_low = where(odd, sine, cosine), where(odd, sine_low, cosine_low)
    inverse = 1.0 / below
    ratio = above * inverse
    rest = fma(-ratio, below, above) + fma(-ratio, below_low, above_low)
    return where(abs(x) < 1e-9, x, fma(rest, inverse, ratio))
