"""Domains: which entries of an array exist, and where they are stored, once the data are bound.

An array over axes is stored flat. Its dimensions are grouped in components, and its entries are numbered row-major over
the components, the first slowest:

    Span(p)      all positions of one dimension
    Band(p, q)   a dimension of the left copy and one of the right copy over the same axis: the pairs of positions
                 whose displacement d = q − p is in low … high, numbered by d, then by p

A flatten readout needs the displacement 0 only, a free sum all of them: that is what the bands are for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.kernel.ir import AxisIndex

__all__ = ["Band", "Component", "Domain", "Domains", "Integers", "Span", "make_band"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Span:
    """The positions start … start + extent − 1."""

    start: int
    extent: int

    @property
    def count(self) -> int:
        """How many entries there are."""
        return self.extent

    def contains(self, *places: Any) -> Any:
        """Tell which positions are in range."""
        (p,) = places
        return (p >= self.start) & (p < self.start + self.extent)

    def row(self, *places: Any) -> Any:
        """Return the number of each position, −1 where it is out of range."""
        (p,) = places
        return np.where(self.contains(p), p - self.start, -1)

    def entries(self) -> tuple[Integers, ...]:
        """Return the position of every entry."""
        return (np.arange(self.start, self.start + self.extent, dtype=np.int64),)

    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Return start and extent of each dimension."""
        return ((self.start, self.extent),)


@dataclass(frozen=True)
class Band:
    """The pairs (p, q) in range with low ≤ q − p ≤ high, numbered by d = q − p, then by p."""

    left_start: int
    left_extent: int
    right_start: int
    right_extent: int
    low: int
    high: int

    @cached_property
    def displacements(self) -> Integers:
        """The displacements low … high, an array (D,)."""
        return np.arange(self.low, self.high + 1, dtype=np.int64)

    @cached_property
    def firsts(self) -> Integers:
        """The first p of every displacement."""
        return np.maximum(self.left_start, self.right_start - self.displacements)

    @cached_property
    def stops(self) -> Integers:
        """One more than the last p of every displacement, never less than the first."""
        last = np.minimum(self.left_start + self.left_extent, self.right_start + self.right_extent - self.displacements)
        return np.maximum(last, self.firsts)

    @cached_property
    def offsets(self) -> Integers:
        """The number of the first entry of every displacement."""
        return np.cumsum(self.stops - self.firsts) - (self.stops - self.firsts)

    @cached_property
    def count(self) -> int:
        """How many entries there are."""
        return int((self.stops - self.firsts).sum())

    def first(self, displacement: int) -> int:
        """Return the first p of a displacement."""
        return int(self.firsts[displacement - self.low])

    def stop(self, displacement: int) -> int:
        """Return one more than the last p of a displacement."""
        return int(self.stops[displacement - self.low])

    def contains(self, *places: Any) -> Any:
        """Tell which pairs are in range, whether the band holds them or not."""
        p, q = places
        left = (p >= self.left_start) & (p < self.left_start + self.left_extent)
        return left & (q >= self.right_start) & (q < self.right_start + self.right_extent)

    def row(self, *places: Any) -> Any:
        """Return the number of each pair, −1 where the band does not hold it."""
        p, q = places
        held = self.contains(p, q) & (q - p >= self.low) & (q - p <= self.high)
        if self.low > self.high:
            return np.where(held, 0, -1)
        place = np.clip(q - p - self.low, 0, self.high - self.low)
        return np.where(held, self.offsets[place] + p - self.firsts[place], -1)

    def entries(self) -> tuple[Integers, ...]:
        """Return p and q of every entry."""
        lengths = self.stops - self.firsts
        displacement = np.repeat(self.displacements, lengths)
        p = np.repeat(self.firsts - self.offsets, lengths) + np.arange(self.count, dtype=np.int64)
        return p, p + displacement

    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Return start and extent of each dimension."""
        return (self.left_start, self.left_extent), (self.right_start, self.right_extent)


Component = Span | Band


def make_band(left: tuple[int, int], right: tuple[int, int], low: float, high: float) -> Band:
    """Return the band of the displacements in low … high that occur between two ranges (start, extent)."""
    lowest = right[0] - (left[0] + left[1] - 1)
    highest = right[0] + right[1] - 1 - left[0]
    first, last = max(low, lowest), min(high, highest)
    if left[1] <= 0 or right[1] <= 0 or first > last:
        first, last = 0, -1
    return Band(*left, *right, int(first), int(last))


@dataclass(frozen=True)
class Domain:
    """The entries of an array: `dimensions` gives the dimensions of each component, `circular` is by dimension."""

    axes: tuple[AxisIndex, ...]
    components: tuple[Component, ...]
    dimensions: tuple[tuple[int, ...], ...]
    circular: tuple[bool, ...]

    @cached_property
    def count(self) -> int:
        """How many entries there are; 1 without axes."""
        return math.prod(component.count for component in self.components)

    @cached_property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Start and extent of each dimension."""
        found = {
            dimension: bounds
            for component, places in zip(self.components, self.dimensions, strict=True)
            for dimension, bounds in zip(places, component.ranges(), strict=True)
        }
        return tuple(found[dimension] for dimension in range(len(self.axes)))

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """How far apart the rows of each component are."""
        counts = [component.count for component in self.components]
        return tuple(math.prod(counts[place + 1 :]) for place in range(len(counts)))

    def positions(self) -> tuple[Integers, ...]:
        """Return for each dimension the position of every entry, an array (count,)."""
        found: dict[int, Integers] = {}
        for component, places, stride in zip(self.components, self.dimensions, self.strides, strict=True):
            repeat = self.count // max(component.count * stride, 1)
            for dimension, entries in zip(places, component.entries(), strict=True):
                found[dimension] = np.tile(np.repeat(entries, stride), repeat)
        return tuple(found[dimension] for dimension in range(len(self.axes)))

    def entries(self) -> Mapping[str, Integers]:
        """Return for each index the position of every entry, an array (count,)."""
        return dict(zip((index.symbol for index in self.axes), self.positions(), strict=True))

    def wrap(self, places: Sequence[Any]) -> tuple[Any, ...]:
        """Return positions with those on circular axes brought into range."""
        return tuple(
            start + (place - start) % extent if circular and extent > 0 else place
            for place, (start, extent), circular in zip(places, self.ranges, self.circular, strict=True)
        )

    def find(self, places: Sequence[Any]) -> Integers:
        """Return the numbers of the entries at some positions, −1 where these are out of range.

        Args:
            places: for each dimension an array of positions, or a number; their shapes broadcast.
        """
        wrapped = self.wrap([np.asarray(place, dtype=np.int64) for place in places])
        number: Any = np.zeros(np.broadcast_shapes(*(place.shape for place in wrapped)), dtype=np.int64)
        inside: Any = True
        for component, dimensions, stride in zip(self.components, self.dimensions, self.strides, strict=True):
            chosen = [wrapped[dimension] for dimension in dimensions]
            rows, within = component.row(*chosen), component.contains(*chosen)
            inside = inside & within
            number = np.where((rows >= 0) & (number >= 0), number + stride * rows, -1)
        assert not np.any(inside & (number < 0)), "an entry is read that no demand found"
        return np.asarray(number, dtype=np.int64)


@dataclass(frozen=True)
class Domains:
    """The domains of all arrays, grams and data by name: those of the sample program for either side, and the pair's.

    With the same sizes on both sides, `sample_left` is `sample_right`.
    """

    sample_left: Mapping[str, Domain]
    sample_right: Mapping[str, Domain]
    pair: Mapping[str, Domain]
