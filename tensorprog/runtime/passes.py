"""Passes over whole tiles, for numba: what Python calls of them goes through an `Entry`."""

from __future__ import annotations

from typing import Any

from tensorprog.runtime.entry import uncompiled
from tensorprog.runtime.simd import prefer_wide_vectors

__all__ = ["fill_deviations", "store", "store_transposed"]

_SIGNATURES = tuple(f"boolean(float64[:, ::1], {target}[:, ::1], int64, int64)" for target in ("float64", "float32"))
_BLOCK = 16


@uncompiled(*_SIGNATURES, fastmath={"reassoc", "nsz"})
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


@uncompiled(*_SIGNATURES, fastmath={"reassoc", "nsz"})
def store_transposed(values: Any, target: Any, row: int, column: int) -> bool:
    """Write the transpose of a tile to target[column:, row:]; its values are those that `store` has checked."""
    rows, columns = values.shape
    for first in range(0, columns, _BLOCK):
        for start in range(0, rows, _BLOCK):
            for j in range(first, min(first + _BLOCK, columns)):
                for i in range(start, min(start + _BLOCK, rows)):
                    target[column + j, row + i] = values[i, j]
    return True


@uncompiled("int64(float64[:, ::1], float64[::1], float64[::1], float64[:, ::1], float64)", fastmath={"contract"})
def fill_deviations(gram: Any, left: Any, right: Any, out: Any, near: float) -> int:
    """Fill out = 1 − |gram| left right, and return how many entries are below `near`."""
    prefer_wide_vectors()
    count = 0
    for i in range(gram.shape[0]):
        scale = left[i]
        for j in range(gram.shape[1]):
            value = 1.0 - (abs(gram[i, j]) * scale) * right[j]
            out[i, j] = value
            count += 1 if value < near else 0
    return count
