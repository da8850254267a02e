"""How a function of several variables is integrated: which variables in closed form, where the others have kinks.

    f(u) = A(u_i + r(w)) · B(u_j + s(w)) · R(w)

with A, B made of pieces of polynomials and w the other variables: given w, u_i and u_j are Gaussian, and the
expectation over them is a closed form (`dual.cubature.gates`). So only w is integrated numerically.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tensorprog.dual.cubature.gates import LINEAR, Pieces, find_pieces
from tensorprog.dual.joint.terms import affine, split_factors
from tensorprog.dual.pairs.features import find_features
from tensorprog.nonlin.base import primitive
from tensorprog.nonlin.expression import ONE, ZERO, Apply, Expr, Number, Operand, Symbol, operands, rebuild, walk
from tensorprog.nonlin.simplify import bind, expand, inline, simplify

__all__ = ["Inner", "Kink", "Plan", "find_plan", "with_numbers"]


@dataclass(frozen=True, slots=True)
class Inner:
    """A variable that is integrated in closed form: the factor pieces(u_index + shift) has it, and no other factor."""

    index: int
    pieces: Pieces
    shift: Expr


@dataclass(frozen=True, slots=True)
class Kink:
    """f has a kink where u_index = place, a function of other variables."""

    index: int
    place: Expr


@dataclass(frozen=True, slots=True)
class Plan:
    """The variables `outer` are integrated numerically, `inner` in closed form; the function of the rest is `rest`.

    `kinks` has an entry for every kink, unless `skew`: then there are others. `outer` is an order in which places of
    kinks depend on variables before their own only.
    """

    outer: tuple[int, ...]
    inner: tuple[Inner, ...]
    rest: Expr
    kinks: tuple[Kink, ...]
    skew: bool

    @property
    def is_smooth(self) -> bool:
        """Whether there are no kinks."""
        return not self.kinks and not self.skew


def with_numbers(function: Expr, symbols: tuple[tuple[str, float], ...]) -> Expr:
    """Return the function with numbers for its symbols (`pi` stays)."""
    values = dict(symbols)

    def changed(node: Expr) -> Expr:
        if isinstance(node, Symbol) and node.name in values:
            return Number(float(values[node.name]))
        return rebuild(node, tuple(map(changed, node.args))) if isinstance(node, Apply) else node

    return simplify(changed(inline(function)))


@functools.lru_cache(256)
def find_plan(function: Expr) -> Plan:
    """Return how a function without hyperparameters is integrated."""
    factors = tuple(split_factors(function))
    best = max(_choices(factors), key=_merit)
    taken = {inner.index for inner in best}
    rest = _product([factor for factor in factors if not taken & set(operands(factor))])
    outer = tuple(i for i in operands(function) if i not in taken)
    return _with_kinks(outer, best, rest)


def _product(factors: list[Expr]) -> Expr:
    total: Expr = ONE
    for factor in factors:
        total = total * factor
    return simplify(total)


def _merit(choice: tuple[Inner, ...]) -> tuple[int, int]:
    """Return how much a choice of variables helps: their number, and that of the kinks that it does away with."""
    return len(choice), sum(len(inner.pieces.kinks) for inner in choice)


def _choices(factors: tuple[Expr, ...]) -> Iterator[tuple[Inner, ...]]:
    found = [inner for i in sorted({i for f in factors for i in operands(f)}) if (inner := _inner(i, factors))]
    yield ()
    yield from ((inner,) for inner in found)
    for first, second in itertools.combinations(found, 2):
        linear = max(first.pieces.degree, second.pieces.degree) <= LINEAR
        if linear and _apart(first, second, factors):
            yield first, second


def _apart(first: Inner, second: Inner, factors: tuple[Expr, ...]) -> bool:
    """Return whether no factor has both variables."""
    return not any({first.index, second.index} <= set(operands(factor)) for factor in factors)


def _inner(index: int, factors: tuple[Expr, ...]) -> Inner | None:
    """Return a variable that can be integrated in closed form, given the others."""
    shifts: set[Expr] = set()
    bodies = []
    for factor in factors:
        if index in operands(factor):
            body = _shifted(factor, index, shifts)
            if body is None or len(shifts) > 1:
                return None
            bodies.append(body)
    pieces = find_pieces(_product(bodies))
    return None if pieces is None or len(shifts) != 1 else Inner(index, pieces, next(iter(shifts)))


def _shifted(expr: Expr, index: int, shifts: set[Expr]) -> Expr | None:
    """Return the function of Operand(0) = u_index + shift that an expression is, None if it is none."""
    indices = operands(expr)
    if not indices:
        return expr
    found = _linear(expr, index)
    if found is not None and found[0]:
        slope, rest = found
        shift = simplify(rest / Number(float(slope))) if operands(rest) else ZERO
        constant = rest if not operands(rest) else ZERO
        shifts.add(shift)
        return simplify(Number(float(slope)) * Operand(0) + constant)
    if index not in indices or not isinstance(expr, Apply):
        return None
    parts = [_shifted(arg, index, shifts) for arg in expr.args]
    known = tuple(part for part in parts if part is not None)
    return rebuild(expr, known) if len(known) == len(parts) else None


def _linear(expr: Expr, index: int) -> tuple[Fraction, Expr] | None:
    """Return (a, r) with a u_index + r the expression, r free of u_index; None if there are none."""
    if index not in operands(expr):
        return Fraction(0), expr
    if isinstance(expr, Operand):
        return Fraction(1), ZERO
    if not isinstance(expr, Apply):
        return None
    parts = [_linear(arg, index) for arg in expr.args]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    rests = tuple(rest for _, rest in known)
    match expr.function:
        case "add":
            return known[0][0] + known[1][0], simplify(rests[0] + rests[1])
        case "sub":
            return known[0][0] - known[1][0], simplify(rests[0] - rests[1])
        case "neg":
            return -known[0][0], simplify(-rests[0])
        case "mul":
            return _linear_product(known[0], known[1]) or _linear_product(known[1], known[0])
        case "div" if (value := _number(rests[1])) and not known[1][0]:
            return known[0][0] / value, simplify(rests[0] / rests[1])
    return None


def _linear_product(number: tuple[Fraction, Expr], other: tuple[Fraction, Expr]) -> tuple[Fraction, Expr] | None:
    value = _number(number[1])
    if number[0] or value is None:
        return None
    return value * other[0], simplify(number[1] * other[1])


def _number(expr: Expr) -> Fraction | None:
    form = affine(expr)
    return form.constant if form is not None and not form.coefficients else None


def _with_kinks(outer: tuple[int, ...], inner: tuple[Inner, ...], rest: Expr) -> Plan:
    """Return the plan with the first order of the outer variables for which all kinks have places."""
    nodes = list(_kinked([rest, *(part.shift for part in inner)]))
    orders = itertools.permutations(outer) if len(outer) <= 3 else iter([outer])
    for order in orders:
        places = [_places(node, order) for node in nodes]
        if all(place is not None for place in places):
            kinks = tuple(dict.fromkeys(kink for place in places if place is not None for kink in place))
            return Plan(order, inner, rest, kinks, skew=False)
    return Plan(outer, inner, rest, (), skew=bool(nodes))


def _kinked(functions: list[Expr]) -> Iterator[Apply]:
    """Yield the parts of functions that have kinks or singularities, max and its like written with relu."""
    seen: set[Expr] = set()
    for function in functions:
        for node in walk(expand(inline(function))):
            if isinstance(node, Apply) and node not in seen and operands(node) and _has_kinks(node):
                seen.add(node)
                yield node


def _has_kinks(node: Apply) -> bool:
    if node.function in ("sqrt", "log", "floordiv"):
        return True
    if node.function == "pow":
        exponent = node.args[1]
        return not isinstance(exponent, Number) or exponent.value < 0 or exponent.value != int(exponent.value)
    return bool(primitive(node.function).kinks) or node.function in ("max", "min")


def _places(node: Apply, order: tuple[int, ...]) -> tuple[Kink, ...] | None:
    """Return the kinks of a part: of one variable wherever they are, of more where the last one is its kink."""
    indices = operands(node)
    if len(indices) == 1:
        alone = bind(node, tuple(Operand(0) for _ in range(indices[0] + 1)))
        found = find_features(alone, {}).kinks
        return tuple(Kink(indices[0], Number(float(place))) for place in found)
    last = max(indices, key=order.index)
    linear = _linear(node.args[0], last)
    kinks = primitive(node.function).kinks
    if linear is None or not linear[0] or not kinks or any(last in operands(arg) for arg in node.args[1:]):
        return None
    slope, rest = linear
    return tuple(Kink(last, simplify((Number(kink) - rest) / Number(float(slope)))) for kink in kinks)
