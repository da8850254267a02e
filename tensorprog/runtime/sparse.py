"""Sparse matrices between the rows of components, as tables for `modes`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.arrays.requests import Mode
from tensorprog.kernel.domain import Component, Integers
from tensorprog.kernel.extents import Extents
from tensorprog.kernel.ir import AxisIndex, Delta, Scalar, Within

__all__ = ["Matrix", "find_matrix", "identity", "is_broken", "segments", "weights"]

_CHUNK = 1 << 20
"""How many terms are looked at together."""


_SHORT = 48
"""Segments shorter than this on average are not worth their loops."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """For every row of the target the rows of the source that it sums, −1 for none: `taps` is (taps, targets)."""

    taps: Integers
    sources: int


def find_matrix(
    mode: Mode, target: Component | None, source: Component | None, circular: tuple[bool, ...], extents: Extents
) -> Matrix:
    """Return the matrix of a mode; without target it has one column per term, and one row of the target for all."""
    count = 1 if target is None else target.count
    known = {} if target is None else dict(zip(mode.symbols, target.entries(), strict=True))
    bounds = [extents.of(index) for index in mode.bound]
    terms = math.prod(extent for _, extent in bounds)
    step = max(1, _CHUNK // max(count, 1))
    parts = [
        _taps(
            mode,
            source,
            circular,
            extents,
            {**known, **_values(mode.bound, bounds, start, min(start + step, terms))},
            count,
        )
        for start in range(0, terms, step)
    ]
    taps = np.concatenate(parts) if parts else np.zeros((0, count), dtype=np.int64)
    return Matrix(taps[(taps >= 0).any(axis=1)], 1 if source is None else source.count)


def _values(
    bound: tuple[AxisIndex, ...], bounds: list[tuple[int, int]], start: int, stop: int
) -> dict[str, npt.NDArray[np.int64]]:
    """Return the values (terms, 1) of the bound indices for some terms."""
    number = np.arange(start, stop, dtype=np.int64)[:, None]
    found: dict[str, Any] = {"": number}
    for index, (first, extent) in reversed(list(zip(bound, bounds, strict=True))):
        found[index.symbol] = first + number % extent
        number = number // extent
    return found


def _taps(
    mode: Mode,
    source: Component | None,
    circular: tuple[bool, ...],
    extents: Extents,
    values: Mapping[str, Any],
    count: int,
) -> Integers:
    """Return the rows of the source for some terms, (terms, targets), −1 where there is none."""
    shape = len(values[""]), count
    at = {**extents.values, **values}
    rows: Any = 0
    if source is not None:
        places = [
            start + (place.at(at) - start) % extent if wraps and extent > 0 else place.at(at)
            for place, wraps, (start, extent) in zip(mode.places, circular, source.ranges(), strict=True)
        ]
        rows = source.row(*np.broadcast_arrays(*(np.asarray(place, dtype=np.int64) for place in places)))
    for condition in mode.conditions:
        rows = np.where(_holds(condition, at, extents), rows, -1)
    return np.array(np.broadcast_to(rows, shape), dtype=np.int64)


def _holds(condition: Scalar, at: Mapping[str, Any], extents: Extents) -> Any:
    if isinstance(condition, Delta):
        return np.equal(condition.left.at(at), condition.right.at(at))
    assert isinstance(condition, Within)
    start, extent = extents.of(AxisIndex("", condition.axis, condition.copy))
    place = np.asarray(condition.place.at(at))
    return (place >= start) & (place < start + extent)


def identity(matrix: Matrix) -> bool:
    """Tell whether a matrix is the identity."""
    taps, count = matrix.taps, matrix.taps.shape[1]
    return bool(taps.shape[0] == 1 and count == matrix.sources and np.array_equal(taps[0], np.arange(count)))


def weights(matrix: Matrix) -> Integers:
    """Return a matrix of one row as its entries, or one of one column."""
    if matrix.taps.shape[1] == 1:
        return np.bincount(matrix.taps[matrix.taps >= 0], minlength=matrix.sources).astype(np.int64)
    return np.asarray((matrix.taps >= 0).sum(axis=0), dtype=np.int64)


def is_broken(matrix: Matrix) -> bool:
    """Tell whether the segments of a matrix are short."""
    taps = matrix.taps
    return bool(taps.size and taps.shape[1] < _SHORT * len(_runs(taps)))


def segments(matrix: Matrix) -> Integers:
    """Return a matrix as runs of rows of the same structure: in each, the sources of all rows move by one step.

    The number of runs, then for each: first row, number of rows, step, number of sources, the sources of the first row.
    """
    taps = matrix.taps
    count = taps.shape[1]
    if not count:
        return np.zeros(1, dtype=np.int64)
    found: list[int] = []
    runs = 0
    for first, stop, step in _runs(taps):
        sources = taps[:, first]
        sources = sources[sources >= 0]
        found += [first, stop - first, step, len(sources), *sources.tolist()]
        runs += 1
    return np.array([runs, *found], dtype=np.int64)


def _runs(taps: Integers) -> list[tuple[int, int, int]]:
    """Return first row, stop and step of every run."""
    count = taps.shape[1]
    steps = _steps(taps)
    changes = np.flatnonzero(np.concatenate([[True], steps[1:] != steps[:-1]])) + 1
    runs: list[tuple[int, int, int]] = []
    start, step = 0, None
    candidates = sorted({*changes.tolist(), *(np.flatnonzero(steps == _BROKEN) + 1).tolist(), *(changes + 1).tolist()})
    for row in candidates:
        if row >= count:
            break
        here = int(steps[row - 1])
        if here == _BROKEN or (step is not None and here != step):
            runs.append((start, row, 1 if step is None else step))
            start, step = row, None
        elif step is None:
            step = here
    runs.append((start, count, 1 if step is None else step))
    return runs


_BROKEN = -(1 << 40)


def _steps(taps: Integers) -> Integers:
    """Return by how much the sources move from every row to the next, `_BROKEN` if not all by the same."""
    valid = taps >= 0
    moves = np.diff(taps, axis=1)
    kept = valid[:, 1:] & valid[:, :-1]
    same = (valid[:, 1:] == valid[:, :-1]).all(axis=0)
    high = np.where(kept, moves, -(1 << 41)).max(axis=0, initial=-(1 << 41))
    low = np.where(kept, moves, 1 << 41).min(axis=0, initial=1 << 41)
    none = ~kept.any(axis=0)
    return np.where(same & (high == low), high, np.where(same & none, 1, _BROKEN))
