"""The special functions around the normal distribution in mpmath, from their definitions."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import mpmath as mp
from numpy.polynomial.legendre import leggauss

__all__ = ["bump", "opening", "orthant", "standard", "tail", "wave_tail"]

DIGITS = 40


def normal(z: Any) -> Any:
    """Φ(z), of real or complex z."""
    return mp.erfc(-z / mp.sqrt(2)) / 2


def tail(e: float, h: float) -> Any:
    """exp(e) Φ(h)."""
    with mp.workdps(DIGITS):
        return mp.exp(mp.mpf(e)) * normal(mp.mpf(h))


def standard(m: float, v: float) -> Any:
    """m/√v, at most 1e30 in size, 0 for m = 0."""
    with mp.workdps(DIGITS):
        if m == 0:
            return mp.mpf(0)
        return mp.sign(m) * (min(abs(mp.mpf(m)) / mp.sqrt(mp.mpf(v)), mp.mpf(1e30)) if v > 0 else mp.mpf(1e30))


def bump(e: float, m: float, v: float) -> Any:
    """exp(e − m²/(2v)), at v = 0 its limit."""
    with mp.workdps(DIGITS):
        if v == 0:
            return mp.exp(mp.mpf(e)) if m == 0 else mp.mpf(0)
        return mp.exp(mp.mpf(e) - mp.mpf(m) ** 2 / (2 * mp.mpf(v)))


def opening(theta: float) -> Any:
    """sin θ − θ cos θ."""
    with mp.workdps(2 * DIGITS):
        return mp.sin(mp.mpf(theta)) - mp.mpf(theta) * mp.cos(mp.mpf(theta))


def wave_tail(e: float, j: float, h: float, k: float) -> Any:
    """exp(e + ij) Φ(h + ik)."""
    with mp.workdps(2 * DIGITS):
        return mp.exp(mp.mpc(e, j)) * normal(mp.mpc(h, k))


def orthant(e: float, h: float, k: float, theta: float) -> Any:
    """exp(e) Φ₂(h, k; cos θ), from the derivative with respect to the correlation (Plackett 1954).

    For h + k ≤ 0 the probability vanishes at correlation −1, and with ρ = tanh y
    Φ₂ = (1/2π) ∫_{−∞}^{artanh cos θ} exp(−½ (a² (1 + e^{2y}) + b² (1 + e^{−2y}))) / cosh y dy, 2a = h − k, 2b = h + k.
    """
    with mp.workdps(DIGITS):
        if h + k > 0:
            both = mp.exp(mp.mpf(e)) * (normal(mp.mpf(h)) - normal(-mp.mpf(k)))
            return both + orthant(e, -h, -k, theta)
        a, b, end = (mp.mpf(h) - k) / 2, (mp.mpf(h) + k) / 2, -mp.log(mp.tan(mp.mpf(theta) / 2))
        left, right = _window(float(a) ** 2, float(b) ** 2, float(end))
        right = end if right == float(end) else mp.mpf(right)
        count = max(8, math.ceil(right - left))
        width, total = (right - left) / count, mp.mpf(0)
        for node, weight in _rule():
            for panel in range(count):
                growth = mp.exp(left + width * (panel + node))
                exponent = a * a * (1 + growth**2) + b * b * (1 + growth**-2)
                total += weight * mp.exp(mp.mpf(e) - exponent / 2) / (growth + 1 / growth)
        return total * width / mp.pi


@cache
def _rule(count: int = 32) -> list[tuple[Any, Any]]:
    """The Gauss–Legendre rule on [0, 1]: on panels of width 1 or less its error is far below 1e-20."""
    with mp.workdps(DIGITS):
        nodes = [mp.findroot(lambda x: mp.legendre(count, x), mp.mpf(float(x))) for x in leggauss(count)[0]]
        slopes = [count * (mp.legendre(count - 1, x) - x * mp.legendre(count, x)) / (1 - x * x) for x in nodes]
        return [((1 + x) / 2, 1 / ((1 - x * x) * slope**2)) for x, slope in zip(nodes, slopes, strict=True)]


def _window(a: float, b: float, end: float) -> tuple[float, float]:
    """The interval outside of which the integrand, which is logarithmically concave, is below exp(−60) of its peak."""

    def loss(y: float) -> float:
        return 0.5 * (a * math.exp(2 * y) + b * math.exp(-2 * y)) + abs(y)

    low, high = -150.0, end
    for _ in range(200):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, second) if loss(first) < loss(second) else (first, high)
    least = loss(low)

    def reach(inside: float, outside: float) -> float:
        for _ in range(60):
            middle = 0.5 * (inside + outside)
            inside, outside = (inside, middle) if loss(middle) - least > 60 else (middle, outside)
        return outside

    return reach(low, -250.0), (reach(low, end) if loss(end) - least > 60 else end)
