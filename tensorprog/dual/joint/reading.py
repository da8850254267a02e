"""Reads functions of Gaussian variables as sums of ratios (`dual.joint.ratios`)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from tensorprog.dual.joint.ratios import NoRatio, Ratio, Sum, collected, multiplied, power_of, raised, settled
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Apply, Expr, Operand, operands
from tensorprog.nonlin.simplify import expand, inline

__all__ = ["find_ratios"]

_MOST_LINES, _MOST_STEPS, _MOST_FORMS = 8, 2, 2


@functools.lru_cache(512)
def find_ratios(function: Expr, size: int, symbols: tuple[tuple[str, float], ...] = ()) -> tuple[Ratio, ...] | None:
    """Return a function of Operand(0), …, Operand(size − 1) as a sum of ratios, None if it is none.

    All exponents are negative; a term has no more than two forms, two steps and eight lines.

    Args:
        function: the function.
        size: the number of variables.
        symbols: the values of hyperparameters, sorted.
    """
    try:
        found = _Reader(size, dict(symbols)).terms(expand(inline(function)))
        terms = collected(tuple(part for term in found for part in settled(term)))
    except NoRatio:
        return None
    return terms if all(_is_covered(term) for term in terms) else None


def _is_covered(term: Ratio) -> bool:
    sizes = (len(term.lines), _MOST_LINES), (len(term.steps), _MOST_STEPS), (len(term.powers), _MOST_FORMS)
    return all(size <= most for size, most in sizes)


class _Reader:
    """Reads expressions as sums of ratios."""

    def __init__(self, size: int, symbols: Mapping[str, float]) -> None:
        self._size = size
        self._symbols = symbols
        self._known: dict[Expr, Sum] = {}

    def terms(self, expr: Expr) -> Sum:
        """Return an expression as a sum.

        Raises:
            NoRatio: it is none.
        """
        found = self._known.get(expr)
        if found is None:
            found = self._known[expr] = self._read(expr)
        return found

    def _read(self, expr: Expr) -> Sum:
        if isinstance(expr, Operand):
            return (Ratio(1.0, (tuple(float(i == expr.index) for i in range(self._size)),)),)
        if not operands(expr):
            return collected((Ratio(self._number(expr)),))
        rule = _RULES.get(expr.function) if isinstance(expr, Apply) else None
        if rule is None:
            raise NoRatio
        assert isinstance(expr, Apply)
        return rule(self, *expr.args)

    def _number(self, expr: Expr) -> float:
        try:
            value = float(evaluate(expr, (), self._symbols))
        except (KeyError, ZeroDivisionError, ValueError) as error:
            raise NoRatio from error
        if not math.isfinite(value):
            raise NoRatio
        return value

    def sum(self, left: Expr, right: Expr) -> Sum:
        """Return the terms of a sum."""
        return collected(self.terms(left) + self.terms(right))

    def difference(self, left: Expr, right: Expr) -> Sum:
        """Return the terms of a difference."""
        return collected(self.terms(left) + self.negation(right))

    def negation(self, arg: Expr) -> Sum:
        """Return the terms of −a."""
        return tuple(replace(term, coefficient=-term.coefficient) for term in self.terms(arg))

    def product(self, left: Expr, right: Expr) -> Sum:
        """Return the terms of a product, multiplied out."""
        return multiplied(self.terms(left), self.terms(right))

    def quotient(self, left: Expr, right: Expr) -> Sum:
        """Return the terms of a/b for a power b of a form."""
        return multiplied(self.terms(left), (self._to_the(right, -1.0),))

    def root(self, arg: Expr) -> Sum:
        """Return the root of a form."""
        return (self._to_the(arg, 0.5),)

    def _to_the(self, base: Expr, exponent: float) -> Ratio:
        """Return a power of a power of a form."""
        power = power_of(self.terms(base))
        if power.coefficient == 0 or (power.coefficient < 0 and exponent != int(exponent)):
            raise NoRatio
        coefficient = math.copysign(abs(power.coefficient) ** exponent, power.coefficient if exponent % 2 else 1.0)
        return Ratio(coefficient, powers=tuple((form, exponent * e) for form, e in power.powers))

    def power(self, base: Expr, exponent: Expr) -> Sum:
        """Return a^k for a number k."""
        if operands(exponent):
            raise NoRatio
        order, terms = self._number(exponent), self.terms(base)
        is_power = len(terms) == 1 and terms[0].is_power
        if not is_power and order == int(order) and 0 <= order <= _MOST_LINES:
            return raised(terms, int(order))
        return (self._to_the(base, order),)

    def step(self, arg: Expr) -> Sum:
        """Return the step of c ℓ Q^e, which is that of c ℓ, for Q > 0."""
        terms = self.terms(arg)
        if len(terms) != 1 or terms[0].steps or len(terms[0].lines) != 1:
            raise NoRatio
        (term,) = terms
        vector = math.copysign(1.0, term.coefficient) * np.array(term.lines[0])
        scaled = vector / np.abs(vector).max() + 0.0
        return (Ratio(1.0, steps=frozenset([tuple(scaled.tolist())])),)


_RULES: Mapping[str, Callable[..., Sum]] = {
    "add": _Reader.sum,
    "sub": _Reader.difference,
    "neg": _Reader.negation,
    "mul": _Reader.product,
    "div": _Reader.quotient,
    "pow": _Reader.power,
    "square": lambda reader, arg: reader.product(arg, arg),
    "sqrt": _Reader.root,
    "step": _Reader.step,
}
