"""Expectations that are infinite or undefined whatever the variance, told from the expression alone."""

from __future__ import annotations

import functools

import sympy as sp

from tensorprog.dual.closed.normal_form import Form, normal_form
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Apply, Expr, Operand, Position, Symbol, walk
from tensorprog.nonlin.simplify import inline
from tensorprog.nonlin.text import text

__all__ = ["InfiniteExpectation", "UndefinedExpectation", "check_defined", "check_product_defined"]


class UndefinedExpectation(Exception):
    """The expectation does not exist; the message is a sentence that says why."""


class InfiniteExpectation(UndefinedExpectation):
    """The expectation is infinite; the message is a sentence that says why."""


@functools.lru_cache(1024)
def check_defined(phi: Expr) -> None:
    """Raise if E φ(u) exists for no Gaussian u of positive variance, or for small variances only.

    What depends on the value of a hyperparameter, as u^a does, is left to the numerical evaluation.

    Raises:
        UndefinedExpectation: a logarithm or fractional power of a Gaussian, or a division by one.
        InfiniteExpectation: growth like exp(u²).
    """
    for node in walk(inline(phi)):
        if isinstance(node, Apply):
            _check(node)


def _check(node: Apply) -> None:
    described = text(node, ["u"])
    if node.function in ("log", "sqrt") and _changes_sign(node.args[0]):
        raise UndefinedExpectation(f"{described} is undefined where its argument, a Gaussian, is negative")
    if node.function == "pow":
        exponent = _number(node.args[1])
        if exponent != int(exponent) and _changes_sign(node.args[0]):
            raise UndefinedExpectation(f"{described} is undefined where its base, a Gaussian, is negative")
        if -exponent * _zero_order(node.args[0]) >= 1:
            raise UndefinedExpectation(f"{described} has no expectation: its base, a Gaussian, comes near zero")
    if node.function == "div" and _zero_order(node.args[1]) >= 1:
        raise UndefinedExpectation(f"{described} has no expectation: its denominator, a Gaussian, comes near zero")
    if node.function in ("exp", "gauss") and _explodes(normal_form(node)):
        raise InfiniteExpectation(f"{described} has an infinite expectation once the variance is large enough")


@functools.lru_cache(1024)
def check_product_defined(phi: Expr, psi: Expr) -> None:
    """Raise if E[φ(u) ψ(u)] is infinite though both factors have expectations, as of |u|^-½ with itself.

    Raises:
        InfiniteExpectation: the poles of the two together are not integrable.
    """
    if _pole_order(phi) + _pole_order(psi) >= 1:
        product = " times ".join(text(function, ["u"]) for function in (phi, psi))
        raise InfiniteExpectation(f"{product} has an infinite expectation: the denominators come near zero together")


def _pole_order(phi: Expr) -> float:
    """Return k if φ grows like |u|^-k near the worst of its poles."""
    orders = [0.0]
    for node in walk(inline(phi)):
        if isinstance(node, Apply) and node.function == "div":
            orders.append(_zero_order(node.args[1]))
        elif isinstance(node, Apply) and node.function == "pow":
            orders.append(-min(_number(node.args[1]), 0) * _zero_order(node.args[0]))
    return max(orders)


def _zero_order(denominator: Expr) -> float:
    """Return k if a function vanishes like |u|^k somewhere, 0 if it does not as far as can be told."""
    form = normal_form(denominator)
    if form and all(term.is_monomial for term in form):
        return 1.0 if _changes_sign(denominator) or _has_root(form) else 0.0
    if not isinstance(denominator, Apply):
        return 0.0
    name, args = denominator.function, denominator.args
    if name == "mul":
        return max(_zero_order(args[0]), _zero_order(args[1]))
    if name == "pow":
        return _zero_order(args[0]) * _number(args[1])
    return _VANISHING.get(name, 0.0) * _zero_order(args[0])


def _number(expr: Expr) -> float:
    """Return the value of an expression in numbers only, 1 for any other."""
    if any(isinstance(node, Operand | Symbol | Position) for node in walk(expr)):
        return 1.0
    return float(evaluate(expr, (), {}))


_VANISHING = {
    "neg": 1,
    "abs": 1,
    "relu": 1,
    "leaky_relu": 1,
    "sin": 1,
    "tanh": 1,
    "erf": 1,
    "sqrt": 0.5,
    "square": 2,
    "cube": 3,
}
"""Functions that vanish where their argument does, and in which order."""


def _has_root(form: Form) -> bool:
    """Return whether a polynomial of even degree with coefficients that are numbers has a real root."""
    if not all(term.coefficient.is_number for term in form):
        return False
    polynomial = sp.Poly(sp.Add(*(term.coefficient * _U**term.power for term in form)), _U)
    return polynomial.degree() > 0 and polynomial.count_roots() > 0


_U = sp.Dummy("u", real=True)


def _changes_sign(argument: Expr) -> bool:
    """Return whether the argument is a polynomial of odd degree."""
    form = normal_form(argument)
    if not form or any(not term.is_monomial for term in form):
        return False
    return max(term.power for term in form) % 2 == 1


def _explodes(form: Form | None) -> bool:
    return any(bool(term.factor.quad.alpha.is_negative) for term in form or ())
