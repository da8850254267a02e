"""Numerical expectations of functions of several jointly Gaussian variables, for arrays of laws."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.dual.cubature.cubature import joint_cubature
from tensorprog.dual.special import JointExpectation
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr

__all__ = ["joint_expectation"]

Array = npt.NDArray[np.float64]

_CHUNK = 2048
"""How many laws are integrated at once."""


def joint_expectation(
    function: Expr, laws: Sequence[Array], parameters: Mapping[str, Any]
) -> tuple[Array, Array, Array]:
    """Return E f(u_1, …, u_k), estimates of the errors and E |f|, NaN where a law is not finite.

    Args:
        function: f.
        laws: k means, then the upper triangle of the covariances row by row; they broadcast against each other.
        parameters: the values of hyperparameters and sizes.
    """
    shape = np.broadcast_shapes(*(law.shape for law in laws))
    rows = np.stack([np.broadcast_to(law, shape).ravel() for law in laws], axis=1)
    size = JointExpectation.dimension(rows.shape[1])
    if _is_exchangeable(function, size, tuple(sorted(parameters.items()))):
        rows = _ordered(rows, size)
    distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
    found = np.full((3, len(distinct)), np.nan)
    (where,) = np.nonzero(np.isfinite(distinct).all(axis=1))
    for start in range(0, len(where), _CHUNK):
        chunk = where[start : start + _CHUNK]
        estimate = joint_cubature(function, *_matrices(distinct[chunk], size), parameters)
        found[:, chunk] = estimate.value, estimate.error, estimate.scale
    value, error, scale = found[:, inverse.ravel()]
    return value.reshape(shape), error.reshape(shape), scale.reshape(shape)


@functools.lru_cache(256)
def _is_exchangeable(function: Expr, size: int, parameters: tuple[tuple[str, float], ...]) -> bool:
    """Tell whether f is the same if its first half of variables is exchanged with the second, as φ(u) φ(u′) is."""
    if size % 2:
        return False
    points = [*np.random.default_rng(0).normal(size=(size, 64))]
    one = evaluate(function, points, dict(parameters))
    other = evaluate(function, [*points[size // 2 :], *points[: size // 2]], dict(parameters))
    return bool(np.allclose(one, other, rtol=1e-13, atol=0.0, equal_nan=True))


def _ordered(rows: Array, size: int) -> Array:
    """Return laws with their halves in a certain order, so that those of (x, x′) and of (x′, x) are one law."""
    number = {pair: size + place for place, pair in enumerate(itertools.combinations_with_replacement(range(size), 2))}
    moved = [(i + size // 2) % size for i in range(size)]
    columns = [*moved, *(number[min(moved[i], moved[j]), max(moved[i], moved[j])] for i, j in number)]
    exchanged = rows[:, columns]
    differs = rows != exchanged
    first = np.argmax(differs, axis=1)
    row = np.arange(len(rows))
    return np.where((rows[row, first] > exchanged[row, first])[:, None], exchanged, rows)


def _matrices(rows: Array, size: int) -> tuple[Array, Array]:
    """Return the means (N, k) and the covariances (N, k, k)."""
    covariances = np.empty((len(rows), size, size))
    i, j = np.triu_indices(size)
    covariances[:, i, j] = covariances[:, j, i] = rows[:, size:]
    return rows[:, :size], covariances
