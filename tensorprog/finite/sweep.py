"""Backward passes on one data set: the forward values once, then one pass per seed, and the uses they leave."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

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

LARGEST_PASS = 1 << 24
"""How many numbers of one variable a pass of several seeds may hold."""


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
        core = self.backward.core
        trained = [gradient for gradient in core.gradients if core.parameters[gradient.parameter].trained]
        passes = [self._adjoints(seeds, {gradient.adjoint for gradient in trained}) for seeds in self._seeds(weights)]
        uses: dict[str, list[Use]] = {}
        for gradient in trained:
            adjoints = _joined([values[gradient.adjoint] for values in passes])
            operand = self.values[gradient.operand] if gradient.operand is not None else None
            use = collect_use(gradient, adjoints, operand, core, self.grid, self.binding.samples)
            uses.setdefault(gradient.parameter, []).append(use)
        return uses

    def _seeds(self, weights: Array | None) -> Iterator[Array]:
        """Yield the seeds of all positions, arrays (S, *axes, [n]) of as many as fit into memory."""
        shape, tail = self.shape(), () if weights is None else weights.shape
        count = math.prod(shape)
        largest = max((value.size for value in self.values.values()), default=1)
        step = max(1, LARGEST_PASS // max(largest, 1))
        for start in range(0, count, step):
            numbers = np.arange(start, min(start + step, count))
            seeds = np.zeros((len(numbers), count, *tail), self.binding.dtype)
            seeds[np.arange(len(numbers)), numbers] = 1 if weights is None else weights
            yield seeds.reshape(len(numbers), *shape, *tail)

    def _adjoints(self, seeds: Array, wanted: Iterable[str]) -> dict[str, Array]:
        """Return the adjoints of S seeds, arrays (S, N, …): the seeds run beside each other as samples of one pass."""
        count, samples = len(seeds), self.binding.samples
        if count == 1:
            return {name: value[None] for name, value in self._run(seeds, self.values, wanted).items()}
        values = {name: _repeat(value, count) for name, value in {**self.binding.data, **self.values}.items()}
        adjoints = self._run(np.repeat(seeds, samples, axis=0), values, wanted)
        return {
            name: value.reshape(count, samples, *value.shape[1:]) if len(value) > 1 else value[None]
            for name, value in adjoints.items()
        }

    def _run(self, seed: Array, values: Mapping[str, Array], wanted: Iterable[str]) -> dict[str, Array]:
        known = {**values, f"d.{self.backward.variable}": seed}
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


def _repeat(value: Array, count: int) -> Array:
    """Return the values (N, …) of all samples `count` times, one after the other; N = 1 stays."""
    return value if len(value) == 1 else np.tile(value, (count, *(1,) * (value.ndim - 1)))


def _joined(parts: list[Array]) -> Array:
    """Return arrays (S, N, …) as one, those that are the same for all seeds or samples repeated."""
    seeds, samples = (max(part.shape[axis] for part in parts) for axis in (0, 1))
    return np.concatenate([np.broadcast_to(part, (seeds, samples, *part.shape[2:])) for part in parts])


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
