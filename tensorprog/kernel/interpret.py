"""Running the kernel IR in plain numpy: the sample program over N samples, the pair program over a block.

Slow and obvious. Values of the sample program are arrays (N,); in the pair program what belongs to the left sample is
(N1, 1), to the right (1, N2), and to the pair (N1, N2), so numpy's broadcasting is the whole story. Arrays over axes
have the entries of their domain as a further dimension. An indexed quantity is one value per value of its indices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.kernel.arrays import value_of
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.grid import Space
from tensorprog.kernel.ir import Contract, Copy, KernelIR, Let, Loop, Result, Scalar, Statement, Sweep, ranges, reads
from tensorprog.kernel.scope import NUMPY, Key, Observer, Scope, evaluate
from tensorprog.kernel.storage import find_histories
from tensorprog.kernel.sweep import run_sweep

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
    "value_of",
]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Samples:
    """What the sample program computed, by quantity and values of its indices: arrays (count,) or (count, entries)."""

    count: int
    values: Mapping[Key, Array]

    def block(self, rows: slice, names: frozenset[str]) -> Samples:
        """Return the quantities `names` of some of the samples."""
        start, stop, _ = rows.indices(self.count)
        return Samples(stop - start, {key: value[rows] for key, value in self.values.items() if key[0] in names})


def _run(statements: tuple[Statement, ...], scope: Scope) -> None:
    for statement in statements:
        match statement:
            case Let() | Contract():
                scope.define(statement)
            case Sweep():
                run_sweep(statement, scope)
            case Loop():
                _run_loop(statement, scope)


def _run_loop(loop: Loop, scope: Scope) -> None:
    for definition in loop.initial:
        scope.define(definition)
    for position in range(loop.first, loop.last + 1):
        scope.positions[loop.index] = position
        _run(loop.body, scope)
        scope.forget(loop.body, position - 1)
    scope.positions.pop(loop.index, None)


def _filled(value: Any, shape: tuple[int, ...]) -> Array:
    return np.array(np.broadcast_to(value, shape), dtype=np.float64)


def _result(scalar: Scalar, result: Result, scope: Scope) -> Array:
    """Return a result, (…,) or for an output over axes (…, *axes)."""
    if not result.axes:
        return _filled(evaluate(scalar, scope), scope.shape)
    assert scope.space is not None
    grid = scope.space.full(result.axes)
    extents = tuple(scope.space.extents.of(index)[1] for index in result.axes)
    return _filled(evaluate(scalar, scope.on(grid)), (*scope.shape, grid.count)).reshape(*scope.shape, *extents)


def interpret_sample(
    ir: KernelIR,
    inputs: Mapping[str, Array],
    count: int,
    parameters: Mapping[str, float],
    numerics: Numerics,
    observer: Observer | None = None,
    space: Space | None = None,
) -> Samples:
    """Run the sample program.

    Args:
        ir: the program.
        inputs: the diagonals ⟨u(x), u(x)⟩ of its grams and the values of its data, (N,) or (N, entries), by name.
        count: the number of samples N.
        parameters: the values of its constants and sizes, by name.
        numerics: computes its numerical expectations.
        observer: is told of every definition.
        space: where its arrays live, if it has any.
    """
    own: dict[Key, Any] = {(name, ()): value for name, value in inputs.items()}
    scope = Scope({Copy.OWN: own}, parameters, numerics, (count,), observer, space=space)
    with np.errstate(all="ignore"):
        _run(ir.sample, scope)
    return Samples(count, {key: _filled(value, (count, *_tail(key, space))) for key, value in own.items()})


def _tail(key: Key, space: Space | None) -> tuple[int, ...]:
    return () if space is None or not space.domain(key[0]).axes else (space.domain(key[0]).count,)


def interpret_diagonal(
    ir: KernelIR, result: Result, samples: Samples, parameters: Mapping[str, float], space: Space | None = None
) -> Array:
    """Return the diagonal of one result, (N,) or (N, *axes), from the sample program alone."""
    own = {Copy.OWN: dict(samples.values)}
    scope = Scope(own, parameters, Numerics(ir.functions, parameters), (samples.count,), space=space)
    with np.errstate(all="ignore"):
        return _result(result.diagonal, result, scope)


def interpret_pair(
    ir: KernelIR,
    grams: Mapping[str, Array],
    left: Samples,
    right: Samples,
    parameters: Mapping[str, float],
    numerics: Numerics,
    observer: Observer | None = None,
    space: Space | None = None,
) -> Array:
    """Run the pair program on a block and return its results, an array (results, N1, N2) or (results, N1, N2, *axes).

    Args:
        ir: the program.
        grams: the inner products ⟨u(x), u(x′)⟩ of the block, arrays (N1, N2) or (N1, N2, entries), by name.
        left: what the sample program computed for the N1 samples x.
        right: the same for the N2 samples x′.
        parameters: the values of its constants and sizes, by name.
        numerics: computes its numerical expectations.
        observer: is told of every definition.
        space: where its arrays live, if it has any.
    """
    shape = (left.count, right.count)
    values: dict[Copy, dict[Key, Any]] = {
        Copy.OWN: {(name, ()): gram for name, gram in grams.items()},
        Copy.LEFT: {key: value[:, None] for key, value in left.values.items()},
        Copy.RIGHT: {key: value[None, :] for key, value in right.values.items()},
    }
    forgotten = frozenset(ranges(ir.pair)) - find_histories(ir.pair, (result.pair for result in ir.results))
    scope = Scope(values, parameters, numerics, shape, observer, forgotten, space=space)
    with np.errstate(all="ignore"):
        _run(ir.pair, scope)
        return np.stack([_result(result.pair, result, scope) for result in ir.results])


def needed(ir: KernelIR, copy: Copy) -> frozenset[str]:
    """Return the names of the quantities that the pair program reads of one side."""
    return frozenset(reads(ir, copy))
