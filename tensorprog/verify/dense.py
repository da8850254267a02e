"""The equations of a limit as definitions of the kernel IR, one by one, over all places of their axes.

Nothing is shared between equations and no entry is left out, so that each can be evaluated for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tensorprog.kernel.domain import Domain, Span
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.extents import Extents, find_extents
from tensorprog.kernel.grid import Space
from tensorprog.kernel.interpret import Scope
from tensorprog.kernel.ir import AxisIndex, Copy, Definition
from tensorprog.kernel.lower import define_equation, lower, make_program
from tensorprog.kernel.scalars import Program
from tensorprog.kernel.scope import Key
from tensorprog.limit.equations import Block, Equation, LimitSystem, Recurrence, Sweep, X, Y

__all__ = ["Sheet"]

Values = Mapping[Copy, dict[Key, Any]]


class Sheet:
    """The definitions of every equation, and the spaces in which they are evaluated."""

    def __init__(self, system: LimitSystem, parameters: Mapping[str, float], sizes: Mapping[str, int | float]) -> None:
        self.parameters = parameters
        self.numerics = Numerics(dict(system.functions), parameters)
        self._definitions: dict[tuple[Equation, bool], tuple[Definition, ...]] = {}
        for blocks, copies in ((system.sample, (X, X)), (system.pair, (X, Y))):
            program = make_program(system, copies)
            for equation, definitions in _lowered(blocks, program):
                self._definitions[equation, copies == (X, Y)] = definitions
        shell = lower(replace(system, sample=(), pair=(), results={}))
        self._extents = find_extents(shell, sizes, sizes)
        inputs = {name: _dense(axes, self._extents) for name, axes in shell.shapes.items()}
        sample, pair = inputs | self._domains(is_pair=False), inputs | self._domains(is_pair=True)
        self._counts = {name: domain.count for name, domain in (sample | pair).items()}
        self._sample = Space({Copy.OWN: sample}, self._extents)
        self._pair = Space({Copy.OWN: pair, Copy.LEFT: sample, Copy.RIGHT: sample}, self._extents)

    def _domains(self, *, is_pair: bool) -> dict[str, Domain]:
        return {
            definition.name: _dense(definition.axes, self._extents)
            for (_, of_pair), definitions in self._definitions.items()
            for definition in definitions
            if of_pair == is_pair and definition.axes
        }

    def definitions(self, equation: Equation, *, is_pair: bool) -> tuple[Definition, ...]:
        """Return the definition of an equation, before it those of its temporaries."""
        return self._definitions[equation, is_pair]

    def tail(self, name: str) -> tuple[int, ...]:
        """Return the shape of a quantity beside that over samples: one dimension for all its places, if it has axes."""
        return (self._counts[name],) if name in self._counts else ()

    def sample_scope(self, values: Values, shape: tuple[int, ...]) -> Scope:
        """Return a scope of the one-copy system."""
        return Scope(values, self.parameters, self.numerics, shape, space=self._sample)

    def pair_scope(self, values: Values, shape: tuple[int, ...]) -> Scope:
        """Return a scope of the two-copy system."""
        return Scope(values, self.parameters, self.numerics, shape, space=self._pair)


def _lowered(blocks: tuple[Block, ...], program: Program) -> Iterator[tuple[Equation, tuple[Definition, ...]]]:
    for block in blocks:
        if isinstance(block, Recurrence):
            yield from ((equation, tuple(define_equation(equation, program))) for equation in block.initial)
            yield from _lowered(block.body, program.inside(block.index.name))
        elif isinstance(block, Sweep):
            yield from _lowered(tuple(equation for group in block.groups for equation in group), program)
        else:
            yield block, tuple(define_equation(block, program))


def _dense(axes: tuple[AxisIndex, ...], extents: Extents) -> Domain:
    """Return the domain that has all entries, row-major."""
    spans = tuple(Span(*extents.of(index)) for index in axes)
    circular = tuple(extents.circular[index.axis] for index in axes)
    return Domain(axes, spans, tuple((place,) for place in range(len(axes))), circular)
