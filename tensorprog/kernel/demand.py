"""Demand: which entries of the arrays the results need, found backwards from them.

Where a definition over (p, q) reads an array at the places (e, e′) of one axis in both copies, it needs the
displacement e′ − e, an affine form in p, d = q − p and the indices of sums; that equal strides cancel p is what keeps
bands narrow. Each read is one inequality between intervals of displacements; iteration finds their least solution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from tensorprog.kernel.axes import is_right
from tensorprog.kernel.domain import Component, Domain, Domains, Span, make_band
from tensorprog.kernel.extents import Extents, Sizes, find_extents
from tensorprog.kernel.ir import (
    AxisIndex,
    Contract,
    Copy,
    Definition,
    KernelIR,
    Largest,
    Place,
    Ref,
    Scalar,
    Softmax,
    Statement,
    children,
    definitions,
)

__all__ = ["find_domains", "full_domains"]

PATIENCE = 64
"""After so many rounds an interval that still grows is taken to be everything."""

_EVERYTHING = (float("-inf"), float("inf"))


class _Side(Enum):
    """The sample program for either sample, or the pair program."""

    LEFT = "x"
    RIGHT = "x'"
    PAIR = "x, x'"


def find_domains(ir: KernelIR, left_sizes: Sizes, right_sizes: Sizes) -> Domains:
    """Return the entries that the results of a program need, for data of these sizes on either side.

    Args:
        ir: the program; what its results do not need has empty bands.
        left_sizes: the values of what the data of x bind, and of hyperparameters.
        right_sizes: likewise of x′.
    """
    arrays = _find_arrays(ir, left_sizes, right_sizes)
    return arrays.domains(_solve(list(_demands(ir, arrays))))


def full_domains(ir: KernelIR, left_sizes: Sizes, right_sizes: Sizes) -> Domains:
    """Return all entries of all arrays."""
    return _find_arrays(ir, left_sizes, right_sizes).domains(None)


Interval = tuple[float, float]
Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Band:
    """A component of an array: the displacements of these two dimensions, with these ranges (start, extent)."""

    array: tuple[_Side, str]
    dimensions: tuple[int, int]
    left: Bounds
    right: Bounds
    circular: bool

    @property
    def limits(self) -> Interval:
        """The smallest and the largest displacement; nothing lies between them if there is none."""
        if not (self.left[1] and self.right[1]):
            return _EVERYTHING[::-1]
        return self.right[0] - (self.left[0] + self.left[1] - 1), self.right[0] + self.right[1] - 1 - self.left[0]


@dataclass(frozen=True, slots=True)
class _Array:
    """An array with its axes, their ranges, and its bands."""

    axes: tuple[AxisIndex, ...]
    bounds: tuple[Bounds, ...]
    circular: tuple[bool, ...]
    bands: tuple[_Band, ...]

    def domain(self, intervals: Mapping[_Band, Interval] | None) -> Domain:
        """Return the entries with displacements in some intervals, none where there is no interval; None: all."""
        paired = {band.dimensions[0]: band for band in self.bands}
        seconds = {band.dimensions[1] for band in self.bands}
        components: list[Component] = []
        dimensions: list[tuple[int, ...]] = []
        for dimension, bounds in enumerate(self.bounds):
            if dimension in paired:
                band = paired[dimension]
                wanted = _EVERYTHING if intervals is None else intervals.get(band, _EVERYTHING[::-1])
                components.append(make_band(band.left, band.right, *wanted))
                dimensions.append(band.dimensions)
            elif dimension not in seconds:
                components.append(Span(*bounds))
                dimensions.append((dimension,))
        return Domain(self.axes, tuple(components), tuple(dimensions), self.circular)


@dataclass(frozen=True, slots=True)
class _Arrays:
    """All arrays of the programs; where both copies have the same sizes, the right sample is the left one.

    `extents` has the sizes on which the program of each side runs.
    """

    extents: Mapping[_Side, Extents]
    known: Mapping[tuple[_Side, str], _Array]

    def array(self, side: _Side, name: str) -> _Array:
        """Return an array by its name."""
        return self.known[side if side in self.extents else _Side.LEFT, name]

    def domains(self, intervals: Mapping[_Band, Interval] | None) -> Domains:
        """Return the domains with these displacements."""
        made: dict[_Side, dict[str, Domain]] = {side: {} for side in self.extents}
        for (side, name), array in self.known.items():
            made[side][name] = array.domain(intervals)
        left = made[_Side.LEFT]
        return Domains(left, made.get(_Side.RIGHT, left), made[_Side.PAIR])


def _find_arrays(ir: KernelIR, left: Sizes, right: Sizes) -> _Arrays:
    extents = {_Side.PAIR: find_extents(ir, left, right), _Side.LEFT: find_extents(ir, left, left)}
    of_right = find_extents(ir, right, right)
    if of_right != extents[_Side.LEFT]:
        extents[_Side.RIGHT] = of_right
    known: dict[tuple[_Side, str], _Array] = {}
    for side, sizes in extents.items():
        inputs = ir.grams if side is _Side.PAIR else (*ir.grams, *ir.data)
        shapes = {name: ir.shapes.get(name, ()) for name in inputs}
        for definition in definitions(ir.pair if side is _Side.PAIR else ir.sample):
            shapes.setdefault(definition.name, definition.axes)
        for name, axes in shapes.items():
            known[side, name] = _make_array((side, name), axes, sizes)
    return _Arrays(extents, known)


def _make_array(key: tuple[_Side, str], axes: tuple[AxisIndex, ...], extents: Extents) -> _Array:
    side, _ = key
    bounds = tuple(map(extents.of, axes))
    circular = tuple(extents.circular[index.axis] for index in axes)
    bands = tuple(
        _Band(key, (first, second), bounds[first], bounds[second], circular[first])
        for first, second in _paired_dimensions(axes)
    )
    shown = axes if side is _Side.PAIR else tuple(AxisIndex(axis.symbol, axis.axis, Copy.OWN) for axis in axes)
    return _Array(shown, bounds, circular, bands)


def _paired_dimensions(axes: Sequence[AxisIndex]) -> Iterator[tuple[int, int]]:
    """Yield the dimensions of the left and of the right copy over the same axis, those of one axis in order."""
    for axis in dict.fromkeys(index.axis for index in axes):
        here = [dimension for dimension, index in enumerate(axes) if index.axis == axis]
        left = [dimension for dimension in here if not is_right(axes[dimension])]
        right = [dimension for dimension in here if is_right(axes[dimension])]
        yield from zip(left, right, strict=False)


@dataclass(frozen=True, slots=True)
class _Demand:
    """target ⊇ low … high + Σ coefficient · (the displacements of a band), once all these bands have some.

    If it `wraps`, another displacement than 0 may become any.
    """

    target: _Band
    low: int
    high: int
    sources: tuple[tuple[_Band, int], ...]
    wraps: bool

    def interval(self, known: Mapping[_Band, Interval]) -> Interval | None:
        """Return the displacements that are asked for, None if there are none."""
        low, high = float(self.low), float(self.high)
        for band, coefficient in self.sources:
            if band not in known:
                return None
            ends = sorted(coefficient * end for end in known[band])
            low, high = low + ends[0], high + ends[1]
        if self.wraps and not (low == high == 0 and self.target.left == self.target.right):
            low, high = _EVERYTHING
        lowest, highest = self.target.limits
        low, high = max(low, lowest), min(high, highest)
        return (low, high) if low <= high else None


def _solve(demands: Sequence[_Demand]) -> Mapping[_Band, Interval]:
    """Return the least displacements that satisfy all demands; those that grow for too long become all."""
    known: dict[_Band, Interval] = {}
    grows, rounds = True, 0
    while grows:
        grows, rounds = False, rounds + 1
        for demand in demands:
            wanted = demand.interval(known)
            if wanted is None:
                continue
            old = known.get(demand.target, wanted)
            new = min(old[0], wanted[0]), max(old[1], wanted[1])
            if known.get(demand.target) != new:
                grows = True
                known[demand.target] = new if rounds < PATIENCE else demand.target.limits
    return known


def _demands(ir: KernelIR, arrays: _Arrays) -> Iterator[_Demand]:
    for side, extents in arrays.extents.items():
        statements: tuple[Statement, ...] = ir.pair if side is _Side.PAIR else ir.sample
        for definition in definitions(statements):
            yield from _Reader(side, arrays, extents, arrays.array(side, definition.name)).demands(definition)
        for result in ir.results:
            scalar = result.pair if side is _Side.PAIR else result.diagonal
            reader = _Reader(side, arrays, extents, _Array((), (), (), ()))
            yield from reader.of_scalar(scalar, {index.symbol: extents.of(index) for index in result.axes})


Form = Mapping[str, int]
"""An affine form by the names of its indices; the constant is that of the name ''."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """What reads: a definition of an array, whose index symbols may be others than those of `array.axes`."""

    side: _Side
    arrays: _Arrays
    extents: Extents
    array: _Array

    def demands(self, definition: Definition) -> Iterator[_Demand]:
        """Yield what a definition needs."""
        axes = tuple(index.symbol for index in definition.axes)
        if isinstance(definition, Contract):
            for term in definition.terms:
                bound = {index.symbol: self.extents.of(index) for index in term.bound}
                for factor in term.factors:
                    yield from self.of_scalar(factor, bound, axes)
        else:
            yield from self.of_scalar(definition.value, {}, axes)

    def of_scalar(self, scalar: Scalar, bound: Mapping[str, Bounds], axes: tuple[str, ...] = ()) -> Iterator[_Demand]:
        """Yield what an expression needs; `bound` are the ranges of the indices that it sums over, or is made for."""
        if isinstance(scalar, Ref):
            yield from self._of_reference(scalar, bound, axes)
        elif isinstance(scalar, Largest):
            bound = {**bound, **{index.symbol: self.extents.of(index) for index in scalar.bound}}
        elif isinstance(scalar, Softmax):
            bound = {**bound, scalar.symbol: self.array.bounds[axes.index(scalar.symbol)]}
        for child in children(scalar):
            yield from self.of_scalar(child, bound, axes)

    def _of_reference(self, ref: Ref, bound: Mapping[str, Bounds], axes: tuple[str, ...]) -> Iterator[_Demand]:
        side = {Copy.LEFT: _Side.LEFT, Copy.RIGHT: _Side.RIGHT, Copy.OWN: self.side}[ref.copy]
        target = self.arrays.array(side, ref.name)
        for band in target.bands:
            first, second = (self._form(ref.places[dimension], {*bound, *axes}) for dimension in band.dimensions)
            ranges = [self._range(form, bound, axes) for form in (first, second)]
            if None in ranges:
                continue
            wraps = band.circular and not all(
                start <= low and high < start + extent
                for (low, high), (start, extent) in zip(_known(ranges), (band.left, band.right), strict=True)
            )
            yield self._demand(band, _minus(second, first), bound, axes, wraps=wraps)

    def _form(self, place: Place, indices: Collection[str]) -> Form:
        """Return a place with the sizes in it replaced by their values."""
        form = {"": place.constant}
        for name, coefficient in place.terms:
            if name in indices:
                form[name] = form.get(name, 0) + coefficient
            else:
                form[""] += coefficient * self.extents.values[name]
        return form

    def _range(self, form: Form, bound: Mapping[str, Bounds], axes: tuple[str, ...]) -> tuple[int, int] | None:
        """Return the least and the greatest value of a form, None if one of its indices has no positions."""
        low = high = form[""]
        for name, coefficient in form.items():
            if name:
                start, extent = bound[name] if name in bound else self.array.bounds[axes.index(name)]
                if extent <= 0:
                    return None
                ends = sorted((coefficient * start, coefficient * (start + extent - 1)))
                low, high = low + ends[0], high + ends[1]
        return low, high

    def _demand(
        self, target: _Band, form: Form, bound: Mapping[str, Bounds], axes: tuple[str, ...], *, wraps: bool
    ) -> _Demand:
        """Return the demand for displacements e′ − e that are an affine form in the indices."""
        rest, sources = dict(form), []
        for band in self.array.bands:
            first, second = (axes[dimension] for dimension in band.dimensions)
            left = 0 if first in bound else rest.pop(first, 0)
            right = 0 if second in bound else rest.pop(second, 0)
            sources.append((band, right if abs(right) <= abs(left) else -left))
            base = first if abs(right) <= abs(left) else second
            rest[base] = rest.get(base, 0) + left + right
        low, high = self._range({name: value for name, value in rest.items() if value or not name}, bound, axes) or (
            0,
            0,
        )
        return _Demand(target, low, high, tuple(sources), wraps)


def _known(ranges: Iterable[tuple[int, int] | None]) -> Iterator[tuple[int, int]]:
    return (entry for entry in ranges if entry is not None)


def _minus(form: Form, other: Form) -> Form:
    return {name: form.get(name, 0) - other.get(name, 0) for name in dict.fromkeys((*form, *other))}
