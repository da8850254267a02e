"""Residuals: what an equation misses when it is fed with the measured values of the quantities that it reads.

For an equation y = F(z₁, …, z_k) and one draw of a network, the residual is ŷ − F(ẑ₁, …, ẑ_k). Its mean is O(1/n) if
the equation is true, whatever the fluctuations of the layers below, which cancel; an error in another equation does not
disturb it. That is where the power of a verification is, and how it locates an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.finite.measure import Measured, Measurement
from tensorprog.kernel.interpret import Scope
from tensorprog.kernel.ir import Copy, Definition
from tensorprog.kernel.scope import Key
from tensorprog.limit.equations import Block, Equation, LimitSystem, Recurrence, Sweep
from tensorprog.verify.dense import Sheet
from tensorprog.verify.plan import Check

__all__ = ["Evaluator", "Inputs", "Residual"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Residual:
    """One check over S draws: values as measured (None if that is not possible) and as predicted from the measured.

    Both are (S, N, P, Q) for an equation of one copy, (S, N, N, P, Q) for one of two: P and Q are the numbers of places
    of the two variables, 1 where there are none.
    """

    check: Check
    measured: Array | None
    predicted: Array


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the data give to a limit.

    Attributes:
        count: the number of samples N.
        grams: the inner products ⟨u(x), v(x')⟩ at all places of u and v by name, (N, N, P, Q).
        data: scalar data by name, (N, P).
        parameters: the values of constants and sizes by name.
        sizes: what the data bind.
        places: the numbers of places of the variables.
    """

    count: int
    grams: Mapping[str, Array]
    data: Mapping[str, Array]
    parameters: Mapping[str, float]
    sizes: Mapping[str, int | float]
    places: Mapping[str, int]


@dataclass(frozen=True)
class Evaluator:
    """Evaluates the equations of a limit one by one, on measured values."""

    system: LimitSystem
    inputs: Inputs

    @cached_property
    def sheet(self) -> Sheet:
        """The equations, ready to be evaluated."""
        return Sheet(self.system, self.inputs.parameters, self.inputs.sizes)

    def residuals(
        self, plan: tuple[Check, ...], measured: Mapping[Measurement, npt.NDArray[np.floating[Any]]], draws: int
    ) -> tuple[Residual, ...]:
        """Return the residual of every check.

        Args:
            plan: the checks, in order of evaluation.
            measured: the measured values over S = `draws` draws; empty to evaluate the limit itself (S = 1).
            draws: S.
        """
        run = _Run(self, {check.quantity: check for check in plan}, measured, draws)
        with np.errstate(all="ignore"):
            found = {residual.check.quantity: residual for residual in run.residuals()}
        return tuple(found[check.quantity] for check in plan)


class _Run:
    """One evaluation of all equations, in the order of the system."""

    def __init__(
        self,
        evaluator: Evaluator,
        checks: Mapping[tuple[bool, str, tuple[int, ...]], Check],
        measured: Mapping[Measurement, npt.NDArray[np.floating[Any]]],
        draws: int,
    ) -> None:
        self.system, self.inputs, self.sheet = evaluator.system, evaluator.inputs, evaluator.sheet
        self.checks, self.measured, self.draws = checks, measured, draws
        count = self.inputs.count
        grams = {name: self._flat(gram[None], name) for name, gram in self.inputs.grams.items()}
        own: dict[Key, Any] = {
            (name, ()): self._flat(np.einsum("iipq->ipq", gram)[None], name) for name, gram in self.inputs.grams.items()
        }
        own |= {(name, ()): self._flat(value[None, :, :, None], name) for name, value in self.inputs.data.items()}
        self.one = self.sheet.sample_scope({Copy.OWN: own}, (draws, count))
        values: dict[Copy, dict[Key, Any]] = {
            Copy.OWN: {(name, ()): gram for name, gram in grams.items()},
            Copy.LEFT: {key: value[:, :, None] for key, value in own.items()},
            Copy.RIGHT: {key: value[:, None, :] for key, value in own.items()},
        }
        self.two = self.sheet.pair_scope(values, (draws, count, count))

    def residuals(self) -> Iterator[Residual]:
        """Yield the residuals of all equations."""
        for block in self.system.sample:
            yield from self._block(block, self.one)
        for block in self.system.pair:
            yield from self._block(block, self.two)

    def _block(self, block: Block, scope: Scope) -> Iterator[Residual]:
        if isinstance(block, Equation):
            yield self._equation(block, scope)
        elif isinstance(block, Sweep):
            yield from self._sweep(block, scope)
        else:
            yield from self._recurrence(block, scope)

    def _recurrence(self, block: Recurrence, scope: Scope) -> Iterator[Residual]:
        for equation in block.initial:
            yield self._equation(equation, scope)
        for step in range(block.first, block.last + 1):
            scope.positions[block.index.name] = step
            for inner in block.body:
                yield from self._block(inner, scope)

    def _equation(self, equation: Equation, scope: Scope) -> Residual:
        definitions = self._definitions(equation, scope)
        predicted = self._evaluate(definitions, scope)
        check = self._check(definitions[-1], scope)
        value = self._select(check)
        self._keep(definitions[-1], predicted if value is None else self._flat(value, check.quantity[1]), scope)
        return Residual(check, value, self._shaped(predicted, check))

    def _sweep(self, sweep: Sweep, scope: Scope) -> Iterator[Residual]:
        """Yield the residuals of a sweep, each equation at all steps at once.

        What is measured is known at all steps from the start. The rest is evaluated over and over, until the values
        of all steps have come through: what a step reads of later ones never counts.
        """
        equations = [self._definitions(equation, scope) for group in sweep.groups for equation in group]
        unknown = []
        for definitions in equations:
            check = self._check(definitions[-1], scope)
            value = self._select(check)
            if value is None:
                unknown.append(definitions)
                self._keep(definitions[-1], self._nothing(definitions[-1], scope), scope)
            else:
                self._keep(definitions[-1], self._flat(value, check.quantity[1]), scope)
        rounds = 1 + sum(self.sheet.tail(definitions[-1].name)[0] for definitions in unknown)
        for _ in range(rounds):
            if not any([self._changes(definitions, scope) for definitions in unknown]):
                break
        for definitions in equations:
            check = self._check(definitions[-1], scope)
            known = scope.values[Copy.OWN][scope.key(definitions[-1])]
            predicted = self._evaluate(definitions, scope)
            self._keep(definitions[-1], known, scope)
            yield Residual(check, self._select(check), self._shaped(predicted, check))

    def _nothing(self, definition: Definition, scope: Scope) -> Array:
        return np.full((*scope.shape, *self.sheet.tail(definition.name)), np.nan)

    def _changes(self, definitions: tuple[Definition, ...], scope: Scope) -> bool:
        """Evaluate an equation, and tell whether that changes the value of its quantity."""
        before = scope.values[Copy.OWN][scope.key(definitions[-1])]
        after = self._evaluate(definitions, scope)
        self._keep(definitions[-1], after, scope)
        return not np.array_equal(before, after, equal_nan=True)

    def _definitions(self, equation: Equation, scope: Scope) -> tuple[Definition, ...]:
        return self.sheet.definitions(equation, is_pair=scope is self.two)

    def _evaluate(self, definitions: tuple[Definition, ...], scope: Scope) -> Array:
        """Evaluate an equation with its temporaries and return its value, for all draws."""
        for definition in definitions:
            scope.define(definition)
        value = scope.values[Copy.OWN][scope.key(definitions[-1])]
        shape = (*scope.shape, *self.sheet.tail(definitions[-1].name))
        return np.array(np.broadcast_to(value, shape), dtype=np.float64)

    def _keep(self, definition: Definition, value: Array, scope: Scope) -> None:
        """Let later equations read `value`."""
        key = scope.key(definition)
        scope.values[Copy.OWN][key] = value
        if scope is self.one:
            self.two.values[Copy.LEFT][key] = value[:, :, None]
            self.two.values[Copy.RIGHT][key] = value[:, None, :]

    def _check(self, definition: Definition, scope: Scope) -> Check:
        return self.checks[scope is self.two, *scope.key(definition)]

    def _flat(self, value: Array, name: str) -> Array:
        """Return values (…, P, Q) with their places as one dimension, which is left out if there are none."""
        return value.reshape(*value.shape[:-2], *self.sheet.tail(name))

    def _shaped(self, value: Array, check: Check) -> Array:
        """Return flat values with their places as two dimensions (…, P, Q)."""
        tail = self.sheet.tail(check.quantity[1])
        leading, count = value.shape[: value.ndim - len(tail)], tail[0] if tail else 1
        left = self.inputs.places.get(check.equation.subject.left, count)
        left = left if count % left == 0 else count
        return value.reshape(*leading, left, count // left)

    def _select(self, check: Check) -> Array | None:
        """Return the measured value of a check: its step, its diagonal for one copy."""
        item = check.measurement
        if item is None or item not in self.measured:
            return None
        number = check.position[2] if check.position is not None and item.step is None else 0
        value = self.measured[item]
        if item.kind in (Measured.MEAN, Measured.SCALAR):
            return np.asarray(value[:, :, number, :, None], dtype=np.float64)
        value = value[:, :, :, number]
        return np.asarray(value if check.is_pair else np.einsum("siipq->sipq", value), dtype=np.float64)
