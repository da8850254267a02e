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

LONGEST_LOOP = 12
"""Tangents inside longer loops are not measured step by step: they would cost a backward pass each."""


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
            yield Check(equation, is_pair, position, _measurement(equation, block))


def _measurement(equation: Equation, loop: Recurrence | None) -> Measurement | None:
    kind = KINDS.get(equation.subject.kind)
    is_long = loop is not None and loop.last - loop.first >= LONGEST_LOOP
    if kind is None or (kind is Measured.TANGENT and is_long):
        return None
    return Measurement(kind, equation.subject.left, equation.subject.right or equation.subject.left)
