"""From an expression to its normal form: a sum of terms of the families, None if it is no such sum.

Functions of piecewise polynomials (relu of clip, exp of min) are taken piece by piece; expectations of a function
without a normal form are numerical.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import sympy as sp

from tensorprog.dual.closed.constant import FUNCTIONS, number, symbol
from tensorprog.dual.closed.families import (
    FLAT,
    LARGEST_POWER,
    ONE,
    Erf,
    Factor,
    Form,
    Quad,
    Sin,
    Step,
    Term,
    add,
    constant,
    multiply,
    scale,
)
from tensorprog.dual.closed.pieces import by_pieces
from tensorprog.nonlin.base import primitive
from tensorprog.nonlin.expression import Apply, Expr, Number, Operand, Symbol, walk
from tensorprog.nonlin.simplify import expand, inline, simplify
from tensorprog.nonlin.traverse import fold

__all__ = ["FLAT", "ONE", "Erf", "Factor", "Form", "Quad", "Sin", "Step", "Term", "normal_form"]

ZERO = sp.Integer(0)


@functools.lru_cache(1024)
def normal_form(phi: Expr) -> Form | None:
    """Return φ as a sum of terms, or None if it is not in the families."""
    whole = inline(phi)
    if any(not _integer_parameters(node) for node in walk(whole)):
        return None
    return fold(simplify(expand(whole)), _form)


def _integer_parameters(node: Expr) -> bool:
    if not isinstance(node, Apply):
        return True
    return all(isinstance(node.args[i], Number) for i in primitive(node.function).integers)


def _value(form: Form) -> sp.Expr | None:
    """Return the value of a constant form, None for any other."""
    if not form:
        return ZERO
    return form[0].coefficient if form == constant(form[0].coefficient) else None


def _polynomial(form: Form, degree: int) -> tuple[sp.Expr, ...] | None:
    """Return the coefficients of a polynomial of at most that degree, lowest first."""
    if any(not term.is_monomial or term.power > degree for term in form):
        return None
    by_power = {term.power: term.coefficient for term in form}
    return tuple(by_power.get(power, ZERO) for power in range(degree + 1))


@functools.singledispatch
def _form(node: Expr, args: tuple[Form | None, ...]) -> Form | None:
    return None


@_form.register
def _(node: Number, args: tuple[Form | None, ...]) -> Form | None:
    return constant(number(node))


@_form.register
def _(node: Symbol, args: tuple[Form | None, ...]) -> Form | None:
    return constant(symbol(node))


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
    if node.function not in _FAMILIES:
        return None
    family = _FAMILIES[node.function]
    return family(known[0]) or by_pieces(known[0], lambda piece: _on_piece(node.function, family, piece))


def _on_piece(name: str, family: Callable[[Form], Form | None], piece: Form) -> Form | None:
    value = _value(piece)
    return _constant_function(name, value) if value is not None else family(piece)


def _constant_function(name: str, *values: sp.Expr) -> Form | None:
    function = FUNCTIONS.get(name)
    return constant(function(values[0])) if function and len(values) == 1 else None


def _divide(left: Form, right: Form) -> Form | None:
    value = _value(right)
    return scale(left, 1 / value) if value is not None and value != 0 else None


def _power(base: Form, exponent: Form) -> Form | None:
    order, value = _value(exponent), _value(base)
    if value is not None and order is not None:
        return constant(value**order)
    if order is None or not order.is_Integer or not 0 <= order <= LARGEST_POWER:
        return None
    result: Form | None = constant(sp.Integer(1))
    for _ in range(int(order)):
        result = multiply(result, base) if result is not None else None
    return result


def _gated(gate: Step | Erf) -> Form:
    return (Term(sp.Integer(1), 0, Factor((gate,))),)


def _step(argument: Form) -> Form | None:
    """Return step(a u + b); a positive number in front of the argument does not matter."""
    affine = _polynomial(argument, 1)
    if affine is None or affine[1] == 0:
        return _step_of_quadratic(argument)
    b, a = affine
    return _gated(Step(sp.sign(a), b / abs(a)) if a.is_number else Step(a, b))


def _step_of_quadratic(argument: Form) -> Form | None:
    """Return the step of a u² + b u + c with numbers for coefficients, by its real roots."""
    quadratic = _polynomial(argument, 2)
    if quadratic is None or not all(entry.is_number for entry in quadratic) or quadratic[2] == 0:
        return None
    c, b, a = quadratic
    outside, root = constant(FUNCTIONS["step"](a)), sp.sqrt(sp.Max(b**2 - 4 * a * c, 0)) / (2 * abs(a))
    if root == 0:
        return outside
    low, high = (_gated(Step(sp.Integer(1), b / (2 * a) + end)) for end in (root, -root))
    return add(outside, scale(low, -sp.sign(a)), scale(high, sp.sign(a)))


def _erf(argument: Form) -> Form | None:
    affine = _polynomial(argument, 1)
    return _gated(Erf(affine[1], affine[0])) if affine else None


def _wave(argument: Form, ahead: sp.Expr) -> Form | None:
    affine = _polynomial(argument, 1)
    return (Term(sp.Integer(1), 0, Factor(wave=Sin(affine[1], affine[0] + ahead))),) if affine else None


def _exp(argument: Form) -> Form | None:
    quadratic = _polynomial(argument, 2)
    if quadratic is None:
        return None
    gamma, beta, alpha = quadratic
    return (Term(sp.Integer(1), 0, Factor(quad=Quad(-alpha, beta, gamma))),)


def _gauss(argument: Form) -> Form | None:
    square = multiply(argument, argument)
    return _exp(scale(square, sp.Integer(-1))) if square is not None else None


def _elu(argument: Form) -> Form | None:
    """Return u, and exp(u) − 1 where u < 0."""
    exponential, above, below = _exp(argument), _step(argument), _step(scale(argument, sp.Integer(-1)))
    if exponential is None or above is None or below is None:
        return None
    right, left = multiply(above, argument), multiply(below, add(exponential, constant(sp.Integer(-1))))
    return None if right is None or left is None else add(right, left)


_COMBINATIONS: Mapping[str, Callable[..., Form | None]] = {
    "add": add,
    "sub": lambda left, right: add(left, scale(right, sp.Integer(-1))),
    "mul": multiply,
    "div": _divide,
    "pow": _power,
    "neg": lambda form: scale(form, sp.Integer(-1)),
}
_FAMILIES: Mapping[str, Callable[[Form], Form | None]] = {
    "step": _step,
    "erf": _erf,
    "sin": lambda argument: _wave(argument, ZERO),
    "cos": lambda argument: _wave(argument, sp.pi / 2),
    "exp": _exp,
    "gauss": _gauss,
    "elu": _elu,
}
