"""The schedule: tiles of a fixed shape, computed by a pool of threads, each written where no other writes.

The shape does not depend on the number of threads, and neither does anything inside a tile, so the result is the same
bit for bit whoever computes which tile. A symmetric matrix has only the tiles of its upper triangle.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass

from threadpoolctl import ThreadpoolController

__all__ = ["ROWS", "Tile", "count_threads", "run_tiles", "schedule", "single_threaded"]

ROWS = 256
"""The number of rows, and of columns, of a tile (at most, for programs over axes)."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A block of the matrix."""

    rows: slice
    columns: slice

    @property
    def is_diagonal(self) -> bool:
        """Whether the rows are the columns (of a symmetric matrix)."""
        return self.rows == self.columns


def _pieces(count: int, edge: int) -> Iterator[slice]:
    return (slice(start, min(start + edge, count)) for start in range(0, count, edge))


def schedule(rows: int, columns: int, *, upper: bool, edge: int = ROWS) -> tuple[Tile, ...]:
    """Return the tiles of a matrix, row by row, only those that touch the upper triangle if `upper`."""
    return tuple(
        Tile(row, column)
        for row in _pieces(rows, edge)
        for column in _pieces(columns, edge)
        if not upper or row.start <= column.start
    )


def count_threads() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the linear algebra libraries that are loaded."""
    return ThreadpoolController()


def single_threaded() -> AbstractContextManager[object]:
    """Return a context in which matrix products stay in their thread: the tiles have all the others."""
    return _libraries().limit(limits=1, user_api="blas")


def run_tiles(tiles: tuple[Tile, ...], compute: Callable[[Tile], None], threads: int) -> None:
    """Compute every tile; the first error ends the run and is raised."""
    if threads == 1 or len(tiles) == 1:
        for tile in tiles:
            compute(tile)
        return
    with ThreadPoolExecutor(max_workers=threads) as pool:
        futures = [pool.submit(compute, tile) for tile in tiles]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
