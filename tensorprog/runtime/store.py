"""Tiles into matrices: one compiled pass casts, checks and writes a tile, another its transpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.runtime.compiled import compiled
from tensorprog.runtime.diagonal import swap_copies
from tensorprog.runtime.simd import prefer_wide_vectors
from tensorprog.runtime.tiles import Tile

__all__ = ["store", "store_tile", "store_transposed"]

_SIGNATURES = [f"boolean(float64[:, ::1], {target}[:, ::1], int64, int64)" for target in ("float64", "float32")]
_BLOCK = 16


@compiled(_SIGNATURES, fastmath={"reassoc", "nsz"})
def store(values: Any, target: Any, row: int, column: int) -> bool:
    """Write a tile to target[row:, column:], and return whether all of it is finite there."""
    prefer_wide_vectors()
    check = 0.0 * values[0, 0]
    for i in range(values.shape[0]):
        line = target[row + i]
        for j in range(values.shape[1]):
            line[column + j] = values[i, j]
        for j in range(values.shape[1]):
            check += 0.0 * line[column + j]
    return check == 0.0


@compiled(_SIGNATURES, fastmath={"reassoc", "nsz"})
def store_transposed(values: Any, target: Any, row: int, column: int) -> bool:
    """Write the transpose of a tile to target[column:, row:]; its values are those that `store` has checked."""
    rows, columns = values.shape
    for first in range(0, columns, _BLOCK):
        for start in range(0, rows, _BLOCK):
            for j in range(first, min(first + _BLOCK, columns)):
                for i in range(start, min(start + _BLOCK, rows)):
                    target[column + j, row + i] = values[i, j]
    return True


def store_tile(values: npt.NDArray[np.float64], target: npt.NDArray[Any], tile: Tile, *, mirror: bool) -> bool:
    """Write a tile (rows, columns, *axes) where it belongs, and mirrored on request; return whether it is finite."""
    if values.ndim == 2 and target.flags.c_contiguous and target.flags.aligned and target.dtype.isnative:
        values, matrix = np.ascontiguousarray(values), np.asarray(target)
        finite: bool = store(values, matrix, tile.rows.start, tile.columns.start)
        if mirror:
            store_transposed(values, matrix, tile.rows.start, tile.columns.start)
        return finite
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(target.dtype, copy=False)
    target[tile.rows, tile.columns] = cast
    if mirror:
        target[tile.columns, tile.rows] = swap_copies(cast)
    return bool(np.isfinite(cast).all())
