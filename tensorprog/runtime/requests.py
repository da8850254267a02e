"""The numbers and tables that generated code for arrays asked for, once the data are bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce, singledispatchmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.arrays import requests as ask
from tensorprog.codegen.arrays.shapes import components
from tensorprog.kernel.domain import Band, Component, Domain, Domains, Integers, Span
from tensorprog.kernel.extents import Extents
from tensorprog.kernel.ir import Copy, KernelIR, Place, ranges
from tensorprog.runtime.coefficients import LawTables
from tensorprog.runtime.packing import Packing, dense_places
from tensorprog.runtime.shares import share_plan
from tensorprog.runtime.sparse import Matrix, find_matrix, identity, is_broken, segments, weights

__all__ = ["Resolver"]

_ALIGNMENT = 8
"""Arrays start at multiples of so many numbers."""

_POINT = Domain((), (), (), ())


class Resolver:
    """Answers the requests of one generated source for data of given sizes."""

    def __init__(self, ir: KernelIR, plan: ask.ArrayPlan, domains: Domains, extents: Extents) -> None:
        self.ir, self.plan, self.extents = ir, plan, extents
        self.pair = join_domains(domains.pair, plan.groups)
        self.sides = {Copy.LEFT: domains.sample_left, Copy.RIGHT: domains.sample_right}
        self.depths: Mapping[str, int] = {}
        bounds = ranges(ir.sample)
        self.packings = {copy: Packing(side, bounds, self._find_dense(copy, side)) for copy, side in self.sides.items()}
        self.offsets: dict[object, int] = {}
        self.work_size = 0
        self._matrices: dict[ask.Mode, Matrix] = {}
        self.laws = {copy: LawTables(plan.series, self.domain, copy) for copy in (Copy.LEFT, Copy.RIGHT)}
        for name, axes in plan.shapes.items():
            assert self.domain(name).dimensions == components(axes), "codegen and domains pair dimensions differently"

    def set_depths(self, depths: Mapping[str, int]) -> None:
        """Say how many features each gram sums over."""
        self.depths = depths

    def tables(self) -> npt.NDArray[np.int64]:
        """Return the head, one entry per request, and the tables behind it."""
        self._allocate()
        head: list[int] = []
        tail: list[Integers] = []
        length = len(self.plan.requests)
        for request in self.plan.requests:
            answer = self.answer(request)
            if isinstance(answer, int):
                head.append(answer)
            else:
                head.append(length)
                tail.append(np.asarray(answer, dtype=np.int64))
                length += len(answer)
        return np.concatenate([np.array(head, dtype=np.int64), *tail])

    def domain(self, name: str) -> Domain:
        """Return the entries of an array of the pair."""
        return self.pair.get(name, _POINT)

    def _find_dense(self, copy: Copy, side: Mapping[str, Domain]) -> frozenset[str]:
        """Return the quantities of one sample that are stored with all positions."""
        found = {entry.name for entry in self.plan.requests if isinstance(entry, ask.SideDense) and entry.copy is copy}
        for entry in self.plan.requests:
            if (
                isinstance(entry, ask.SideMap)
                and entry.copy is copy
                and not self._is_separable(entry, side[entry.name])
            ):
                found.add(entry.name)
        return frozenset(found)

    def _is_separable(self, request: ask.SideMap, source: Domain) -> bool:
        """Tell whether every component of what is read stands at indices of one component of the target."""
        owner = {
            request.symbols[dimension]: number
            for number, dimensions in enumerate(self.domain(request.part.array).dimensions)
            for dimension in dimensions
        }
        return all(
            len(
                {
                    owner[name]
                    for dimension in dimensions
                    for name, _ in request.places[dimension].terms
                    if name in owner
                }
            )
            <= 1
            for dimensions in source.dimensions
        )

    def _allocate(self) -> None:
        """Place the arrays in the working space: two share memory if they are never needed at one time."""
        wanted: list[tuple[object, tuple[int, int], int]] = [
            (name, self.plan.lives[name], self.domain(name).count * self.plan.slots.get(name, 1))
            for name in self.plan.lives
        ]
        for request in self.plan.requests:
            if isinstance(request, ask.ScratchOffset):
                size = math.prod(self._number(factor) for factor in request.volume)
                size = 0 if request.unless is not None and self._number(request.unless) else size
                wanted.append((request, (request.step, request.step), size))
        placed: list[tuple[int, int, int, int]] = []
        for key, (first, last), size in sorted(wanted, key=lambda entry: (entry[1], str(entry[0]))):
            busy = sorted((start, stop) for start, stop, born, dead in placed if born <= last and first <= dead)
            at = 0
            for start, stop in busy:
                if at + size <= start:
                    break
                at = max(at, stop)
            room = -(-max(size, 1) // _ALIGNMENT) * _ALIGNMENT
            placed.append((at, at + room, first, last))
            self.offsets[key] = at
            self.work_size = max(self.work_size, at + room)

    def _number(self, request: ask.Request) -> int:
        answer = self.answer(request)
        assert isinstance(answer, int)
        return answer

    @singledispatchmethod
    def answer(self, request: ask.Request) -> int | Integers:
        """Return the number or the table that a request asks for."""
        raise NotImplementedError(f"{type(request).__name__} has no answer")

    @answer.register
    def _(self, request: ask.Offset) -> int | Integers:
        return self.offsets[request.array]

    @answer.register
    def _(self, request: ask.ScratchOffset) -> int | Integers:
        return self.offsets[request]

    @answer.register
    def _(self, request: ask.EntryCount) -> int | Integers:
        return self.domain(request.array).count

    @answer.register
    def _(self, request: ask.RowCount) -> int | Integers:
        return self.domain(request.array).components[request.component].count

    @answer.register
    def _(self, request: ask.PaddedRow) -> int | Integers:
        return self.domain(request.array).components[request.component].count + 1

    @answer.register
    def _(self, request: ask.PartCount) -> int | Integers:
        return math.prod(component.count for component, _ in self._part(request.part))

    def _part(self, part: ask.Part) -> list[tuple[Component, tuple[int, ...]]]:
        """Return the components of a part, with their dimensions."""
        domain = self.domain(part.array)
        rows = list(zip(domain.components, domain.dimensions, strict=True))
        return rows[:-1] if part.outer else rows[-1:]

    def _positions(self, part: ask.Part) -> dict[int, Integers]:
        """Return for every dimension in a part its position in all rows."""
        rows = self._part(part)
        count = math.prod(component.count for component, _ in rows)
        found: dict[int, Integers] = {}
        stride = count
        for component, dimensions in rows:
            stride //= max(component.count, 1)
            for dimension, entries in zip(dimensions, component.entries(), strict=True):
                repeat = count // max(component.count * stride, 1)
                found[dimension] = np.tile(np.repeat(entries, stride), repeat)
        return found

    def _count(self, part: ask.Part) -> int:
        return math.prod(component.count for component, _ in self._part(part))

    @answer.register
    def _(self, request: ask.Positions) -> int | Integers:
        zeros = np.zeros(self._count(request.part), dtype=np.int64)
        return self._positions(request.part).get(request.dimension, zeros)

    @answer.register
    def _(self, request: ask.RowPositions) -> int | Integers:
        domain = self.domain(request.array)
        for component, dimensions in zip(domain.components, domain.dimensions, strict=True):
            if request.dimension in dimensions:
                return component.entries()[dimensions.index(request.dimension)]
        raise IndexError(request.dimension)

    @answer.register
    def _(self, request: ask.ComponentTable) -> int | Integers:
        component = self.domain(request.array).components[request.component]
        if isinstance(component, Span):
            return np.array([component.start, component.extent])
        head = [component.left_start, component.left_extent, component.right_start, component.right_extent]
        return np.concatenate([[*head, component.low, component.high], component.offsets - component.firsts])

    @answer.register
    def _(self, request: ask.RangeStart) -> int | Integers:
        return self.domain(request.array).ranges[request.dimension][0]

    @answer.register
    def _(self, request: ask.RangeExtent) -> int | Integers:
        return self.domain(request.array).ranges[request.dimension][1]

    @answer.register
    def _(self, request: ask.DenseMap) -> int | Integers:
        return dense_places(self.domain(request.array))

    @answer.register
    def _(self, request: ask.AxisStart) -> int | Integers:
        return self.extents.of(request.index)[0]

    @answer.register
    def _(self, request: ask.AxisExtent) -> int | Integers:
        return self.extents.of(request.index)[1]

    @answer.register
    def _(self, request: ask.SizeValue) -> int | Integers:
        return self.extents.values[request.name]

    @answer.register
    def _(self, request: ask.IsAligned) -> int | Integers:
        return int(_same_entries(self.domain(request.array), self.domain(request.other)))

    @answer.register
    def _(self, request: ask.Gather) -> int | Integers:
        target, source = self.domain(request.target), self.domain(request.source)
        if request.is_plain and _same_entries(target, source):
            return np.zeros(0, dtype=np.int64)
        values = dict(zip(request.symbols, target.positions(), strict=True))
        return self._entries(source, request.places, values, target.count)

    def _entries(self, source: Domain, places: Sequence[Place], values: Mapping[str, Any], count: int) -> Integers:
        """Return the entries of an array at some places, −1 where there is none."""
        at = {**self.extents.values, **values}
        found = find_rows(source, [np.broadcast_to(place.at(at), (count,)) for place in places])
        return found if places else np.zeros(count, dtype=np.int64)

    @answer.register
    def _(self, request: ask.SideOffset) -> int | Integers:
        return self.packings[request.copy].add(request.name)

    @answer.register
    def _(self, request: ask.SideCount) -> int | Integers:
        return self.packings[request.copy].count(request.name)

    @answer.register
    def _(self, request: ask.SideDense) -> int | Integers:
        return 1

    @answer.register
    def _(self, request: ask.SideRange) -> int | Integers:
        return np.array(self.sides[request.copy][request.name].ranges, dtype=np.int64).ravel()

    @answer.register
    def _(self, request: ask.SideStart) -> int | Integers:
        return self.sides[request.copy][request.name].ranges[request.dimension][0]

    @answer.register
    def _(self, request: ask.SideExtent) -> int | Integers:
        return self.sides[request.copy][request.name].ranges[request.dimension][1]

    @answer.register
    def _(self, request: ask.SideMap) -> int | Integers:
        domain = self.sides[request.copy][request.name]
        positions = self._positions(request.part)
        values = {request.symbols[dimension]: entries for dimension, entries in positions.items()}
        total = np.zeros(self._count(request.part), dtype=np.int64)
        dense = request.name in self.packings[request.copy].dense
        for component, dimensions, stride in _pieces(domain, dense=dense):
            places = [request.places[dimension] for dimension in dimensions]
            if all(name in values for place in places for name, _ in place.terms):
                rows = component.row(*(place.at(values) for place in places))
                total = total + stride * np.maximum(rows, 0)
        return total

    @answer.register
    def _(self, request: ask.SideLine) -> int | Integers:
        domain = self.sides[request.copy][request.name]
        start, extent = self.extents.of(request.index)
        values = {"": np.arange(start, start + extent, dtype=np.int64)}
        entries = self._entries(domain, request.places, values, extent)
        if request.name not in self.packings[request.copy].dense:
            return entries
        return np.where(entries >= 0, dense_places(domain)[np.maximum(entries, 0)], -1)

    @answer.register
    def _(self, request: ask.SharePlan) -> int | Integers:
        return share_plan(request, self.domain, self.sides, self.extents)

    def _matrix(self, mode: ask.Mode) -> Matrix:
        if mode not in self._matrices:
            target = None if mode.target is None else self.domain(mode.target[0]).components[mode.target[1]]
            source: Component | None = None
            circular: tuple[bool, ...] = ()
            if mode.source is not None:
                domain = self.domain(mode.source[0])
                source = domain.components[mode.source[1]]
                circular = tuple(domain.circular[dimension] for dimension in domain.dimensions[mode.source[1]])
            self._matrices[mode] = find_matrix(mode, target, source, circular, self.extents)
        return self._matrices[mode]

    @answer.register
    def _(self, request: ask.Segments) -> int | Integers:
        return segments(self._matrix(request.mode))

    @answer.register
    def _(self, request: ask.IsBroken) -> int | Integers:
        return int(is_broken(self._matrix(request.mode)))

    @answer.register
    def _(self, request: ask.Taps) -> int | Integers:
        matrix = self._matrix(request.mode)
        if not is_broken(matrix):
            return np.zeros(1, dtype=np.int64)
        taps = np.where(matrix.taps < 0, matrix.sources, matrix.taps)
        return np.concatenate([[len(taps)], taps.ravel()])

    @answer.register
    def _(self, request: ask.IsIdentity) -> int | Integers:
        return int(identity(self._matrix(request.mode)))

    @answer.register
    def _(self, request: ask.Weights) -> int | Integers:
        return weights(self._matrix(request.mode))

    @answer.register
    def _(self, request: ask.GramOffset) -> int | Integers:
        bounds = self._gram_ranges(request.copy, request.name)
        size = math.prod(extent for _, extent in bounds) * self.depths[request.name]
        return self.packings[request.copy].add_features(request.name, size)

    def _gram_ranges(self, copy: Copy, name: str) -> list[tuple[int, int]]:
        domain = self.domain(name)
        return [domain.ranges[dimension] for dimension in _dimensions(domain, copy)]

    @answer.register
    def _(self, request: ask.GramDepth) -> int | Integers:
        return self.depths[request.name]

    @answer.register
    def _(self, request: ask.GramMap) -> int | Integers:
        domain = self.domain(request.part.array)
        positions = self._positions(request.part)
        total: Any = np.zeros(self._count(request.part), dtype=np.int64)
        stride = 1
        for dimension in reversed(_dimensions(domain, request.copy)):
            start, extent = domain.ranges[dimension]
            if dimension in positions:
                total = total + stride * (positions[dimension] - start)
            stride *= extent
        return np.asarray(total)

    @answer.register
    def _(self, request: ask.LawOffset) -> int | Integers:
        return self.laws[request.copy].offsets[request.number]

    @answer.register
    def _(self, request: ask.LawCount) -> int | Integers:
        return self.laws[request.copy].laws[request.number].count

    @answer.register
    def _(self, request: ask.LawNumbers) -> int | Integers:
        return self.laws[request.copy].laws[request.number].numbers

    @answer.register
    def _(self, request: ask.ResultMap) -> int | Integers:
        bounds = [self.extents.of(index) for index in request.axes]
        grids = np.meshgrid(*(np.arange(start, start + extent) for start, extent in bounds), indexing="ij")
        values = {index.symbol: grid.ravel() for index, grid in zip(request.axes, grids, strict=True)}
        count = math.prod(extent for _, extent in bounds)
        return self._entries(self.domain(request.array), request.places, values, count)


def _same_entries(one: Domain, other: Domain) -> bool:
    return (one.components, one.dimensions) == (other.components, other.dimensions)


def _dimensions(domain: Domain, copy: Copy) -> list[int]:
    """Return the dimensions of one of the two copies."""
    return [number for number, index in enumerate(domain.axes) if (index.copy is Copy.RIGHT) == (copy is Copy.RIGHT)]


def _pieces(domain: Domain, *, dense: bool) -> list[tuple[Component, tuple[int, ...], int]]:
    """Return components, their dimensions and strides: those of the domain, or of all its positions row-major."""
    if not dense:
        return list(zip(domain.components, domain.dimensions, domain.strides, strict=True))
    extents = [extent for _, extent in domain.ranges]
    return [
        (Span(*bounds), (dimension,), math.prod(extents[dimension + 1 :]))
        for dimension, bounds in enumerate(domain.ranges)
    ]


def find_rows(domain: Domain, places: Sequence[Integers]) -> Integers:
    """Return the entries at some positions, −1 where the domain has none, be they in range or not."""
    wrapped = domain.wrap(places)
    number: Any = 0
    for component, dimensions, stride in zip(domain.components, domain.dimensions, domain.strides, strict=True):
        rows = component.row(*(wrapped[dimension] for dimension in dimensions))
        number = np.where((rows >= 0) & (number >= 0), number + stride * rows, -1)
    return np.asarray(number, dtype=np.int64)


def join_domains(domains: Mapping[str, Domain], groups: Sequence[tuple[str, ...]]) -> dict[str, Domain]:
    """Return the domains with those of every group widened until they are the same."""
    parent = {name: name for name in domains}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for group in groups:
        for name in group[1:]:
            parent[root(name)] = root(group[0])
    members: dict[str, list[str]] = {}
    for name in domains:
        members.setdefault(root(name), []).append(name)
    joined: dict[str, Domain] = {}
    for names in members.values():
        hull = tuple(
            reduce(_join, column) for column in zip(*(domains[name].components for name in names), strict=True)
        )
        for name in names:
            domain = domains[name]
            joined[name] = Domain(domain.axes, hull, domain.dimensions, domain.circular)
    return joined


def _join(one: Component, other: Component) -> Component:
    """Return the smallest component with the entries of both, which have the same ranges."""
    if isinstance(one, Span) or isinstance(other, Span) or one == other:
        return one
    if not one.count or not other.count:
        return other if other.count else one
    low, high = min(one.low, other.low), max(one.high, other.high)
    return Band(one.left_start, one.left_extent, one.right_start, one.right_extent, low, high)
