"""Gaussian variables as combinations of independent ones, as far as the program tells: u − mean(u) of B has rank B − 1.

What is not made of others by sums is taken for independent. Where the data say otherwise, as where samples coincide,
the numbers do.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import sympy as sp

from tensorprog.errors import LimitError
from tensorprog.limit.composite import written_out
from tensorprog.limit.equations import X
from tensorprog.limit.grouping import Argument, Gaussian
from tensorprog.limit.linear import linear_form
from tensorprog.limit.variables import Ref, Variables
from tensorprog.nonlin.evaluate import evaluate

__all__ = ["Spans"]

Array = npt.NDArray[np.float64]

_MOST_PLACES = 1024


@dataclass(frozen=True, slots=True)
class Spans:
    """Knows the combinations that variables are, and remembers them."""

    variables: Variables
    _known: dict[Ref, dict[Ref, float]] = field(default_factory=dict)

    def __call__(self, arguments: Sequence[Argument]) -> Iterator[Array]:
        """Yield the variables as vectors (k, m) of independent ones, for all values of the indices in them.

        A number is the vector zero. An index over an axis of no fixed extent keeps its symbol, which is one place
        different from all others.
        """
        refs = [argument.ref for argument in arguments if isinstance(argument, Gaussian)]
        symbols = {symbol for ref in refs for place in ref.index for symbol in sp.sympify(place).free_symbols}
        free = sorted(symbols & self.variables.places.indices.keys(), key=str)
        ranges = [self._range(symbol) for symbol in free]
        for values in itertools.islice(itertools.product(*ranges), _MOST_PLACES):
            yield self._vectors(arguments, dict(zip(free, values, strict=True)))

    def _range(self, index: sp.Symbol) -> list[sp.Expr]:
        places = self.variables.places
        axis, copy = places.indices[index]
        first, extent = places.first(axis), places.extent(axis, copy)
        if not (first.is_Integer and extent.is_Integer):
            return [index]
        return [sp.Integer(value) for value in range(int(first), int(first + extent))]

    def _vectors(self, arguments: Sequence[Argument], values: dict[sp.Symbol, sp.Expr]) -> Array:
        columns: dict[Gaussian, int] = {}
        rows: list[dict[int, float]] = []
        for argument in arguments:
            row: dict[int, float] = {}
            if isinstance(argument, Gaussian):
                for ref, weight in self._combination(_placed(argument.ref, values)).items():
                    column = columns.setdefault(Gaussian(ref, argument.side), len(columns))
                    row[column] = row.get(column, 0.0) + weight
            rows.append(row)
        found = np.zeros((len(rows), max(len(columns), 1)))
        for number, row in enumerate(rows):
            found[number, list(row)] = list(row.values())
        return found

    def _combination(self, ref: Ref) -> dict[Ref, float]:
        """Return a variable as a combination of others that have no linear form."""
        known = self._known.get(ref)
        if known is None:
            known = self._known[ref] = self._combined(ref)
        return known

    def _combined(self, ref: Ref) -> dict[Ref, float]:
        parts = self._parts(ref)
        if parts is None:
            return {ref: 1.0}
        total: dict[Ref, float] = {}
        for part, weight in parts:
            for inner, value in self._combination(part).items():
                total[inner] = total.get(inner, 0.0) + weight * value
        return {inner: value for inner, value in total.items() if value}

    def _parts(self, ref: Ref) -> list[tuple[Ref, float]] | None:
        """Return a variable as a sum of others with numbers for coefficients, None if that is not known."""
        try:
            form = linear_form(ref, self.variables, X)
            if form is None:
                return None
            parts = written_out(ref, form, self.variables)
            symbols = self.variables.core.symbols
            weights = [float(evaluate(part.coefficient, (), symbols)) for part in parts]
        except (LimitError, KeyError, ZeroDivisionError):
            return None
        if any(not part.where.is_number for part in parts):
            return None
        return [(part.ref, weight * float(part.where)) for part, weight in zip(parts, weights, strict=True)]


def _placed(ref: Ref, values: dict[sp.Symbol, sp.Expr]) -> Ref:
    return Ref(ref.name, ref.at, tuple(sp.sympify(place).xreplace(values) for place in ref.index))
