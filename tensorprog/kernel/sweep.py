"""Scans: the steps of a `Sweep`, in the order that its program asks for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tensorprog.kernel.arrays import value_of
from tensorprog.kernel.grid import Space, Step
from tensorprog.kernel.ir import AxisIndex, Copy, Definition, Earlier, Sweep, expressions, references
from tensorprog.kernel.scope import Scope
from tensorprog.limit.ranks import Ranks

__all__ = ["run_sweep"]


@dataclass(frozen=True, slots=True)
class _Event:
    """A definition, and the steps (of `left`, of `right`) at which it is computed, at once."""

    definition: Definition
    left: AxisIndex | None
    right: AxisIndex | None
    steps: tuple[Step, ...]


def run_sweep(sweep: Sweep, scope: Scope) -> None:
    """Compute what a sweep defines; what is not computed yet is NaN."""
    space, own = scope.space, scope.values[Copy.OWN]
    assert space is not None
    everything = [definition for group in sweep.groups for definition in group]
    for definition in everything:
        own[scope.key(definition)] = np.full((*scope.shape, space.domain(definition.name).count), np.nan)
    for event in _sample_order(sweep, space) if space.is_sample else _pair_order(sweep, space):
        left, right = (None if index is None else index.symbol for index in (event.left, event.right))
        grid, rows = space.steps_of(event.definition, left, right, event.steps)
        if rows.size:
            own[scope.key(event.definition)][..., rows] = value_of(event.definition, scope.on(grid))
    for definition in everything:
        scope.keep(definition, own[scope.key(definition)])


def _pair_order(sweep: Sweep, space: Space) -> Iterator[_Event]:
    """Yield all definitions at all steps (t, t′) in lexicographic order, those with one index where they come first."""
    for definition, steps in _lexicographic(sweep, space):
        yield _Event(definition, sweep.left, sweep.right, steps)


def _lexicographic(sweep: Sweep, space: Space) -> Iterator[tuple[Definition, tuple[Step, ...]]]:
    lefts, rights = _values(sweep.left, space), _values(sweep.right, space)
    indices = sweep.left, sweep.right
    everything = [(definition, _dimensions(definition, indices)) for group in sweep.groups for definition in group]
    if any(right < 0 and left == 0 for left, right in _shifts(sweep.groups, indices)):
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


def _sample_order(sweep: Sweep, space: Space) -> Iterator[_Event]:
    """Yield the definitions of one copy by their later variable: for every step, for every rank."""
    parts = [_Part.of(sweep, space, scan) for scan in sweep.earlier]
    known = {rank for scan in sweep.earlier for rank in scan.ranks}
    ranks = sorted({rank for pair in sweep.ranks for rank in (pair.left, pair.right) if rank is not None} - known)
    own = _Part.of(sweep, space, Earlier(sweep.left, sweep.right, tuple(ranks)))
    for place, time in enumerate(own.times):
        for rank in ranks:
            yield from own.events(Ranks(rank, None), [(time, None)])
            yield from own.events(Ranks(None, rank), [(None, time)])
            for part in parts:
                for others in part.runs(len(part.times)):
                    yield from part.events_beside(rank, time, others)
            for others in own.runs(place + 1):
                yield from own.events_among(rank, time, others)


@dataclass(frozen=True, slots=True)
class _Part:
    """What a sweep of one copy pairs with the variables of one scan, this sweep's own or an earlier one."""

    sweep: Sweep
    groups: Mapping[Ranks, tuple[Definition, ...]]
    scan: Earlier
    times: Sequence[int | None]
    is_stepwise: bool

    @classmethod
    def of(cls, sweep: Sweep, space: Space, scan: Earlier) -> _Part:
        """Return the part of a scan."""
        groups = dict(zip(sweep.ranks, sweep.groups, strict=True))
        lefts = [group for pair, group in groups.items() if pair.left in scan.ranks]
        rights = [group for pair, group in groups.items() if pair.right in scan.ranks]
        on_left = (left < 0 and right == 0 for left, right in _shifts(lefts, (scan.left, sweep.right)))
        on_right = (left == 0 and right < 0 for left, right in _shifts(rights, (sweep.left, scan.right)))
        return cls(sweep, groups, scan, _values(scan.left or scan.right, space), any(on_left) or any(on_right))

    def runs(self, count: int) -> list[Sequence[int | None]]:
        """Return the first steps of the scan, in runs that may be computed at once."""
        return [[time] for time in self.times[:count]] if self.is_stepwise else [self.times[:count]]

    def events(self, ranks: Ranks, steps: Iterable[Step]) -> Iterator[_Event]:
        """Yield the definitions of some ranks."""
        left = self.scan.left if ranks.left in self.scan.ranks else self.sweep.left
        right = self.scan.right if ranks.right in self.scan.ranks else self.sweep.right
        indices = None if ranks.left is None else left, None if ranks.right is None else right
        yield from (_Event(definition, *indices, tuple(steps)) for definition in self.groups.get(ranks, ()))

    def events_beside(self, rank: int, time: int | None, others: Sequence[int | None]) -> Iterator[_Event]:
        """Yield what has the variable of this rank at step `time` on one side, one of the earlier scan on the other."""
        for partner in self.scan.ranks:
            yield from self.events(Ranks(rank, partner), [(time, other) for other in others])
            yield from self.events(Ranks(partner, rank), [(other, time) for other in others])

    def events_among(self, rank: int, time: int | None, others: Sequence[int | None]) -> Iterator[_Event]:
        """Yield what has the variable of this rank at step `time` on one side, and one made no later on the other."""
        for partner in self.scan.ranks:
            row = [(time, other) for other in others if other != time or partner <= rank]
            yield from self.events(Ranks(rank, partner), row)
            column = [(other, time) for other in others if other != time or partner < rank]
            yield from self.events(Ranks(partner, rank), column)


Indices = tuple[AxisIndex | None, AxisIndex | None]


def _shifts(groups: Iterable[tuple[Definition, ...]], indices: Indices) -> Iterator[tuple[int, int]]:
    """Yield by how much the two steps differ from the indices, where definitions of both read one another."""
    made = {definition.name: definition for group in groups for definition in group}
    for definition in made.values():
        for ref in (ref for scalar in expressions(definition) for ref in references(scalar)):
            if ref.copy is Copy.OWN and ref.name in made and all(_dimensions(made[ref.name], indices)):
                places = {index.symbol: place for index, place in zip(made[ref.name].axes, ref.places, strict=True)}
                left, right = (places[index.symbol].constant for index in indices if index is not None)
                yield left, right


def _dimensions(definition: Definition, indices: Indices) -> tuple[bool, bool]:
    """Tell which of two indices a definition has."""
    symbols = {index.symbol for index in definition.axes}
    left, right = (index is not None and index.symbol in symbols for index in indices)
    return left, right


def _values(index: AxisIndex | None, space: Space) -> Sequence[int | None]:
    if index is None:
        return [None]
    start, extent = space.extents.of(index)
    return range(start, start + extent)
