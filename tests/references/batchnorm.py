"""The NNGP kernel of batch normalization with relu by its published integrals, with a quadrature of its own.

    E relu(u_i/σ) relu(u_j/σ) = ∫ e^{−sε} det(1 + 2sA C)^{−½} V(C (1 + 2sA C)^{−1})_ij ds,    σ² = ε + u⊤A u
    E relu(u_i/σ) relu(u′_j/σ′) = 1/π ∫∫ (st)^{−½} e^{−(s + t)ε} det(1 + 2D C)^{−½} V(C (1 + 2D C)^{−1})_ij ds dt

for u ~ N(0, C), D = sA ⊕ tA′, and V the arc-cosine kernel of order one (Yang et al. 2019, 1902.08129).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["normalized_relu"]

Array = npt.NDArray[np.float64]

_ENDS = np.arange(-68.0, 17.1, 2.5)  # of log s: e^{−sε} ends it, for ε ≥ 1e-5
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_PLACES = (_ENDS[:-1, None] + 1.25 * (_NODES + 1)).ravel()
_LENGTHS = np.tile(1.25 * _WEIGHTS, len(_ENDS) - 1)


def arc_cosine(q1: Array, q2: Array, c: Array) -> Array:
    """E[relu relu] (Cho & Saul 2009)."""
    scale = np.sqrt(q1 * q2)
    theta = np.arccos(np.clip(c / scale, -1, 1))
    return scale * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)


def _tilted(covariance: Array, rates: Array) -> tuple[Array, Array]:
    """Return C (1 + 2D C)^{−1} and det(1 + 2D C)^{−½}, for the diagonals (N, k) of D."""
    matrix = np.eye(len(covariance)) + 2 * rates[:, :, None] * covariance
    sign, logarithm = np.linalg.slogdet(matrix)
    assert (sign > 0).all()
    return np.linalg.solve(matrix.transpose(0, 2, 1), covariance[None]).transpose(0, 2, 1), np.exp(-0.5 * logarithm)


def _entries(tilted: Array, rows: range, columns: range) -> Array:
    variances = np.einsum("nii->ni", tilted)
    block = tilted[:, rows.start : rows.stop, columns.start : columns.stop]
    first, second = (variances[:, part.start : part.stop] for part in (rows, columns))
    return arc_cosine(first[:, :, None], second[:, None, :], block)


def normalized_relu(k11: Array, k12: Array, k22: Array, eps: float) -> tuple[Array, Array, Array]:
    """Return the second moments of relu((u − mean u)/√(var u + eps)) within two batches and between them."""
    sizes = len(k11), len(k22)
    one, other = (np.eye(size) - 1 / size for size in sizes)
    k11, k12, k22 = one @ k11 @ one, one @ k12 @ other, other @ k22 @ other
    return _within(k11, eps), _between(np.block([[k11, k12], [k12.T, k22]]), sizes, eps), _within(k22, eps)


def _within(covariance: Array, eps: float) -> Array:
    size, s = len(covariance), np.exp(_PLACES)
    tilted, volume = _tilted(covariance, np.repeat(s[:, None] / size, size, axis=1))
    weight = _LENGTHS * s * np.exp(-s * eps) * volume
    return np.einsum("n,nij->ij", weight, _entries(tilted, range(size), range(size)))


def _between(covariance: Array, sizes: tuple[int, int], eps: float) -> Array:
    total = np.zeros(sizes)
    t = np.exp(_PLACES)
    for s, length in zip(np.exp(_PLACES), _LENGTHS, strict=True):
        rates = np.repeat(np.stack([np.full_like(t, s / sizes[0]), t / sizes[1]], axis=1), sizes, axis=1)
        tilted, volume = _tilted(covariance, rates)
        weight = length * _LENGTHS * np.sqrt(s * t) * np.exp(-(s + t) * eps) * volume / np.pi
        total += np.einsum("n,nij->ij", weight, _entries(tilted, range(sizes[0]), range(sizes[0], sum(sizes))))
    return total
