"""The last touch on a system: sums get the names of their axes for indices, and one copy has one size per axis."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import sympy as sp

from tensorprog.limit.equations import AxisSum, Block, Equation, Largest, LimitSystem, Recurrence, Result, Within, Y
from tensorprog.limit.places import Places
from tensorprog.limit.sizes import PRIME

__all__ = ["name_indices"]

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def name_indices(system: LimitSystem, places: Places) -> LimitSystem:
    """Return the system with readable indices, and with one size per axis where there is one copy."""
    if not system.axes:
        return system
    one_size = {twin: size for size, twin in places.sizes.twins.items()}
    results = {
        key: Result(_readable(r.diagonal.xreplace(one_size), places), _readable(r.pair, places))
        for key, r in system.results.items()
    }
    sample = tuple(_in_block(block, places, one_size) for block in system.sample)
    pair = tuple(_in_block(block, places, {}) for block in system.pair)
    return replace(system, sample=sample, pair=pair, results=results, indices=dict(places.indices))


def _in_block(block: Block, places: Places, sizes: dict[Any, Any]) -> Any:
    if isinstance(block, Equation):
        return replace(block, rhs=_readable(block.rhs.xreplace(sizes), places))
    if isinstance(block, Recurrence):
        initial = tuple(_in_block(equation, places, sizes) for equation in block.initial)
        return replace(block, initial=initial, body=tuple(_in_block(inner, places, sizes) for inner in block.body))
    groups = tuple(tuple(_in_block(equation, places, sizes) for equation in group) for group in block.groups)
    return replace(block, groups=groups)


def _readable(expr: sp.Expr, places: Places, taken: frozenset[str] | None = None) -> sp.Expr:
    """Return an expression in which an index that is summed over k is called k, or k₁, k₂, … where k is taken."""
    if not expr.has(AxisSum):
        return expr
    if taken is None:
        axes = {bracket.args[1] for bracket in expr.atoms(Within)}
        taken = frozenset(symbol.name for symbol in expr.free_symbols - axes)
    if not isinstance(expr, AxisSum):
        return _collected(expr.func(*(_readable(arg, places, taken) for arg in expr.args)))
    names: dict[sp.Symbol, sp.Symbol] = {}
    for index in expr.indices:
        axis, copy = places.indices[index]
        names[index] = places.rename(_free_name(axis, PRIME if copy == Y else "", taken), index)
        taken |= {names[index].name}
    body = _readable(expr.body.xreplace(names), places, taken)
    indices = [names[index] for index in expr.indices]
    if isinstance(expr, Largest):
        return Largest(body, *indices)
    factors = sp.Mul.make_args(sp.factor_terms(body))
    outside = [factor for factor in factors if factor.free_symbols.isdisjoint(indices)]
    return sp.Mul(*outside, AxisSum(sp.Mul(*(f for f in factors if f not in outside)), *indices))


def _collected(expr: sp.Expr) -> sp.Expr:
    """Return a sum of terms in which sums over the same indices, with the same factor before them, are one."""
    if not isinstance(expr, sp.Add) or sum(term.has(AxisSum) for term in expr.args) < 2:
        return expr
    rest: list[sp.Expr] = []
    sums: dict[tuple[sp.Expr, tuple[sp.Symbol, ...]], list[sp.Expr]] = {}
    for term in expr.args:
        inner = [factor for factor in sp.Mul.make_args(term) if type(factor) is AxisSum]
        if len(inner) == 1:
            before = sp.Mul(*(factor for factor in sp.Mul.make_args(term) if factor is not inner[0]))
            sums.setdefault((before, inner[0].indices), []).append(inner[0].body)
        else:
            rest.append(term)
    return sp.Add(*rest, *(before * AxisSum(sp.Add(*bodies), *indices) for (before, indices), bodies in sums.items()))


def _free_name(axis: str, mark: str, taken: frozenset[str]) -> str:
    """Return the first of k, k₁, k₂, … that is not taken."""
    names = (axis + (str(number).translate(_SUBSCRIPTS) if number else "") + mark for number in itertools.count())
    return next(name for name in names if name not in taken)
