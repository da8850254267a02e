"""What a limit system with axes means, entry by entry: slow recursion over its equations, without any lowering."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.dual.numeric import SPECIALS
from tensorprog.kernel.extents import Sizes
from tensorprog.limit.equations import (
    AxisSum,
    Block,
    Equation,
    Largest,
    LimitSystem,
    Recurrence,
    SoftmaxOver,
    Sweep,
    Within,
    X,
    Y,
)
from tensorprog.nonlin.evaluate import evaluate

Point = Mapping[sp.Symbol, Any]


@dataclass(frozen=True)
class Sample:
    """One sample: the arrays that the grams and data read, by the name of their core variable, and sizes."""

    arrays: Mapping[str, Any]
    sizes: Sizes


@dataclass(frozen=True)
class Meaning:
    """The quantities of a system for two samples."""

    system: LimitSystem
    left: Sample
    right: Sample
    known: dict[Any, float] = field(default_factory=dict)

    @cached_property
    def _sample(self) -> Mapping[str, list[Equation]]:
        return _by_name(self.system.sample)

    @cached_property
    def _pair(self) -> Mapping[str, list[Equation]]:
        return _by_name(self.system.pair)

    def result(self, expr: sp.Expr, point: Point, *, pair: bool) -> float:
        """Return a result at some indices: of both samples, or of the left one alone."""
        return self._value(expr, point, (self.left, self.right if pair else self.left))

    def extents(self, name: str, sample: Sample) -> range:
        """Return the positions of an axis."""
        axis = self.system.axes[name]
        start, extent = (int(evaluate(expr, (), sample.sizes)) for expr in (axis.start, axis.extent))
        return range(start, start + extent)

    def _value(self, expr: sp.Expr, point: Point, copies: tuple[Sample, Sample]) -> Any:
        """Return the value of an expression; `copies` are those of its X and Y."""
        if isinstance(expr, AppliedUndef):
            return self._quantity(expr, point, copies)
        if isinstance(expr, SoftmaxOver):
            total = sum(math.exp(self._value(expr.body, near, copies)) for near in self._points(expr, point, copies))
            return math.exp(self._value(expr.body, point, copies)) / total
        if isinstance(expr, AxisSum):
            values = [self._value(expr.body, near, copies) for near in self._points(expr, point, copies)]
            return max(values) if isinstance(expr, Largest) else math.fsum(values)
        if isinstance(expr, Within):
            place, axis, side = expr.args
            return float(self._value(place, point, copies) in self.extents(axis.name, copies[0 if side == X else 1]))
        if isinstance(expr, sp.Symbol):
            return point[expr] if expr in point else self._parameter(expr, copies)
        if expr.is_number:
            return int(expr) if expr.is_Integer else float(expr)
        args = [self._value(arg, point, copies) for arg in expr.args]
        if isinstance(expr, sp.Add):
            return sum(args)
        if isinstance(expr, sp.Mul):
            return math.prod(args)
        if type(expr) in SPECIALS:
            return float(SPECIALS[type(expr)](*map(np.float64, args)))
        value = expr.func(*(sp.Float(arg, 17) if isinstance(arg, float) else arg for arg in args))
        return float(value.evalf(17))

    def _points(self, expr: Any, point: Point, copies: tuple[Sample, Sample]) -> Iterator[Point]:
        places = [self.system.indices[index] for index in expr.indices]
        ranges = [self.extents(axis, copies[0 if side == X else 1]) for axis, side in places]
        for values in product(*ranges):
            yield {**point, **dict(zip(expr.indices, values, strict=True))}

    def _parameter(self, symbol: sp.Symbol, copies: tuple[Sample, Sample]) -> Any:
        for sizes, sample in ((self.system.sizes, copies[0]), (self.system.right_sizes, copies[1])):
            if symbol in sizes:
                return int(evaluate(sizes[symbol], (), sample.sizes))
        return self.system.constants[symbol]

    def _quantity(self, applied: sp.Expr, point: Point, copies: tuple[Sample, Sample]) -> float:
        name = applied.func.__name__
        who = tuple(copies[0 if arg == X else 1] for arg in applied.args if arg in (X, Y))
        numbers = tuple(self._value(arg, point, copies) for arg in applied.args if arg not in (X, Y))
        shape = self.system.shapes.get(name, ())
        steps, places = numbers[: len(numbers) - len(shape)], list(numbers[len(numbers) - len(shape) :])
        for dimension, (axis, side) in enumerate(shape):
            positions = self.extents(axis, who[0 if side == X else -1])
            if self.system.axes[axis].circular:
                places[dimension] = positions.start + (places[dimension] - positions.start) % len(positions)
            if places[dimension] not in positions:
                return 0.0
        key = name, steps, tuple(places), tuple(map(id, who))
        if key not in self.known:
            self.known[key] = self._defined(name, (*steps, *places), who)
        return self.known[key]

    def _defined(self, name: str, numbers: tuple[int, ...], who: tuple[Sample, ...]) -> float:
        function = sp.Function(name)
        starts = [self.extents(axis, who[0]).start for axis, _ in self.system.shapes.get(name, ())]
        if function in self.system.grams:
            half = len(numbers) // 2
            shifted = [number - start for number, start in zip(numbers, starts, strict=True)]
            variables = self.system.grams[function]
            left, right = (sample.arrays[name] for sample, name in zip(who, variables, strict=True))
            return float(np.dot(left[tuple(shifted[:half])], right[tuple(shifted[half:])]))
        if function in self.system.data:
            return float(who[0].arrays[self.system.data[function]][numbers])
        same = all(sample is who[0] for sample in who)
        for equation in (self._sample if same else self._pair)[name]:
            given = [arg for arg in equation.lhs.args if arg not in (X, Y)]
            if all(arg == number or arg.is_Symbol for arg, number in zip(given, numbers, strict=True)):
                point = {arg: number for arg, number in zip(given, numbers, strict=True) if arg.is_Symbol}
                return float(self._value(equation.rhs, point, (who[0], who[-1])))
        raise KeyError(name)


def _by_name(blocks: tuple[Block, ...]) -> Mapping[str, list[Equation]]:
    found: dict[str, list[Equation]] = {}
    for equation in _flat(blocks):
        found.setdefault(equation.name, []).append(equation)
    return found


def _flat(blocks: tuple[Block, ...]) -> Iterator[Equation]:
    for block in blocks:
        match block:
            case Recurrence():
                yield from block.initial
                yield from _flat(block.body)
            case Sweep():
                yield from (equation for group in block.groups for equation in group)
            case _:
                yield block
