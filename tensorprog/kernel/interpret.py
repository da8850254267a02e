"""The meaning of the kernel IR, in plain numpy: the sample program over N samples, the pair program over a block.

Slow and obvious. Values of the sample program are arrays (N,); in the pair program what belongs to the left sample is
(N1, 1), to the right (1, N2), and to the pair (N1, N2), so numpy's broadcasting is the whole story. An indexed
quantity is one array per value of its indices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce, singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from tensorprog.dual.numeric import SPECIALS
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.ir import (
    Const,
    Copy,
    Expectation,
    KernelIR,
    Let,
    Op,
    Parameter,
    Position,
    Ref,
    Result,
    Scalar,
    Statement,
    ranges,
    reads,
)
from tensorprog.kernel.storage import find_histories

__all__ = [
    "NUMPY",
    "Observer",
    "Samples",
    "Scope",
    "evaluate",
    "interpret_diagonal",
    "interpret_pair",
    "interpret_sample",
    "needed",
]

Array = npt.NDArray[np.float64]
Key = tuple[str, tuple[int, ...]]
Observer = Callable[[str, tuple[int, ...], Any], None]
"""Told of every definition: its name, the values of its indices, and its value."""


def _add(*terms: Any) -> Any:
    return reduce(np.add, terms)


def _multiply(*factors: Any) -> Any:
    return reduce(np.multiply, factors)


NUMPY: Mapping[str, Callable[..., Any]] = {
    "add": _add,
    "mul": _multiply,
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
    "erf": special.erf,
    "erfc": special.erfc,
    "abs": np.abs,
    "sign": np.sign,
    "max": lambda *args: reduce(np.maximum, args),
    "min": lambda *args: reduce(np.minimum, args),
    **{function.__name__: value for function, value in SPECIALS.items()},
}
"""What every operator means."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What the sample program computed: an array (count,) for every quantity and every value of its indices."""

    count: int
    values: Mapping[Key, Array]

    def block(self, rows: slice, names: frozenset[str]) -> Samples:
        """Return the quantities `names` of some of the samples."""
        start, stop, _ = rows.indices(self.count)
        return Samples(stop - start, {key: value[rows] for key, value in self.values.items() if key[0] in names})


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything that an expression may read."""

    values: Mapping[Copy, dict[Key, Any]]
    parameters: Mapping[str, float]
    numerics: Numerics
    shape: tuple[int, ...]
    observer: Observer | None = None
    forgotten: frozenset[str] = frozenset()
    positions: dict[str, int] = field(default_factory=dict)

    def define(self, let: Let) -> None:
        """Compute one definition and keep it."""
        key = let.name, tuple(index.at(self.positions) for index in let.indices)
        if isinstance(let.value, Expectation):
            value = self.numerics.expectation(let.name, let.value, [evaluate(arg, self) for arg in let.value.args])
        else:
            value = evaluate(let.value, self)
        self.values[Copy.OWN][key] = value
        if self.observer is not None:
            self.observer(*key, value)

    def forget(self, statements: tuple[Statement, ...], position: int) -> None:
        """Drop the values at one position of a loop that nothing reads any more."""
        for let in statements:
            if isinstance(let, Let) and let.name in self.forgotten:
                self.values[Copy.OWN].pop((let.name, (position,)), None)


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
    return np.float64(scope.positions[scalar.index])


@evaluate.register
def _(scalar: Ref, scope: Scope) -> Any:
    return scope.values[scalar.copy][scalar.name, tuple(index.at(scope.positions) for index in scalar.indices)]


@evaluate.register
def _(scalar: Op, scope: Scope) -> Any:
    return NUMPY[scalar.operator](*(evaluate(arg, scope) for arg in scalar.args))


def _run(statements: tuple[Statement, ...], scope: Scope) -> None:
    for statement in statements:
        if isinstance(statement, Let):
            scope.define(statement)
            continue
        for let in statement.initial:
            scope.define(let)
        for position in range(statement.first, statement.last + 1):
            scope.positions[statement.index] = position
            _run(statement.body, scope)
            scope.forget(statement.body, position - 1)
        scope.positions.pop(statement.index, None)


def _filled(value: Any, shape: tuple[int, ...]) -> Array:
    return np.array(np.broadcast_to(value, shape), dtype=np.float64)


def interpret_sample(
    ir: KernelIR,
    inputs: Mapping[str, Array],
    count: int,
    parameters: Mapping[str, float],
    numerics: Numerics,
    observer: Observer | None = None,
) -> Samples:
    """Run the sample program.

    Args:
        ir: the program.
        inputs: the diagonals ⟨u(x), u(x)⟩ of its grams and the values of its data, arrays (N,), by name.
        count: the number of samples N.
        parameters: the values of its constants and sizes, by name.
        numerics: computes its numerical expectations.
        observer: is told of every definition.
    """
    own: dict[Key, Any] = {(name, ()): value for name, value in inputs.items()}
    scope = Scope({Copy.OWN: own}, parameters, numerics, (count,), observer)
    with np.errstate(all="ignore"):
        _run(ir.sample, scope)
    return Samples(count, {key: _filled(value, (count,)) for key, value in own.items()})


def interpret_diagonal(ir: KernelIR, result: Result, samples: Samples, parameters: Mapping[str, float]) -> Array:
    """Return the diagonal (N,) of one result, from the sample program alone."""
    scope = Scope({Copy.OWN: dict(samples.values)}, parameters, Numerics(ir.functions, parameters), (samples.count,))
    with np.errstate(all="ignore"):
        return _filled(evaluate(result.diagonal, scope), (samples.count,))


def interpret_pair(
    ir: KernelIR,
    grams: Mapping[str, Array],
    left: Samples,
    right: Samples,
    parameters: Mapping[str, float],
    numerics: Numerics,
    observer: Observer | None = None,
) -> Array:
    """Run the pair program on a block and return its results, an array (results, N1, N2).

    Args:
        ir: the program.
        grams: the inner products ⟨u(x), u(x′)⟩ of the block, arrays (N1, N2), by name.
        left: what the sample program computed for the N1 samples x.
        right: the same for the N2 samples x′.
        parameters: the values of its constants and sizes, by name.
        numerics: computes its numerical expectations.
        observer: is told of every definition.
    """
    shape = (left.count, right.count)
    values: dict[Copy, dict[Key, Any]] = {
        Copy.OWN: {(name, ()): gram for name, gram in grams.items()},
        Copy.LEFT: {key: value[:, None] for key, value in left.values.items()},
        Copy.RIGHT: {key: value[None, :] for key, value in right.values.items()},
    }
    forgotten = frozenset(ranges(ir.pair)) - find_histories(ir.pair, (result.pair for result in ir.results))
    scope = Scope(values, parameters, numerics, shape, observer, forgotten)
    with np.errstate(all="ignore"):
        _run(ir.pair, scope)
        return np.stack([_filled(evaluate(result.pair, scope), shape) for result in ir.results])


def needed(ir: KernelIR, copy: Copy) -> frozenset[str]:
    """Return the names of the quantities that the pair program reads of one side."""
    return frozenset(reads(ir, copy))
