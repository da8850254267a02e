"""Samples that occur twice: what their kernel is stands on the diagonal of the one-sample equations, exactly.

The pair program sees such a pair at correlation 1, where the rounding of its covariance costs half the digits of an
angle. Over axes the sums of both programs need not be in the same order, so that the covariance is not the variance.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.core.evaluate import Binding
from tensorprog.runtime.tiles import Tile

__all__ = ["Repeats", "find_repeats"]

Array = npt.NDArray[np.float64]
Key = tuple[tuple[tuple[int, ...], ...], bytes]


@dataclass(frozen=True, slots=True)
class Repeats:
    """Equal samples: `left` and `right` are the numbers of the groups of the samples of both sides, −1 for none.

    `values` are the diagonals of all results, with one entry per group.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    values: Sequence[Array]

    def corrected(self, tile: Tile, values: Array, number: int) -> Array:
        """Return a tile of the result `number` with the values of equal samples in their places."""
        left, right = self.left[tile.rows], self.right[tile.columns]
        rows, columns = np.nonzero((left[:, None] == right) & (left[:, None] >= 0))
        if not rows.size:
            return values
        corrected = values.copy()
        corrected[rows, columns] = self.values[number][left[rows]]
        return corrected


def find_repeats(
    first: Binding, second: Binding | None, diagonals: Callable[[Binding], Sequence[Array]]
) -> Repeats | None:
    """Return which samples of x1 occur in x2, or within x1 more than once if x2 is None; None if none does.

    Args:
        first: x1.
        second: x2.
        diagonals: computes the diagonals of all results for some samples.
    """
    keys = _keys(first)
    others = keys if second is None else _keys(second)
    counts, least = Counter(others), 2 if second is None else 1
    groups: dict[Key, int] = {}
    for key in keys:
        if counts[key] >= least:
            groups.setdefault(key, len(groups))
    if not groups:
        return None
    places = {key: place for place, key in reversed(list(enumerate(keys)))}
    left, right = (np.array([groups.get(key, -1) for key in side], dtype=np.int64) for side in (keys, others))
    return Repeats(left, right, diagonals(_rows(first, [places[key] for key in groups])))


def _keys(binding: Binding) -> list[Key]:
    """Return for every sample what tells it from others: the shapes and a digest of its data."""
    arrays = list(binding.data.values())
    shapes = tuple(array.shape[1:] for array in arrays)
    return [(shapes, _digest([array[row] for array in arrays])) for row in range(binding.samples)]


def _digest(arrays: Sequence[npt.NDArray[Any]]) -> bytes:
    digest = hashlib.blake2b(digest_size=20)
    for array in arrays:
        digest.update(array.tobytes())
    return digest.digest()


def _rows(binding: Binding, rows: list[int]) -> Binding:
    data = {name: np.ascontiguousarray(array[rows]) for name, array in binding.data.items()}
    return replace(binding, samples=len(rows), data=data)
