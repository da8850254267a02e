"""The tables of Hermite coefficients that compiled code reads: of every function, under the laws of every sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.source import Side, Tables
from tensorprog.kernel.expectation import DEGREES, Factors, Numerics
from tensorprog.kernel.interpret import Samples, Scope, evaluate
from tensorprog.kernel.ir import Copy, Scalar

__all__ = ["Coefficients", "TableReader", "mark", "rests"]

Array = npt.NDArray[np.float64]
Key = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The factors of some samples, one entry per table."""

    factors: tuple[Factors, ...]

    def by_degree(self) -> tuple[Array, Array]:
        """Return the coefficients (tables, K, N), and the relative remainders (tables, degrees, N)."""
        return np.stack([mark(factors) for factors in self.factors]), np.stack([rests(f) for f in self.factors])

    def by_sample(self) -> tuple[Array, Array]:
        """Return the coefficients (tables, N, K), and the relative remainders (tables, N, degrees)."""
        coefficients, rests = self.by_degree()
        return np.ascontiguousarray(coefficients.swapaxes(1, 2)), np.ascontiguousarray(rests.swapaxes(1, 2))


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

    def read(self, rows: slice) -> Coefficients:
        """Return the coefficients of some of the samples."""
        values = {key: value[rows] for key, value in self.samples.values.items()}
        for family, members in self.families.items():
            values.update(((family, (place,)), values[member, ()]) for place, member in enumerate(members))
        count = len(range(*rows.indices(self.samples.count)))
        found = (
            self._factors(self.tables.sides[name], indices, values, count)
            for _, name, indices in self.tables.layout.rows()
        )
        return Coefficients(tuple(found))

    def _factors(self, side: Side, indices: tuple[int, ...], values: dict[Key, Array], count: int) -> Factors:
        positions = dict(zip(side.symbols, indices, strict=True))
        scope = Scope({self.copy: values}, self.numerics.parameters, self.numerics, (count,), positions=positions)

        def law(scalar: Scalar) -> Array:
            with np.errstate(all="ignore"):
                return np.ascontiguousarray(np.broadcast_to(np.asarray(evaluate(scalar, scope), np.float64), (count,)))

        return self.numerics.factors(side.function, law(side.mean), law(side.variance))
