"""What definitions mean: pointwise ones, sums over indices, and functions of a whole axis.

Sums take the bound indices a few values at a time, all points of the definition together, so that no more than
`_LARGEST` products are held.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np

from tensorprog.kernel.axes import is_right
from tensorprog.kernel.expectation import Laws
from tensorprog.kernel.gate import NEAR, find_gate, open_terms
from tensorprog.kernel.grid import Grid
from tensorprog.kernel.ir import (
    AxisIndex,
    Contract,
    Contraction,
    Expectation,
    Largest,
    Let,
    Position,
    Ref,
    Scalar,
    Softmax,
    walk,
)
from tensorprog.kernel.scope import Scope, evaluate, multiply, value_of

__all__ = ["value_of"]

_LARGEST = 1 << 21
"""How many products of a sum are held at once."""


@value_of.register
def _(definition: Let, scope: Scope) -> Any:
    value = definition.value
    if not isinstance(value, Expectation):
        return scope.spread(evaluate(value, scope))
    if scope.grid is None or value.kind != "PairExpectation":
        args = [scope.spread(evaluate(arg, scope)) for arg in value.args]
        return scope.numerics.expectation(definition.name, value, args)
    m1, m2, q1, q2, c = value.args
    left, right = _laws((m1, q1), scope, scope.grid), _laws((m2, q2), scope, scope.grid)
    return scope.numerics.entries(definition.name, value, left, right, scope.spread(evaluate(c, scope)))


def _laws(args: tuple[Scalar, Scalar], scope: Scope, grid: Grid) -> Laws:
    """Return the laws of one of two variables at all points of a grid, each only once."""
    points, numbers = grid.projected(_indices(args) & frozenset(grid.positions))
    mean, variance = np.broadcast_arrays(*(np.asarray(evaluate(arg, scope.on(points))) for arg in args))
    count = points.count
    mean, variance = (np.broadcast_to(law, (*law.shape[:-1], count)) for law in (mean, variance))
    first = np.arange(math.prod(mean.shape[:-1]), dtype=np.int64).reshape(*mean.shape[:-1], 1) * count
    return Laws(mean.ravel(), variance.ravel(), first + numbers)


def _indices(scalars: tuple[Scalar, ...]) -> frozenset[str]:
    """Return the names of the indices that expressions depend on."""
    nodes = [node for scalar in scalars for node in walk(scalar)]
    places = [place for node in nodes if isinstance(node, Ref) for place in node.places]
    names = {name for place in places for name, _ in place.terms}
    return frozenset(names | {node.index for node in nodes if isinstance(node, Position)})


@value_of.register
def _(definition: Contract, scope: Scope) -> Any:
    inner = scope if scope.grid is not None else _at_a_point(scope)
    gate = find_gate(definition)
    if gate is not None:
        found = _gated(definition, evaluate(gate, inner), inner)
        return found if scope.grid is not None else found[..., 0]
    total = inner.spread(reduce(np.add, (_sum(term, inner) for term in definition.terms), np.float64(0.0)))
    return total if scope.grid is not None else total[..., 0]


def _gated(definition: Contract, values: Any, scope: Scope) -> Any:
    """Return values, those below `NEAR` replaced by sums: these are taken at the points where there is one.

    Within one sample they vanish at points that have the same position twice.
    """
    assert scope.grid is not None
    terms = open_terms(definition)
    found = np.array(np.broadcast_to(scope.spread(values), (*scope.shape, scope.grid.count)))
    near = (found < NEAR).any(axis=tuple(range(found.ndim - 1)))
    if scope.grid.space.is_sample:
        same = _is_diagonal(definition.axes, scope.grid)
        found[..., same] = np.where(found[..., same] < NEAR, 0.0, found[..., same])
        near &= ~same
    rows = np.flatnonzero(near)
    if rows.size:
        inner = scope.on(scope.grid.some(rows))
        total = inner.spread(reduce(np.add, (_sum(term, inner) for term in terms), np.float64(0.0)))
        found[..., rows] = np.where(found[..., rows] < NEAR, total, found[..., rows])
    return found


def _is_diagonal(axes: tuple[AxisIndex, ...], grid: Grid) -> Any:
    """Tell at which points of a grid the indices of both copies agree."""
    sides = [[index for index in axes if is_right(index) is right] for right in (False, True)]
    same = np.ones(grid.count, dtype=np.bool_)
    for left, right in zip(*sides, strict=True):
        same &= np.broadcast_to(grid.positions[left.symbol] == grid.positions[right.symbol], grid.shape)
    return same


def _at_a_point(scope: Scope) -> Scope:
    assert scope.space is not None
    return scope.on(scope.space.full(()))


def _sum(term: Contraction, scope: Scope) -> Any:
    if not term.bound:
        return _product(term, scope)
    parts = (_sum_part(_product(term, inner), inner) for inner in _parts(term.bound, scope))
    return reduce(np.add, parts, np.float64(0.0))


def _product(term: Contraction, scope: Scope) -> Any:
    return multiply(*(evaluate(factor, scope) for factor in term.factors)) if term.factors else np.float64(1.0)


def _sum_part(product: Any, scope: Scope) -> Any:
    """Return the sum of products (…, bound, points) over the bound indices: one that does not depend on them counts."""
    assert scope.grid is not None
    bound = scope.grid.shape[0]
    if np.ndim(product) < 2 or product.shape[-2] != bound:
        product = np.asarray(product)
        return bound * (product[..., 0, :] if product.ndim > 1 else product)
    return product.sum(axis=-2)


def _parts(bound: tuple[AxisIndex, ...], scope: Scope) -> Iterator[Scope]:
    """Yield scopes with the values of the bound indices, some at a time."""
    grid = scope.grid
    assert grid is not None
    count = math.prod(grid.space.extents.of(index)[1] for index in bound)
    step = max(1, _LARGEST // max(1, math.prod(scope.shape) * grid.count))
    for start in range(0, count, step):
        yield scope.on(grid.summed(bound, start, min(start + step, count)))


@evaluate.register
def _(scalar: Softmax, scope: Scope) -> Any:
    grid = scope.grid
    assert grid is not None
    (index,) = (index for index in grid.axes if index.symbol == scalar.symbol)
    points, numbers = grid.projected(frozenset(grid.positions) - {scalar.symbol})
    inner = scope.on(points.summed((index,), 0, grid.space.extents.of(index)[1]))
    assert inner.grid is not None
    scores = np.asarray(evaluate(scalar.arg, inner))
    scores = np.broadcast_to(scores, (*scores.shape[:-2], *inner.grid.shape))
    highest = scores.max(axis=-2)
    total = np.exp(scores - highest[..., None, :]).sum(axis=-2)
    return np.exp(evaluate(scalar.arg, scope) - highest[..., numbers]) / total[..., numbers]


@evaluate.register
def _(scalar: Largest, scope: Scope) -> Any:
    outer = scope if scope.grid is not None else _at_a_point(scope)
    found = []
    for inner in _parts(scalar.bound, outer):
        assert inner.grid is not None
        values = np.asarray(evaluate(scalar.arg, inner))
        found.append(np.broadcast_to(values, (*values.shape[:-2], *inner.grid.shape)).max(axis=-2))
    largest = reduce(np.maximum, found)
    return largest if scope.grid is not None else largest[..., 0]
