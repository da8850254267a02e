"""Backward passes on one data set: the forward values once, then one pass per seed, and the uses they leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tensorprog.backprop.adjoint import differentiate
from tensorprog.core.bind import Binding
from tensorprog.core.dependence import all_reads, prune
from tensorprog.core.evaluate import run
from tensorprog.core.indexing import Grid
from tensorprog.core.ir import Core
from tensorprog.core.values import Array
from tensorprog.finite.draw import positional
from tensorprog.finite.gram import Use, collect_use, contract

__all__ = ["Backward", "Sweep", "pair_uses"]


@dataclass(frozen=True, slots=True)
class Backward:
    """The backward pass of one variable, ready to run: `core` holds both passes, the first `length` lines forwards."""

    core: Core
    variable: str
    length: int

    @classmethod
    def of(cls, core: Core, variable: str) -> Backward:
        """Differentiate `variable`."""
        return cls(differentiate(core, variable), variable, len(prune(core.body, (variable,))))

    @property
    def forward(self) -> Core:
        """The part that computes the variable."""
        return replace(self.core, body=self.core.body[: self.length])

    @property
    def back(self) -> Core:
        """The part that computes the adjoints."""
        return replace(self.core, body=self.core.body[self.length :])

    def read_forward(self) -> frozenset[str]:
        """Return the forward variables that the backward pass and the gradients read."""
        read = set[str]().union(*(all_reads(instruction) for instruction in self.back.body))
        return frozenset(read | {gradient.operand for gradient in self.core.gradients if gradient.operand is not None})


@dataclass(frozen=True, slots=True)
class Sweep:
    """A backward pass on one data set, its forward values known."""

    backward: Backward
    binding: Binding
    widths: Mapping[str, int]
    parameters: Mapping[str, Array]
    values: Mapping[str, Array]

    @property
    def grid(self) -> Grid:
        """The index sets of this data set."""
        sizes = {**self.binding.sizes, **self.widths}
        return Grid(self.backward.core.axes, self.binding.starts, self.binding.extents, sizes, {})

    def shape(self) -> tuple[int, ...]:
        """Return the extents of the axes of the differentiated variable."""
        return self.grid.shape(self.backward.core.types[self.backward.variable].axes)

    def uses(self, weights: Array | None) -> dict[str, list[Use]]:
        """Return the uses of every trained parameter, with one seed for each position of the variable.

        The seed of position p is `weights` (the coordinates of a vector; None for a scalar) there and zero elsewhere.
        """
        core, shape = self.backward.core, self.shape()
        trained = [gradient for gradient in core.gradients if core.parameters[gradient.parameter].trained]
        wanted = {gradient.adjoint for gradient in trained}
        passes = [self._run(_seed(place, shape, weights, self.binding.dtype), wanted) for place in np.ndindex(*shape)]
        uses: dict[str, list[Use]] = {}
        for gradient in trained:
            adjoints = _stack([values[gradient.adjoint] for values in passes])
            operand = self.values[gradient.operand] if gradient.operand is not None else None
            use = collect_use(gradient, adjoints, operand, core, self.grid, self.binding.samples)
            uses.setdefault(gradient.parameter, []).append(use)
        return uses

    def _run(self, seed: Array, wanted: Iterable[str]) -> dict[str, Array]:
        known = {**self.values, f"d.{self.backward.variable}": seed}
        return run(self.backward.back, self.binding, self.parameters, self.widths, known=known, keep=wanted)

    def rates(self, name: str) -> dict[tuple[int, ...], float]:
        """Return the learning-rate multiplier of a parameter at each of its positions."""
        parameter = self.backward.core.parameters[name]
        values = np.broadcast_to(
            positional(parameter.multiplier, parameter, self.binding, self.grid.sizes), self.grid.shape(parameter.axes)
        )
        starts = [self.binding.starts[axis] for axis in parameter.axes]
        return {
            tuple(s + k for s, k in zip(starts, place, strict=True)): float(values[place])
            for place in np.ndindex(values.shape)
        }


def _seed(place: tuple[int, ...], shape: tuple[int, ...], weights: Array | None, dtype: np.dtype[Any]) -> Array:
    tail = () if weights is None else weights.shape
    seed = np.zeros((1, *shape, *tail), dtype)
    seed[(0, *place)] = 1 if weights is None else weights
    return seed


def _stack(arrays: list[Array]) -> Array:
    samples = max(array.shape[0] for array in arrays)
    return np.stack([np.broadcast_to(array, (samples, *array.shape[1:])) for array in arrays])


def pair_uses(first: Sweep, uses: Mapping[str, list[Use]], second: Sweep, others: Mapping[str, list[Use]]) -> Array:
    """Return Σ_p lr_p ⟨∂v/∂p, ∂w/∂p⟩ over the trained parameters that both sweeps use, (N1, N2, *axes, *axes′).

    Where the rate depends on an extent that differs between the data sets, it is the geometric mean of the two, as for
    weights p = s · ω of which ω is trained.
    """
    shapes = first.shape(), second.shape()
    counts = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
    total = np.zeros((counts[0], first.binding.samples, counts[1], second.binding.samples), first.binding.dtype)
    for name in (name for name in uses if name in others):
        here, there = first.rates(name), second.rates(name)
        rates = {key: _between(rate, there[key]) for key, rate in here.items() if key in there}
        for use in uses[name]:
            for other in others[name]:
                total += contract(use, other, rates)
    total = total.transpose(1, 3, 0, 2)
    return total.reshape(*total.shape[:2], *shapes[0], *shapes[1])


def _between(first: float, second: float) -> float:
    return first if first == second else float(np.sqrt(first * second))
