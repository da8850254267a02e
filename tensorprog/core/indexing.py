"""Affine index maps on arrays: where each position of one variable lies in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tensorprog.core.ir import Affine, Axis
from tensorprog.core.values import Array
from tensorprog.nonlin.evaluate import evaluate_integer

__all__ = ["Grid", "Offsets", "gather", "locate", "scatter"]


@dataclass(frozen=True, slots=True)
class Grid:
    """The index sets of one run: where the axes start, how long they are, and the step of every enclosing scan."""

    axes: Mapping[str, Axis]
    starts: Mapping[str, int]
    extents: Mapping[str, int]
    sizes: Mapping[str, int | float]
    steps: Mapping[str, int]

    def shape(self, axes: tuple[str, ...]) -> tuple[int, ...]:
        """Return the extents of `axes`."""
        return tuple(self.extents[axis] for axis in axes)

    def coordinates(self, axis: str) -> NDArray[np.int64]:
        """Return the values of the index on `axis`, in order."""
        return np.arange(self.starts[axis], self.starts[axis] + self.extents[axis])


@dataclass(frozen=True, slots=True)
class Offsets:
    """Offsets into the axes of a container, one array per axis, all broadcastable over the axes of the reader.

    `inside` is False where a read leaves the container (there the offsets are clipped), None if none does.
    """

    offsets: tuple[NDArray[np.int64], ...]
    inside: NDArray[np.bool_] | None


def _spread(values: NDArray[np.int64], place: int, rank: int) -> NDArray[np.int64]:
    return values.reshape(*(len(values) if k == place else 1 for k in range(rank)))


def _resolve(affine: Affine, axes: tuple[str, ...], grid: Grid) -> NDArray[np.int64]:
    """Return the value of an index expression at every position of `axes` (length 1 where it does not vary)."""
    total = np.full((1,) * len(axes), evaluate_integer(affine.constant, grid.sizes), dtype=np.int64)
    for axis, coefficient in affine.terms:
        factor = evaluate_integer(coefficient, grid.sizes)
        if axis in grid.steps:
            total = total + factor * grid.steps[axis]
        else:
            total = total + factor * _spread(grid.coordinates(axis), axes.index(axis), len(axes))
    return total


def locate(indices: tuple[Affine, ...], container: tuple[str, ...], axes: tuple[str, ...], grid: Grid) -> Offsets:
    """Return where the positions of `axes` lie in a container over the axes `container`; circular axes wrap round."""
    offsets = list[NDArray[np.int64]]()
    inside = np.ones((1,) * len(axes), dtype=np.bool_)
    for affine, axis in zip(indices, container, strict=True):
        offset, extent = _resolve(affine, axes, grid) - grid.starts[axis], grid.extents[axis]
        if grid.axes[axis].circular:
            offset = offset % extent
        inside = inside & (offset >= 0) & (offset < extent)
        offsets.append(np.clip(offset, 0, extent - 1))
    return Offsets(tuple(offsets), None if inside.all() else inside)


def _straight(offsets: tuple[NDArray[np.int64], ...], rank: int) -> tuple[int | slice | None, ...] | None:
    """Return basic indices for offsets that stand still or walk upwards each along an axis of its own, in order."""
    basic, last = list[int | slice | None](), 0
    for offset in offsets:
        moving, flat = [k for k, length in enumerate(offset.shape) if length > 1], offset.ravel()
        if not moving:
            basic.append(int(flat[0]))
            continue
        step = int(flat[1] - flat[0])
        if len(moving) > 1 or moving[0] < last or step < 1 or (np.diff(flat) != step).any():
            return None
        basic += [None] * (moving[0] - last)
        basic.append(slice(int(flat[0]), int(flat[-1]) + 1, step))
        last = moving[0] + 1
    return (*basic, *(None,) * (rank - last))


def gather(array: Array, places: Offsets, shape: tuple[int, ...]) -> Array:
    """Return `array` read at `places`, spread over the axes of lengths `shape`, zero outside; a view where possible."""
    tail = array.shape[1 + len(places.offsets) :]
    basic = _straight(places.offsets, len(shape))
    picked: Array = array[:, *(places.offsets if basic is None else basic)]
    if places.inside is not None:
        mask = places.inside.reshape(1, *places.inside.shape, *(1 for _ in tail))
        picked = np.where(mask, picked, np.zeros((), array.dtype))
    return np.broadcast_to(picked, (array.shape[0], *shape, *tail))


def scatter(array: Array, places: Offsets, source: tuple[int, ...], target: tuple[int, ...]) -> Array:
    """Return the transpose of `gather`: out[:, p] = Σ array[:, r] over the r of `source` that lie at p of `target`.

    The terms of each sum are added in the order of r, so that the result does not depend on anything else.
    """
    tail = array.shape[1 + len(source) :]
    out = np.zeros((array.shape[0], int(np.prod(target)), *tail), array.dtype)
    rows = array.reshape(array.shape[0], -1, *tail)
    flat = np.zeros((1,) * len(source), dtype=np.int64)
    for offset, extent in zip(places.offsets, target, strict=True):
        flat = flat * extent + offset
    keys = np.broadcast_to(flat, source).ravel()
    if places.inside is not None:
        kept = np.flatnonzero(np.broadcast_to(places.inside, source).ravel())
        keys, rows = keys[kept], rows[:, kept]
    if keys.size:
        order = np.argsort(keys, kind="stable")
        cells, first = np.unique(keys[order], return_index=True)
        out[:, cells] = rows[:, order] if len(cells) == len(keys) else np.add.reduceat(rows[:, order], first, axis=1)
    return out.reshape(array.shape[0], *target, *tail)
