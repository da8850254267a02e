"""The normal form of a function of one variable: a sum of coefficient · uᵏ · factor(u).

    factor ::= One | Step(a, b) | Erf(a, b) | Quad(α, β, γ) | Sin(w, b)

These families are closed under Gaussian integration by parts; everything in the language that has closed forms is such
a sum. A function that is not has no normal form (None), and its expectations are numerical.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import sympy as sp

from tensorprog.dual.constant import FUNCTIONS, number, symbol
from tensorprog.nonlin.base import primitive
from tensorprog.nonlin.expression import Apply, Expr, Number, Operand, Symbol, walk
from tensorprog.nonlin.simplify import expand, inline, simplify
from tensorprog.nonlin.traverse import fold

__all__ = ["ONE", "Erf", "Factor", "Form", "One", "Quad", "Sin", "Step", "Term", "normal_form"]

_LARGEST_POWER = 40


@dataclass(frozen=True, slots=True)
class One:
    """The constant 1."""


@dataclass(frozen=True, slots=True)
class Step:
    """step(a u + b)."""

    a: sp.Expr
    b: sp.Expr


@dataclass(frozen=True, slots=True)
class Erf:
    """erf(a u + b)."""

    a: sp.Expr
    b: sp.Expr


@dataclass(frozen=True, slots=True)
class Sin:
    """sin(w u + b)."""

    w: sp.Expr
    b: sp.Expr


@dataclass(frozen=True, slots=True)
class Quad:
    """exp(−alpha u² + beta u + gamma)."""

    alpha: sp.Expr
    beta: sp.Expr
    gamma: sp.Expr


Factor: TypeAlias = One | Step | Erf | Sin | Quad
ONE = One()


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient · u^power · factor(u)."""

    coefficient: sp.Expr
    power: int
    factor: Factor


Form: TypeAlias = tuple[Term, ...]


def normal_form(phi: Expr) -> Form | None:
    """Return φ as a sum of terms, or None if it is not one of the families."""
    whole = inline(phi)
    if any(not _integer_parameters(node) for node in walk(whole)):
        return None
    return fold(simplify(expand(whole)), _form)


def _integer_parameters(node: Expr) -> bool:
    if not isinstance(node, Apply):
        return True
    return all(isinstance(node.args[i], Number) for i in primitive(node.function).integers)


def _constant(value: sp.Expr) -> Form:
    """Return the constant function (the empty sum for 0)."""
    return (Term(value, 0, ONE),) if value != 0 else ()


def _collect(terms: Iterable[Term]) -> Form:
    """Return the sum with equal terms added and zero ones dropped."""
    sums: dict[tuple[int, Factor], sp.Expr] = {}
    for term in terms:
        key = (term.power, term.factor)
        sums[key] = sp.expand(sums.get(key, sp.Integer(0)) + term.coefficient)
    return tuple(Term(value, *key) for key, value in sums.items() if value != 0)


def _value(form: Form) -> sp.Expr | None:
    """Return the value of a constant form, None for any other."""
    if not form:
        return sp.Integer(0)
    return form[0].coefficient if form == _constant(form[0].coefficient) else None


def _polynomial(form: Form, degree: int) -> tuple[sp.Expr, ...] | None:
    """Return the coefficients of a polynomial of at most that degree, lowest first."""
    if any(not isinstance(term.factor, One) or term.power > degree for term in form):
        return None
    by_power = {term.power: term.coefficient for term in form}
    return tuple(by_power.get(power, sp.Integer(0)) for power in range(degree + 1))


@functools.singledispatch
def _form(node: Expr, args: tuple[Form | None, ...]) -> Form | None:
    return None


@_form.register
def _(node: Number, args: tuple[Form | None, ...]) -> Form | None:
    return _constant(number(node))


@_form.register
def _(node: Symbol, args: tuple[Form | None, ...]) -> Form | None:
    return _constant(symbol(node))


@_form.register
def _(node: Operand, args: tuple[Form | None, ...]) -> Form | None:
    return (Term(sp.Integer(1), 1, ONE),) if node.index == 0 else None


@_form.register
def _(node: Apply, args: tuple[Form | None, ...]) -> Form | None:
    known = tuple(arg for arg in args if arg is not None)
    if len(known) < len(args):
        return None
    if node.function in _COMBINATIONS:
        return _COMBINATIONS[node.function](*known)
    values = [_value(arg) for arg in known]
    if all(value is not None for value in values):
        return _constant_function(node.function, *values)
    return _FAMILIES[node.function](known[0]) if node.function in _FAMILIES else None


def _constant_function(name: str, *values: sp.Expr) -> Form | None:
    function = FUNCTIONS.get(name)
    return _constant(function(values[0])) if function and len(values) == 1 else None


def _add(left: Form, right: Form) -> Form:
    return _collect((*left, *right))


def _scale(form: Form, factor: sp.Expr) -> Form:
    return _collect(replace(term, coefficient=term.coefficient * factor) for term in form)


def _divide(left: Form, right: Form) -> Form | None:
    value = _value(right)
    return _scale(left, 1 / value) if value is not None and value != 0 else None


def _power(base: Form, exponent: Form) -> Form | None:
    order, value = _value(exponent), _value(base)
    if value is not None and order is not None:
        return _constant(value**order)
    if order is None or not order.is_Integer or not 0 <= order <= _LARGEST_POWER:
        return None
    result: Form | None = _constant(sp.Integer(1))
    for _ in range(int(order)):
        result = _multiply(result, base) if result is not None else None
    return result


def _multiply(left: Form, right: Form) -> Form | None:
    products = [_product(a, b) for a in left for b in right]
    if any(product is None for product in products):
        return None
    return _collect(term for product in products if product is not None for term in product)


def _product(left: Term, right: Term) -> Form | None:
    coefficient, power = left.coefficient * right.coefficient, left.power + right.power
    factors = _product_of_factors(left.factor, right.factor, power)
    if factors is None or power > _LARGEST_POWER:
        return None
    return tuple(Term(coefficient * weight, power, factor) for weight, factor in factors)


def _product_of_factors(left: Factor, right: Factor, power: int) -> tuple[tuple[sp.Expr, Factor], ...] | None:
    """Return factor · factor as a weighted sum, where it stays in the families."""
    one, half = sp.Integer(1), sp.Rational(1, 2)
    match left, right:
        case (One(), other) | (other, One()):
            return ((one, other),)
        case Quad(), Quad():
            return ((one, Quad(left.alpha + right.alpha, left.beta + right.beta, left.gamma + right.gamma)),)
        case Sin(w, b), Sin(w2, b2):
            difference, total = _wave(w - w2, b - b2 + sp.pi / 2), _wave(w + w2, b + b2 + sp.pi / 2)
            return ((half * difference[0], difference[1]), (-half * total[0], total[1]))
        case Step(), Step() if left == right and left.b == 0 and power > 0:
            return ((one, left),)
        case _:
            return None


def _wave(w: sp.Expr, b: sp.Expr) -> tuple[sp.Expr, Factor]:
    return (sp.sin(b), ONE) if w == 0 else (sp.Integer(1), Sin(w, b))


def _step(argument: Form) -> Form | None:
    """Return step(a u + b); a positive number in front of the argument does not matter."""
    affine = _polynomial(argument, 1)
    if affine is None:
        return None
    b, a = affine
    return (Term(sp.Integer(1), 0, Step(sp.sign(a), b / abs(a)) if a.is_number else Step(a, b)),)


def _erf(argument: Form) -> Form | None:
    affine = _polynomial(argument, 1)
    return (Term(sp.Integer(1), 0, Erf(affine[1], affine[0])),) if affine else None


def _sin(argument: Form) -> Form | None:
    affine = _polynomial(argument, 1)
    return (Term(sp.Integer(1), 0, Sin(affine[1], affine[0])),) if affine else None


def _cos(argument: Form) -> Form | None:
    affine = _polynomial(argument, 1)
    return (Term(sp.Integer(1), 0, Sin(affine[1], affine[0] + sp.pi / 2)),) if affine else None


def _exp(argument: Form) -> Form | None:
    quadratic = _polynomial(argument, 2)
    if quadratic is None:
        return None
    gamma, beta, alpha = quadratic
    return (Term(sp.Integer(1), 0, Quad(-alpha, beta, gamma)),)


def _gauss(argument: Form) -> Form | None:
    affine = _polynomial(argument, 1)
    if affine is None:
        return None
    b, a = affine
    return (Term(sp.Integer(1), 0, Quad(a**2, -2 * a * b, -(b**2))),)


_COMBINATIONS: Mapping[str, Callable[..., Form | None]] = {
    "add": _add,
    "sub": lambda left, right: _add(left, _scale(right, sp.Integer(-1))),
    "mul": _multiply,
    "div": _divide,
    "pow": _power,
    "neg": lambda form: _scale(form, sp.Integer(-1)),
}
_FAMILIES: Mapping[str, Callable[[Form], Form | None]] = {
    "step": _step,
    "erf": _erf,
    "sin": _sin,
    "cos": _cos,
    "exp": _exp,
    "gauss": _gauss,
}
