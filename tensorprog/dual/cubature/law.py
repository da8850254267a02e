"""Jointly Gaussian variables in terms of independent standard normal ones, for many laws at once.

Covariances may be singular, exactly or up to rounding: a variable that the ones before it determine brings no normal
variable of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.dual.values import determinant

__all__ = ["Gaussians", "NormalForm", "by_rank"]

Array = npt.NDArray[np.float64]

_DETERMINED = 8 * float(np.finfo(np.float64).eps)
"""A variable is determined by others if no more than this part of its variance is left, times the growth of errors."""


@dataclass(frozen=True, slots=True)
class Gaussians:
    """N laws of k variables: means (N, k), covariances (N, k, k)."""

    means: Array
    covariances: Array

    def rows(self, part: Any) -> Gaussians:
        """Return some of the laws."""
        return Gaussians(self.means[part], self.covariances[part])

    def only(self, indices: list[int]) -> Gaussians:
        """Return the laws of some of the variables, in that order."""
        return Gaussians(self.means[:, indices], self.covariances[:, indices][:, :, indices])


@dataclass(frozen=True, slots=True)
class NormalForm:
    """u_i = means[i] + Σ_l roots[i, l] z_l with z_l independent and standard normal, in d ≤ k dimensions.

    The variables are in an order in which u_i depends on z_l with l ≤ owners only: `pivots[l]` is the variable that
    brings z_l. `rest` is the covariance of the variables that are not factored, given z; their roots stand last.
    """

    means: Array
    roots: Array
    pivots: tuple[int, ...]
    rest: Array

    def rows(self, part: Any) -> NormalForm:
        """Return some of the laws."""
        return NormalForm(self.means[part], self.roots[part], self.pivots, self.rest[part])

    def given(self, row: npt.NDArray[np.intp], z: Array) -> NormalForm:
        """Return the laws `row` given the value of their first normal variable, which leaves one fewer."""
        roots = self.roots[row]
        return NormalForm(self.means[row] + roots[:, :, 0] * z[:, None], roots[:, :, 1:], self.pivots, self.rest[row])

    def values(self, index: int, z: tuple[Array, ...]) -> Array:
        """Return the variable u_index (of the others: its mean) at z, arrays that broadcast against (N, 1, …)."""
        extra = (1,) * (max((entry.ndim for entry in z), default=1) - 1)
        value = self.means[:, index].reshape(-1, *extra)
        for column, entry in enumerate(z):
            value = value + self.roots[:, index, column].reshape(-1, *extra) * entry
        return np.asarray(value)


def by_rank(laws: Gaussians, count: int) -> Iterator[tuple[npt.NDArray[np.intp], NormalForm]]:
    """Yield the laws whose first `count` variables are determined in the same places, and their normal forms.

    The normal form is by Cholesky's method without exchanges: so neighbouring laws have neighbouring normal forms.
    """
    roots, own, rest = _factored(laws.covariances, count)
    patterns, inverse = np.unique(own, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        (where,) = np.nonzero(inverse.ravel() == number)
        pivots = np.flatnonzero(pattern)
        yield where, NormalForm(laws.means[where], roots[where][:, :, pivots], tuple(pivots.tolist()), rest[where])


def _factored(covariances: Array, count: int) -> tuple[Array, npt.NDArray[np.bool_], Array]:
    """Return the columns of the roots (N, k, count), which of them are not zero, and the rest of the covariances."""
    laws, size, _ = covariances.shape
    rest = np.array(covariances)
    roots, own = np.zeros((laws, size, count)), np.zeros((laws, count), dtype=bool)
    variances = np.einsum("nii->ni", covariances)
    scales = np.sqrt(np.where(variances > 0, variances, 1.0))
    growth, loss = np.ones((laws, count)), np.zeros((laws, count))  # of rounding errors, and of digits of a pivot
    for j in range(count):
        left = rest[:, j, j]
        if j == 1:  # the determinant has no cancellation
            left = _second_variance(covariances, left, own[:, 0])
        part = loss[:, :j] * np.abs(roots[:, j, :j]) / scales[:, j, None]
        growth[:, j] += np.sum(growth[:, :j] * part * (1 + part), axis=1)
        own[:, j] = left > _DETERMINED * growth[:, j] * variances[:, j]
        deviation = np.sqrt(np.where(own[:, j], left, 1.0))
        column = np.where(own[:, j, None], rest[:, :, j] / deviation[:, None], 0.0)
        bound = np.sqrt(np.maximum(np.einsum("nii->ni", rest), 0.0))
        column = np.clip(column, -bound, bound)
        column[:, :j] = 0.0
        column[:, j] = np.where(own[:, j], deviation, 0.0)
        loss[:, j] = np.where(own[:, j], scales[:, j] / deviation, 0.0)
        roots[:, :, j] = column
        rest = rest - column[:, :, None] * column[:, None, :]
        rest[:, j, :] = rest[:, :, j] = 0.0
    remaining = rest[:, count:, count:]
    diagonal = np.arange(size - count)
    kept = remaining[:, diagonal, diagonal]
    small = kept <= _DETERMINED * variances[:, count:]
    remaining = np.where(small[:, :, None] | small[:, None, :], 0.0, remaining)
    return roots, own, remaining


def _second_variance(covariances: Array, left: Array, own: npt.NDArray[np.bool_]) -> Array:
    first = np.where(own, covariances[:, 0, 0], 1.0)
    exact = determinant(first, covariances[:, 1, 1], covariances[:, 0, 1]) / first
    return np.where(own, exact, left)
