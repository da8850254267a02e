"""Scans: the steps of a `Sweep`, in the order that its program asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tensorprog.kernel.arrays import value_of
from tensorprog.kernel.grid import Space, Step
from tensorprog.kernel.ir import AxisIndex, Copy, Definition, Sweep
from tensorprog.kernel.scope import Scope

__all__ = ["run_sweep"]


def run_sweep(sweep: Sweep, scope: Scope) -> None:
    """Compute what a sweep defines; what is not computed yet is NaN."""
    space, own = scope.space, scope.values[Copy.OWN]
    assert space is not None
    left, right = (None if index is None else index.symbol for index in (sweep.left, sweep.right))
    everything = [definition for group in sweep.groups for definition in group]
    for definition in everything:
        own[scope.key(definition)] = np.full((*scope.shape, space.domain(definition.name).count), np.nan)
    order = _sample_order(sweep, space) if space.is_sample else _pair_order(sweep, space)
    for definition, step in order:
        grid, rows = space.step(definition, left, right, step)
        if rows.size:
            own[scope.key(definition)][..., rows] = value_of(definition, scope.on(grid))
    for definition in everything:
        scope.keep(definition, own[scope.key(definition)])


def _pair_order(sweep: Sweep, space: Space) -> Iterator[tuple[Definition, Step]]:
    """Yield all definitions at all steps (t, t′) in lexicographic order, those with one index where they come first."""
    lefts, rights = _values(sweep.left, space), _values(sweep.right, space)
    everything = [(definition, _dimensions(definition, sweep)) for group in sweep.groups for definition in group]
    for left in lefts:
        for right in rights:
            for definition, (has_left, has_right) in everything:
                if (has_left or left == lefts[0]) and (has_right or right == rights[0]):
                    yield definition, (left if has_left else None, right if has_right else None)


def _sample_order(sweep: Sweep, space: Space) -> Iterator[tuple[Definition, Step]]:
    """Yield the definitions of one copy by their later variable: for every step, for every rank."""
    times = _values(sweep.left or sweep.right, space)
    ranks = sorted({rank for pair in sweep.ranks for rank in (pair.left, pair.right) if rank is not None})
    groups = {(pair.left, pair.right): group for pair, group in zip(sweep.ranks, sweep.groups, strict=True)}
    for place, time in enumerate(times):
        for rank in ranks:
            yield from ((definition, (time, None)) for definition in groups.get((rank, None), ()))
            yield from ((definition, (None, time)) for definition in groups.get((None, rank), ()))
            for other in times[: place + 1]:
                for partner in ranks:
                    if other != time or partner <= rank:
                        yield from ((definition, (time, other)) for definition in groups.get((rank, partner), ()))
                    if other != time or partner < rank:
                        yield from ((definition, (other, time)) for definition in groups.get((partner, rank), ()))


def _dimensions(definition: Definition, sweep: Sweep) -> tuple[bool, bool]:
    """Tell which of the two indices a definition has."""
    symbols = {index.symbol for index in definition.axes}
    left, right = (index is not None and index.symbol in symbols for index in (sweep.left, sweep.right))
    return left, right


def _values(index: AxisIndex | None, space: Space) -> Sequence[int | None]:
    if index is None:
        return [None]
    start, extent = space.extents.of(index)
    return range(start, start + extent)
