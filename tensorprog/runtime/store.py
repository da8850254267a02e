"""Tiles into matrices: one compiled pass casts, checks and writes a tile, another its transpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.runtime.diagonal import swap_copies
from tensorprog.runtime.entry import Entry
from tensorprog.runtime.tiles import Tile

__all__ = ["store_tile"]

_store = Entry("tensorprog.runtime.passes", "store")
_store_transposed = Entry("tensorprog.runtime.passes", "store_transposed")


def store_tile(values: npt.NDArray[np.float64], target: npt.NDArray[Any], tile: Tile, *, mirror: bool) -> bool:
    """Write a tile (rows, columns, *axes) where it belongs, and mirrored on request; return whether it is finite."""
    if values.ndim == 2 and target.flags.c_contiguous and target.flags.aligned and target.dtype.isnative:
        values, matrix = np.ascontiguousarray(values), np.asarray(target)
        finite: bool = _store(values, matrix, tile.rows.start, tile.columns.start)
        if mirror:
            _store_transposed(values, matrix, tile.rows.start, tile.columns.start)
        return finite
    with np.errstate(over="ignore", invalid="ignore"):
        cast = values.astype(target.dtype, copy=False)
    target[tile.rows, tile.columns] = cast
    if mirror:
        target[tile.columns, tile.rows] = swap_copies(cast)
    return bool(np.isfinite(cast).all())
