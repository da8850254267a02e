"""Scans: the steps of a `Sweep`, in the order that its program asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tensorprog.kernel.arrays import value_of
from tensorprog.kernel.grid import Space, Step
from tensorprog.kernel.ir import AxisIndex, Copy, Definition, Ref, Sweep, expressions, references
from tensorprog.kernel.scope import Scope

__all__ = ["run_sweep"]


Event = tuple[Definition, tuple[Step, ...]]
"""A definition, and the steps at which it is computed, at once."""


def run_sweep(sweep: Sweep, scope: Scope) -> None:
    """Compute what a sweep defines; what is not computed yet is NaN."""
    space, own = scope.space, scope.values[Copy.OWN]
    assert space is not None
    left, right = (None if index is None else index.symbol for index in (sweep.left, sweep.right))
    everything = [definition for group in sweep.groups for definition in group]
    for definition in everything:
        own[scope.key(definition)] = np.full((*scope.shape, space.domain(definition.name).count), np.nan)
    order = _sample_order(sweep, space) if space.is_sample else _pair_order(sweep, space)
    for definition, steps in order:
        grid, rows = space.steps_of(definition, left, right, steps)
        if rows.size:
            own[scope.key(definition)][..., rows] = value_of(definition, scope.on(grid))
    for definition in everything:
        scope.keep(definition, own[scope.key(definition)])


def _pair_order(sweep: Sweep, space: Space) -> Iterator[Event]:
    """Yield all definitions at all steps (t, t′) in lexicographic order, those with one index where they come first."""
    lefts, rights = _values(sweep.left, space), _values(sweep.right, space)
    everything = [(definition, _dimensions(definition, sweep)) for group in sweep.groups for definition in group]
    if _steps_along(sweep, right=True):
        for left in lefts:
            for right in rights:
                for definition, (has_left, has_right) in everything:
                    if (has_left or left == lefts[0]) and (has_right or right == rights[0]):
                        yield definition, ((left if has_left else None, right if has_right else None),)
        return
    for right in rights:
        yield from ((definition, ((None, right),)) for definition, has in everything if has == (False, True))
    for left in lefts:
        row = tuple((left, right) for right in rights)
        for definition, (has_left, has_right) in everything:
            if has_left:
                yield definition, row if has_right else ((left, None),)


def _sample_order(sweep: Sweep, space: Space) -> Iterator[Event]:
    """Yield the definitions of one copy by their later variable: for every step, for every rank."""
    times = _values(sweep.left or sweep.right, space)
    ranks = sorted({rank for pair in sweep.ranks for rank in (pair.left, pair.right) if rank is not None})
    groups = {(pair.left, pair.right): group for pair, group in zip(sweep.ranks, sweep.groups, strict=True)}
    is_cell_by_cell = _steps_along(sweep, right=True) or _steps_along(sweep, right=False)
    for place, time in enumerate(times):
        for rank in ranks:
            yield from ((definition, ((time, None),)) for definition in groups.get((rank, None), ()))
            yield from ((definition, ((None, time),)) for definition in groups.get((None, rank), ()))
            whole = [times[: place + 1]] if not is_cell_by_cell else [[other] for other in times[: place + 1]]
            for others in whole:
                yield from _with_partners(groups, rank, time, others, ranks)


def _with_partners(
    groups: Mapping[tuple[int | None, int | None], tuple[Definition, ...]],
    rank: int,
    time: int | None,
    others: Sequence[int | None],
    ranks: Sequence[int],
) -> Iterator[Event]:
    """Yield what has the variable of this rank at step `time` on one side, and one made no later on the other."""
    for partner in ranks:
        row = tuple((time, other) for other in others if other != time or partner <= rank)
        yield from ((definition, row) for definition in groups.get((rank, partner), ()))
        column = tuple((other, time) for other in others if other != time or partner < rank)
        yield from ((definition, column) for definition in groups.get((partner, rank), ()))


def _steps_along(sweep: Sweep, *, right: bool) -> bool:
    """Tell whether a definition of two indices reads an earlier step of one of them, at the same step of the other."""
    made = {definition.name: definition for group in sweep.groups for definition in group}
    for definition in made.values():
        for ref in (ref for scalar in expressions(definition) for ref in references(scalar)):
            if ref.copy is Copy.OWN and ref.name in made and all(_dimensions(made[ref.name], sweep)):
                shifts = _shifts(ref, made[ref.name], sweep)
                if shifts[right] < 0 and shifts[not right] == 0:
                    return True
    return False


def _shifts(ref: Ref, made: Definition, sweep: Sweep) -> tuple[int, int]:
    """Return by how much the two steps that a reference reads differ from an index of the sweep."""
    places = {index.symbol: place for index, place in zip(made.axes, ref.places, strict=True)}
    assert sweep.left is not None and sweep.right is not None
    return places[sweep.left.symbol].constant, places[sweep.right.symbol].constant


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
