"""The points at which an array is computed, and where the arrays that it reads have their entries for these points.

A `Grid` holds the values of all indices at some points: an array (points,) for each index of a definition, and for sums
(bound, 1) for each index that is summed over, so that what is read at the points is (…, points) or (…, bound, points).
Where a reference reads is found once and remembered, for every domain and place; a step of a scan reads a part of it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.kernel.domain import Domain, Domains, Integers
from tensorprog.kernel.extents import Extents, Sizes, find_extents
from tensorprog.kernel.ir import AxisIndex, Copy, Definition, KernelIR, Place, Ref

__all__ = ["Gather", "Grid", "Space", "Step", "pair_space", "sample_space"]

_REMEMBERED = 1 << 26
"""How many places of entries one space remembers."""

Step = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Gather:
    """The numbers of the entries that are read at some points, and which of these points are out of range."""

    index: npt.NDArray[np.int32]
    outside: npt.NDArray[np.bool_] | None

    def read(self, array: Any) -> Any:
        """Return the entries of an array (…, entries), zero out of range."""
        if array.shape[-1] == 0:
            return np.zeros((*array.shape[:-1], *self.index.shape))
        taken = np.take(array, self.index, axis=-1)
        return taken if self.outside is None else np.where(self.outside, 0.0, taken)

    def part(self, rows: Integers) -> Gather:
        """Return what is read at some of the points: the same if all points read the same."""
        if self.index.shape[-1] == 1:
            return self
        return Gather(self.index[..., rows], None if self.outside is None else self.outside[..., rows])


@dataclass(frozen=True, eq=False)
class Space:
    """Where the arrays of one program live.

    `domains` are those of the quantities by copy and name, `extents` what the axes and the sizes are.
    """

    domains: Mapping[Copy, Mapping[str, Domain]]
    extents: Extents
    grids: dict[Hashable, Grid] = field(default_factory=dict)
    steps: dict[Hashable, Mapping[Step, Integers]] = field(default_factory=dict)
    remembered: list[int] = field(default_factory=lambda: [0])

    @property
    def is_sample(self) -> bool:
        """Whether this is the sample program's."""
        return Copy.LEFT not in self.domains

    def domain(self, name: str) -> Domain:
        """Return the domain of a quantity of the program's own, with one entry if it has no axes."""
        return self.domains[Copy.OWN].get(name, _POINT)

    def grid(self, definition: Definition) -> Grid:
        """Return the entries of a definition."""
        domain = self.domain(definition.name)
        key = definition.axes, domain
        if key not in self.grids:
            symbols = [index.symbol for index in definition.axes]
            positions = dict(zip(symbols, domain.positions(), strict=True))
            self.grids[key] = Grid(self, definition.axes, positions, (domain.count,), _outline(symbols, domain))
        return self.grids[key]

    def full(self, axes: tuple[AxisIndex, ...]) -> Grid:
        """Return all positions of some indices, row-major."""
        if axes not in self.grids:
            point = Grid(self, axes, {}, (1,))
            self.grids[axes] = point.summed(axes, 0, None).flat() if axes else point
        return self.grids[axes]

    def steps_of(
        self, definition: Definition, left: str | None, right: str | None, steps: tuple[Step, ...]
    ) -> tuple[Grid, Integers]:
        """Return the entries of a definition at some steps of a sweep over the indices `left` and `right`."""
        grid = self.grid(definition)
        known = self.step_rows(definition, left, right)
        found = [known[step] for step in steps if step in known]
        rows = np.concatenate(found) if len(found) > 1 else found[0] if found else _NOTHING
        return grid.part(rows, ("steps", left, right, steps[:1], steps[-1:], len(steps))), rows

    def step_rows(self, definition: Definition, left: str | None, right: str | None) -> Mapping[Step, Integers]:
        """Return for every step of a sweep the entries of a definition, None for an index that it does not have."""
        key = definition.axes, self.domain(definition.name), left, right
        if key not in self.steps:
            self.steps[key] = _rows_of_steps(self.grid(definition), left, right)
        return self.steps[key]

    def may_remember(self, entries: int) -> bool:
        """Tell whether there is room for so many more places, and take it."""
        if self.remembered[0] + entries > _REMEMBERED:
            return False
        self.remembered[0] += entries
        return True


@dataclass(frozen=True)
class Outline:
    """Points as the product of the components of a domain: `shape` has a dimension for each of them.

    The positions broadcast to it, so that where a reference reads is found component by component.
    """

    positions: Mapping[str, Integers]
    shape: tuple[int, ...]

    def summed(self, values: Mapping[str, Integers]) -> Outline:
        """Return the same with a first dimension for indices that are summed over."""
        (count,) = {len(value) for value in values.values()}
        bound = {name: value.reshape(-1, *(1 for _ in self.shape)) for name, value in values.items()}
        return Outline({**self.positions, **bound}, (count, *self.shape))


@dataclass(frozen=True, eq=False)
class Grid:
    """Points: the values of the indices there, arrays that broadcast to `shape`; `axes` are the indices of the points.

    The points may be a product, with an `outline`, or the `rows` of those of another grid, its `whole`.
    """

    space: Space
    axes: tuple[AxisIndex, ...]
    positions: Mapping[str, Integers]
    shape: tuple[int, ...]
    outline: Outline | None = None
    whole: Grid | None = None
    rows: Integers | None = None
    gathers: dict[tuple[int, tuple[Place, ...]], Gather | None] = field(default_factory=dict)
    grids: dict[Hashable, Grid] = field(default_factory=dict)
    projections: dict[Hashable, tuple[Grid, Integers]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of points (but for the indices that are summed over)."""
        return self.shape[-1]

    def at(self, place: Place) -> Any:
        """Return the position that a place stands for at every point."""
        return place.at({**self.space.extents.values, **self.positions})

    def read(self, value: Any, ref: Ref) -> Any:
        """Return a quantity at the points: zero out of range, the same everywhere if it has no axes."""
        domain = self.space.domains[ref.copy].get(ref.name)
        if domain is None or not domain.axes:
            return np.asarray(value)[(..., *(None,) * len(self.shape))]
        gather = self.gather(domain, ref.places)
        return value if gather is None else gather.read(value)

    def gather(self, domain: Domain, places: tuple[Place, ...]) -> Gather | None:
        """Return where an array over `domain` is read, None if its entries are the points."""
        key = id(domain), places
        if key not in self.gathers:
            found = self._part(domain, places) if self.whole is not None else self._find(domain, places)
            if found is not None and not self.space.may_remember(found.index.size):
                return found
            self.gathers[key] = found
        return self.gathers[key]

    def _part(self, domain: Domain, places: tuple[Place, ...]) -> Gather | None:
        assert self.whole is not None and self.rows is not None
        found = self.whole.gather(domain, places)
        if found is not None:
            return found.part(self.rows)
        return Gather(self.rows.astype(np.int32), None)

    def _find(self, domain: Domain, places: tuple[Place, ...]) -> Gather | None:
        index = self._index(domain, places)
        if index.shape == self.shape == (domain.count,) and np.array_equal(index, np.arange(domain.count)):
            return None
        outside = index < 0
        return Gather(np.maximum(index, 0).astype(np.int32), outside if outside.any() else None)

    def _index(self, domain: Domain, places: tuple[Place, ...]) -> Integers:
        """Return the numbers of the entries that are read, of length 1 in dimensions on which they do not depend."""
        rank = len(self.shape)
        if self.outline is None:
            index = domain.find([self.at(place) for place in places])
            return index.reshape((1,) * (rank - index.ndim) + index.shape)
        positions = {**self.space.extents.values, **self.outline.positions}
        index = domain.find([place.at(positions) for place in places])
        bound = rank - 1
        index = index.reshape((1,) * (len(self.outline.shape) - index.ndim) + index.shape)
        if any(length > 1 for length in index.shape[bound:]):
            index = np.broadcast_to(index, (*index.shape[:bound], *self.outline.shape[bound:]))
        return index.reshape(*index.shape[:bound], -1)

    def part(self, rows: Integers, key: Hashable) -> Grid:
        """Return some of the points; `key` says which."""
        if key not in self.grids:
            positions = {name: values[..., rows] for name, values in self.positions.items()}
            self.grids[key] = Grid(self.space, self.axes, positions, (*self.shape[:-1], len(rows)), None, self, rows)
        return self.grids[key]

    def some(self, rows: Integers) -> Grid:
        """Return some of the points, for one use."""
        positions = {name: values[..., rows] for name, values in self.positions.items()}
        return Grid(self.space, self.axes, positions, (*self.shape[:-1], len(rows)))

    def summed(self, bound: tuple[AxisIndex, ...], start: int, stop: int | None) -> Grid:
        """Return the points together with some values of the bound indices, numbers start … stop − 1 row-major."""
        key = bound, start, stop
        if key not in self.grids:
            ranges = [self.space.extents.of(index) for index in bound]
            extents = tuple(extent for _, extent in ranges)
            numbers = np.arange(start, math.prod(extents) if stop is None else stop, dtype=np.int64)
            values = np.unravel_index(numbers, extents)
            added = {
                index.symbol: value + first for index, (first, _), value in zip(bound, ranges, values, strict=True)
            }
            positions = {name: values[None, :] for name, values in self.positions.items()}
            positions |= {name: value[:, None] for name, value in added.items()}
            outline = None if self.outline is None else self.outline.summed(added)
            self.grids[key] = Grid(self.space, self.axes, positions, (len(numbers), self.count), outline)
        return self.grids[key]

    def flat(self) -> Grid:
        """Return the points of sums as points of their own."""
        positions = {name: np.broadcast_to(values, self.shape).ravel() for name, values in self.positions.items()}
        return Grid(self.space, self.axes, positions, (math.prod(self.shape),))

    def projected(self, names: frozenset[str]) -> tuple[Grid, Integers]:
        """Return points at which the indices `names` take all their values once, and which of them every point is."""
        if names not in self.projections:
            numbers = np.zeros(self.shape, dtype=np.int64)
            for name, values in self.positions.items():
                if name in names and values.size:
                    low = values.min()
                    numbers = numbers * (values.max() - low + 1) + (values - low)
            _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
            self.projections[names] = self.part(first, ("projected", names)), inverse.reshape(self.shape)
        return self.projections[names]


def sample_space(ir: KernelIR, domains: Mapping[str, Domain], sizes: Sizes) -> Space:
    """Return the space of the sample program on data that bind `sizes`."""
    return Space({Copy.OWN: _interned(domains)}, find_extents(ir, sizes, sizes))


def pair_space(ir: KernelIR, domains: Domains, left: Sizes, right: Sizes) -> Space:
    """Return the space of the pair program on data that bind the sizes `left` and `right`."""
    owners = {Copy.OWN: domains.pair, Copy.LEFT: domains.sample_left, Copy.RIGHT: domains.sample_right}
    return Space({copy: _interned(found) for copy, found in owners.items()}, find_extents(ir, left, right))


def _interned(domains: Mapping[str, Domain]) -> Mapping[str, Domain]:
    """Return the domains, equal layouts as one object."""
    known: dict[Hashable, Domain] = {}
    return {
        name: known.setdefault((domain.components, domain.dimensions, domain.circular), domain)
        for name, domain in domains.items()
    }


def _outline(symbols: list[str], domain: Domain) -> Outline:
    positions, rank = {}, len(domain.components)
    for number, (component, dimensions) in enumerate(zip(domain.components, domain.dimensions, strict=True)):
        shape = tuple(-1 if place == number else 1 for place in range(rank))
        for dimension, values in zip(dimensions, component.entries(), strict=True):
            positions[symbols[dimension]] = values.reshape(shape)
    return Outline(positions, tuple(component.count for component in domain.components))


def _rows_of_steps(grid: Grid, left: str | None, right: str | None) -> Mapping[Step, Integers]:
    if grid.count == 0:
        return {}
    columns = [None if name is None else grid.positions.get(name) for name in (left, right)]
    keys = [column for column in columns if column is not None]
    order = np.lexsort(keys[::-1]) if keys else np.arange(grid.count)
    changes = [np.flatnonzero(np.diff(key[order])) + 1 for key in keys]
    parts = np.split(order, np.unique(np.concatenate([*changes, _NOTHING])))
    return {_step(columns, int(rows[0])): rows for rows in parts}


def _step(columns: list[Integers | None], row: int) -> Step:
    left, right = (None if column is None else int(column[row]) for column in columns)
    return left, right


_POINT = Domain((), (), (), ())
_NOTHING: Integers = np.zeros(0, dtype=np.int64)
