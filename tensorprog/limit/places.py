"""Positions on axes: the symbols of indices, affine index expressions, and whether they stay on their axis.

The index of a variable over axis i is `i` in the first copy and `i′` in the second; an index that is summed over gets a
symbol of its own. Every symbol is remembered with its axis and its copy.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

import sympy as sp

from tensorprog.core.ir import Affine, Core
from tensorprog.limit.equations import Within, X, Y
from tensorprog.limit.sizes import PRIME, Sizes
from tensorprog.nonlin.evaluate import evaluate_integer
from tensorprog.nonlin.expression import Apply, Expr

__all__ = ["Places"]

_MOST_TURNS = 64
"""More times round a circular axis no index goes."""


class Places:
    """The indices of one program."""

    def __init__(self, core: Core, sizes: Sizes) -> None:
        self.core, self.sizes = core, sizes
        self.indices: dict[sp.Symbol, tuple[str, sp.Symbol]] = {}
        self.values: dict[sp.Symbol, sp.Expr] = {}

    # --- symbols ---------------------------------------------------------------------------------------------------

    def own(self, axes: Iterable[str], copy: sp.Symbol) -> tuple[sp.Symbol, ...]:
        """Return the indices of a variable over `axes` in one of the copies."""
        return tuple(self._index(axis + (PRIME if copy == Y else ""), axis, copy) for axis in axes)

    def fresh(self, axis: str, copy: sp.Symbol) -> sp.Symbol:
        """Return an index that no other expression has, to be bound by a sum."""
        mark = PRIME if copy == Y else ""
        return self._index(f"{axis}{mark}#{len(self.indices)}", axis, copy)

    def rename(self, name: str, like: sp.Symbol) -> sp.Symbol:
        """Return an index of another name over the same axis and copy."""
        return self._index(name, *self.indices[like])

    def _index(self, name: str, axis: str, copy: sp.Symbol) -> sp.Symbol:
        symbol = sp.Symbol(name, integer=True)
        self.indices[symbol] = (axis, copy)
        return symbol

    def stand_in(self, value: sp.Expr) -> str:
        """Return the name of a position that stands for an index inside an elementwise function.

        `values` gives the index back by the symbol of that name.
        """
        for symbol, known in self.values.items():
            if known == value:
                return str(symbol.name)
        name = f"position#{len(self.values)}"
        self.values[sp.Symbol(name)] = value
        return name

    # --- expressions -----------------------------------------------------------------------------------------------

    def place(self, affine: Affine, values: Mapping[str, sp.Expr]) -> sp.Expr:
        """Return an index expression for given values of the indices, by axis."""
        terms = [self.integer(coefficient) * values[axis] for axis, coefficient in affine.terms]
        return sp.Add(self.integer(affine.constant), *terms)

    def integer(self, expr: Expr) -> sp.Expr:
        """Return integer arithmetic over sizes as a sympy expression that is linear in size symbols."""
        try:
            return sp.Integer(evaluate_integer(expr, self.core.symbols))
        except KeyError:
            pass
        if isinstance(expr, Apply) and expr.function in ("add", "sub", "neg"):
            args = [self.integer(arg) for arg in expr.args]
            return -args[0] if expr.function == "neg" else args[0] + (args[1] if expr.function == "add" else -args[1])
        if isinstance(expr, Apply) and expr.function == "mul":
            args = [self.integer(arg) for arg in expr.args]
            if any(arg.is_Integer for arg in args):
                return args[0] * args[1]
        return self.sizes.symbol(expr)

    def first(self, axis: str) -> sp.Expr:
        """Return the first position of an axis."""
        return self.integer(self.core.axes[axis].start)

    def extent(self, axis: str, copy: sp.Symbol = X) -> sp.Expr:
        """Return the number of positions of an axis, at the sizes of a copy."""
        extent = self.integer(self.core.axes[axis].extent)
        return extent.xreplace(dict(self.sizes.twins)) if copy == Y else extent

    # --- ranges ----------------------------------------------------------------------------------------------------

    def is_same_range(self, axis: str, other: str) -> bool:
        """Return whether two axes have the same positions."""
        return axis == other or (self.first(axis) == self.first(other) and self.extent(axis) == self.extent(other))

    def bounds(self, place: sp.Expr, copy: sp.Symbol | None = None) -> tuple[sp.Expr, sp.Expr]:
        """Return the least and the greatest value of an index expression; with no copy, all sizes are those of x."""
        low = high = place
        for symbol in place.free_symbols & self.indices.keys():
            home, owner = self.indices[symbol]
            first = self.first(home)
            last = first + self.extent(home, X if copy is None else owner) - 1
            slope = place.coeff(symbol)
            low = low.xreplace({symbol: first if slope > 0 else last})
            high = high.xreplace({symbol: last if slope > 0 else first})
        return sp.expand(low), sp.expand(high)

    def is_inside(self, place: sp.Expr, axis: str, copy: sp.Symbol | None = None) -> bool:
        """Return whether a position is known to be in the range of an axis, at the extent of `copy`.

        Without `copy` all indices in the expression belong to one copy, and that is meant.
        """
        known = self.indices.get(place)
        if known is not None and self.is_same_range(known[0], axis) and copy in (None, known[1]):
            return True
        low, high = self.bounds(place, copy)
        first = self.first(axis)
        last = first + self.extent(axis, copy or X) - 1
        return _is_natural(sp.expand(low - first)) and _is_natural(sp.expand(last - high))

    def turns(self, difference: sp.Expr, axis: str) -> tuple[int, ...]:
        """Return how many times round a circular axis two positions of one copy, so far apart, can be."""
        low, high = self.bounds(difference)
        extent = self.extent(axis)
        return (0, *_multiples(extent, high), *(-turn for turn in _multiples(extent, -low)))

    def within(self, place: sp.Expr, axis: str, copy: sp.Symbol) -> sp.Expr:
        """Return the bracket [place ∈ axis], a number where that is known."""
        if self.is_inside(place, axis, copy):
            return sp.Integer(1)
        low, high = self.bounds(place, copy)
        first = self.first(axis)
        last = first + self.extent(axis, copy) - 1
        is_outside = _is_natural(sp.expand(first - high - 1)) or _is_natural(sp.expand(low - last - 1))
        return sp.Integer(0) if is_outside else Within(place, sp.Symbol(axis), copy)

    def safe(self, place: sp.Expr, axis: str, copy: sp.Symbol) -> sp.Expr:
        """Return a position that is always on the axis, and that is `place` where that is."""
        first = self.first(axis)
        return first + self.within(place, axis, copy) * (place - first)


def _multiples(extent: sp.Expr, most: sp.Expr) -> Iterator[int]:
    """Return the m ≥ 1 for which m · extent is not known to exceed `most`."""
    return itertools.takewhile(lambda m: not _is_natural(sp.expand(m * extent - most - 1)), range(1, _MOST_TURNS))


def _is_natural(expr: sp.Expr) -> bool:
    """Return whether an expression, linear in sizes, is known to be at least zero: every size is at least one."""
    coefficients = [expr.coeff(size) for size in expr.free_symbols]
    if not all(coefficient.is_Integer and coefficient >= 0 for coefficient in coefficients):
        return False
    least = expr.xreplace(dict.fromkeys(expr.free_symbols, sp.Integer(1)))
    return bool(least.is_Integer and least >= 0)
