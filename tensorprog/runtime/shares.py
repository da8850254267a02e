"""Where sums of shares are read, as a table for compiled code (`runtime.near`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tensorprog.codegen.arrays.requests import SharePlan
from tensorprog.kernel.domain import Domain, Integers
from tensorprog.kernel.extents import Extents
from tensorprog.kernel.ir import Copy, Place

__all__ = ["share_plan"]


def share_plan(
    request: SharePlan,
    domain: Callable[[str], Domain],
    sides: Mapping[Copy, Mapping[str, Domain]],
    extents: Extents,
) -> Integers:
    """Return the table of a request.

    Args:
        request: what is read.
        domain: gives the entries of an array of the pair.
        sides: the entries of the arrays of either sample, which are stored with all positions.
        extents: the sizes of axes.
    """
    target = domain(request.array)
    bound = _values(request, extents)
    count = math.prod(extents.of(index)[1] for index in request.bound)
    head, tables = [len(target.components), count, 0], list[Integers]()
    for dimensions, component in zip(target.dimensions, target.components, strict=True):
        symbols = [request.symbols[dimension] for dimension in dimensions]
        entries = dict(zip(symbols, component.entries(), strict=True))
        head += [component.count, len(tables), len(tables) + 1]
        tables += [
            _offsets(places, sides[copy][request.share], entries, component.count)
            for copy, places in ((Copy.LEFT, request.left), (Copy.RIGHT, request.right))
        ]
    if request.source:
        source = domain(request.source)
        head[2] = len(source.components)
        for number, dimensions in enumerate(source.dimensions):
            owner = _owner(request, target, [request.places[dimension] for dimension in dimensions])
            head += [owner, source.strides[number], len(tables)]
            tables.append(_taps(request, target, owner, source, number, bound, count, extents))
    starts = len(head) + np.cumsum([0, *(len(table) for table in tables)])
    for place in range(len(target.components)):
        for entry in (3 + 3 * place + 1, 3 + 3 * place + 2):
            head[entry] = int(starts[head[entry]])
    for place in range(len(target.components), (len(head) - 3) // 3):
        head[3 + 3 * place + 2] = int(starts[head[3 + 3 * place + 2]])
    return np.concatenate([np.array(head, dtype=np.int64), *tables])


def _values(request: SharePlan, extents: Extents) -> dict[str, Integers]:
    """Return the values of the bound indices, row-major."""
    ranges = [extents.of(index) for index in request.bound]
    shape = tuple(extent for _, extent in ranges)
    numbers = np.unravel_index(np.arange(math.prod(shape), dtype=np.int64), shape) if shape else ()
    return {
        index.symbol: values + start for index, values, (start, _) in zip(request.bound, numbers, ranges, strict=True)
    }


def _offsets(places: tuple[Place, ...], side: Domain, entries: Mapping[str, Integers], count: int) -> Integers:
    """Return what the rows of a component add to the place of a quantity of one sample, stored row-major."""
    total, stride = np.zeros(count, dtype=np.int64), 1
    for place, (start, extent) in reversed(list(zip(places, side.ranges, strict=True))):
        if place.plain in entries:
            total = total + stride * (entries[str(place.plain)] - start)
        stride *= extent
    return total


def _owner(request: SharePlan, target: Domain, places: list[Place]) -> int:
    """Return the component of the target whose indices stand in some places."""
    names = {name for place in places for name, _ in place.terms}
    for number, dimensions in enumerate(target.dimensions):
        if names & {request.symbols[dimension] for dimension in dimensions}:
            return number
    return 0


def _taps(
    request: SharePlan,
    target: Domain,
    owner: int,
    source: Domain,
    number: int,
    bound: Mapping[str, Integers],
    count: int,
    extents: Extents,
) -> Integers:
    """Return the row of a component of the source for every row of one of the target and every b."""
    dimensions = source.dimensions[number]
    component = target.components[owner]
    symbols = [request.symbols[dimension] for dimension in target.dimensions[owner]]
    values: dict[str, Any] = dict(extents.values)
    values |= {name: entries[:, None] for name, entries in zip(symbols, component.entries(), strict=True)}
    values |= {name: entries[None, :] for name, entries in bound.items()}
    places: list[Any] = [0] * len(source.ranges)
    for dimension in dimensions:
        places[dimension] = np.asarray(request.places[dimension].at(values))
    wrapped = source.wrap(places)
    rows = source.components[number].row(*(wrapped[dimension] for dimension in dimensions))
    return np.ascontiguousarray(np.broadcast_to(rows, (component.count, count)), dtype=np.int64).ravel()
