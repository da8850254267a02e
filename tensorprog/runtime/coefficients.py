"""The Hermite coefficients that compiled code for arrays reads: of every function, for the laws at all positions.

Each sample has a row of numbers. In it every series has a table (laws, 200) for each value of its loop indices: the
coefficients a_k, the relative remainders √(Σ_{k≥K} a_k² / E f²) for all degrees K, the deviation √q, and a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.arrays.requests import ArraySeries
from tensorprog.codegen.arrays.series import LAW_SIZE
from tensorprog.codegen.arrays.shapes import symbols_of
from tensorprog.codegen.source import Layout, lay_out
from tensorprog.kernel.domain import Domain, Integers
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.grid import Grid, Space
from tensorprog.kernel.interpret import Samples, Scope, evaluate
from tensorprog.kernel.ir import AxisIndex, Copy, Scalar
from tensorprog.runtime.tables import mark, rests

__all__ = ["CoefficientReader", "LawTables", "Laws"]

Array = npt.NDArray[np.float64]

_REMEMBERED = 1 << 25
"""How many numbers are remembered of one side of a run."""


@dataclass(frozen=True, slots=True)
class Laws:
    """The positions at which the laws of one sample in an array differ, each once, and which of them an entry has."""

    axes: tuple[AxisIndex, ...]
    positions: Mapping[str, Integers]
    numbers: Integers
    count: int


def _find_laws(series: ArraySeries, domain: Domain, copy: Copy) -> Laws:
    side = series.sides[copy]
    names = symbols_of(side.mean) | symbols_of(side.variance)
    positions = zip(series.axes, domain.positions(), strict=True)
    columns = {index.symbol: column for index, column in positions if index.symbol in names}
    flat = np.zeros(domain.count, dtype=np.int64)
    for column in columns.values():
        if column.size:
            flat = flat * (column.max() - column.min() + 1) + (column - column.min())
    _, first, numbers = np.unique(flat, return_index=True, return_inverse=True)
    axes = tuple(index for index in series.axes if index.symbol in columns)
    return Laws(axes, {name: column[first] for name, column in columns.items()}, numbers.reshape(-1), len(first))


class LawTables:
    """Where the tables of one of the two samples lie in its row."""

    def __init__(self, series: tuple[ArraySeries, ...], domain: Callable[[str], Domain], copy: Copy) -> None:
        self.copy, self.series = copy, series
        self.laws = tuple(_find_laws(entry, domain(entry.array), copy) for entry in series)
        self.offsets: list[int] = []
        self.length = 0
        for entry, laws in zip(series, self.laws, strict=True):
            self.offsets.append(self.length)
            self.length += LAW_SIZE * laws.count * self.layout(entry).count

    def layout(self, entry: ArraySeries) -> Layout:
        """Return the layout of the tables of a series for all values of its loop indices."""
        return lay_out([entry.array], {entry.array: entry.bounds[self.copy]})


@dataclass(slots=True)
class CoefficientReader:
    """Finds the rows of coefficients of the samples of one side; those of few samples are remembered."""

    tables: LawTables
    samples: Samples
    space: Space
    numerics: Numerics
    rows: dict[tuple[int, int], Array] = field(default_factory=dict)

    def read(self, rows: slice) -> Array:
        """Return the rows of some samples, (samples, length)."""
        start, stop, _ = rows.indices(self.samples.count)
        found = self.rows.get((start, stop))
        if found is None:
            found = self._find(rows, stop - start)
            if self.samples.count * self.tables.length <= _REMEMBERED:
                self.rows[start, stop] = found
        return found

    def _find(self, rows: slice, count: int) -> Array:
        values = {key: value[rows] for key, value in self.samples.values.items()}
        packed = np.zeros((count, max(self.tables.length, 1)))
        for entry, laws, offset in zip(self.tables.series, self.tables.laws, self.tables.offsets, strict=True):
            grid = Grid(self.space, laws.axes, laws.positions, (laws.count,))
            size = LAW_SIZE * laws.count
            for row, _, indices in self.tables.layout(entry).rows():
                positions = dict(zip(entry.sides[self.tables.copy].symbols, indices, strict=True))
                scope = Scope(
                    {self.tables.copy: values},
                    self.numerics.parameters,
                    self.numerics,
                    (count,),
                    positions=positions,
                    space=self.space,
                )
                where = slice(offset + row * size, offset + (row + 1) * size)
                self._fill(packed[:, where].reshape(count, laws.count, LAW_SIZE), entry, grid, scope)
        return packed

    def _fill(self, table: Array, entry: ArraySeries, grid: Grid, scope: Scope) -> None:
        """Fill the table (samples, laws, 200) of a series."""
        side = entry.sides[self.tables.copy]
        mean, variance = (_law(scalar, scope.on(grid), table.shape[:2]) for scalar in (side.mean, side.variance))
        factors = self.numerics.factors(side.function, mean.ravel(), variance.ravel())
        with np.errstate(all="ignore"):
            found = np.concatenate([mark(factors), rests(factors), np.sqrt(variance).reshape(1, -1)])
        table[..., :-1] = found.T.reshape(*table.shape[:2], -1)


def _law(scalar: Scalar, scope: Scope, shape: tuple[int, ...]) -> Array:
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(np.broadcast_to(np.asarray(evaluate(scalar, scope), np.float64), shape))
