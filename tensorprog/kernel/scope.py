"""What expressions of the kernel IR mean, in plain numpy.

The value of a quantity without axes is an array over samples, or over pairs of samples, of the shape that the scope
says: (N,), (N1, N2). That of an array has one more dimension, for the entries of its domain. A `Scope` with a grid
evaluates at its points, and the values that it returns have the dimensions of the grid last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce, singledispatch
from typing import Any

import numpy as np

from tensorprog.dual.values import VALUES
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.grid import Grid, Space
from tensorprog.kernel.ir import (
    AxisIndex,
    Const,
    Copy,
    Definition,
    Delta,
    Op,
    Parameter,
    Place,
    Position,
    Ref,
    Scalar,
    Statement,
    Within,
    definitions,
)
from tensorprog.nonlin import special

__all__ = ["NUMPY", "Key", "Observer", "Scope", "evaluate", "multiply", "value_of"]

Key = tuple[str, tuple[int, ...]]
Observer = Callable[[str, tuple[int, ...], Any], None]
"""Told of every definition: its name, the values of its indices, and its value."""


def _add(*terms: Any) -> Any:
    return reduce(np.add, terms)


def multiply(*factors: Any) -> Any:
    """Return the product of one or more factors."""
    return reduce(np.multiply, factors)


NUMPY: Mapping[str, Callable[..., Any]] = {
    "add": _add,
    "mul": multiply,
    "sub": np.subtract,
    "div": np.divide,
    "neg": np.negative,
    "pow": np.power,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "erf": lambda u: special.erf(u),
    "erfc": lambda u: special.erfc(u),
    "abs": np.abs,
    "sign": np.sign,
    "max": lambda *args: reduce(np.maximum, args),
    "min": lambda *args: reduce(np.minimum, args),
    **VALUES,
}
"""What every operator means."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything that an expression may read.

    Attributes:
        values: the values of the quantities known so far.
        parameters: those of constants and sizes.
        numerics: computes numerical expectations.
        shape: the samples or pairs, (N,) or (N1, N2), that quantities have values for.
        observer: is told of every definition.
        forgotten: quantities of loops of which only the last two values are kept.
        positions: the values of the indices of the loops around.
        space: where arrays live, None if there are none.
        grid: the points at which arrays are evaluated.
    """

    values: Mapping[Copy, dict[Key, Any]]
    parameters: Mapping[str, float]
    numerics: Numerics
    shape: tuple[int, ...]
    observer: Observer | None = None
    forgotten: frozenset[str] = frozenset()
    positions: dict[str, int] = field(default_factory=dict)
    space: Space | None = None
    grid: Grid | None = None

    def define(self, definition: Definition) -> None:
        """Compute one definition and keep it."""
        scope = self
        if definition.axes and self.space is not None:
            scope = self.on(self.space.grid(definition))
        self.keep(definition, value_of(definition, scope))

    def key(self, definition: Definition) -> Key:
        """Return what the value of a definition is kept under."""
        return definition.name, tuple(index.at(self.positions) for index in definition.indices)

    def keep(self, definition: Definition, value: Any) -> None:
        """Keep the value of a definition."""
        key = self.key(definition)
        self.values[Copy.OWN][key] = value
        if self.observer is not None:
            self.observer(*key, value)

    def forget(self, statements: tuple[Statement, ...], position: int) -> None:
        """Drop the values at one position of a loop that nothing reads any more."""
        for definition in definitions(statements):
            if definition.name in self.forgotten and len(definition.indices) == 1:
                self.values[Copy.OWN].pop((definition.name, (position,)), None)

    def on(self, grid: Grid) -> Scope:
        """Return the scope at the points of a grid."""
        return replace(self, grid=grid)

    def at(self, place: Place) -> Any:
        """Return the position that a place stands for."""
        if self.grid is not None:
            return self.grid.at(place)
        return place.at({} if self.space is None else self.space.extents.values)

    def spread(self, value: Any) -> Any:
        """Return a value with one entry for every point, if there is a grid."""
        if self.grid is None:
            return value
        value = np.asarray(value)
        return np.broadcast_to(value, (*value.shape[:-1], self.grid.count))


@singledispatch
def evaluate(scalar: Scalar, scope: Scope) -> Any:
    """Return the value of a scalar expression."""
    raise NotImplementedError(f"{type(scalar).__name__} has no meaning")


@evaluate.register
def _(scalar: Const, scope: Scope) -> Any:
    return np.float64(scalar.value)


@evaluate.register
def _(scalar: Parameter, scope: Scope) -> Any:
    return np.float64(scope.parameters[scalar.name])


@evaluate.register
def _(scalar: Position, scope: Scope) -> Any:
    if scope.grid is not None and scalar.index in scope.grid.positions:
        return scope.grid.positions[scalar.index].astype(np.float64)
    return np.float64(scope.positions[scalar.index])


@evaluate.register
def _(scalar: Ref, scope: Scope) -> Any:
    value = scope.values[scalar.copy][scalar.name, tuple(index.at(scope.positions) for index in scalar.indices)]
    return value if scope.grid is None else scope.grid.read(value, scalar)


@evaluate.register
def _(scalar: Op, scope: Scope) -> Any:
    return NUMPY[scalar.operator](*(evaluate(arg, scope) for arg in scalar.args))


@evaluate.register
def _(scalar: Delta, scope: Scope) -> Any:
    return np.asarray(scope.at(scalar.left) == scope.at(scalar.right), dtype=np.float64)


@evaluate.register
def _(scalar: Within, scope: Scope) -> Any:
    assert scope.space is not None
    start, extent = scope.space.extents.of(AxisIndex("", scalar.axis, scalar.copy))
    place = np.asarray(scope.at(scalar.place))
    return np.asarray((place >= start) & (place < start + extent), dtype=np.float64)


@singledispatch
def value_of(definition: Definition, scope: Scope) -> Any:
    """Return the value of a definition, at the points of the grid if it has axes."""
    raise NotImplementedError(f"{type(definition).__name__} defines nothing")
