"""What generated code for arrays must be told when the data are bound: every request is a number or a table.

The code is written once per program. Extents, limits of bands, offsets and the entries that others need come in one
array of integers, `tables`. Its head has one entry per request: the number, or the place where the table starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tensorprog.codegen.laws import Side
from tensorprog.kernel.ir import AxisIndex, Copy, Place, Scalar

__all__ = [
    "ArrayPlan",
    "ArraySeries",
    "AxisExtent",
    "AxisStart",
    "ComponentTable",
    "DenseMap",
    "EntryCount",
    "Gather",
    "GramDepth",
    "GramMap",
    "GramOffset",
    "IsAligned",
    "IsBroken",
    "IsIdentity",
    "LawCount",
    "LawNumbers",
    "LawOffset",
    "Mode",
    "Offset",
    "PaddedRow",
    "Part",
    "PartCount",
    "Positions",
    "RangeExtent",
    "RangeStart",
    "Request",
    "ResultMap",
    "RowCount",
    "RowPositions",
    "ScratchOffset",
    "Segments",
    "SharePlan",
    "SideCount",
    "SideDense",
    "SideExtent",
    "SideLine",
    "SideMap",
    "SideOffset",
    "SideRange",
    "SideStart",
    "SizeValue",
    "Taps",
    "Volume",
    "Weights",
]


@dataclass(frozen=True, slots=True)
class Request:
    """The base of requests."""


Volume = tuple[Request, ...]
"""A product of numbers that are asked for."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of an array of the pair that its last component has, or (`outer`) those of the others together."""

    array: str
    outer: bool


@dataclass(frozen=True, slots=True)
class Offset(Request):
    """Where an array starts in the work space."""

    array: str


@dataclass(frozen=True, slots=True)
class ScratchOffset(Request):
    """Where some scratch memory of a step starts in the work space; it is not needed if `unless` is 1."""

    step: int
    number: int
    volume: Volume
    unless: Request | None = None


@dataclass(frozen=True, slots=True)
class EntryCount(Request):
    """How many entries an array has."""

    array: str


@dataclass(frozen=True, slots=True)
class RowCount(Request):
    """How many rows a component of an array has."""

    array: str
    component: int


@dataclass(frozen=True, slots=True)
class PaddedRow(Request):
    """One more than the number of rows of a component of an array."""

    array: str
    component: int


@dataclass(frozen=True, slots=True)
class PartCount(Request):
    """How many rows a part of an array has."""

    part: Part


@dataclass(frozen=True, slots=True)
class Positions(Request):
    """Table: the position that a dimension of an array has in every row of a part; zero if it is not in that part."""

    part: Part
    dimension: int


@dataclass(frozen=True, slots=True)
class RowPositions(Request):
    """Table: the position that a dimension of an array has in every row of its component."""

    array: str
    dimension: int


@dataclass(frozen=True, slots=True)
class ComponentTable(Request):
    """Table for finding rows: (start, extent) of a span; of a band both ranges, low, high, offset − first by d."""

    array: str
    component: int


@dataclass(frozen=True, slots=True)
class RangeStart(Request):
    """The first position of a dimension of an array."""

    array: str
    dimension: int


@dataclass(frozen=True, slots=True)
class RangeExtent(Request):
    """The number of positions of a dimension of an array."""

    array: str
    dimension: int


@dataclass(frozen=True, slots=True)
class DenseMap(Request):
    """Table: where each entry of an array stands in the dense array of all its positions, row-major."""

    array: str


@dataclass(frozen=True, slots=True)
class AxisStart(Request):
    """The first position of the axis of an index."""

    index: AxisIndex


@dataclass(frozen=True, slots=True)
class AxisExtent(Request):
    """The number of positions of the axis of an index."""

    index: AxisIndex


@dataclass(frozen=True, slots=True)
class SizeValue(Request):
    """An integer that a place names."""

    name: str


@dataclass(frozen=True, slots=True)
class IsAligned(Request):
    """1 if two arrays have the same entries, else 0."""

    array: str
    other: str


@dataclass(frozen=True, slots=True)
class Gather(Request):
    """Table: the entry of `source` at some plain places of every entry of `target`, −1 where there is none."""

    target: str
    source: str
    places: tuple[Place, ...]
    symbols: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Tell whether the places are the indices themselves."""
        return tuple(place.plain for place in self.places) == self.symbols


@dataclass(frozen=True, slots=True)
class SideOffset(Request):
    """Where the values of a quantity of one sample start in its row."""

    copy: Copy
    name: str


@dataclass(frozen=True, slots=True)
class SideCount(Request):
    """How many entries a quantity of one sample has at each value of its loop indices."""

    copy: Copy
    name: str


@dataclass(frozen=True, slots=True)
class SideDense(Request):
    """A mark: the quantity of one sample is packed with all positions of its dimensions, row-major. The number is 1."""

    copy: Copy
    name: str


@dataclass(frozen=True, slots=True)
class SideRange(Request):
    """Table: start and extent of every dimension of a quantity of one sample."""

    copy: Copy
    name: str


@dataclass(frozen=True, slots=True)
class SideStart(Request):
    """The first position of a dimension of a quantity of one sample."""

    copy: Copy
    name: str
    dimension: int


@dataclass(frozen=True, slots=True)
class SideExtent(Request):
    """The number of positions of a dimension of a quantity of one sample."""

    copy: Copy
    name: str
    dimension: int


@dataclass(frozen=True, slots=True)
class SideMap(Request):
    """Table: what every row of a part of an array adds to the entry of a quantity of one sample at some places."""

    copy: Copy
    name: str
    places: tuple[Place, ...]
    symbols: tuple[str, ...]
    part: Part


@dataclass(frozen=True, slots=True)
class SideLine(Request):
    """Table: the entry of a quantity of one sample at places that depend on one index; −1 where there is none."""

    copy: Copy
    name: str
    places: tuple[Place, ...]
    index: AxisIndex


@dataclass(frozen=True, slots=True)
class Mode:
    """A sparse matrix, from the rows of a component of `source` (or one row) to those of one of `target` (or one row).

    Its entry (t, s) is the number of values of the bound indices at which the row t of the target reads the row s of
    the source, and all conditions hold. `places` are the places in the dimensions of the source's component, `symbols`
    the indices of the dimensions of the target's component.
    """

    target: tuple[str, int] | None
    symbols: tuple[str, ...]
    source: tuple[str, int] | None
    places: tuple[Place, ...]
    bound: tuple[AxisIndex, ...]
    conditions: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Segments(Request):
    """Table: a mode as pieces of rows with the same structure.

    The number of pieces, then for each: first row, number of rows, step of the source, number of sources, the sources.
    """

    mode: Mode


@dataclass(frozen=True, slots=True)
class IsBroken(Request):
    """1 if a mode is in so many segments that taps are better where rows are single entries, else 0."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class Taps(Request):
    """Table: a mode as the number of its taps, then for each the row of the source of every row of the target.

    The number of rows of the source stands for none. Empty if the mode is not broken.
    """

    mode: Mode


@dataclass(frozen=True, slots=True)
class IsIdentity(Request):
    """1 if a mode is the identity, else 0."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class Weights(Request):
    """Table: a mode with one row or one column."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class GramOffset(Request):
    """Where the features of a gram start in the row of a sample: for each position all features."""

    copy: Copy
    name: str


@dataclass(frozen=True, slots=True)
class GramDepth(Request):
    """How many features a gram sums over."""

    name: str


@dataclass(frozen=True, slots=True)
class GramMap(Request):
    """Table: what every row of a part of a gram adds to the position of one side."""

    copy: Copy
    part: Part


@dataclass(frozen=True, slots=True)
class ResultMap(Request):
    """Table: the entry of an array for every position of the axes of a result, row-major."""

    array: str
    places: tuple[Place, ...]
    axes: tuple[AxisIndex, ...]


@dataclass(frozen=True, slots=True)
class SharePlan(Request):
    """Table: where a sum Σ_b s(p, b; x) s(p′, b; x′) v(e, e′) over the indices `bound` reads, for entries (p, p′).

    The numbers of components of the target, of values of b, and of components of v; for each component of the target
    its number of rows, and the starts of tables: what each of its rows adds to the place of s(p, ·), of s(p′, ·); for
    each component of v the component of the target that it depends on, its stride, and the start of a table: its row
    for every row there and every b, −1 for none. Starts count from that of the table. `source` is empty if there is
    no v.
    """

    array: str
    symbols: tuple[str, ...]
    bound: tuple[AxisIndex, ...]
    share: str
    left: tuple[Place, ...]
    right: tuple[Place, ...]
    source: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class LawCount(Request):
    """How many laws one of the two samples has for a series, at each value of its loop indices."""

    copy: Copy
    number: int


@dataclass(frozen=True, slots=True)
class LawOffset(Request):
    """Where the coefficients of one of the two samples for a series start in its row."""

    copy: Copy
    number: int


@dataclass(frozen=True, slots=True)
class LawNumbers(Request):
    """Table: the law of one of the two samples that every entry of the array of a series has."""

    copy: Copy
    number: int


@dataclass(frozen=True, slots=True)
class ArraySeries:
    """A numerical expectation over axes, as a Hermite series.

    Attributes:
        number: which of the series this is.
        array: the array, with the indices `axes`, that has the values.
        axes: its indices.
        sides: the functions and laws, by the sample that they belong to.
        bounds: the first and last value of the loop indices of each side.
        quantities: what it is an equation of.
    """

    number: int
    array: str
    axes: tuple[AxisIndex, ...]
    sides: Mapping[Copy, Side]
    bounds: Mapping[Copy, tuple[tuple[int, int], ...]]
    quantities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArrayPlan:
    """What surrounds generated code for arrays.

    Attributes:
        requests: the entries of the head of its tables.
        shapes: the axes of every array of the pair.
        groups: arrays that are computed together, over all entries that any of them needs.
        lives: the first and last step at which an array is needed.
        slots: how many values of its loop indices an array keeps.
        series: the numerical expectations.
    """

    requests: tuple[Request, ...]
    shapes: Mapping[str, tuple[AxisIndex, ...]]
    groups: tuple[tuple[str, ...], ...]
    lives: Mapping[str, tuple[int, int]]
    slots: Mapping[str, int] = field(default_factory=dict)
    series: tuple[ArraySeries, ...] = ()
