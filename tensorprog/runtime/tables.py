"""The tables of Hermite coefficients that compiled code reads: of every function, under the laws of every sample."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.source import Side, Tables
from tensorprog.kernel.expectation import DEGREES, Factors, Numerics
from tensorprog.kernel.interpret import Samples, Scope, evaluate
from tensorprog.kernel.ir import Copy, Scalar
from tensorprog.runtime.series_layout import HALF, LANES, LAST, LEVELS, ROWS, SCALE, STEP

__all__ = ["TableReader", "mark", "rests"]

Array = npt.NDArray[np.float64]
Key = tuple[str, tuple[int, ...]]

_LINE = 8
"""How many numbers a line of the cache holds."""

_PARTS, _REMEMBERED = 8, 1 << 24
"""How many parts of the left samples are remembered, and how many numbers of the right ones."""


def _fill_rows(factors: Factors, variances: Array, rows: Array) -> Array:
    """Fill the rows (ROWS, N) of one table, and return the remainders (levels, N) of the even and of the odd series.

    Laws with an E f² that is not finite get a deviation that is not a number: so do then all their values.
    """
    finite, norms, degree = np.isfinite(factors.norms), factors.norms, len(factors.coefficients)
    rows[:HALF], rows[HALF : 2 * HALF] = factors.coefficients[::2], factors.coefficients[1::2]
    with np.errstate(all="ignore"):
        rows[SCALE] = np.where(finite, np.where(variances == 0, 0.0, 1 / np.sqrt(variances)), np.nan)
        rows[LAST] = _root_of_share(factors.tails[degree], norms)
        tails = _remaining() @ (rows[: 2 * HALF] ** 2) + np.repeat(factors.beyond, LEVELS, axis=0)
        return _root_of_share(tails, norms)


def _root_of_share(tails: Array, norms: Array) -> Array:
    """Return √(tail / E f²), 0 where E f² is 0 or not finite."""
    return np.where(np.isfinite(norms) & (norms > 0), np.sqrt(tails / norms), 0.0)


def _aligned(*shape: int) -> Array:
    """Return an array that starts where a line of the cache does: vectors that lie across two take twice the time."""
    count = math.prod(shape)
    space = np.empty(count + _LINE)
    start = -(space.ctypes.data // 8) % _LINE
    return space[start : start + count].reshape(shape)


@functools.cache
def _remaining() -> Array:
    """Return the matrix (2 · levels, 2 · HALF) that sums what follows 0, 4, … terms of either parity."""
    level, term = np.arange(LEVELS)[:, None], np.arange(HALF)
    return np.asarray(np.kron(np.eye(2), term >= STEP * level), dtype=np.float64)


def mark(factors: Factors) -> Array:
    """Return the coefficients, NaN where E f² is not finite."""
    return np.where(np.isfinite(factors.norms), factors.coefficients, np.nan)


def rests(factors: Factors) -> Array:
    """Return √(Σ_{k≥K} a_k² / E f²) for all degrees K, 0 where E f² = 0."""
    with np.errstate(all="ignore"):
        ratios = np.sqrt(np.stack([factors.tails[degree] for degree in DEGREES]) / factors.norms)
    return np.where(factors.norms == 0, 0.0, ratios)


@dataclass(frozen=True, slots=True)
class TableReader:
    """Finds the tables of one of the two samples; `families` are the quantities behind indexed names of loops."""

    tables: Tables
    copy: Copy
    samples: Samples
    families: Mapping[str, tuple[str, ...]]
    numerics: Numerics
    known: dict[tuple[int, int], tuple[Array, Array]] = field(default_factory=dict)

    def by_sample(self, rows: slice) -> tuple[Array, Array]:
        """Return what `runtime.series` reads of left samples: (N, tables, ROWS), and remainders (N, tables, levels).

        Those of a few parts of the samples are remembered: tiles come row by row.
        """
        part = rows.indices(self.samples.count)[:2]
        found = self.known.get(part)
        if found is None:
            found = self._by_sample(rows, part[1] - part[0])
            if len(self.known) >= _PARTS:
                self.known.clear()
            self.known[part] = found
        return found

    def by_block(self, rows: slice) -> tuple[Array, Array]:
        """Return what it reads of right samples, 32 together: (N/32, tables, ROWS, 32), and the largest remainders.

        As many parts of the samples as there is room for are remembered.
        """
        part = rows.indices(self.samples.count)[:2]
        found = self.known.get(part)
        if found is None:
            found = self._by_block(rows, part[1] - part[0])
            if (len(self.known) + 1) * found[0].size <= _REMEMBERED:
                self.known[part] = found
        return found

    def _by_sample(self, rows: slice, count: int) -> tuple[Array, Array]:
        tables = self.tables.layout.count
        table, remainders = _aligned(count, tables, ROWS), _aligned(count, tables, 2 * LEVELS)
        for number, (factors, variances) in enumerate(self._read(rows, count)):
            remainders[:, number] = _fill_rows(factors, variances, table[:, number].T).T
        return table, remainders

    def _by_block(self, rows: slice, count: int) -> tuple[Array, Array]:
        blocks, tables = -(-count // LANES), self.tables.layout.count
        table, largest = _aligned(blocks, tables, ROWS, LANES), _aligned(blocks, tables, 2 * LEVELS)
        row, remainders = np.zeros((ROWS, blocks * LANES)), np.zeros((2 * LEVELS, blocks * LANES))
        for number, (factors, variances) in enumerate(self._read(rows, count)):
            remainders[:, :count] = _fill_rows(factors, variances, row[:, :count])
            table[:, number] = row.reshape(ROWS, blocks, LANES).swapaxes(0, 1)
            largest[:, number] = remainders.reshape(-1, blocks, LANES).max(axis=-1).T
        return table, largest

    def _read(self, rows: slice, count: int) -> Iterator[tuple[Factors, Array]]:
        """Yield the factors of some of the samples with the variances of their laws, table by table."""
        values = {key: value[rows] for key, value in self.samples.values.items()}
        for family, members in self.families.items():
            values.update(((family, (place,)), values[member, ()]) for place, member in enumerate(members))
        for _, name, indices in self.tables.layout.rows():
            yield self._factors(self.tables.sides[name], indices, values, count)

    def _factors(
        self, side: Side, indices: tuple[int, ...], values: dict[Key, Array], count: int
    ) -> tuple[Factors, Array]:
        positions = dict(zip(side.symbols, indices, strict=True))
        scope = Scope({self.copy: values}, self.numerics.parameters, self.numerics, (count,), positions=positions)

        def law(scalar: Scalar) -> Array:
            with np.errstate(all="ignore"):
                return np.ascontiguousarray(np.broadcast_to(np.asarray(evaluate(scalar, scope), np.float64), (count,)))

        variance = law(side.variance)
        return self.numerics.factors(side.function, law(side.mean), variance), variance
