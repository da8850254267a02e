"""Second moments as tied sums: what both copies of a variable sum, they sum over the same indices.

    k(p, p′) = Σ_i a_i Σ_b f_i(e_i; x) f_i(e_i′; x′) k_i(e_i, e_i′),   a_i ≥ 0,

where e_i are places in p and b, and e_i′ the same places in p′ and b. Convolutions, recurrences and residual
connections are of this kind; pooling and attention, whose copies are summed independently, are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.limit.equations import AxisSum, Equation, LimitSystem, Within, X, Y
from tensorprog.nonlin.expression import Number

__all__ = ["Mirror", "Tied", "find_mirror", "find_tied"]


@dataclass(frozen=True, slots=True)
class Mirror:
    """The indices of a moment at (p, p′): `pairs` gives for every index of p′ the one of p."""

    pairs: Mapping[sp.Symbol, sp.Symbol]

    def left(self, expr: sp.Expr) -> sp.Expr:
        """Return an expression in p′ and x′ at p and x."""
        return expr.xreplace({**self.pairs, Y: X})

    def right(self, expr: sp.Expr) -> sp.Expr:
        """Return an expression in p and x at p′ and x′."""
        return expr.xreplace({**{left: right for right, left in self.pairs.items()}, X: Y})


@dataclass(frozen=True, slots=True)
class Tied:
    """coefficient · Σ_bound factor(x) factor(x′) · source; a source of None stands for the number 1."""

    coefficient: sp.Expr
    factor: sp.Expr
    source: AppliedUndef | None
    bound: tuple[sp.Symbol, ...]


def find_mirror(applied: AppliedUndef, system: LimitSystem) -> Mirror | None:
    """Return the indices at which a moment is defined, None if it is not one of a variable with itself at (p, p′)."""
    if applied.args[-2:] != (X, Y):
        return None
    shape = system.shapes.get(applied.func.__name__, ())
    places = applied.args[len(applied.args) - 2 - len(shape) : -2]
    sides = [
        [(axis, place) for (axis, side), place in zip(shape, places, strict=True) if side == copy] for copy in (X, Y)
    ]
    if [axis for axis, _ in sides[0]] != [axis for axis, _ in sides[1]]:
        return None
    if not all(isinstance(place, sp.Symbol) for place in places) or len(set(places)) < len(places):
        return None
    return Mirror({right: left for (_, left), (_, right) in zip(*sides, strict=True)})


def find_tied(equation: Equation, mirror: Mirror, system: LimitSystem) -> tuple[Tied, ...] | None:
    """Return the tied sums that a moment consists of, None if it is anything else."""
    found = [_tied(product, mirror, system) for product in _products(equation.rhs)]
    terms = [entry[0] for entry in found if entry is not None]
    conditions = {entry[1] for entry in found if entry is not None}
    return tuple(terms) if len(terms) == len(found) and len(conditions) == 1 else None


@dataclass(frozen=True, slots=True)
class _Product:
    factors: tuple[sp.Expr, ...]
    bound: tuple[sp.Symbol, ...] = ()


def _products(expr: sp.Expr) -> Iterator[_Product]:
    """Yield the terms of an expression, sums over indices taken apart."""
    match expr:
        case sp.Add():
            for term in expr.args:
                yield from _products(term)
        case AxisSum():
            for inner in _products(expr.body):
                yield _Product(inner.factors, (*expr.indices, *inner.bound))
        case sp.Mul() if sums := [factor for factor in expr.args if isinstance(factor, AxisSum | sp.Add)]:
            rest = sp.Mul(*(factor for factor in expr.args if factor is not sums[0]))
            for outer in _products(rest):
                for inner in _products(sums[0]):
                    yield _Product((*outer.factors, *inner.factors), (*outer.bound, *inner.bound))
        case _:
            yield _Product(sp.Mul.make_args(expr))


def _tied(product: _Product, mirror: Mirror, system: LimitSystem) -> tuple[Tied, sp.Expr] | None:
    """Return a product as a tied sum with its conditions on positions, None if it is none."""
    positions = {*mirror.pairs, *mirror.pairs.values(), *product.bound}
    constants, conditions, left, right = (sp.Integer(1) for _ in range(4))
    sources: list[AppliedUndef] = []
    for factor in product.factors:
        symbols = factor.free_symbols
        if not symbols & {X, Y, *positions}:
            constants *= factor
        elif isinstance(factor, sp.KroneckerDelta) and not symbols & set(product.bound):
            conditions *= factor
        elif isinstance(factor, AppliedUndef) and {X, Y} <= symbols:
            sources.append(factor)
        elif isinstance(factor, AppliedUndef | Within) and X in symbols and not symbols & set(mirror.pairs):
            left *= factor
        elif isinstance(factor, AppliedUndef | Within) and Y in symbols:
            right *= factor
        else:
            return None
    if len(sources) > 1 or mirror.left(right) != left or not _is_short(product.bound, system):
        return None
    if sources and not _is_mirrored(sources[0], mirror, system):
        return None
    if _sign(constants, system) not in (0, 1):
        return None
    return Tied(constants, left, sources[0] if sources else None, product.bound), conditions


def _is_mirrored(source: AppliedUndef, mirror: Mirror, system: LimitSystem) -> bool:
    """Tell whether a moment is read at the same places of both copies."""
    if source.args[-2:] != (X, Y):
        return False
    shape = system.shapes.get(source.func.__name__, ())
    places = source.args[len(source.args) - 2 - len(shape) : -2]
    half = len(places) // 2
    if 2 * half != len(places) or [axis for axis, _ in shape[:half]] != [axis for axis, _ in shape[half:]]:
        return False
    if any(set(mirror.pairs) & place.free_symbols for place in places[:half]):
        return False
    return all(mirror.left(right) == left for left, right in zip(places[:half], places[half:], strict=True))


def _is_short(bound: tuple[sp.Symbol, ...], system: LimitSystem) -> bool:
    """Tell whether sums have the same number of terms whatever the data."""
    return all(isinstance(system.axes[system.indices[index][0]].extent, Number) for index in bound)


def _sign(coefficient: sp.Expr, system: LimitSystem) -> int | None:
    """Return the sign of a coefficient without sizes of x′; sizes are positive."""
    if coefficient.free_symbols & set(system.right_sizes):
        return None
    known = {symbol: sp.Float(value) for symbol, value in system.constants.items()}
    sizes = {symbol: sp.Dummy(positive=True) for symbol in coefficient.free_symbols - known.keys()}
    sign = sp.sign(coefficient.xreplace({**known, **sizes}))
    return int(sign) if sign.is_Integer else None
