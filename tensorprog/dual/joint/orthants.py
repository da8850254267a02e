"""Orthant probabilities P(X > 0) of Gaussian vectors X ~ N(m, C), for many laws at once, with an estimate of the error.

One and two variables: the normal distribution and Owen's T function (Owen 1956). Three with m = 0: the arcsine formula
1/8 + Σ asin ρ / 4π (Sheppard 1899; David 1953). Three to five: Plackett's (1954) differential equation along the path
that scales all correlations,

    dP/ds = Σ_{i<j} ρ_ij φ₂(h_i, h_j; s ρ_ij) P(the others < h | Y_i = h_i, Y_j = h_j),

an integral of one dimension for three and four variables, of two for five. Six and more: `dual.joint.separation`.

Independent noise makes a gate an orthant: E Π Φ(s_i z_i) = P(X > 0) for z ~ N(m, C), X ~ N(s m, s C s + 1), since
Φ(z) = P(z + ε > 0).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from tensorprog.dual.joint.separation import separated

__all__ = ["bivariate", "gate_probability", "orthant_probability"]

Array = npt.NDArray[np.float64]

_ORDERS = (16, 32, 64, 128, 256)
_ROUNDING = 4e-16
_CONVERGED = 1e-13
_BLOCK = 1 << 21
_TINY = 1e-300


def gate_probability(means: Array, covariances: Array, signs: Sequence[float]) -> tuple[Array, Array]:
    """Return E Π_i Φ(s_i z_i) for z ~ N(m, C), and an estimate of its error.

    Args:
        means: m, shape (N, k).
        covariances: C, shape (N, k, k), positive semidefinite.
        signs: s, k numbers: ±1 for gates and their complements, √2 for (1 + erf)/2.
    """
    scale = np.asarray(signs, np.float64)
    noisy = scale[:, None] * covariances * scale + np.eye(len(scale))
    return orthant_probability(scale * means, noisy)


def orthant_probability(means: Array, covariances: Array) -> tuple[Array, Array]:
    """Return P(X > 0) for X ~ N(m, C), and an estimate of its error, for shapes (N, k) and (N, k, k).

    All variances must be positive; the covariances may be singular.
    """
    means, covariances = np.asarray(means, np.float64), np.asarray(covariances, np.float64)
    count, size = means.shape
    if size == 0:
        return np.ones(count), np.zeros(count)
    deviations = np.sqrt(np.einsum("nii->ni", covariances))
    h = means / deviations
    correlations = np.clip(covariances / (deviations[:, :, None] * deviations[:, None, :]), -1.0, 1.0)
    return _METHODS.get(size, separated)(h, correlations)


def _one(h: Array, correlations: Array) -> tuple[Array, Array]:
    value = special.ndtr(h[:, 0])
    return value, _ROUNDING * value


def _two(h: Array, correlations: Array) -> tuple[Array, Array]:
    return bivariate(h[:, 0], h[:, 1], correlations[:, 0, 1]), np.full(len(h), _ROUNDING)


def bivariate(h: Array, k: Array, rho: Array) -> Array:
    """Return P(Y₁ < h, Y₂ < k) for standard normal variables of correlation ρ, to a few units of 1e-16."""
    h, k, rho = np.broadcast_arrays(*(np.asarray(entry, np.float64) for entry in (h, k, rho)))
    root = np.sqrt(np.maximum((1 - rho) * (1 + rho), 0.0))
    crossing = np.where((h * k < 0) | ((h * k == 0) & (h + k < 0)), 0.5, 0.0)
    value = 0.5 * (special.ndtr(h) + special.ndtr(k)) - _owen(h, k, rho, root) - _owen(k, h, rho, root) - crossing
    centred = 0.25 + np.arctan2(rho, root) / (2 * np.pi)
    found: Array = np.clip(np.where((h == 0) & (k == 0), centred, value), 0.0, 1.0)
    return found


def _owen(h: Array, k: Array, rho: Array, root: Array) -> Array:
    """Return T(h, (k − ρh)/(h√(1 − ρ²))), at h = 0 its limit."""
    top = np.where(rho > 0, (k - h) + (1 - rho) * h, (k + h) - (1 + rho) * h)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = np.where(top == 0, 0.0, top / (h * root))
    value = special.owens_t(h, np.where(np.isnan(slope), 0.0, slope))
    return np.asarray(np.where(h == 0, 0.25 * np.sign(k), value))


def _three(h: Array, correlations: Array) -> tuple[Array, Array]:
    first, second, third = correlations[:, 0, 1], correlations[:, 0, 2], correlations[:, 1, 2]
    value = 0.125 + (np.arcsin(first) + np.arcsin(second) + np.arcsin(third)) / (4 * np.pi)
    error = np.full(len(h), _ROUNDING)
    shifted = np.flatnonzero(np.any(h != 0, axis=1))
    if len(shifted):
        value[shifted], error[shifted] = _plackett(h[shifted], correlations[shifted])
    return value, error


def _plackett(h: Array, correlations: Array) -> tuple[Array, Array]:
    """Return the probability by rules of growing order for the path integral, until two agree."""
    start = np.prod(special.ndtr(h), axis=1)
    before, _ = _path_integral(h, correlations, _ORDERS[0])
    value, error = start + before, np.full(len(h), np.inf)
    open_ = np.arange(len(h))
    for order in _ORDERS[1:]:
        integral, inner = _path_integral(h[open_], correlations[open_], order)
        error[open_] = np.abs(integral - before[open_]) + inner + 8 * _ROUNDING
        before[open_] = integral
        value[open_] = start[open_] + integral
        open_ = open_[error[open_] > _CONVERGED]
        if not len(open_):
            break
    return np.clip(value, 0.0, 1.0), error


@functools.cache
def _rule(order: int) -> tuple[Array, Array]:
    """Return nodes and weights on (0, 1) for integrands with a root at 1: s = 1 − (1 − v)², Gauss–Legendre in v."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    left = 0.5 * (1 - nodes)
    return 1 - left * left, weights * left


def _path_integral(h: Array, correlations: Array, order: int) -> tuple[Array, Array]:
    """Return ∫ dP/ds ds from 0 to 1, and what the errors of the probabilities in it add up to."""
    total, error = np.zeros(len(h)), np.zeros(len(h))
    size = max(1, _BLOCK // (8 * order))
    for first in range(0, len(h), size):
        block = slice(first, first + size)
        for pair in itertools.combinations(range(h.shape[1]), 2):
            found, doubt = _slope(h[block], correlations[block], pair, _rule(order))
            total[block] += found
            error[block] += doubt
    return total, error


def _slope(h: Array, correlations: Array, pair: tuple[int, int], rule: tuple[Array, Array]) -> tuple[Array, Array]:
    """Return ∫ ρ φ₂(h_i, h_j; s ρ) P(the others < h | Y_i = h_i, Y_j = h_j) ds and its error for one pair i, j."""
    (i, j), (nodes, weights) = pair, rule
    rest = [m for m in range(h.shape[1]) if m not in pair]
    a, b, rho = h[:, i, None], h[:, j, None], correlations[:, i, j, None] * nodes
    det = np.maximum((1 - rho) * (1 + rho), _TINY)
    density = np.exp(-0.5 * (a * a - 2 * rho * a * b + b * b) / det) / (2 * np.pi * np.sqrt(det))
    p, q = (correlations[:, None, m, rest] * nodes[:, None] for m in pair)
    rho, det = rho[..., None], det[..., None]
    shifts = (
        h[:, None, rest] - (p * (a[..., None] - rho * b[..., None]) + q * (b[..., None] - rho * a[..., None])) / det
    )
    variances = np.maximum(1 - (p * p - 2 * rho * p * q + q * q) / det, _TINY)
    lost = p[..., :, None] * p[..., None, :] + q[..., :, None] * q[..., None, :]
    crossed = p[..., :, None] * q[..., None, :] + q[..., :, None] * p[..., None, :]
    inner = correlations[:, None][:, :, rest][..., rest] * nodes[:, None, None]
    inner = inner - (lost - rho[..., None] * crossed) / det[..., None]
    roots = np.sqrt(variances)
    links = np.clip(inner / (roots[..., :, None] * roots[..., None, :]), -1.0, 1.0)
    size = len(rest)
    value, error = _METHODS[size]((shifts / roots).reshape(-1, size), links.reshape(-1, size, size))
    weighted = correlations[:, i, j, None] * density * weights
    return (weighted * value.reshape(density.shape)).sum(axis=1), np.abs(weighted * error.reshape(density.shape)).sum(
        axis=1
    )


_METHODS: dict[int, Callable[[Array, Array], tuple[Array, Array]]] = {
    1: _one,
    2: _two,
    3: _three,
    4: _plackett,
    5: _plackett,
}
