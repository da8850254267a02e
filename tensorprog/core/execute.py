"""What each instruction means: numpy, vectorized over the samples, one function per instruction.

A variable of type (axes, dimension) is an array (N, *extents, dimension), a scalar one (N, *extents). Values that are
the same for all samples have N = 1. Operands are laid side by side by the names of their axes.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np

from tensorprog.core.dependence import defined
from tensorprog.core.indexing import Grid, gather, locate, scatter
from tensorprog.core.ir import (
    Core,
    First,
    Gather,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Moment,
    Scan,
    Scatter,
    Softmax,
    Sum,
)
from tensorprog.core.values import Array, Value, align
from tensorprog.nonlin.evaluate import evaluate, evaluate_integer
from tensorprog.nonlin.expression import Operand, Position, walk

__all__ = ["Environment", "Frame", "compute", "execute"]

Environment = MutableMapping[str, Value]


@dataclass(frozen=True, slots=True)
class Frame:
    """What the instructions of one run share: sizes and index sets, the parameters, and which scan results to keep."""

    core: Core
    grid: Grid
    parameters: Mapping[str, Array]
    kept: frozenset[str] | None
    dtype: np.dtype[Any]

    def axes(self, name: str) -> tuple[str, ...]:
        """Return the axes of a variable as the current scan body sees it."""
        return tuple(axis for axis in self.core.types[name].axes if axis not in self.grid.steps)

    def vector(self, name: str) -> bool:
        """Return whether a variable is a vector at each of its positions."""
        return self.core.types[name].dimension is not None

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one sample of a variable: extents, then the dimension of a vector."""
        dimension = self.core.types[name].dimension
        tail = () if dimension is None else (evaluate_integer(dimension, self.grid.sizes),)
        return (*self.grid.shape(self.axes(name)), *tail)

    def value(self, name: str, array: Array) -> Value:
        """Return `array` as the value of variable `name`, spread over the axes and coordinates that it lacks."""
        full = np.broadcast_to(array, (array.shape[0], *self.shape(name)))
        return Value(full, self.axes(name), self.vector(name))

    def reads_steps(self, name: str) -> bool:
        """Return whether the results of every step of a scan are wanted for `name`."""
        return self.kept is None or name in self.kept


@singledispatch
def execute(instruction: Instruction, env: Environment, frame: Frame) -> None:
    """Compute what `instruction` defines and put it into `env`."""
    env[instruction.target] = frame.value(instruction.target, compute(instruction, env, frame))


@execute.register
def _(instruction: Scan, env: Environment, frame: Frame) -> None:
    axis = instruction.axis
    steps = frame.grid.coordinates(axis).tolist()
    kept = [name for name in defined(instruction) if frame.reads_steps(name)]
    history: dict[str, list[Array]] = {name: [] for name in kept}
    before: dict[str, Value] = {}
    for step in reversed(steps) if instruction.reverse else steps:
        inner = replace(frame, grid=replace(frame.grid, steps={**frame.grid.steps, axis: step}))
        local: dict[str, Value] = {}
        scope: Environment = ChainMap(local, env)
        for carry in instruction.carries:
            source = before.get(carry.source) if before else env[carry.initial] if carry.initial else None
            local[carry.target] = _carried(carry.target, source, inner)
        for child in instruction.body:
            execute(child, scope, inner)
        before = {carry.source: scope[carry.source] for carry in instruction.carries}
        for name in kept:
            history[name].append(local[name].array)
    for name in kept:
        arrays = history.pop(name)
        stacked = _stack(arrays[::-1] if instruction.reverse else arrays)
        env[name] = Value(stacked, (axis, *local[name].axes), local[name].vector)


def _carried(target: str, source: Value | None, frame: Frame) -> Value:
    if source is None:
        return frame.value(target, np.zeros((1,) * (1 + len(frame.shape(target))), frame.dtype))
    return frame.value(target, align(source, frame.axes(target), frame.vector(target)))


def _stack(arrays: list[Array]) -> Array:
    """Return the steps of a scan along a new axis after that of the samples."""
    samples = max(array.shape[0] for array in arrays)
    return np.stack([np.broadcast_to(array, (samples, *array.shape[1:])) for array in arrays], axis=1)


@singledispatch
def compute(instruction: Instruction, env: Mapping[str, Value], frame: Frame) -> Array:
    """Return the array of the target, (N, *axes, [dimension]), of length 1 where it does not vary."""
    raise TypeError(f"no numpy semantics for {type(instruction).__name__}")


@compute.register
def _(instruction: Gather, env: Mapping[str, Value], frame: Frame) -> Array:
    source, axes = env[instruction.source], frame.axes(instruction.target)
    offsets = locate(instruction.indices, source.axes, axes, frame.grid)
    return gather(source.array, offsets, frame.grid.shape(axes))


@compute.register
def _(instruction: Scatter, env: Mapping[str, Value], frame: Frame) -> Array:
    source, axes = env[instruction.source], frame.axes(instruction.target)
    offsets = locate(instruction.indices, axes, source.axes, frame.grid)
    return scatter(source.array, offsets, frame.grid.shape(source.axes), frame.grid.shape(axes))


@compute.register
def _(instruction: Load, env: Mapping[str, Value], frame: Frame) -> Array:
    parameter, axes = frame.core.parameters[instruction.parameter], frame.axes(instruction.target)
    array = frame.parameters[instruction.parameter]
    if not frame.vector(instruction.target):
        array = array.reshape(array.shape[: len(parameter.axes)])
    return gather(array[None], locate(instruction.indices, parameter.axes, axes, frame.grid), frame.grid.shape(axes))


@compute.register
def _(instruction: MatMul, env: Mapping[str, Value], frame: Frame) -> Array:
    axes = frame.axes(instruction.target)
    operand = align(env[instruction.operand], axes, vector=True)
    weights, container = frame.parameters[instruction.parameter], frame.core.parameters[instruction.parameter].axes
    offsets = locate(instruction.indices, container, axes, frame.grid)
    moving = tuple(max((offset.shape[k] for offset in offsets.offsets), default=1) for k in range(len(axes)))
    rows = weights.shape[-1 if instruction.transposed else -2]
    lengths = tuple(max(pair) for pair in zip(moving, operand.shape[1:-1], strict=True))
    out = np.zeros((operand.shape[0], *lengths, rows), frame.dtype)
    for place in np.ndindex(*moving):
        if offsets.inside is None or offsets.inside[_at(place, offsets.inside.shape)]:
            matrix = weights[tuple(int(offset[_at(place, offset.shape)]) for offset in offsets.offsets)]
            block = _block(place, moving)
            x = operand[_block(place, tuple(min(m, s) for m, s in zip(moving, operand.shape[1:-1], strict=True)))]
            out[block] = _product(x, matrix if instruction.transposed else matrix.T)
    return out if frame.vector(instruction.target) else out[..., 0]


def _at(place: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(k, length - 1) for k, length in zip(place, shape, strict=True))


def _block(place: tuple[int, ...], moving: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the slices that fix the position on the axes along which the weights change, and keep the others whole."""
    fixed = (slice(k, k + 1) if length > 1 else slice(None) for k, length in zip(place, moving, strict=True))
    return (slice(None), *fixed)


def _product(x: Array, matrix: Array) -> Array:
    """Return x @ matrix as one matrix product over all samples and positions."""
    return (x.reshape(-1, x.shape[-1]) @ matrix).reshape(*x.shape[:-1], matrix.shape[-1])


@compute.register
def _(instruction: Map, env: Mapping[str, Value], frame: Frame) -> Array:
    axes, vector = frame.axes(instruction.target), frame.vector(instruction.target)
    operands = [align(env[name], axes, vector) for name in instruction.operands]
    if isinstance(instruction.expression, Operand):
        return operands[instruction.expression.index]
    positions = _positions(instruction, axes, vector, frame)
    result = evaluate(instruction.expression, operands, frame.grid.sizes, positions)
    array = np.asarray(result, dtype=frame.dtype)
    return array if array.ndim else array.reshape((1,) * (1 + len(axes) + vector))


def _positions(instruction: Map, axes: tuple[str, ...], vector: bool, frame: Frame) -> dict[str, Any]:
    """Return the values of the indices that occur in a map: the step of a scan, or an array along the axis."""
    names = {node.axis for node in walk(instruction.expression) if isinstance(node, Position)}
    found: dict[str, Any] = {axis: frame.grid.steps[axis] for axis in names if axis in frame.grid.steps}
    for axis in names - found.keys():
        values = Value(frame.grid.coordinates(axis).astype(frame.dtype)[None], (axis,), vector=False)
        found[axis] = align(values, axes, vector)
    return found


def _spread(name: str, axes: tuple[str, ...], env: Mapping[str, Value], frame: Frame) -> Value:
    """Return a value with `axes` added in front where it lacks them."""
    value = env[name]
    every = (*(axis for axis in axes if axis not in value.axes), *value.axes)
    array = align(value, every, value.vector)
    tail = array.shape[1 + len(every) :]
    full = np.broadcast_to(array, (array.shape[0], *frame.grid.shape(every), *tail))
    return Value(full, every, value.vector)


@compute.register
def _(instruction: Sum, env: Mapping[str, Value], frame: Frame) -> Array:
    value = env[instruction.operand]
    places = tuple(1 + value.axes.index(axis) for axis in instruction.axes if axis in value.axes)
    absent = [frame.grid.extents[axis] for axis in instruction.axes if axis not in value.axes]
    rest = tuple(axis for axis in value.axes if axis not in instruction.axes)
    total = value.array.sum(axis=places) if places else value.array
    factor = int(np.prod(absent, dtype=np.int64))
    reduced = Value(total if factor == 1 else total * factor, rest, value.vector)
    return align(reduced, frame.axes(instruction.target), frame.vector(instruction.target))


@compute.register
def _(instruction: Max, env: Mapping[str, Value], frame: Frame) -> Array:
    value = env[instruction.operand]
    places = tuple(1 + value.axes.index(axis) for axis in instruction.axes if axis in value.axes)
    rest = tuple(axis for axis in value.axes if axis not in instruction.axes)
    reduced = Value(value.array.max(axis=places) if places else value.array, rest, value.vector)
    return align(reduced, frame.axes(instruction.target), frame.vector(instruction.target))


@compute.register
def _(instruction: First, env: Mapping[str, Value], frame: Frame) -> Array:
    value = _spread(instruction.operand, instruction.axes, env, frame)
    order = (*instruction.axes, *(axis for axis in value.axes if axis not in instruction.axes))
    array = align(value, order, value.vector)
    count = len(instruction.axes)
    flat = array.reshape(array.shape[0], -1, *array.shape[1 + count :])
    winner = flat.argmax(axis=1, keepdims=True)
    places = np.arange(flat.shape[1]).reshape(1, -1, *(1,) * (flat.ndim - 2))
    chosen = (places == winner).astype(frame.dtype).reshape(array.shape)
    return align(Value(chosen, order, value.vector), frame.axes(instruction.target), frame.vector(instruction.target))


@compute.register
def _(instruction: Softmax, env: Mapping[str, Value], frame: Frame) -> Array:
    value = _spread(instruction.operand, (instruction.axis,), env, frame)
    place = 1 + value.axes.index(instruction.axis)
    powers = np.exp(value.array - value.array.max(axis=place, keepdims=True))
    shares = Value(powers / powers.sum(axis=place, keepdims=True), value.axes, value.vector)
    return align(shares, frame.axes(instruction.target), frame.vector(instruction.target))


@compute.register
def _(instruction: Moment, env: Mapping[str, Value], frame: Frame) -> Array:
    value = env[instruction.operand]
    average = Value(value.array.mean(axis=-1), value.axes, vector=False)
    return align(average, frame.axes(instruction.target), vector=False)
