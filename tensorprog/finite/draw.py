"""Drawing parameters: the same seed and the same sizes give the same tensors, whatever else is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from tensorprog.core.bind import Binding
from tensorprog.core.ir import Core, Parameter
from tensorprog.core.values import Array
from tensorprog.errors import DataError, Diagnostic
from tensorprog.nonlin.evaluate import evaluate, evaluate_integer
from tensorprog.nonlin.expression import Expr, symbols

__all__ = ["Draws", "Entries", "positional"]


class Entries(Enum):
    """The law of the entries of matrices of infinite fan-in, standardized; all other parameters are Gaussian."""

    GAUSSIAN = "gaussian"
    UNIFORM = "uniform"
    RADEMACHER = "rademacher"


@dataclass(frozen=True, slots=True)
class Draws:
    """The parameters of one network, drawn when their sizes become known and kept.

    An indexed parameter has a stream of its own at every position, so that data sets of different extents see the same
    tensor wherever both have one.
    """

    core: Core
    seed: int
    entries: Entries
    dtype: np.dtype[Any]
    _drawn: dict[tuple[Any, ...], Array] = field(default_factory=dict, repr=False)

    def parameters(self, names: tuple[str, ...], binding: Binding, widths: Mapping[str, int]) -> dict[str, Array]:
        """Return the arrays (*axes, *shape) of the parameters `names`."""
        return {name: self._parameter(name, binding, {**binding.sizes, **widths}) for name in names}

    def _parameter(self, name: str, binding: Binding, sizes: Mapping[str, int | float]) -> Array:
        parameter = self.core.parameters[name]
        shape = tuple(evaluate_integer(extent, sizes) for extent in parameter.shape)
        mean = positional(parameter.mean, parameter, binding, sizes)
        variance = positional(parameter.variance, parameter, binding, sizes)
        if not (variance >= 0).all():
            raise DataError(Diagnostic("TP407", f"`{name}` has variance {variance.min()}", parameter.span))
        where = tuple((binding.starts[axis], binding.extents[axis]) for axis in parameter.axes)
        key = (name, shape, where, mean.tobytes(), variance.tobytes())
        if key not in self._drawn:
            self._drawn[key] = self._draw(parameter, shape, where, mean, np.sqrt(variance))
        return self._drawn[key]

    def _draw(
        self,
        parameter: Parameter,
        shape: tuple[int, ...],
        where: tuple[tuple[int, int], ...],
        mean: Array,
        deviation: Array,
    ) -> Array:
        extents = tuple(extent for _, extent in where)
        out = np.empty((*extents, *shape), self.dtype)
        number = list(self.core.parameters).index(parameter.name)
        means, deviations = np.broadcast_to(mean, extents), np.broadcast_to(deviation, extents)
        for place in np.ndindex(*extents):
            position = (_natural(start + k) for (start, _), k in zip(where, place, strict=True))
            generator = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(number, *position)))
            self._fill(out[(*place, ...)], parameter, generator)
            out[place] *= self.dtype.type(deviations[place])
            if means[place]:
                out[place] += self.dtype.type(means[place])
        return out

    def _fill(self, out: Array, parameter: Parameter, generator: np.random.Generator) -> None:
        """Fill `out` with independent entries of mean 0 and variance 1."""
        if self.entries is Entries.GAUSSIAN or not _has_infinite_fan_in(parameter, self.core):
            generator.standard_normal(dtype=self.dtype.type, out=out)
        elif self.entries is Entries.UNIFORM:
            out[...] = generator.random(out.shape, dtype=self.dtype.type)
            out -= 0.5
            out *= 2 * math.sqrt(3)
        else:
            out[...] = generator.integers(0, 2, out.shape, dtype=np.int8)
            out *= 2
            out -= 1


def _natural(index: int) -> int:
    """Return a distinct natural number for every integer."""
    return 2 * index if index >= 0 else -2 * index - 1


def _has_infinite_fan_in(parameter: Parameter, core: Core) -> bool:
    widths = {width.name for width in core.widths}
    return len(parameter.shape) == 2 and not widths.isdisjoint(symbols(parameter.shape[1]))


def positional(expr: Expr, parameter: Parameter, binding: Binding, sizes: Mapping[str, int | float]) -> Array:
    """Return the value of `expr` at the positions of a parameter, an array that broadcasts over its axes."""
    rank, positions = len(parameter.axes), {}
    for place, axis in enumerate(parameter.axes):
        values = np.arange(binding.starts[axis], binding.starts[axis] + binding.extents[axis], dtype=np.float64)
        positions[axis] = values.reshape(*(len(values) if k == place else 1 for k in range(rank)))
    return np.asarray(evaluate(expr, (), sizes, positions), dtype=np.float64)
