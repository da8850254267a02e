"""Orthant probabilities of many variables: the separation of variables of Genz (1992) over scrambled Sobol points.

P(Y < h) = ∫ Π_i e_i dw over the unit cube, with e_i = Φ((h_i − Σ_{j<i} L_ij y_j)/L_ii), y_i = Φ⁻¹(w_i e_i) and L the
Cholesky factor of the correlations. The variables are ordered by their conditional probabilities, the least one first
(Gibson, Glasbey and Elston 1994). The error is that of the mean over several scramblings.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.stats import qmc

__all__ = ["separated"]

Array = npt.NDArray[np.float64]

_SHIFTS, _LEAST, _MOST, _TARGET = 8, 9, 13, 1e-7  # scramblings, log2 of their points, and what is enough
_ROUNDING = 4e-16
_BLOCK = 1 << 21
_TINY = 1e-300


def separated(h: Array, correlations: Array) -> tuple[Array, Array]:
    """Return P(Y < h) for standard normal Y, shapes (N, k) and (N, k, k), and three standard errors of it."""
    h, factor = _ordered_factor(h, correlations)
    value, error = np.zeros(len(h)), np.full(len(h), np.inf)
    open_ = np.arange(len(h))
    for level in range(_LEAST, _MOST + 1, 2):
        size = max(1, _BLOCK // (_SHIFTS << level))
        for start in range(0, len(open_), size):
            block = open_[start : start + size]
            means = _genz(h[block], factor[block], _points(h.shape[1] - 1, level))
            value[block] = means.mean(axis=1)
            error[block] = 3 * means.std(axis=1, ddof=1) / math.sqrt(_SHIFTS) + _ROUNDING
        open_ = open_[error[open_] > _TARGET]
        if not len(open_):
            break
    return value, error


@functools.lru_cache(maxsize=16)
def _points(dimension: int, level: int) -> Array:
    """Return `_SHIFTS` scrambled Sobol sets of 2^level points each, shape (shifts, points, dimension)."""
    sets = [qmc.Sobol(dimension, scramble=True, rng=seed).random_base2(level) for seed in range(_SHIFTS)]
    return np.clip(np.stack(sets), 1e-16, 1 - 1e-16)


def _ordered_factor(h: Array, correlations: Array) -> tuple[Array, Array]:
    """Return limits and Cholesky factors, of the variables in the order of their conditional probabilities."""
    count, size = h.shape
    order = np.tile(np.arange(size), (count, 1))
    factor, expected = np.zeros((count, size, size)), np.zeros((count, size))
    rows = np.arange(count)
    h, correlations = h.copy(), correlations.copy()
    for step in range(size):
        known = factor[:, :, :step]
        variances = np.maximum(1 - np.sum(known * known, axis=2), _TINY)
        limits = (h - np.einsum("nij,nj->ni", known, expected[:, :step])) / np.sqrt(variances)
        limits[:, :step] = np.inf
        chosen = np.argmin(limits, axis=1)
        for array in (h, order, factor):
            array[rows, step], array[rows, chosen] = array[rows, chosen].copy(), array[rows, step].copy()
        _swap(correlations, step, chosen)
        variances[rows, chosen], variances[rows, step] = variances[rows, step].copy(), variances[rows, chosen].copy()
        limit = limits[rows, chosen]
        root = np.sqrt(variances[:, step])
        factor[:, step, step] = root
        for later in range(step + 1, size):
            inner = np.sum(factor[:, later, :step] * factor[:, step, :step], axis=1)
            factor[:, later, step] = (correlations[:, later, step] - inner) / root
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            ratio = np.exp(-0.5 * limit * limit - special.log_ndtr(limit)) / math.sqrt(2 * math.pi)
        expected[:, step] = -ratio
    return h, factor


def _swap(matrices: Array, first: int, second: npt.NDArray[np.intp]) -> None:
    """Swap a row and a column of every matrix with those of another number."""
    rows = np.arange(len(matrices))
    matrices[rows, first, :], matrices[rows, second, :] = (
        matrices[rows, second, :].copy(),
        matrices[rows, first, :].copy(),
    )
    matrices[rows, :, first], matrices[rows, :, second] = (
        matrices[rows, :, second].copy(),
        matrices[rows, :, first].copy(),
    )


def _genz(h: Array, factor: Array, points: Array) -> Array:
    """Return the mean of Genz' integrand over every set of points, shape (N, sets)."""
    sets, count, _ = points.shape
    shape = (len(h), sets, count)
    total = np.ones(shape)
    drawn: list[Array] = []
    for step in range(h.shape[1]):
        shift = h[:, step, None, None] - sum(
            (factor[:, step, j, None, None] * y for j, y in enumerate(drawn)), np.zeros(shape)
        )
        below = special.ndtr(shift / factor[:, step, step, None, None])
        total *= below
        if step < h.shape[1] - 1:
            drawn.append(special.ndtri(np.maximum(points[None, :, :, step] * below, _TINY)))
    means: Array = total.mean(axis=2)
    return means
