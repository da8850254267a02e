"""How a closed form was found: the steps from E[φ(u) ψ(v)] to the seeds, each of them an equation.

Line   E[…] = Σ weight · E[…] + rest, by a rule; the expectations on the right are the left sides of later lines
Proof  the lines, and the closed form that they add up to
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import sympy as sp

from tensorprog.dual.closed.families import FLAT, Erf, Factor, Form, Step, Term
from tensorprog.dual.closed.moments import Moment, NoClosedForm, Reduction, reduce
from tensorprog.dual.law import Law

__all__ = ["Line", "Mean", "Proof", "Steps", "U", "V", "described", "written"]

_LARGEST = 5000
"""How many moments a closed form may be made of, one that is part of several counted in each."""

U, V = sp.Symbol("u", real=True), sp.Symbol("v", real=True)


class Mean(sp.Function):
    """Mean(body, q1, q2, c): the expectation of an expression in u and v, centred Gaussians with these moments."""

    nargs = 4


@dataclass(frozen=True, slots=True)
class Line:
    """left = right, by a rule."""

    left: sp.Expr
    right: sp.Expr
    rule: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The closed form of an expectation and the lines that lead to it, every moment explained once."""

    value: sp.Expr
    lines: tuple[Line, ...]

    def in_terms_of(self, symbols: Mapping[sp.Expr, sp.Expr]) -> Proof:
        """Return the same with other symbols."""
        lines = (Line(line.left.xreplace(symbols), line.right.xreplace(symbols), line.rule) for line in self.lines)
        return Proof(self.value.xreplace(symbols), tuple(lines))


@dataclass(slots=True)
class Steps:
    """The values of moments, and how each was reduced, in the order in which they were asked for."""

    values: dict[Moment, sp.Expr] = field(default_factory=dict)
    reductions: dict[Moment, Reduction] = field(default_factory=dict)
    sizes: dict[Moment, int] = field(default_factory=dict)
    total: int = 0

    def value(self, moment: Moment) -> sp.Expr:
        """Return the closed form of a moment.

        Raises:
            NoClosedForm: none is known, or it is too large to be of use.
        """
        if moment not in self.values:
            reduction = self.reductions[moment] = reduce(moment)
            inner = [inner for _, moments in reduction.terms for inner in moments]
            for each in inner:
                self.value(each)
            self.sizes[moment] = 1 + sum(self.sizes[each] for each in inner)
            self.total += self.sizes[moment]
            if self.total > _LARGEST:
                raise NoClosedForm
            terms = (weight * sp.Mul(*(self.values[each] for each in moments)) for weight, moments in reduction.terms)
            self.values[moment] = sp.Add(reduction.rest, *terms)
        return self.values[moment]

    def lines(self) -> Iterator[Line]:
        """Yield an equation for every moment."""
        for moment, reduction in self.reductions.items():
            terms = (weight * sp.Mul(*map(described, moments)) for weight, moments in reduction.terms)
            yield Line(described(moment), sp.Add(reduction.rest, *terms), reduction.rule)


def described(moment: Moment) -> sp.Expr:
    """Return a moment as an expression."""
    body = U**moment.j * _written(moment.left, U) * V**moment.k * _written(moment.right, V)
    return sp.exp(moment.exponent) * _mean(body, moment.law)


def _mean(body: sp.Expr, law: Law) -> sp.Expr:
    return body if body.is_number else Mean(body, law.q1, law.q2, law.c)


def written(left: Form, right: Form, means: tuple[sp.Expr, sp.Expr], law: Law) -> sp.Expr:
    """Return E[φ(m1 + u) ψ(m2 + v)] as an expression."""
    return _mean(_body(left, U + means[0]) * _body(right, V + means[1]), law)


def _body(form: Form, argument: sp.Expr) -> sp.Expr:
    return sp.Add(*(_term(term, argument) for term in form))


def _term(term: Term, argument: sp.Expr) -> sp.Expr:
    return term.coefficient * argument**term.power * _written(term.factor, argument)


def _written(factor: Factor, u: sp.Expr) -> sp.Expr:
    """Return a factor as an expression."""
    value = sp.Mul(*(_gate(gate, u) for gate in factor.gates))
    if factor.quad != FLAT:
        value *= sp.exp(-factor.quad.alpha * u**2 + factor.quad.beta * u + factor.quad.gamma)
    return value * sp.sin(factor.wave.w * u + factor.wave.b) if factor.wave is not None else value


def _gate(gate: Step | Erf, u: sp.Expr) -> sp.Expr:
    argument = gate.a * u + gate.b
    return sp.erf(argument) if isinstance(gate, Erf) else _STEP(argument)


_STEP = sp.Function("step")
