"""Indexed parameters: which tensor a use reads, whether two uses read the same one, and its mean, variance and rate.

A parameter W[k] is an independent tensor for every k. Two uses W[e] and W[e′] are uses of the same tensor where e = e′,
modulo the extent on a circular axis; beyond its axis a parameter is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sympy as sp

from tensorprog.core.ir import Load, MatMul, Parameter
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.equations import X, Y
from tensorprog.limit.naming import Ledger
from tensorprog.limit.scaling import Asymptotics, Term
from tensorprog.limit.sums import equal
from tensorprog.limit.variables import Ref, Variables
from tensorprog.nonlin.expression import Expr, Position, walk

__all__ = ["Weights"]

Use = Load | MatMul


class Weights:
    """The parameters of one program, as one of its two systems reads them."""

    def __init__(self, variables: Variables, asymptotics: Asymptotics, ledger: Ledger) -> None:
        self.variables, self.asymptotics, self.ledger = variables, asymptotics, ledger

    def parameter(self, use: Use) -> Parameter:
        """Return the parameter of a use."""
        return self.variables.core.parameters[use.parameter]

    def same(self, use: Use, left: Ref, other: Use, right: Ref) -> Term:
        """Return the bracket that is 1 where `left` and `right` read the same tensor, and there is one."""
        here, there = self.variables.weight(use, left), self.variables.weight(other, right)
        axes = self._axes(use, left)
        return self.same_at(use.parameter, {axis: here[axis] for axis in axes}, there, use.span)

    def same_at(self, parameter: str, here: Mapping[str, sp.Expr], there: Mapping[str, sp.Expr], span: Span) -> Term:
        """Return the bracket that is 1 where the places `here` of x and `there` of x' are those of one tensor."""
        ends = self.ledger.across_sizes(tuple(there[axis] for axis in here))
        places = zip(here.items(), ends, strict=True)
        return Term(sp.Mul(*(self._same_place(parameter, axis, place, end, span) for (axis, place), end in places)))

    def within(self, use: Use, ref: Ref) -> Term:
        """Return the bracket that is 1 where `ref` reads a tensor that there is."""
        places = self.variables.weight(use, ref)
        return Term(sp.Mul(*(b for axis in self._axes(use, ref) for b in self._beyond(axis, places[axis], X))))

    def value(self, expr: Expr, use: Use, ref: Ref) -> Term:
        """Return a mean, a variance or a rate of the tensor that `ref` reads."""
        places = self.variables.weight(use, ref)
        positions = {node.axis for node in walk(expr) if isinstance(node, Position)}
        for axis in positions.intersection(self._axes(use, ref)):
            places[axis] = self._safe(use, axis, places[axis])
        return self.asymptotics.at({sp.Symbol(axis): place for axis, place in places.items()}).evaluate(expr)

    def _axes(self, use: Use, ref: Ref) -> list[str]:
        """Return the axes of a parameter but the one that counts the steps of a loop: one step has one tensor."""
        loop = self.variables.loops.get(ref.name)
        return [axis for axis in self.parameter(use).axes if loop is None or axis != loop.scan.axis]

    def _same_place(self, parameter: str, axis: str, here: sp.Expr, there: sp.Expr, span: Span) -> sp.Expr:
        places = self.variables.places
        is_inside = places.is_inside(here, axis) and places.is_inside(there, axis)
        if self.variables.core.axes[axis].circular and not is_inside:
            return sp.Add(*(equal(here, there + turn) for turn in self._turns(parameter, axis, here - there, span)))
        right = self.ledger.right if places.extent(axis, Y) != places.extent(axis) else X
        beyond = (*self._beyond(axis, here, X), *self._beyond(axis, there, right))
        return sp.Mul(equal(here, there), *beyond)

    def _beyond(self, axis: str, place: sp.Expr, copy: sp.Symbol) -> Iterator[sp.Expr]:
        if not self.variables.core.axes[axis].circular and not self.variables.places.is_inside(place, axis):
            yield self.variables.places.within(place, axis, copy)

    def _turns(self, parameter: str, axis: str, difference: sp.Expr, span: Span) -> Iterator[sp.Expr]:
        """Yield the multiples of the extent that two places of a circular axis can be apart."""
        low, high = self.variables.places.bounds(difference)
        extent = self.variables.places.extent(axis)
        if not (low.is_Integer and high.is_Integer and extent.is_Integer):
            raise _refusal(parameter, axis, span, "is circular, of an extent that only the data bind")
        yield from (extent * turn for turn in range(-(-int(low) // int(extent)), int(high) // int(extent) + 1))

    def _safe(self, use: Use, axis: str, place: sp.Expr) -> sp.Expr:
        """Return a place that is always on the axis, and that is `place` where that is."""
        places = self.variables.places
        if places.is_inside(place, axis):
            return place
        if self.variables.core.axes[axis].circular:
            raise _refusal(use.parameter, axis, use.span, "is circular, and its law depends on the position")
        return places.safe(place, axis, X)


def _refusal(parameter: str, axis: str, span: Span, why: str) -> LimitError:
    message = f"`{parameter}` is read beyond its axis `{axis}`, which {why}"
    return LimitError(Diagnostic("TP337", message, span, "the limit of such a read is not implemented"))
