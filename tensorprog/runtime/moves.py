"""Filling and copying arrays, for compiled code: all lie in one working space, and are given by where they start."""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorprog.runtime.compiled import compiled

__all__ = ["collect", "copy", "fill", "gather", "gather_row", "scatter"]


@compiled("void(float64[::1], int64, int64, float64)", fastmath=False)
def fill(work: Any, target: int, count: int, value: float) -> None:
    """Set an array to a number."""
    row = work[target : target + count]
    for entry in range(count):
        row[entry] = value


@compiled("void(float64[::1], int64, int64, int64)", fastmath=False)
def copy(work: Any, source: int, target: int, count: int) -> None:
    """Set target[e] = source[e]."""
    row, values = work[target : target + count], work[source : source + count]
    for entry in range(count):
        row[entry] = values[entry]


@compiled("void(float64[::1], int64[::1], int64, int64, int64, int64)", fastmath=False)
def gather(work: Any, tables: Any, table: int, source: int, target: int, count: int) -> None:
    """Set target[e] = source[table[e]], 0 where that is −1."""
    for entry in range(count):
        place = tables[table + entry]
        work[target + entry] = work[source + place] if place >= 0 else 0.0


@compiled("void(float64[::1], int64[::1], int64, float64[::1], int64, int64, int64)", fastmath=False)
def gather_row(work: Any, tables: Any, table: int, values: Any, base: int, target: int, count: int) -> None:
    """Set target[e] = values[base + table[e]]."""
    row = work[target : target + count]
    rest = values[base:]
    places = tables[table : table + count].view(np.uint64)
    for entry in range(count):
        row[entry] = rest[places[entry]]


@compiled("void(float64[::1], int64[::1], int64, int64, int64, int64)", fastmath=False)
def scatter(work: Any, tables: Any, table: int, source: int, target: int, count: int) -> None:
    """Set target[table[e]] = source[e]."""
    for entry in range(count):
        work[target + tables[table + entry]] = work[source + entry]


@compiled("void(float64[::1], int64[::1], int64, int64, int64, int64, float64, int64)", fastmath=False)
def collect(work: Any, tables: Any, table: int, source: int, target: int, count: int, factor: float, keep: int) -> None:
    """Set target[e] = factor · source[table[e]], added to what is there if `keep` is 1."""
    if keep == 1:
        for entry in range(count):
            work[target + entry] += factor * work[source + tables[table + entry]]
    else:
        for entry in range(count):
            work[target + entry] = factor * work[source + tables[table + entry]]
