"""Equal layers that were written out become a loop again, so that compiling them does not take longer than one.

A stretch of definitions is a repetition of period p if its k-th and (k + p)-th definitions are equal but for the
quantities that they read: each of these is the same for all repetitions, or defined at the same place in this or in
the previous repetition, or of one of the two samples, where the quantities of all repetitions form a family.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from tensorprog.kernel.ir import (
    Const,
    Copy,
    Expectation,
    Index,
    KernelIR,
    Let,
    Loop,
    Op,
    Ref,
    Scalar,
    Statement,
    map_references,
    references,
)

__all__ = ["roll"]

LEAST = 4
"""How many repetitions are worth a loop."""

SHORTEST = 48
"""How many definitions are: fewer stay a straight line, whose values never leave the registers."""

LONGEST = 64
"""The longest period that is looked for."""

CUTS = 16
"""At how many places of a period it is tried to cut."""

TRIES = 8
"""How many periods are tried."""

SYMBOL = "layer"


def roll(ir: KernelIR) -> KernelIR:
    """Return the program with the repetitions in its pair program as loops, and the families that they read."""
    lets = [statement for statement in ir.pair if isinstance(statement, Let)]
    if len(lets) < len(ir.pair) or any(let.indices or let.axes for let in lets):
        return ir
    rolled = _rolled(lets)
    if rolled is None:
        return ir
    pair = (*lets[: rolled.start], rolled.loop, *(rolled.renamed(let) for let in lets[rolled.stop :]))
    results = tuple(replace(result, pair=rolled.rename(result.pair)) for result in ir.results)
    return replace(ir, pair=pair, results=results, families=rolled.families, merged=rolled.merged)


class _Irregular(Exception):
    """What looks like a repetition is none."""


def _rolled(lets: list[Let]) -> _Roll | None:
    """Return the loop, cut where the fewest values cross from one repetition to the next."""
    for start, period, length in _candidates(lets)[:TRIES]:
        loops: list[_Roll] = []
        for shift in range(min(period, CUTS)):
            with suppress(_Irregular):
                loops.append(_Roll(lets, start + shift, period, (length - shift) // period))
        if loops:
            return min(loops, key=lambda loop: len(loop.initial))
    return None


def _candidates(lets: list[Let]) -> list[tuple[int, int, int]]:
    """Return start, period and length of possible repetitions, those that cover most definitions first."""
    shapes = [_shape(let.value) for let in lets]
    numbers = {shape: number for number, shape in enumerate(dict.fromkeys(shapes))}
    line = [numbers[shape] for shape in shapes]
    found: list[tuple[int, int, int]] = []
    for period in range(1, min(LONGEST, len(line) // LEAST) + 1):
        for start, length in _runs(line, period):
            count = (length + period) // period
            if count > LEAST and count * period >= SHORTEST:
                found.append((start, period, length + period))
    return sorted(found, key=lambda entry: (-entry[2], entry[1]))


def _runs(line: list[int], period: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of the runs of places whose number is that of the place one period later."""
    start = 0
    for place in range(len(line) - period + 1):
        if place == len(line) - period or line[place] != line[place + period]:
            if place > start:
                yield start, place - start
            start = place + 1


def _shape(scalar: Scalar) -> object:
    """Return an expression without the names that it reads."""
    if isinstance(scalar, Op):
        return scalar.operator, tuple(map(_shape, scalar.args))
    if isinstance(scalar, Expectation):
        return scalar.kind, scalar.functions, tuple(map(_shape, scalar.args))
    if isinstance(scalar, Ref):
        return scalar.copy
    return repr(scalar.value) if isinstance(scalar, Const) else scalar


@dataclass(frozen=True, slots=True)
class _Place:
    """A definition: its repetition, and its place there."""

    turn: int
    position: int


class _Roll:
    """One repetition as a loop."""

    def __init__(self, lets: list[Let], start: int, period: int, count: int) -> None:
        self.start, self.stop, self.count = start, start + period * count, count
        self.template = lets[start : start + period]
        self.places = {let.name: _Place(*divmod(number, period)) for number, let in enumerate(lets[start : self.stop])}
        self.families: dict[str, tuple[str, ...]] = {}
        self.initial: dict[int, Ref] = {}
        turns = [lets[start + turn * period : start + (turn + 1) * period] for turn in range(count)]
        columns = [[turn[position] for turn in turns] for position in range(period)]
        self.merged = {column[0].name: tuple(let.name for let in column) for column in columns}
        body = tuple(self._merged(column) for column in columns)
        initial = tuple(
            Let(self.template[position].name, (Index(None, -1),), ref) for position, ref in self.initial.items()
        )
        self.loop: Statement = Loop(SYMBOL, 0, count - 1, initial, body)

    def _merged(self, lets: list[Let]) -> Let:
        """Return the definition that stands for one of every repetition."""
        columns = zip(*(references(let.value) for let in lets), strict=True)
        refs = [self._merged_ref(column) for column in columns]
        return Let(lets[0].name, (Index(SYMBOL, 0),), _with(lets[0].value, refs), lets[0].note)

    def _merged_ref(self, refs: tuple[Ref, ...]) -> Ref:
        if all(ref == refs[0] for ref in refs) and (refs[0].copy is not Copy.OWN or refs[0].name not in self.places):
            return refs[0]
        if any(ref.indices for ref in refs):
            raise _Irregular
        if refs[0].copy is not Copy.OWN:
            return self._member(refs)
        return self._inside(refs)

    def _member(self, refs: tuple[Ref, ...]) -> Ref:
        names = tuple(ref.name for ref in refs)
        for family, members in self.families.items():
            if members == names:
                return Ref(family, (Index(SYMBOL, 0),), refs[0].copy)
        family = f"{names[0]}..{names[-1]}"
        if family in self.families:
            raise _Irregular
        self.families[family] = names
        return Ref(family, (Index(SYMBOL, 0),), refs[0].copy)

    def _inside(self, refs: tuple[Ref, ...]) -> Ref:
        """Return a value of this repetition, or of the previous one (before the first: what that reads)."""
        places = [self.places.get(ref.name) for ref in refs]
        last = places[-1]
        if last is None:
            raise _Irregular
        name = self.template[last.position].name
        if all(place == _Place(turn, last.position) for turn, place in enumerate(places)):
            return Ref(name, (Index(SYMBOL, 0),))
        follows = all(place == _Place(turn, last.position) for turn, place in enumerate(places[1:]))
        if not follows or places[0] is not None or self.initial.setdefault(last.position, refs[0]) != refs[0]:
            raise _Irregular
        return Ref(name, (Index(SYMBOL, -1),))

    def rename(self, scalar: Scalar) -> Scalar:
        """Return an expression after the loop, what it reads of the loop by its new name."""
        return map_references(scalar, self._renamed_ref)

    def renamed(self, let: Let) -> Let:
        """Return a definition after the loop."""
        return replace(let, value=self.rename(let.value))

    def _renamed_ref(self, ref: Ref) -> Ref:
        place = self.places.get(ref.name) if ref.copy is Copy.OWN else None
        return ref if place is None else Ref(self.template[place.position].name, (Index(None, place.turn),))


def _with(scalar: Scalar, refs: list[Ref]) -> Scalar:
    """Return an expression that reads other quantities, given from left to right."""
    others = iter(refs)
    return map_references(scalar, lambda ref: next(others))
