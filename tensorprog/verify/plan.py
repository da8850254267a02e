"""What a verification compares: the equations of a limit, and for each what to measure on a sampled network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tensorprog.finite.measure import Measured, Measurement
from tensorprog.limit.equations import Equation, Kind, LimitSystem, Recurrence

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

    `measurement` is None for what has no finite-width counterpart (factors E[φ′ψ′], surrogate tangents, initial
    values): such an equation is checked through those that read it.
    """

    equation: Equation
    is_pair: bool
    position: tuple[str, int, int] | None
    measurement: Measurement | None

    @property
    def label(self) -> str:
        """The name under which the equation is reported: with its copies, and its step in a loop."""
        copies = "x, x'" if self.is_pair else "x, x"
        step = f"{self.position[1]}, " if self.position is not None else ""
        return f"{self.equation.name}({step}{copies})"


def make_plan(system: LimitSystem) -> tuple[Check, ...]:
    """Return the checks of a limit, in the order in which its equations can be evaluated."""
    sample = [check for block in system.sample for check in _checks(block, is_pair=False)]
    pair = [check for block in system.pair for check in _checks(block, is_pair=True)]
    return (*sample, *pair)


def _checks(block: Equation | Recurrence, is_pair: bool) -> Iterator[Check]:
    if isinstance(block, Equation):
        yield Check(block, is_pair, None, _measurement(block, None))
        return
    yield from (Check(equation, is_pair, None, None) for equation in block.initial)
    for number, step in enumerate(range(block.first, block.last + 1)):
        for equation in block.body:
            assert isinstance(equation, Equation), "recurrences do not nest"
            position = (block.index.name, step, number)
            yield Check(equation, is_pair, position, _measurement(equation, (block, step)))


def _measurement(equation: Equation, place: tuple[Recurrence, int] | None) -> Measurement | None:
    """Return what to measure; of tangents in a loop, at its first, middle and last step only: each costs a sweep."""
    kind, subject = KINDS.get(equation.subject.kind), equation.subject
    if kind is None:
        return None
    if kind is Measured.TANGENT and place is not None:
        block, step = place
        if step not in (block.first, (block.first + block.last) // 2, block.last):
            return None
        return Measurement(kind, subject.left, subject.right or subject.left, step)
    return Measurement(kind, subject.left, subject.right or subject.left)
