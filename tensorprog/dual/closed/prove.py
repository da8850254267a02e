"""Closed forms of E[φ(u) ψ(v)] for functions with a normal form: bilinearity over its terms."""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from tensorprog.dual.closed.derivation import Line, Proof, Steps, described, written
from tensorprog.dual.closed.families import FLAT, Erf, Form, Step, Term
from tensorprog.dual.closed.moments import Moment, shift
from tensorprog.dual.law import LETTERS, Law
from tensorprog.dual.special import Reciprocal

__all__ = ["prove", "rule_names"]

ZERO = sp.Integer(0)


def prove(left: Form, right: Form, means: tuple[sp.Expr, sp.Expr], law: Law) -> Proof:
    """Return E[φ(m1 + u) ψ(m2 + v)] for (u, v) ~ `law`, with the steps that lead to it.

    Raises:
        NoClosedForm: a pair of terms has none.
    """
    polynomials = _polynomial(left), _polynomial(right)
    simple = polynomial_moment(*polynomials, means, law)
    moments = [
        (a.coefficient * b.coefficient * weight, moment)
        for a in left
        for b in right
        if not (a.is_monomial and b.is_monomial)
        for weight, moment in shift(Moment(a.power, a.factor, b.power, b.factor, law), means)
    ]
    steps = Steps()
    value = _collected([(sp.Integer(1), simple), *((weight, steps.value(moment)) for weight, moment in moments)], law)
    value = value.replace(_is_division, lambda power: Reciprocal(power.base) ** -power.exp)
    whole = written(left, right, means, law)
    expected = written(*polynomials, means, law) if simple != 0 else ZERO
    linear = Line(whole, sp.Add(expected, *(weight * described(moment) for weight, moment in moments)), "linearity")
    isserlis = Line(expected, simple, "Isserlis' theorem")
    return Proof(value, tuple(line for line in (linear, isserlis, *steps.lines()) if line.left != line.right))


def _is_division(expr: sp.Expr) -> bool:
    """Return whether an expression is a negative power of a variance, which may vanish, with all that it divides."""
    return isinstance(expr, sp.Pow) and expr.base in LETTERS and bool(expr.exp.is_negative)


def _polynomial(form: Form) -> Form:
    return tuple(term for term in form if term.is_monomial)


def polynomial_moment(left: Form, right: Form, means: tuple[sp.Expr, sp.Expr], law: Law) -> sp.Expr:
    """Return E[P(m1 + u) R(m2 + v)] = Σ_i cⁱ/i! E[P⁽ⁱ⁾] E[R⁽ⁱ⁾] for polynomials.

    Repeated integration by parts (Isserlis' theorem, Mehler's formula). The factors are polynomials in one variance;
    they are factored, so that Hermite polynomials keep their (q − 1)ᵐ and lose no digits near q = 1.
    """
    first = {term.power: term.coefficient for term in left}
    second = {term.power: term.coefficient for term in right}
    degree = min(max(first, default=-1), max(second, default=-1)) if law.c != 0 else 0
    total = ZERO
    for i in range(degree + 1):
        product = _mean(first, means[0], law.q1) * _mean(second, means[1], law.q2)
        total += law.c**i * product / sp.factorial(i)
        first, second = _differentiated(first), _differentiated(second)
    return total


def _differentiated(polynomial: dict[int, sp.Expr]) -> dict[int, sp.Expr]:
    return {power - 1: power * coefficient for power, coefficient in polynomial.items() if power}


def _mean(polynomial: dict[int, sp.Expr], m: sp.Expr, q: sp.Expr) -> sp.Expr:
    """Return E P(m + u), u ~ N(0, q)."""
    value = sp.expand(sum((coefficient * _power_mean(k, m, q) for k, coefficient in polynomial.items()), ZERO))
    return sp.factor(value) if isinstance(value, sp.Add) and not value.has(sp.Float) else value


def _power_mean(k: int, m: sp.Expr, q: sp.Expr) -> sp.Expr:
    """Return E (m + u)ᵏ = Σ_i C(k, 2i) (2i − 1)!! qⁱ m^{k − 2i}."""
    terms = (sp.binomial(k, 2 * i) * sp.factorial2(2 * i - 1) * q**i * m ** (k - 2 * i) for i in range(k // 2 + 1))
    return sum(terms, ZERO)


def _collected(terms: Iterable[tuple[sp.Expr, sp.Expr]], law: Law) -> sp.Expr:
    """Return Σ weight · moment with equal moments added and their weights factored."""
    variables = sorted((law.q1 + law.q2 + law.c + law.det).free_symbols, key=str)
    sums: dict[sp.Expr, sp.Expr] = {}
    for weight, moment in terms:
        for summand in sp.Add.make_args(moment):
            constant, rest = summand.as_independent(*variables, as_Add=False)
            sums[rest] = sums.get(rest, ZERO) + weight * constant
    return sp.Add(*(_factored(weight) * rest for rest, weight in sums.items()))


def _factored(weight: sp.Expr) -> sp.Expr:
    return sp.factor(weight) if weight.free_symbols and not weight.has(sp.Float) else sp.expand(weight)


def rule_names(forms: Iterable[Form]) -> str:
    """Return what the closed form rests on, with its source."""
    terms = [term for form in forms for term in form]
    names = dict.fromkeys(name for term in terms for name in _rules(term))
    return "; ".join(names) if names else "constant"


def _rules(term: Term) -> tuple[str, ...]:
    factor = term.factor
    if term.is_monomial:
        return ("Isserlis' theorem",) if term.power > 1 else (("linearity",) if term.power else ())
    names = [name for gate in factor.gates for name in _gate_rules(gate, term.power)]
    if factor.quad != FLAT:
        names.append("Gaussian integral (Williams 1997)" if factor.quad.alpha != 0 else "moment generating function")
    if factor.wave is not None:
        names.append("characteristic function (Rahimi & Recht 2007)")
    return tuple(names)


def _gate_rules(gate: Step | Erf, power: int) -> tuple[str, ...]:
    if gate.b != 0:
        return ("bivariate normal distribution (Drezner & Wesolowsky 1990)",)
    if isinstance(gate, Erf):
        gelu = "integration by parts (Tsuchida et al. 2021)"
        return ("arcsine kernel (Williams 1997)", gelu) if power else ("arcsine kernel (Williams 1997)",)
    return (f"arc-cosine kernel of order {power} (Cho & Saul 2009)",)
