"""Exact integer arithmetic on sizes, extents and indices: polynomials over names, in one normal form.

size  ::= integer | name | size (+ - *) size | size // size | size ^ integer | size / divisor
index ::= the same, with positions on axes, affine in them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import singledispatch

from tensorprog.core.ir import Affine
from tensorprog.nonlin.expression import Apply, Expr, Number, Position, Symbol, apply, walk

__all__ = ["SizeError", "affine", "normal", "product"]

Monomial = tuple[Expr, ...]
Polynomial = dict[Monomial, int]
_LARGEST = 10**18


class SizeError(ValueError):
    """The expression is not integer arithmetic, or not affine."""


def normal(expr: Expr, symbols: Mapping[str, int | float]) -> Expr:
    """Return a size in normal form, hyperparameters replaced by their values; equal sizes have equal normal forms.

    Raises:
        SizeError: `expr` is not integer arithmetic.
        ZeroDivisionError: a `//` by zero.
    """
    return _expression(_polynomial(expr, symbols))


def affine(expr: Expr, symbols: Mapping[str, int | float]) -> Affine:
    """Return an index as a constant plus integer multiples of positions.

    Raises:
        SizeError: `expr` is not affine in positions with integer coefficients.
        ZeroDivisionError: a `//` by zero.
    """
    constant: Polynomial = {}
    terms: dict[str, Polynomial] = {}
    for monomial, factor in _polynomial(expr, symbols).items():
        positions = [atom for atom in monomial if isinstance(atom, Position)]
        rest = tuple(atom for atom in monomial if not isinstance(atom, Position))
        if len(positions) > 1:
            raise SizeError("a product of two indices")
        part = terms.setdefault(positions[0].axis, {}) if positions else constant
        part[rest] = part.get(rest, 0) + factor
    return Affine(_expression(constant), tuple((axis, _expression(part)) for axis, part in terms.items()))


def product(sizes: Iterable[Expr]) -> Expr:
    """Return the product of sizes in normal form."""
    total: Polynomial = {(): 1}
    for size in sizes:
        total = _multiply(total, _polynomial(size, {}))
    return _expression(total)


def _integer(value: int | float) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise SizeError(f"{value!r} is not an integer")
    if abs(value) > _LARGEST:
        raise SizeError("a number beyond all sizes")
    return int(value)


@singledispatch
def _polynomial(expr: Expr, symbols: Mapping[str, int | float]) -> Polynomial:
    raise SizeError("something that is not integer arithmetic")


@_polynomial.register
def _(expr: Number, symbols: Mapping[str, int | float]) -> Polynomial:
    return _clean({(): _integer(expr.value)})


@_polynomial.register
def _(expr: Symbol, symbols: Mapping[str, int | float]) -> Polynomial:
    if expr.name == "pi":
        raise SizeError("`pi` is not an integer")
    return _clean({(): _integer(symbols[expr.name])}) if expr.name in symbols else {(expr,): 1}


@_polynomial.register
def _(expr: Position, symbols: Mapping[str, int | float]) -> Polynomial:
    return {(expr,): 1}


@_polynomial.register
def _(expr: Apply, symbols: Mapping[str, int | float]) -> Polynomial:
    if expr.function not in _ARITHMETIC:
        raise SizeError(f"`{expr.function}` is not integer arithmetic")
    return _ARITHMETIC[expr.function](*(_polynomial(arg, symbols) for arg in expr.args))


def _clean(poly: Polynomial) -> Polynomial:
    return {monomial: _integer(factor) for monomial, factor in poly.items() if factor != 0}


def _add(left: Polynomial, right: Polynomial) -> Polynomial:
    return _clean({key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}})


def _negate(poly: Polynomial) -> Polynomial:
    return {key: -factor for key, factor in poly.items()}


def _multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    found: Polynomial = {}
    for a, x in left.items():
        for b, y in right.items():
            key = tuple(sorted(a + b, key=repr))
            found[key] = found.get(key, 0) + x * y
    return _clean(found)


def _constant(poly: Polynomial) -> int | None:
    return poly.get((), 0) if set(poly) <= {()} else None


def _floor_divide(left: Polynomial, right: Polynomial) -> Polynomial:
    above, below = _constant(left), _constant(right)
    if below == 0:
        raise ZeroDivisionError
    if above is not None and below is not None:
        return _clean({(): above // below})
    if below is not None and all(factor % below == 0 for factor in left.values()):
        return {key: factor // below for key, factor in left.items()}
    if any(isinstance(atom, Position) for key in (*left, *right) for part in key for atom in walk(part)):
        raise SizeError("an index divided with a remainder")
    return {(apply("floordiv", _expression(left), _expression(right)),): 1}


def _divide(left: Polynomial, right: Polynomial) -> Polynomial:
    below = _constant(right)
    if below == 0:
        raise ZeroDivisionError
    if below is None or any(factor % below for factor in left.values()):
        raise SizeError("a `/` that is not exact; `//` is the division of integers")
    return {key: factor // below for key, factor in left.items()}


def _power(base: Polynomial, exponent: Polynomial) -> Polynomial:
    times = _constant(exponent)
    if times is None or not 0 <= times <= 64:
        raise SizeError("a power that is not a small natural number")
    found: Polynomial = {(): 1}
    for _ in range(times):
        found = _multiply(found, base)
    return found


_ARITHMETIC: dict[str, Callable[..., Polynomial]] = {
    "add": _add,
    "sub": lambda left, right: _add(left, _negate(right)),
    "neg": _negate,
    "mul": _multiply,
    "floordiv": _floor_divide,
    "div": _divide,
    "pow": _power,
}


def _expression(poly: Polynomial) -> Expr:
    """Return a polynomial as an expression: higher degrees first, then by name, the constant last."""
    ordered = sorted(poly.items(), key=lambda item: (item[1] < 0 and item[0] != (), -len(item[0]), repr(item[0])))
    total: Expr | None = None
    for monomial, factor in ordered:
        if total is None:
            total = _term(monomial, factor)
        else:
            total = apply("add" if factor > 0 else "sub", total, _term(monomial, abs(factor)))
    return total if total is not None else Number(0)


def _term(monomial: Monomial, factor: int) -> Expr:
    if not monomial:
        return Number(factor)
    numbers = [] if abs(factor) == 1 else [Number(abs(factor))]
    atoms: list[Expr] = [*numbers, *monomial]
    found = atoms[0]
    for atom in atoms[1:]:
        found = apply("mul", found, atom)
    return apply("neg", found) if factor < 0 else found
