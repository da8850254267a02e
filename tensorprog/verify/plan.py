"""What a verification compares: the equations of a limit, and for each what to measure on a sampled network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tensorprog.finite.measure import Measured, Measurement
from tensorprog.limit.equations import Block, Equation, Kind, LimitSystem, Recurrence, Sweep

__all__ = ["Check", "make_plan"]

KINDS: Mapping[Kind, Measured] = {
    Kind.MEAN: Measured.MEAN,
    Kind.SCALAR: Measured.SCALAR,
    Kind.SECOND: Measured.SECOND,
    Kind.COVARIANCE: Measured.COVARIANCE,
    Kind.TANGENT: Measured.TANGENT,
}


@dataclass(frozen=True, slots=True)
class Check:
    """One equation in the order of the system: where it stands, its step if it is in a loop, and how to measure it.

    `position` is the index of the loop, its value, and the number of that step; `indices` are the values of loop
    indices at which the equation defines its quantity; `places` are the indices over axes, as they are printed.
    `measurement` is None for what has no finite-width counterpart (factors E[φ′ψ′], surrogate tangents, initial
    values): such an equation is checked through those that read it.
    """

    equation: Equation
    is_pair: bool
    position: tuple[str, int, int] | None
    measurement: Measurement | None
    indices: tuple[int, ...] = ()
    places: tuple[str, ...] = field(default=())

    @property
    def label(self) -> str:
        """The name under which the equation is reported: with its step in a loop, its places and its copies."""
        steps = () if self.position is None else (str(self.position[1]),)
        copies = ("x", "x'") if self.is_pair else ("x", "x")
        return f"{self.equation.name}({', '.join((*steps, *self.places, *copies))})"

    @property
    def quantity(self) -> tuple[bool, str, tuple[int, ...]]:
        """What the equation defines: whether it is of pairs, its name, and the values of its loop indices."""
        return self.is_pair, str(self.equation.lhs.func), self.indices

    @property
    def is_symmetric(self) -> bool:
        """Whether the quantity is of one variable with itself."""
        return self.equation.subject.right in (None, self.equation.subject.left)


def make_plan(system: LimitSystem) -> tuple[Check, ...]:
    """Return the checks of a limit, in the order in which its equations can be evaluated."""
    sample = [check for block in system.sample for check in _Section(system, is_pair=False).checks(block)]
    pair = [check for block in system.pair for check in _Section(system, is_pair=True).checks(block)]
    return (*sample, *pair)


@dataclass(frozen=True, slots=True)
class _Section:
    """One of the two systems."""

    system: LimitSystem
    is_pair: bool

    def checks(self, block: Block) -> Iterator[Check]:
        """Yield the checks of a block outside of loops; all steps of a sweep are one check."""
        if isinstance(block, Equation):
            yield self._check(block, _measurement(block))
        elif isinstance(block, Sweep):
            yield from (self._check(each, _measurement(each)) for group in block.groups for each in group)
        else:
            yield from self._recurrence(block)

    def _recurrence(self, block: Recurrence) -> Iterator[Check]:
        for equation in block.initial:
            yield self._check(equation, None, indices=(block.first - 1,))
        for number, step in enumerate(range(block.first, block.last + 1)):
            position = (block.index.name, step, number)
            for equation in _straight(block.body):
                yield self._check(equation, _measurement_at(equation, block, step), position, (step,))

    def _check(
        self,
        equation: Equation,
        measurement: Measurement | None,
        position: tuple[str, int, int] | None = None,
        indices: tuple[int, ...] = (),
    ) -> Check:
        count = len(self.system.shapes.get(str(equation.lhs.func), ()))
        first = len(indices)
        places = tuple(str(place) for place in equation.lhs.args[first : first + count])
        return Check(equation, self.is_pair, position, measurement, indices, places)


def _straight(blocks: tuple[Block, ...]) -> Iterator[Equation]:
    for block in blocks:
        assert not isinstance(block, Recurrence), "recurrences do not nest"
        yield from (block,) if isinstance(block, Equation) else (each for group in block.groups for each in group)


def _measurement(equation: Equation) -> Measurement | None:
    """Return what to measure."""
    kind, subject = KINDS.get(equation.subject.kind), equation.subject
    return None if kind is None else Measurement(kind, subject.left, subject.right or subject.left)


def _measurement_at(equation: Equation, block: Recurrence, step: int) -> Measurement | None:
    """Return what to measure in a loop; tangents at its first, middle and last step only: each costs a sweep."""
    found = _measurement(equation)
    if found is None or found.kind is not Measured.TANGENT:
        return found
    chosen = step in (block.first, (block.first + block.last) // 2, block.last)
    return Measurement(found.kind, found.left, found.right, step) if chosen else None
