"""Expectations of functions of one and of two Gaussian variables: closed forms first, numerical ones otherwise.

    point(φ, m, q)          E φ(u),         u ~ N(m, q)
    coincident(φ, ψ, m, q)  E[φ(u) ψ(u)],   u ~ N(m, q)
    pair(φ, ψ, law)         E[φ(u) ψ(v)],   (u, v) ~ N((m1, m2), [[q1, c], [c, q2]])

Closed forms hold on the whole closed cone of covariances: for variances of zero, and for correlations of ±1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

import sympy as sp

from tensorprog.dual.closed.delta import Spike, has_delta, split_deltas
from tensorprog.dual.closed.families import Form
from tensorprog.dual.closed.moments import NoClosedForm
from tensorprog.dual.closed.normal_form import normal_form
from tensorprog.dual.closed.prove import prove, rule_names
from tensorprog.dual.law import DET, LETTERS, Law, law
from tensorprog.dual.pairs.features import has_kinks
from tensorprog.dual.special import Det, PairExpectation, PointExpectation, Support
from tensorprog.dual.undefined import InfiniteExpectation, UndefinedExpectation, check_defined, check_product_defined
from tensorprog.nonlin.derivative import distributional_derivative
from tensorprog.nonlin.expression import ZERO, Apply, Expr, Number, operands, walk
from tensorprog.nonlin.simplify import bind, simplify

__all__ = [
    "Dual",
    "Expectations",
    "InfiniteExpectation",
    "Naming",
    "PairLaw",
    "UndefinedExpectation",
    "coincident",
    "pair",
    "point",
]

Naming: TypeAlias = Callable[[Expr], sp.Symbol]

_POINT_ERROR = "integrated numerically in one dimension; the error is estimated at run time"
_PAIR_ERROR = "integrated numerically in two dimensions; the error is estimated at run time"
_NONE = sp.Integer(0)
_QUADRATURE = "quadrature"
_SLICES = "closed conditional expectation inside a one-dimensional integral"


_READABLE = 500
"""How many operations a closed form may have to be written in factors, which takes long."""


class Expectations(Enum):
    """How expectations are found: closed forms where they are known, or all by quadrature."""

    AUTO = "auto"
    NUMERIC = "numeric"


@dataclass(frozen=True, slots=True)
class Dual:
    """An expectation: its expression, the rule that gave it, and, of a numerical one, words on the method."""

    expr: sp.Expr
    rule: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class PairLaw:
    """(u, v) ~ N((m1, m2), [[q1, c], [c, q2]])."""

    m1: sp.Expr
    m2: sp.Expr
    q1: sp.Expr
    q2: sp.Expr
    c: sp.Expr

    @property
    def swapped(self) -> PairLaw:
        """The law of (v, u)."""
        return PairLaw(self.m2, self.m1, self.q2, self.q1, self.c)


def point(phi: Expr, m: sp.Expr, q: sp.Expr, naming: Naming, mode: Expectations = Expectations.AUTO) -> Dual:
    """Return E φ(u), u ~ N(m, q).

    Raises:
        UndefinedExpectation: it does not exist.
    """
    rest, spikes = _split(phi)
    return _with_spikes(_ordinary_point(rest, m, q, naming, mode), [_spike_at(spike, m, q) for spike in spikes])


def coincident(
    phi: Expr, psi: Expr, m: sp.Expr, q: sp.Expr, naming: Naming, mode: Expectations = Expectations.AUTO
) -> Dual:
    """Return E[φ(u) ψ(u)], u ~ N(m, q).

    Raises:
        UndefinedExpectation: it does not exist, as δ(u)².
    """
    if has_delta(phi) or has_delta(psi):
        return point(simplify(phi * psi), m, q, naming, mode)
    check_defined(phi)
    check_defined(psi)
    check_product_defined(phi, psi)
    if mode is Expectations.AUTO:
        found = _closed(phi, psi, PairLaw(m, m, q, q, q))
        if found is not None:
            return found
    return _numeric_point(simplify(phi * psi), m, q, naming)


def pair(phi: Expr, psi: Expr, law: PairLaw, naming: Naming, mode: Expectations = Expectations.AUTO) -> Dual:
    """Return E[φ(u) ψ(v)] for jointly Gaussian u and v.

    Raises:
        UndefinedExpectation: it does not exist.
    """
    (rest1, spikes1), (rest2, spikes2) = _split(phi), _split(psi)
    if spikes1 and spikes2:
        raise InfiniteExpectation("a delta distribution against another is infinite where the two inputs are equal")
    sliced = [_slice(spike, rest2, law, naming, mode) for spike in spikes1]
    sliced += [_slice(spike, rest1, law.swapped, naming, mode) for spike in spikes2]
    return _with_spikes(_ordinary_pair(rest1, rest2, law, naming, mode), sliced)


def _ordinary_point(phi: Expr, m: sp.Expr, q: sp.Expr, naming: Naming, mode: Expectations) -> Dual:
    check_defined(phi)
    if mode is Expectations.AUTO or not operands(phi):
        found = _closed(phi, Number(1), PairLaw(m, _NONE, q, _NONE, _NONE))
        if found is not None:
            return found
    return _numeric_point(phi, m, q, naming)


def _numeric_point(phi: Expr, m: sp.Expr, q: sp.Expr, naming: Naming) -> Dual:
    return Dual(PointExpectation(naming(phi), m, q), _QUADRATURE, _POINT_ERROR)


def _ordinary_pair(phi: Expr, psi: Expr, law: PairLaw, naming: Naming, mode: Expectations) -> Dual:
    check_defined(phi)
    check_defined(psi)
    if mode is Expectations.AUTO:
        found = _closed(phi, psi, law)
        if found is not None:
            return found
    if not operands(phi) or not operands(psi) or law.c == 0:
        return _product(
            _ordinary_point(phi, law.m1, law.q1, naming, mode), _ordinary_point(psi, law.m2, law.q2, naming, mode)
        )
    found = _by_stein(phi, psi, law, naming, mode) or _by_stein(psi, phi, law.swapped, naming, mode)
    if found is not None:
        return found
    names = naming(phi), naming(psi)
    rule, error = _method(phi, psi) if mode is Expectations.AUTO else (_QUADRATURE, _PAIR_ERROR)
    return Dual(PairExpectation(*names, law.m1, law.m2, law.q1, law.q2, law.c), rule, error)


def _method(phi: Expr, psi: Expr) -> tuple[str, str]:
    """Return how a pair without a closed form is integrated, and words on the error."""
    line = PairLaw(LETTERS[0], _NONE, LETTERS[2], _NONE, _NONE)
    if (has_kinks(phi) or has_kinks(psi)) and any(_closed(f, Number(1), line) is not None for f in (phi, psi)):
        return _SLICES, _POINT_ERROR
    return _QUADRATURE, _PAIR_ERROR


def _by_stein(phi: Expr, psi: Expr, law: PairLaw, naming: Naming, mode: Expectations) -> Dual | None:
    """Return E[(a u + b) ψ(v)] = (a m1 + b) E ψ + a c E ψ′, ψ′ in the sense of distributions.

    None for another φ, and where ψ′ has no expectation by these rules, as of erf(sign(v)), or none, as of log |v|.
    """
    form = normal_form(phi)
    if form is None or any(not term.is_monomial or term.power > 1 for term in form):
        return None
    by_power = {term.power: term.coefficient for term in form}
    a, b = by_power.get(1, sp.Integer(0)), by_power.get(0, sp.Integer(0))
    try:
        slope = point(distributional_derivative(psi, 0), law.m2, law.q2, naming, mode)
    except UndefinedExpectation:
        return None
    terms = [Dual(a * law.c * slope.expr, f"Stein's lemma; {slope.rule}", slope.error)]
    if a * law.m1 + b != 0:
        mean = _ordinary_point(psi, law.m2, law.q2, naming, mode)
        terms.append(Dual((a * law.m1 + b) * mean.expr, mean.rule, mean.error))
    return _summed(terms)


def _product(left: Dual, right: Dual) -> Dual:
    """Return the expectation of a product of independent factors."""
    rules = dict.fromkeys((left.rule, right.rule))
    return Dual(left.expr * right.expr, "; ".join(rules), left.error or right.error)


def _closed(phi: Expr, psi: Expr, pair_law: PairLaw) -> Dual | None:
    """Return the closed form, found for letters in place of the moments."""
    letters = _letters(pair_law)
    found = _closed_in_letters(phi, psi, PairLaw(*(letters.get(entry, entry) for entry in _entries(pair_law))))
    if found is None:
        return None
    back = {letter: entry for entry, letter in letters.items()}
    back[DET] = Det(pair_law.q1, pair_law.q2, pair_law.c)
    return replace(found, expr=found.expr.xreplace(back))


def _entries(pair_law: PairLaw) -> tuple[sp.Expr, ...]:
    return pair_law.m1, pair_law.m2, pair_law.q1, pair_law.q2, pair_law.c


def _letters(pair_law: PairLaw) -> Mapping[sp.Expr, sp.Expr]:
    """Return a letter for every entry of the law that is not a number; equal entries have the same."""
    letters = dict(zip(_entries(pair_law), LETTERS, strict=True))
    letters |= {pair_law.q1: LETTERS[2], pair_law.q2: LETTERS[3]}
    return {entry: letter for entry, letter in letters.items() if not entry.is_number}


@functools.lru_cache(1024)
def _closed_in_letters(phi: Expr, psi: Expr, pair_law: PairLaw) -> Dual | None:
    """Return the closed form under a law of letters and numbers, its determinant `DET`."""
    forms = normal_form(phi), normal_form(psi)
    if forms[0] is None or forms[1] is None:
        return None
    moments = law(pair_law.q1, pair_law.q2, pair_law.c)
    if isinstance(moments.det, Det):
        moments = replace(moments, det=DET)
    try:
        expr = prove(forms[0], forms[1], (pair_law.m1, pair_law.m2), moments).value
    except NoClosedForm:
        return None
    expr = _without_support(expr, moments)
    if expr.count_ops() < _READABLE:
        expr = sp.factor_terms(expr)
    return Dual(expr, rule_names((forms[0], forms[1])))


def _without_support(expr: sp.Expr, law: Law) -> sp.Expr:
    """Return the expression with Support(q) left out of every term that vanishes at q = 0 anyway."""
    support = Support(law.q1)
    if not expr.has(support):
        return expr
    terms = sp.Add.make_args(sp.expand(expr))
    return sp.Add(*(term.subs(support, 1) if term.subs(support, 1).subs(law.q1, 0) == 0 else term for term in terms))


def _split(phi: Expr) -> tuple[Expr, tuple[Spike, ...]]:
    if not has_delta(phi):
        return phi, ()
    try:
        return split_deltas(phi)
    except ValueError as error:
        raise InfiniteExpectation(f"{error} has no expectation") from error


def _spike(spike: Spike) -> tuple[sp.Expr, sp.Expr]:
    """Return the place u₀ of a spike and its weight g(u₀)/|a|."""
    form = normal_form(spike.argument)
    coefficients = {term.power: term.coefficient for term in form or () if term.is_monomial}
    if form is None or 1 not in coefficients or len(coefficients) < len(form) or max(coefficients) > 1:
        raise UndefinedExpectation("the delta distribution of a function that is not affine is not supported")
    a, b = coefficients[1], coefficients.get(0, sp.Integer(0))
    if _jumps(spike.weight, -b / a):
        raise UndefinedExpectation("a delta distribution where its factor jumps is not supported")
    weight = _constant(simplify(bind(spike.weight, (_as_expr(-b / a),))))
    return -b / a, weight / abs(a)


def _jumps(weight: Expr, place: sp.Expr) -> bool:
    """Return whether a function may jump at a place: δ(u) times its value there is then not what the chain rule says.

    The derivative of erf(sign(u)) is (erf(1) − erf(−1)) δ(u), not 2 erf′(sign(0)) δ(u).
    """
    jumps = [node.args[0] for node in walk(weight) if isinstance(node, Apply) and node.function in ("step", "sign")]
    return any(_vanishes_at(normal_form(argument), place) for argument in jumps)


def _vanishes_at(form: Form | None, place: sp.Expr) -> bool:
    """Return whether a polynomial may vanish at a place, true of all that is no polynomial."""
    if form is None or any(not term.is_monomial for term in form):
        return True
    value = sp.Add(*(term.coefficient * place**term.power for term in form))
    return not value.is_nonzero


def _as_expr(value: sp.Expr) -> Expr:
    if value == 0:
        return ZERO
    if not value.is_number:
        raise UndefinedExpectation("a delta distribution at a place that depends on a hyperparameter is not supported")
    return Number(int(value)) if value.is_Integer else Number(float(value))


def _constant(expr: Expr) -> sp.Expr:
    form: Form | None = normal_form(expr)
    if form is None or any(term.power or not term.is_monomial for term in form):
        raise UndefinedExpectation("the value of this function at the place of a delta distribution has no formula")
    return form[0].coefficient if form else sp.Integer(0)


def _density(place: sp.Expr, m: sp.Expr, q: sp.Expr) -> sp.Expr:
    return sp.exp(-((place - m) ** 2) / (2 * q)) / sp.sqrt(2 * sp.pi * q)


def _spike_at(spike: Spike, m: sp.Expr, q: sp.Expr) -> Dual:
    place, weight = _spike(spike)
    return Dual(weight * _density(place, m, q), "density at the jump")


def _slice(spike: Spike, psi: Expr, pair_law: PairLaw, naming: Naming, mode: Expectations) -> Dual:
    """Return E[weight(u) δ(argument(u)) ψ(v)]: the law of v given u = u₀ is Gaussian."""
    place, weight = _spike(spike)
    q1, c = pair_law.q1, pair_law.c
    mean = pair_law.m2 + c * (place - pair_law.m1) / q1
    inner = _ordinary_point(psi, mean, law(q1, pair_law.q2, c).det / q1, naming, mode)
    rule = f"density at the jump (Eilers, Memmesheimer & Goedeke 2024); {inner.rule}"
    return Dual(weight * _density(place, pair_law.m1, q1) * inner.expr, rule, inner.error)


def _with_spikes(ordinary: Dual, spikes: list[Dual]) -> Dual:
    if not spikes:
        return ordinary
    return _summed([part for part in (ordinary, *spikes) if part.expr != 0] or spikes)


def _summed(parts: list[Dual]) -> Dual:
    rules = "; ".join(dict.fromkeys(part.rule for part in parts))
    return Dual(sp.Add(*(part.expr for part in parts)), rules, next((p.error for p in parts if p.error), None))
