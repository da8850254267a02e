"""erf, erfc and erfcx: a polynomial near 0, exp(−x²) erfcx(x) elsewhere."""

from __future__ import annotations

import math

from tensorprog.runtime.elementary.exponential import exp_parts
from tensorprog.runtime.elementary.floats import fma, polynomial, scalar, sum_error, where

__all__ = ["erf", "erfc", "erfcx"]

_ERF = (
    5.957176147748911e-11, -1.1372848856791674e-09, 1.4659775274047436e-08, -1.6350312701054695e-07,
    1.6461000484121368e-06, -1.4925595266831182e-05, 0.0001205533111164271, -0.000854832698083379,
    0.0052239776248180145, -0.026866170645076792, 0.11283791670954879, -0.3761263890318375, 0.1283791670955126,
)  # fmt: skip
"""erf(x) / x − 1 as a polynomial in x² ≤ 1, the highest power first (`scripts/fit_elementary.py`)."""

_ERFCX = (
    -2.5208846559132343e-11, 8.373239801913565e-10, 1.1435382719942424e-09, -8.205287217548862e-09,
    -1.3744637271614611e-08, 4.1031674722876435e-08, 1.0252159854733823e-07, -1.4042772727671948e-07,
    -6.172971639709339e-07, 3.5571413343395913e-07, 3.4728430145951554e-06, -7.307985940695724e-07,
    -2.010075903780886e-05, 4.949184182276066e-06, 0.00012509940933306624, -0.00010515971612176149,
    -0.0007798322831260387, 0.0018886903443894542, 0.0025293918173706497, -0.023770514917107986, 0.06830802734389313,
    -0.11927366341538978, 0.12964515870276316, -0.04756229435344912, -0.1356211061245812, 0.0030080582697296467,
)  # fmt: skip
"""(1 + 2x) erfcx(x) − 5/4 as a polynomial in t = (x − 3) / (x + 3), likewise.

The variable is that of Shepherd and Laframboise (1981), Mathematics of Computation 36, 249–253.
"""


@scalar
def erf(x: float) -> float:
    """Return the error function of x."""
    size = abs(x)
    near = x * x
    inner = fma(size, polynomial(near, _ERF), size)
    value = where(size < 1.0, inner, 1.0 - _upper(where(size > 6.0, 6.0, size)))
    return math.copysign(value, x)


@scalar
def erfc(x: float) -> float:
    """Return 1 − erf(x), without cancellation for x > 0."""
    size = abs(x)
    value = _upper(where(size > 28.0, 28.0, size))
    return where(x < 0.0, 2.0 - value, value)


@scalar
def erfcx(x: float) -> float:
    """Return exp(x²) erfc(x) for x ≥ 0."""
    return where(x == math.inf, 0.0, _scaled(1.0, 0.0, x))


@scalar
def _upper(x: float) -> float:
    """Return erfc(x) for 0 ≤ x ≤ 28."""
    square = x * x
    whole, low, first, second = exp_parts(-square, -fma(x, x, -square))
    return _scaled(whole, low, x) * first * second


@scalar
def _scaled(whole: float, low: float, x: float) -> float:
    """Return (whole + low) exp(x²) erfc(x) for x ≥ 0.

    All factors are sums of two doubles, so that their roundings do not add up.
    """
    part = polynomial(fma(2.0 * x, 1.0 / (x + 3.0), -1.0), _ERFCX)
    scaled = 1.25 + part
    scaled_low = (1.25 - scaled) + part
    below = 1.0 + 2.0 * x
    inverse = 1.0 / below
    product = whole * scaled
    product_low = fma(whole, scaled, -product) + fma(whole, scaled_low, low * scaled)
    ratio = product * inverse
    rest = fma(-ratio, below, product) + fma(-ratio, sum_error(1.0, 2.0 * x, below), product_low)
    return fma(rest, inverse, ratio)
