"""Expectations that are infinite or undefined whatever the variance, told from the expression alone."""

from __future__ import annotations

import functools

from tensorprog.dual.normal_form import Form, One, Quad, normal_form
from tensorprog.nonlin.expression import Apply, Expr, Number, walk
from tensorprog.nonlin.simplify import inline
from tensorprog.nonlin.text import text

__all__ = ["InfiniteExpectation", "UndefinedExpectation", "check_defined"]


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
    if node.function == "pow" and isinstance(node.args[1], Number) and _changes_sign(node.args[0]):
        exponent = node.args[1].value
        if exponent != int(exponent):
            raise UndefinedExpectation(f"{described} is undefined where its base, a Gaussian, is negative")
        if exponent < 0:
            raise UndefinedExpectation(f"{described} has no expectation: its base, a Gaussian, comes near zero")
    if node.function == "div" and _changes_sign(node.args[1]):
        raise UndefinedExpectation(f"{described} has no expectation: its denominator, a Gaussian, comes near zero")
    if node.function in ("exp", "gauss") and _explodes(normal_form(node)):
        raise InfiniteExpectation(f"{described} has an infinite expectation once the variance is large enough")


def _changes_sign(argument: Expr) -> bool:
    """Return whether the argument is a polynomial of odd degree."""
    form = normal_form(argument)
    if not form or any(not isinstance(term.factor, One) for term in form):
        return False
    return max(term.power for term in form) % 2 == 1


def _explodes(form: Form | None) -> bool:
    return any(isinstance(term.factor, Quad) and term.factor.alpha.is_negative for term in form or ())
