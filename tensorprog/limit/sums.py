"""Sums over indices: Iverson brackets are solved for the index that is summed over, constants are taken out.

    Σ_k Σ_k′ [k = k′] f(k, k′) = Σ_k f(k, k)

A bracket that fixes an index ends the sum over it: the index takes the value that the bracket gives it, and a factor
[value ∈ axis] stands where that value may lie beyond the axis and nothing else in the term is zero there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.limit.equations import AxisSum, Within, X, Y
from tensorprog.limit.places import Places

__all__ = ["add_up", "equal"]

Shapes = Mapping[str, tuple[tuple[str, sp.Symbol], ...]]


def equal(left: sp.Expr, right: sp.Expr) -> sp.Expr:
    """Return the Iverson bracket [left = right] of two positions."""
    difference = sp.expand(left - right)
    if difference.is_Integer:
        return sp.Integer(int(difference == 0))
    terms = sp.Add.make_args(difference)
    above = sp.Add(*(term for term in terms if not term.could_extract_minus_sign()))
    return sp.KroneckerDelta(above, above - difference)


def add_up(body: sp.Expr, indices: Iterable[sp.Symbol], places: Places, shapes: Shapes) -> sp.Expr:
    """Return Σ body over the indices, simplified."""
    for index in reversed(tuple(indices)):
        body = _add_up(body, index, places, shapes)
    return body


def _add_up(body: sp.Expr, index: sp.Symbol, places: Places, shapes: Shapes) -> sp.Expr:
    if body == 0:
        return sp.Integer(0)
    if not body.has(sp.KroneckerDelta):
        return _plain(body, index, places)
    terms = sp.Add.make_args(sp.expand_mul(body))
    return sp.Add(*(_term(term, index, places, shapes) for term in terms))


def _term(term: sp.Expr, index: sp.Symbol, places: Places, shapes: Shapes) -> sp.Expr:
    factors = list(sp.Mul.make_args(term))
    for factor in factors:
        if isinstance(factor, sp.KroneckerDelta) and _solves(factor, index):
            others = [other for other in factors if other is not factor]
            return _fixed(sp.Mul(*others), index, _solve(factor, index), places, shapes)
        if isinstance(factor, AxisSum) and any(_solves(bracket, index) for bracket in factor.atoms(sp.KroneckerDelta)):
            others = sp.Mul(*(other for other in factors if other is not factor))
            inner = _add_up(others * factor.body, index, places, shapes)
            return add_up(inner, factor.indices, places, shapes)
    return _plain(term, index, places)


def _solves(bracket: sp.KroneckerDelta, index: sp.Symbol) -> bool:
    return index in bracket.free_symbols and _solve(bracket, index) is not None


def _solve(bracket: sp.KroneckerDelta, index: sp.Symbol) -> sp.Expr | None:
    """Return the value of the index at which a bracket is 1, None if that is no integer everywhere."""
    difference = sp.expand(bracket.args[0] - bracket.args[1])
    slope = difference.coeff(index)
    rest = sp.expand(-(difference - slope * index) / slope)
    constant = rest.xreplace(dict.fromkeys(rest.free_symbols, sp.Integer(0)))
    coefficients = [constant, *(rest.coeff(symbol) for symbol in rest.free_symbols)]
    return rest if all(coefficient.is_Integer for coefficient in coefficients) else None


def _fixed(body: sp.Expr, index: sp.Symbol, value: sp.Expr, places: Places, shapes: Shapes) -> sp.Expr:
    axis, copy = places.indices[index]
    bracket = places.within(value, axis, copy)
    if bracket.is_number:
        return bracket * body.xreplace({index: value}) if bracket else sp.Integer(0)
    fixed = _put(body, index, value, places.safe(value, axis, copy))
    return fixed if _is_read_there(body, index, axis, copy, places, shapes) else fixed * bracket


def _put(expr: sp.Expr, index: sp.Symbol, value: sp.Expr, safe: sp.Expr) -> sp.Expr:
    """Return an expression with `value` for an index in quantities and brackets, and `safe` for it in formulas.

    A law that depends on a position may have no value beyond the axis, where the bracket beside it is zero.
    """
    if index not in expr.free_symbols:
        return expr
    if expr == index:
        return safe
    if isinstance(expr, AppliedUndef | sp.KroneckerDelta | Within):
        return expr.xreplace({index: value})
    return expr.func(*(_put(arg, index, value, safe) for arg in expr.args))


def _is_read_there(body: sp.Expr, index: sp.Symbol, axis: str, copy: sp.Symbol, places: Places, shapes: Shapes) -> bool:
    """Return whether a factor is a quantity read at the index as it stands: then it is zero beyond the axis."""
    for factor in sp.Mul.make_args(body):
        for base in [factor, *(sp.Mul.make_args(factor.body) if isinstance(factor, AxisSum) else ())]:
            shape = shapes.get(str(base.func), ()) if isinstance(base, AppliedUndef) else ()
            args = _positions(base, len(shape)) if shape else ()
            for argument, (home, owner) in zip(args, shape, strict=True):
                if argument == index and owner == copy and _is_bounded(home, axis, places):
                    return True
    return False


def _positions(applied: AppliedUndef, count: int) -> tuple[sp.Expr, ...]:
    """Return the position arguments of a quantity: the last before the copies."""
    before = tuple(arg for arg in applied.args if arg not in (X, Y))
    return before[len(before) - count :]


def _is_bounded(home: str, axis: str, places: Places) -> bool:
    return places.is_same_range(home, axis) and not places.core.axes[home].circular


def _plain(body: sp.Expr, index: sp.Symbol, places: Places) -> sp.Expr:
    """Return Σ_index body with what does not depend on the index before the sum; sums in sums become one."""
    if index not in body.free_symbols:
        return places.extent(*places.indices[index]) * body
    inside = [factor for factor in sp.Mul.make_args(body) if index in factor.free_symbols]
    outside = sp.Mul(*(factor for factor in sp.Mul.make_args(body) if index not in factor.free_symbols))
    if len(inside) == 1 and isinstance(inside[0], AxisSum):
        return outside * AxisSum(inside[0].body, index, *inside[0].indices)
    return outside * AxisSum(sp.Mul(*inside), index)
