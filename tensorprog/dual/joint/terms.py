"""A function of several variables as a sum of products: powers of variables, functions of one line, and the rest.

A line is a linear form Σ a_i u_i with numbers for coefficients: of jointly Gaussian u it is one Gaussian variable, so
that a product of functions of one or two lines has an expectation in one or two dimensions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import sympy as sp

from tensorprog.dual.closed.constant import number, symbol
from tensorprog.nonlin.expression import ONE, Apply, Expr, Number, Operand, Symbol, apply, operands, rebuild
from tensorprog.nonlin.simplify import bind, expand, inline, simplify
from tensorprog.nonlin.traverse import fold

__all__ = ["Affine", "Line", "Product", "affine", "factors", "line", "on_line", "products", "split_factors", "variable"]

Line: TypeAlias = tuple[tuple[int, Fraction], ...]
"""The coefficients of a linear form by variable, ascending, the first of them 1."""

_MOST_PRODUCTS = 256


@dataclass(frozen=True, slots=True)
class Affine:
    """constant + Σ coefficients[i] · u_i."""

    coefficients: Mapping[int, Fraction]
    constant: Fraction


@dataclass(frozen=True, slots=True)
class Product:
    """coefficient · Π factors."""

    coefficient: sp.Expr
    factors: tuple[Expr, ...]


def affine(expr: Expr) -> Affine | None:
    """Return an affine function with numbers for coefficients as such, None for any other."""
    return fold(expr, _affine)


def _affine(node: Expr, args: tuple[Affine | None, ...]) -> Affine | None:
    match node:
        case Number():
            finite = isinstance(node.value, int) or abs(node.value) < float("inf")
            return Affine({}, Fraction(node.value)) if finite else None
        case Operand():
            return Affine({node.index: Fraction(1)}, Fraction(0))
        case Apply("add" | "sub", _) if args[0] and args[1]:
            return _combined(args[0], args[1], Fraction(1 if node.function == "add" else -1))
        case Apply("neg", _) if args[0]:
            return _scaled(args[0], Fraction(-1))
        case Apply("mul", _) if args[0] and args[1] and not args[0].coefficients:
            return _scaled(args[1], args[0].constant)
        case Apply("mul", _) if args[0] and args[1] and not args[1].coefficients:
            return _scaled(args[0], args[1].constant)
        case Apply("div", _) if args[0] and args[1] and not args[1].coefficients and args[1].constant:
            return _scaled(args[0], 1 / args[1].constant)
    return None


def _combined(left: Affine, right: Affine, weight: Fraction) -> Affine:
    indices = sorted({*left.coefficients, *right.coefficients})
    zero = Fraction(0)
    sums = {i: left.coefficients.get(i, zero) + weight * right.coefficients.get(i, zero) for i in indices}
    return Affine({i: value for i, value in sums.items() if value}, left.constant + weight * right.constant)


def _scaled(form: Affine, weight: Fraction) -> Affine:
    scaled = {i: weight * value for i, value in form.coefficients.items() if weight}
    return Affine(scaled, weight * form.constant)


def variable(index: int) -> Line:
    """Return the line that is one variable."""
    return ((index, Fraction(1)),)


def line(form: Affine) -> tuple[Line, Fraction]:
    """Return the line of a form that is not constant, and the factor in front of it."""
    entries = sorted(form.coefficients.items())
    first = entries[0][1]
    return tuple((i, value / first) for i, value in entries), first


def on_line(expr: Expr) -> tuple[Line, Expr] | None:
    """Return a function of one line as that line and a function of Operand(0); None for any other function."""
    found: set[Line] = set()
    body = _rewritten(expr, found)
    return (next(iter(found)), simplify(body)) if len(found) == 1 and body is not None else None


def _rewritten(expr: Expr, found: set[Line]) -> Expr | None:
    """Return the function with its largest affine parts written in terms of the line that they belong to."""
    indices = operands(expr)
    if not indices:
        return expr
    form = affine(expr)
    if form is not None and form.coefficients:
        direction, slope = line(form)
        found.add(direction)
        return simplify(_constant(slope) * Operand(0) + _constant(form.constant))
    if len(indices) == 1:
        found.add(variable(indices[0]))
        return bind(expr, tuple(Operand(0) for _ in range(indices[0] + 1)))
    if not isinstance(expr, Apply) or len(found) > 1:
        return None
    parts = [_rewritten(arg, found) for arg in expr.args]
    known = tuple(part for part in parts if part is not None)
    return rebuild(expr, known) if len(known) == len(parts) else None


def _constant(value: Fraction) -> Expr:
    if value.denominator == 1:
        return Number(value.numerator)
    if float(value).as_integer_ratio() == value.as_integer_ratio():
        return Number(float(value))
    return Number(value.numerator) / Number(value.denominator)


def products(expr: Expr) -> tuple[Product, ...] | None:
    """Return the function as a sum of products, max and min of two lines written with relu; None if too many."""
    return fold(simplify(inline(expr)), _products)


def factors(expr: Expr) -> Product:
    """Return the function as one product, its sums left as they are."""
    coefficient, found = sp.Integer(1), list[Expr]()
    for factor in split_factors(simplify(inline(expr))):
        value = _value(factor)
        coefficient, found = (coefficient * value, found) if value is not None else (coefficient, [*found, factor])
    return Product(coefficient, tuple(found))


def split_factors(expr: Expr) -> Iterator[Expr]:
    """Yield the factors of a product."""
    match expr:
        case Apply("mul", (left, right)):
            yield from split_factors(left)
            yield from split_factors(right)
        case Apply("div", (left, right)) if left != ONE:
            yield from split_factors(left)
            yield from (apply("div", ONE, factor) for factor in split_factors(right))
        case Apply("neg", (arg,)):
            yield Number(-1)
            yield from split_factors(arg)
        case _:
            yield expr


def _value(expr: Expr) -> sp.Expr | None:
    """Return the value of a number or a symbol."""
    match expr:
        case Number():
            return number(expr)
        case Symbol():
            return symbol(expr)
        case Apply("div", (Number(1), (Number() | Symbol()) as below)):
            value = _value(below)
            return None if value is None else 1 / value
    return None


_Sum = tuple[Product, ...]


def _products(node: Expr, args: tuple[_Sum | None, ...]) -> _Sum | None:
    value = _value(node)
    if value is not None:
        return (Product(value, ()),)
    if isinstance(node, Operand):
        return (Product(sp.Integer(1), (node,)),)
    if not isinstance(node, Apply):
        return _atom(node)
    if node.function in _RULES:
        known = [arg for arg in args if arg is not None]
        return _limited(_RULES[node.function](node, *known)) if len(known) == len(args) else None
    if node.function in ("max", "min") and _is_one_line(node):
        return products(expand(node, node.function))
    return _atom(node)


def _is_one_line(node: Apply) -> bool:
    form = affine(simplify(node.args[0] - node.args[1]))
    return form is not None and bool(form.coefficients)


def _atom(node: Expr) -> _Sum:
    return (Product(sp.Integer(1), (node,)),)


def _limited(found: _Sum) -> _Sum | None:
    return found if len(found) <= _MOST_PRODUCTS else None


def _weighted(sum_: _Sum, weight: sp.Expr) -> _Sum:
    return tuple(Product(weight * product.coefficient, product.factors) for product in sum_)


def _times(left: _Sum, right: _Sum) -> _Sum:
    pairs = itertools.islice(itertools.product(left, right), _MOST_PRODUCTS + 1)
    return tuple(Product(a.coefficient * b.coefficient, (*a.factors, *b.factors)) for a, b in pairs)


def _over(node: Apply, left: _Sum, right: _Sum) -> _Sum:
    if len(right) == 1 and not right[0].factors and right[0].coefficient != 0:
        return _weighted(left, 1 / right[0].coefficient)
    return _times(left, _atom(apply("div", ONE, node.args[1])))


def _power(node: Apply, base: _Sum, exponent: _Sum) -> _Sum:
    order = node.args[1]
    if not isinstance(order, Number) or order.value != int(order.value) or not 0 <= order.value <= 8:
        return _atom(node)
    return _repeated(base, int(order.value))


def _repeated(base: _Sum, order: int) -> _Sum:
    result: _Sum = (Product(sp.Integer(1), ()),)
    for _ in range(order):
        result = _times(result, base)
    return result


_RULES: Mapping[str, Callable[..., _Sum]] = {
    "add": lambda node, left, right: (*left, *right),
    "sub": lambda node, left, right: (*left, *_weighted(right, sp.Integer(-1))),
    "neg": lambda node, arg: _weighted(arg, sp.Integer(-1)),
    "mul": lambda node, left, right: _times(left, right),
    "div": _over,
    "pow": _power,
    "square": lambda node, arg: _repeated(arg, 2),
    "cube": lambda node, arg: _repeated(arg, 3),
}
