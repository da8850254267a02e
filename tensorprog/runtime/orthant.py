"""The bivariate normal distribution function for compiled code, accurate in the tails and for every correlation.

With k ≤ h and h + k ≤ 0, Owen's decomposition (1956, Annals of Mathematical Statistics 27, 1075–1090) into corners
P(X > d, dY > wX), d, w ≥ 0, needs no difference of nearly equal numbers but where the orthant is a thin wedge:

    Φ₂(h, k; cos θ) = C(−k, −W) − sign(h) C(|h|, M),    W = px − q/x,  M = px + q/x,
    x = cot(θ/2),  p = (h − k)/2,  q = −(h + k)/2,      C(d, −w) = Φ(−d) − C(d, w),
    C(d, w) = (1/2π) ∫_w^∞ d exp(−(t² + d²)/2) / (t² + d²) dt.

The exponent of the orthant stands inside all exponentials.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tensorprog.runtime.elementary.exponential import exp_normal
from tensorprog.runtime.tails import plus_product, tail

__all__ = ["orthant"]

_NODES = np.array([
    0.06405689286260563, 0.1911188674736163, 0.3150426796961634, 0.4337935076260451, 0.5454214713888396,
    0.6480936519369755, 0.7401241915785544, 0.820001985973903, 0.8864155270044011, 0.9382745520027328,
    0.9747285559713095, 0.9951872199970213,
])  # fmt: skip
_WEIGHTS = np.array([
    0.12793819534675216, 0.1258374563468283, 0.12167047292780339, 0.1155056680537256, 0.10744427011596563,
    0.09761865210411388, 0.08619016153195327, 0.0733464814110803, 0.05929858491543678, 0.04427743881741981,
    0.028531388628933663, 0.0123412297999872,
])  # fmt: skip
_SMALL = np.array([
    0.4679715535686972, 0.40444056626319186, 0.3424786601519183, 0.2831032461869774, 0.22728926430558022,
    0.17595317403151223, 0.12993790421072282, 0.08999900701304854, 0.056792236497799485, 0.030862723998633622,
    0.012635722014345251, 0.00240639000148932,
])  # fmt: skip
"""The Gauss–Legendre rule of 24 points: its positive nodes, their weights on [−1, 1], and (1 − node)/2."""

_PLACES = np.concatenate((_SMALL, 1.0 - _SMALL))
_SHARES = np.concatenate((_WEIGHTS, _WEIGHTS)) / (4.0 * math.pi)
"""The same rule on [0, 1], its weights over 2π."""

_REACH = 36.0
"""exp(−36) is left out of a tail."""


@njit(error_model="numpy", fastmath=False)
def orthant(e: float, h: float, k: float, theta: float) -> float:
    """Return exp(e) Φ₂(h, k; cos θ) = exp(e) P(X > −h, Y > −k), X and Y standard normal of correlation cos θ."""
    high = h if h > k else k
    low = k if h > k else h
    if high + low > 0.0:
        return _between(e, -high, low) + _wedge(e, -low, -high, theta)
    return _wedge(e, high, low, theta)


@njit(error_model="numpy", fastmath=False)
def _between(e: float, h: float, k: float) -> float:
    """Return exp(e) (Φ(k) − Φ(h)) for h ≤ 0, h < k."""
    if k > 0.0:
        return 0.5 * math.exp(e) * (math.erf(k * math.sqrt(0.5)) + math.erf(-h * math.sqrt(0.5)))
    return tail(e, k) - tail(e, h)


@njit(error_model="numpy", fastmath=False)
def _wedge(e: float, high: float, low: float, theta: float) -> float:
    """Return exp(e) Φ₂(high, low; cos θ) for low ≤ high ≤ −low."""
    if low == 0.0 and high == 0.0:
        return math.exp(e) * ((math.pi - theta) / (2.0 * math.pi))
    x = 1.0 / math.tan(0.5 * theta)
    x = 1e100 if x > 1e100 else x
    rising, falling = 0.5 * (high - low) * x, -0.5 * (high + low) / x
    side = rising - falling
    if side > 10.0:  # both corners are below 1e-20 of the half plane
        return tail(e, low)
    first = _corner(e, -low, abs(side))
    first = tail(e, low) - first if side > 0.0 else first
    second = _corner(e, abs(high), rising + falling) if high != 0.0 else 0.0
    total = first - second if high > 0.0 else first + second
    return 0.0 if total < 0.0 else total


@njit(error_model="numpy", fastmath=False)
def _corner(e: float, d: float, w: float) -> float:
    """Return exp(e) P(X > d, dY > wX) for d, w ≥ 0, not both 0, X and Y independent standard normal."""
    if d * d + w * w > 8.0:
        return math.exp(plus_product(plus_product(e, -0.5 * d, d), -0.5 * w, w)) * _wing(d, w)
    whole = math.exp(e)
    if w > d:
        return whole * (_owen(w, d / w) - 0.5 * tail(0.0, -w) * math.erf(d * math.sqrt(0.5)))
    return whole * (0.5 * tail(0.0, -d) - _owen(d, w / d))


@njit(error_model="numpy", fastmath={"reassoc"})
def _owen(h: float, a: float) -> float:
    """Return Owen's T(h, a) = (1/2π) ∫₀^a exp(−h²(1 + t²)/2) / (1 + t²) dt, for h² ≤ 8 and 0 ≤ a ≤ 1."""
    half = -0.5 * h * h
    total = 0.0
    for number in range(12):
        t = a * _NODES[number]
        growth = 1.0 + t * t
        total += _WEIGHTS[number] * exp_normal(half * growth) / growth
    return total * a / (2.0 * math.pi)


@njit(error_model="numpy", fastmath={"reassoc"})
def _wing(d: float, w: float) -> float:
    """Return (1/2π) ∫₀^∞ d exp(−wt − t²/2) / ((w + t)² + d²) dt, for d² + w² > 8."""
    reach = 2.0 * _REACH / (w + math.sqrt(w * w + 2.0 * _REACH))
    total = 0.0
    for number in range(24):
        t = reach * _PLACES[number]
        place = w + t
        total += _SHARES[number] * exp_normal(-t * (w + 0.5 * t)) * (d / (place * place + d * d))
    return total * reach
