"""The normal distribution function and its relatives for compiled code, free of overflow and cancellation.

As in `intrinsics`, no fast-math flag: the rounding errors that are computed here must not be contracted.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tensorprog.runtime.intrinsics import fma

__all__ = ["bump", "erfcx", "opening", "plus_product", "standard", "tail"]

_LARGEST = 1e30
_ROOT_HALF = math.sqrt(0.5)

_ODD = np.array([
    -3.451497487664328e-11, 1.2019719440135793e-09, -1.3906145791730994e-08, 1.0277997488271058e-07,
    -6.175617678992323e-07, 3.473024167841533e-06, -2.0100843094844725e-05, 0.0001250994355712812,
    -0.0007798322884823084, 0.0025293918180474668, 0.06830802734384515, 0.12964515870276475, -0.1356211061245812,
])  # fmt: skip
_EVEN = np.array([
    8.393734858690877e-10, -8.217595058711455e-09, 4.1064013667940355e-08, -1.4047654315428462e-07,
    3.5576086684080595e-07, -7.308281468783614e-07, 4.949196649968345e-06, -0.00010515971958468065,
    0.0018886903449991718, -0.02377051491717134, -0.11927366341538638, -0.0475622943534492, 1.2530080582697296,
])  # fmt: skip
"""(1 + 2x) erfcx(x) as a polynomial in t = (x − 3) / (x + 3): its odd and its even powers, the highest first."""

_OPENING = np.array([
    -3.9145882126782523e-19, 1.4797143443923793e-16, -4.498331606952833e-14, 1.0706029224547743e-11,
    -1.9270852604185937e-09, 2.505210838544172e-07, -2.2045855379188714e-05, 0.0011904761904761906,
    -0.03333333333333333, 0.3333333333333333,
])  # fmt: skip
"""(sin θ − θ cos θ) / θ³ as a polynomial in θ², its Taylor series, the highest power first."""


@njit(error_model="numpy", fastmath=False)
def plus_product(e: float, a: float, b: float) -> float:
    """Return e + a·b, to one rounding of the result: an exponent, a phase in which large terms cancel."""
    product = a * b
    total = e + product
    moved = total - e
    low = fma(a, b, -product) + ((e - (total - moved)) + (product - moved))
    return total + (low if abs(low) < math.inf else 0.0)


@njit(error_model="numpy", fastmath=False)
def erfcx(x: float) -> float:
    """Return exp(x²) erfc(x) for x ≥ 0.

    (1 + 2x) erfcx(x) is a polynomial in (x − k) / (x + k), as in Shepherd and Laframboise (1981), Mathematics of
    Computation 36, 249–253; its Chebyshev series for k = 3 ends before terms of 1e-17.
    """
    t = (x - 3.0) / (x + 3.0)
    square = t * t
    odd, even = _ODD[0], _EVEN[0]
    for number in range(1, 13):
        odd = fma(odd, square, _ODD[number])
        even = fma(even, square, _EVEN[number])
    return fma(odd, t, even) / (1.0 + 2.0 * x)


@njit(error_model="numpy", fastmath=False)
def standard(m: float, v: float) -> float:
    """Return m/√v, clipped to ±1e30; 0 for m = 0."""
    h = m / math.sqrt(v)
    h = _LARGEST if h > _LARGEST else -_LARGEST if h < -_LARGEST else h
    return 0.0 if m == 0.0 and v == 0.0 else h


@njit(error_model="numpy", fastmath=False)
def bump(e: float, m: float, v: float) -> float:
    """Return exp(e − m²/(2v)); exp(e) for m = v = 0, and 0 for v = 0 otherwise."""
    h = standard(m, v)
    size = abs(m)
    if size < 1e-140 or size > 1e140 or abs(h) > 1e8:
        return math.exp(e - 0.5 * h * h)
    square = m * m
    quotient = square / v
    low = (fma(-quotient, v, square) + fma(m, m, -square)) / v
    return math.exp(plus_product(e, -0.5, quotient) - 0.5 * low)


@njit(error_model="numpy", fastmath=False)
def tail(e: float, h: float) -> float:
    """Return exp(e) Φ(h), Φ the standard normal distribution function."""
    half = 0.5 * erfcx(abs(h) * _ROOT_HALF)
    if h > 0.0:
        return math.exp(e) * (1.0 - math.exp(-0.5 * h * h) * half)
    return math.exp(plus_product(e, -0.5 * h, h)) * half


@njit(error_model="numpy", fastmath=False)
def opening(theta: float) -> float:
    """Return sin θ − θ cos θ for 0 ≤ θ ≤ π."""
    if theta > 1.25:
        return math.sin(theta) - theta * math.cos(theta)
    square = theta * theta
    total = _OPENING[0]
    for number in range(1, 10):
        total = fma(total, square, _OPENING[number])
    return total * square * theta
