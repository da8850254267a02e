"""The normal distribution function and its relatives with numpy: of one and of two variables, and at complex points.

`runtime.tails`, `runtime.orthant` and `runtime.faddeeva` compute the same in compiled code, in other ways: here Owen's
function, the scaled complementary error function and the Faddeeva function are those of scipy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorprog.nonlin import special

__all__ = ["bump", "opening", "orthant", "plus_product", "product_error", "standard", "tail", "wave_tail"]

_SPLITTER = 134217729.0  # 2^27 + 1
_LARGEST = 1e30
_STEPS = 0.1 * np.arange(-34, 41)
_NODES = np.exp(_STEPS - np.exp(-_STEPS))
_WEIGHTS = 0.1 * _NODES * (1 + np.exp(-_STEPS))


def _split(a: Any) -> tuple[Any, Any]:
    """Return the upper and lower half of the mantissa (Veltkamp)."""
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def product_error(a: Any, b: Any, product: Any) -> Any:
    """Return a·b − product, exactly (Dekker)."""
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def plus_product(e: Any, a: Any, b: Any) -> Any:
    """Return e + a·b, to one rounding of the result."""
    with np.errstate(over="ignore", invalid="ignore"):
        product = np.multiply(a, b)
        total = e + product
        moved = total - e
        low = product_error(a, b, product) + ((e - (total - moved)) + (product - moved))
        return total + np.where(np.isfinite(low), low, 0.0)


def standard(m: Any, v: Any) -> Any:
    """Return m/√v, clipped to ±1e30; 0 for m = 0."""
    with np.errstate(all="ignore"):
        h = np.clip(np.divide(m, np.sqrt(v)), -_LARGEST, _LARGEST)
    return np.where((np.asarray(m) == 0) & (np.asarray(v) == 0), 0.0, h)


def bump(e: Any, m: Any, v: Any) -> Any:
    """Return exp(e − m²/(2v)); exp(e) for m = v = 0, and 0 for v = 0 otherwise."""
    h, size = standard(m, v), np.abs(m)
    with np.errstate(all="ignore"):
        square = np.square(m)
        quotient = square / v
        low = (product_error(m, m, square) - product_error(quotient, v, square)) / v
        exact = plus_product(e, -0.5, quotient) - 0.5 * low
        return np.exp(np.where((size < 1e-140) | (size > 1e140) | (np.abs(h) > 1e8), e - 0.5 * h * h, exact))


def tail(e: Any, h: Any) -> Any:
    """Return exp(e) Φ(h), Φ the standard normal distribution function."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        below = 0.5 * np.exp(plus_product(e, np.multiply(-0.5, h), h)) * special.erfcx(-np.minimum(h, 0.0) / np.sqrt(2))
        return np.where(np.asarray(h) > 0, np.exp(e) * special.ndtr(h), below)


def opening(theta: Any) -> Any:
    """Return sin θ − θ cos θ for 0 ≤ θ ≤ π."""
    theta = np.asarray(theta, np.float64)
    return np.where(theta > 1, np.sin(theta) - theta * np.cos(theta), _series(np.minimum(theta, 1.0)))


def _series(theta: Any) -> Any:
    """Return Σ (−1)^(n+1) 2n θ^(2n+1) / (2n+1)!, for θ ≤ 1."""
    square, term, total = theta * theta, theta, np.zeros_like(theta)
    for n in range(1, 10):
        term = -term * square / (2 * n * (2 * n + 1))
        total = total - 2 * n * term
    return total


def orthant(e: Any, h: Any, k: Any, theta: Any) -> Any:
    """Return exp(e) Φ₂(h, k; cos θ), by Owen's decomposition (see `runtime.orthant`)."""
    e, h, k, theta = np.broadcast_arrays(*(np.asarray(entry, np.float64) for entry in (e, h, k, theta)))
    high, low = np.maximum(h, k), np.minimum(h, k)
    with np.errstate(all="ignore"):
        wide = high + low > 0
        first, second = np.where(wide, -low, high), np.where(wide, -high, low)
        return _wedge(e, first, second, theta) + np.where(wide, _between(e, -high, low), 0.0)


def _between(e: Any, h: Any, k: Any) -> Any:
    """Return exp(e) (Φ(k) − Φ(h)) for h ≤ 0, h < k."""
    both = 0.5 * np.exp(e) * (special.erf(k * np.sqrt(0.5)) + special.erf(-h * np.sqrt(0.5)))
    return np.where(k > 0, both, tail(e, k) - tail(e, h))


def _wedge(e: Any, high: Any, low: Any, theta: Any) -> Any:
    """Return exp(e) Φ₂(high, low; cos θ) for low ≤ high ≤ −low."""
    x = np.minimum(1.0 / np.tan(0.5 * theta), 1e100)
    rising, falling = 0.5 * (high - low) * x, -0.5 * (high + low) / x
    side = rising - falling
    first = _corner(e, -low, np.abs(side))
    first = np.where(side > 0, tail(e, low) - first, first)
    second = np.where(high == 0, 0.0, np.sign(high) * _corner(e, np.abs(high), rising + falling))
    total = np.where((low == 0) & (high == 0), np.exp(e) * ((np.pi - theta) / (2 * np.pi)), first - second)
    return np.where(total < 0, 0.0, total)


def _corner(e: Any, d: Any, w: Any) -> Any:
    """Return exp(e) P(X > d, dY > wX) for d, w ≥ 0, X and Y independent standard normal."""
    e, d, w = (np.asarray(entry) for entry in (e, d, w))
    far = d * d + w * w > 9
    found = np.empty(d.shape)
    found[~far] = np.exp(e[~far]) * _near_corner(d[~far], w[~far])
    exponent = plus_product(plus_product(e[far], -0.5 * d[far], d[far]), -0.5 * w[far], w[far])
    found[far] = np.exp(exponent) * _wing(d[far], w[far])
    return found


def _near_corner(d: Any, w: Any) -> Any:
    """Return P(X > d, dY > wX), by Owen's function T(h, a) at a ≤ 1."""
    steep = w > d
    large, small = np.where(steep, w, d), np.where(steep, d, w)
    below = 0.5 * special.ndtr(-large)
    inside = special.owens_t(large, small / large)
    return np.where(steep, inside - below * special.erf(d * np.sqrt(0.5)), below - inside)


def _wing(d: Any, w: Any) -> Any:
    """Return (1/2π) ∫₀^∞ d exp(−wt − t²/2) / ((w + t)² + d²) dt for d² + w² > 9.

    The double exponential rule t = exp(s − exp(−s)) of Takahasi and Mori (1974) for integrands of this decay.
    """
    scale = 1.0 / (1.0 + w)
    total = np.zeros_like(scale)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        t = node * scale
        total += weight * np.exp(-t * (w + 0.5 * t)) * (d / ((w + t) ** 2 + d * d))
    return total * scale / (2 * np.pi)


def wave_tail(e: Any, j: Any, h: Any, k: Any) -> tuple[Any, Any]:
    """Return the parts of exp(e + ij) Φ(h + ik).

    They are those of ½ exp(e + ij − (h + ik)²/2) w((k − ih)/√2), for h > 0 of the same by Φ(z) = 1 − Φ(−z).
    """
    positive = np.asarray(h) > 0
    side = np.where(positive, -1.0, 1.0)
    with np.errstate(all="ignore"):
        size = 0.5 * side * np.exp(plus_product(plus_product(e, np.multiply(0.5, k), k), np.multiply(-0.5, h), h))
        phase = plus_product(j, np.negative(h), k)
        part = special.wofz((side * k + 1j * np.abs(h)) * np.sqrt(0.5))
        whole = np.where(positive, np.exp(e), 0.0)
        cosine, sine = size * np.cos(phase), size * np.sin(phase)
        real = np.where(positive, whole * np.cos(j), 0.0) + (cosine * part.real - sine * part.imag)
        imaginary = np.where(positive, whole * np.sin(j), 0.0) + (sine * part.real + cosine * part.imag)
    return real, imaginary
