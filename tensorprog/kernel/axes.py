"""Indices and positions while equations are lowered: which axes they run over, and which reads are pointwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tensorprog.kernel.ir import (
    AxisIndex,
    AxisRange,
    Copy,
    Delta,
    Largest,
    Place,
    Position,
    Ref,
    Scalar,
    Within,
    children,
)
from tensorprog.nonlin.expression import symbols

__all__ = ["AxisTable", "Sum", "free_indices", "is_right"]


@dataclass(frozen=True, slots=True)
class Sum(Scalar):
    """Σ_bound arg, while an equation is lowered; in programs, sums are contractions."""

    arg: Scalar
    bound: tuple[AxisIndex, ...]


@dataclass(frozen=True, slots=True)
class AxisTable:
    """What is known of the axes of one program (sample or pair).

    `shapes` gives for every array the axis of each dimension, and whether it belongs to the right argument; `indices`
    every index by its symbol.
    """

    shapes: Mapping[str, tuple[tuple[str, bool], ...]] = field(default_factory=dict)
    indices: Mapping[str, AxisIndex] = field(default_factory=dict)
    axes: Mapping[str, AxisRange] = field(default_factory=dict)

    def rank(self, name: str) -> int:
        """Return how many dimensions a quantity has."""
        return len(self.shapes.get(name, ()))

    def is_plain(self, ref: Ref) -> bool:
        """Tell whether a reference stands, in every dimension, at an index with the range of that dimension."""
        if ref.name.startswith("%"):
            return True
        return all(
            place.plain is not None and self._same_range(self.indices[place.plain], dimension)
            for place, dimension in zip(ref.places, self._dimensions(ref), strict=True)
        )

    def _dimensions(self, ref: Ref) -> Iterable[AxisIndex]:
        """Return the dimensions of what is read, as indices."""
        transposed = ref.name.endswith("ᵀ")
        pair = any(index.copy is not Copy.OWN for index in self.indices.values())
        for axis, right in self.shapes.get(ref.name.removesuffix("ᵀ"), ()):
            own = (Copy.RIGHT if right is not transposed else Copy.LEFT) if pair else Copy.OWN
            yield AxisIndex("", axis, own if ref.copy is Copy.OWN else ref.copy)

    def _same_range(self, index: AxisIndex, other: AxisIndex) -> bool:
        first, second = self.axes[index.axis], self.axes[other.axis]
        if (first.start, first.extent) != (second.start, second.extent):
            return False
        return index.copy is other.copy or not (symbols(first.start) or symbols(first.extent))


def is_right(index: AxisIndex) -> bool:
    """Tell whether an index belongs to the right argument, which in the sample program is the same sample.

    There the symbol tells it: that of the right argument has a prime.
    """
    return index.copy is Copy.RIGHT or (index.copy is Copy.OWN and "′" in index.symbol)


def free_indices(scalar: Scalar, table: AxisTable) -> dict[str, AxisIndex]:
    """Return the indices that an expression depends on, in order of first appearance."""
    found: dict[str, AxisIndex] = {}
    _collect(scalar, table, frozenset(), found)
    return found


def _collect(scalar: Scalar, table: AxisTable, bound: frozenset[str], found: dict[str, AxisIndex]) -> None:
    if isinstance(scalar, Sum | Largest):
        bound |= {index.symbol for index in scalar.bound}
    for name in _names(scalar):
        if name in table.indices and name not in bound:
            found.setdefault(name, table.indices[name])
    for child in (scalar.arg,) if isinstance(scalar, Sum) else children(scalar):
        _collect(child, table, bound, found)


def _names(scalar: Scalar) -> Iterable[str]:
    places: tuple[Place, ...] = ()
    match scalar:
        case Position(index):
            return (index,)
        case Ref():
            places = scalar.places
        case Delta():
            places = scalar.left, scalar.right
        case Within():
            places = (scalar.place,)
    return (name for place in places for name, _ in place.terms)
