"""The layers of the reference algorithms, in plain numpy on whole arrays.

`Moments` of a vector h at positions p of samples a are two arrays (N, N, P, P),

    k[a, b, p, q] = lim E[h_p(x_a) h_q(x_b)]                     one coordinate of h
    t[a, b, p, q] = lim Σ_w lr_w ⟨∂h_p(x_a)/∂w, ∂h_q(x_b)/∂w⟩    lr_w the variance of w: NTK parametrization
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

__all__ = ["Array", "Moments", "activated", "biased", "data", "dense", "normalized", "plus", "variances"]

Array = npt.NDArray[np.float64]

STEP, REACH = 0.125, 10.0
"""The trapezoidal rule of expectations without a closed form, over standard normal variables."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Second moments and tangents, arrays (N, N, P, P)."""

    k: Array
    t: Array


def data(x: Array, weight: float) -> Moments:
    """The layer W x, W of variance weight/c, of data (N, P, c)."""
    k = weight / x.shape[-1] * np.einsum("apc,bqc->abpq", x, x, optimize=True)
    return Moments(k, k)


def dense(h: Moments, weight: float) -> Moments:
    """The layer W h, W of variance weight/n."""
    return Moments(weight * h.k, weight * (h.k + h.t))


def biased(h: Moments, bias: float) -> Moments:
    """The sum h + b."""
    return Moments(h.k + bias, h.t + bias)


def plus(g: Moments, h: Moments) -> Moments:
    """The sum g + h, of branches whose last weights are their own."""
    return Moments(g.k + h.k, g.t + h.t)


def variances(k: Array) -> tuple[Array, Array]:
    """E[h_p²] of every sample and position, in the shapes (N, 1, P, 1) and (1, N, 1, P)."""
    q = np.einsum("aapp->ap", k)
    return q[:, None, :, None], q[None, :, None, :]


def normalized(h: Moments, epsilon: float) -> Moments:
    """Layer normalization, h/√(avg h² + ε): means of coordinates vanish, and no gradient flows through the norm."""
    left, right = variances(h.k)
    scale = 1 / np.sqrt((left + epsilon) * (right + epsilon))
    return Moments(scale * h.k, scale * h.t)


def activated(h: Moments, phi: str) -> Moments:
    """A nonlinearity: E[φ(u) φ(v)], and the tangent times E[φ′(u) φ′(v)]."""
    values, slopes = DUALS[phi](h.k, *variances(h.k))
    return Moments(values, slopes * h.t)


def relu_dual(k: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """The arc-cosine kernels of order 1 and 0 (Cho & Saul 2009)."""
    norms = np.sqrt(left * right)
    angle = np.arccos(np.clip(k / norms, -1, 1))
    slopes = (np.pi - angle) / (2 * np.pi)
    return norms * np.sin(angle) / (2 * np.pi) + slopes * k, slopes


def erf_dual(k: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """The arc-sine kernel and that of its derivative (Williams 1997)."""
    product = (1 + 2 * left) * (1 + 2 * right)
    return 2 / np.pi * np.arcsin(2 * k / np.sqrt(product)), 4 / np.pi / np.sqrt(product - 4 * k * k)


def smooth_dual(phi: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Callable[..., tuple[Array, Array]]:
    """The trapezoidal rule in two dimensions, entry by entry: for a few entries, of analytic functions."""
    nodes = np.arange(-REACH, REACH + STEP / 2, STEP)
    weights = STEP * np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)

    def entry(k: float, left: float, right: float) -> tuple[float, float]:
        rho = np.clip(k / np.sqrt(left * right), -1, 1)
        u = np.sqrt(left) * nodes[:, None]
        v = np.sqrt(right) * (rho * nodes[:, None] + np.sqrt(1 - rho * rho) * nodes)
        return tuple(float(weights @ (f(u) * f(v)) @ weights) for f in (phi, slope))  # type: ignore[return-value]

    def dual(k: Array, left: Array, right: Array) -> tuple[Array, Array]:
        values, slopes = np.vectorize(entry)(k, left, right)
        return values, slopes

    return dual


def normal_density(u: Array) -> Array:
    """The density of the standard normal law."""
    return np.asarray(np.exp(-u * u / 2) / np.sqrt(2 * np.pi))


def normal_probability(u: Array) -> Array:
    """Its distribution function."""
    return np.asarray(0.5 * (1 + erf(u / np.sqrt(2))))


DUALS: dict[str, Callable[[Array, Array, Array], tuple[Array, Array]]] = {
    "relu": relu_dual,
    "erf": erf_dual,
    "tanh": smooth_dual(np.tanh, lambda u: 1 / np.cosh(u) ** 2),
    "gelu": smooth_dual(lambda u: u * normal_probability(u), lambda u: normal_probability(u) + u * normal_density(u)),
}
"""E[φ(u) φ(v)] and E[φ′(u) φ′(v)] of k, the covariance, and the variances of u and v."""
