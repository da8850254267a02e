"""The Master Theorem as rules for moments and tangents: the engine that writes the equations of a limit.

For variables v, w of a program, and two copies x, x' of its input,

    M(v) = E Z^v,   C(v, w) = Cov(Z^v(x), Z^w(x')),   K(v, w) = E[Z^v(x) Z^w(x')],
    T(v, w) = lim Σ_p lr_p ⟨∂v_α(x)/∂p, ∂w_α(x')/∂p⟩,

obey one rule per instruction: W @ u gives C = σ² K(u, u') and T = σ² T(u, u') + λ K(u, u'); a linear combination is
bilinear; a nonlinearity takes an expectation over the Gaussians that it reads (Yang, Tensor Programs I, 1910.12478,
Theorem 5.4; III, 2009.10685, Theorem 2.10; II, 2006.14548, equations 11–12, with W.T independent of W). To ask for a
quantity is to derive it once, after what it needs, and to get its name back: nothing is substituted into anything.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable

from tensorprog.core.ir import Load, MatMul, Parameter
from tensorprog.limit.equations import Kind, X
from tensorprog.limit.gaussians import Gaussians, OneSample, list_factors
from tensorprog.limit.grouping import NeedsExpansion, Side
from tensorprog.limit.linear import Linear, Part, is_linear, linear_form
from tensorprog.limit.naming import Derived, Ledger
from tensorprog.limit.product import Product
from tensorprog.limit.scaling import NOTHING, UNIT, Asymptotics, Term
from tensorprog.limit.variables import Ref, Variables
from tensorprog.limit.weights import Weights
from tensorprog.nonlin.derivative import derivative, true_derivative
from tensorprog.nonlin.expression import Expr

__all__ = ["Form", "Moments", "inner_dimension", "join_rules", "total"]

Second = Callable[[Ref, Ref], Term]
Differentiate = Callable[[Expr, int], Expr]
Form = Callable[[Ref], tuple[Product, ...]]


class Moments(Gaussians):
    """The rules that one-copy and two-copy systems share. `right` is the second copy: x in the one, x' in the other."""

    def __init__(self, variables: Variables, asymptotics: Asymptotics, ledger: Ledger, one: OneSample | None) -> None:
        super().__init__(variables, asymptotics, ledger, one)
        self.weights = Weights(variables, asymptotics, ledger)

    # --- what may be asked for -------------------------------------------------------------------------------------

    def second(self, left: Ref, right: Ref) -> Term:
        """Return K(left, right) = E[Z^left(x) Z^right(x')]."""
        opened = self._open_state(left, right, self.second)
        if opened is not None:
            return opened
        gaussian = {left.name, right.name} <= self.variables.gaussian
        if gaussian or self.variables.independent(left, right):
            means = self.one.mean(left) * self.across(self.one.mean(right))
            return (self.covariance(left, right) if gaussian else NOTHING) + means
        return self.ledger.named(Kind.SECOND, (left, right), self._second_rule, self.second)

    def covariance(self, left: Ref, right: Ref) -> Term:
        """Return C(left, right), for Gaussian variables."""
        opened = self._open_state(left, right, self.covariance)
        if opened is not None:
            return opened
        if self.variables.independent(left, right):
            return NOTHING
        centred = self.one.mean(left).vanishes and self.one.mean(right).vanishes
        kind = Kind.SECOND if centred else Kind.COVARIANCE
        return self.ledger.named(kind, (left, right), self._covariance_rule, self.covariance)

    def tangent(self, left: Ref, right: Ref, kind: Kind = Kind.TANGENT) -> Term:
        """Return T(left, right), or the surrogate tangent S: the true gradient at x, the surrogate one at x'."""
        opened = self._open_state(left, right, lambda a, b: self.tangent(a, b, kind))
        if opened is not None:
            return opened
        if self.variables.independent(left, right):
            return NOTHING
        return self.ledger.named(
            kind, (left, right), lambda a, b: self._tangent_rule(a, b, kind), lambda a, b: self.tangent(a, b, kind)
        )

    def _open_state(self, left: Ref, right: Ref, of: Second) -> Term | None:
        """Return a quantity of a state by those of the step before and of its initial value: states have no names."""
        for ref, copy in ((left, X), (right, self.right)):
            if self.variables.has_initial(ref) and self.variables.is_inside(ref):
                form = linear_form(ref, self.variables, copy)
                assert form is not None
                if ref is left:
                    return total(
                        self._part(part, UNIT, lambda a: of(a, right), lambda term: term) for part in form.parts
                    )
                return total(self._part(part, UNIT, lambda b: of(left, b), self.across) for part in form.parts)
        return None

    # --- second moments --------------------------------------------------------------------------------------------

    def _second_rule(self, left: Ref, right: Ref) -> Derived:
        if self.variables.independent(left, right):
            return Derived(self.one.mean(left) * self.across(self.one.mean(right)), "independent factors")
        split = self._bilinear(left, right, self.second, lambda ref: ref.name not in self.variables.gaussian)
        if split is not None:
            return Derived(split, "linear combination")
        try:
            return self._expected_product(left, right, self.one.normal_form.outer)
        except NeedsExpansion:
            return self._expected_product(left, right, self.one.normal_form)

    def _expected_product(self, left: Ref, right: Ref, form: Form) -> Derived:
        rules: list[str] = []
        terms = []
        for a, b in _pairs(form(left), form(right)):
            value, used = self._expect(left, right, [*list_factors(a, Side.LEFT), *self.across_factors(b)])
            terms.append(a.coefficient * self.across(b.coefficient) * value)
            rules += used
        return Derived(total(terms), join_rules(rules))

    def _covariance_rule(self, left: Ref, right: Ref) -> Derived:
        if self.variables.independent(left, right):
            return Derived(NOTHING, "independent")
        split = self._bilinear(left, right, self.covariance, lambda ref: True)
        if split is not None:
            return Derived(split, "linear combination")
        use, other = self._same_parameter(left, right)
        parameter = self.variables.core.parameters[use.parameter]
        variance = self.weights.value(parameter.variance, use, left) * self.weights.same(use, left, other, right)
        if isinstance(use, Load):
            return Derived(variance.blame(parameter), "random vector")
        return Derived((variance * self._contraction(left, right, use, parameter)).blame(parameter), "matrix product")

    def _contraction(self, left: Ref, right: Ref, use: MatMul, parameter: Parameter) -> Term:
        """Return m K(u, u') for W @ u of inner width m, ⟨u, u'⟩ for a data layer."""
        (u,), (v,) = self.variables.operands(left), self.variables.operands(right)
        if u.name in self.variables.data:
            return self.contract_data(u, v)
        return self.asymptotics.evaluate(inner_dimension(use, parameter)) * self.second(u, v)

    def contract_data(self, left: Ref, right: Ref) -> Term:
        """Return ⟨u(x), v(x')⟩ of data vectors, u(x) v(x') of data scalars."""
        if self.variables.is_vector(left.name):
            return self.ledger.gram(left, right)
        return self.one.scalar(left) * self.across(self.one.scalar(right))

    # --- tangents --------------------------------------------------------------------------------------------------

    def _tangent_rule(self, left: Ref, right: Ref, kind: Kind) -> Derived:
        if self.variables.independent(left, right):
            return Derived(NOTHING, "independent")
        split = self._bilinear(left, right, lambda a, b: self.tangent(a, b, kind), lambda ref: True)
        if split is not None:
            return Derived(split, "linear combination")
        if {left.name, right.name} <= self.variables.gaussian:
            return self._leaf_tangent(left, right, kind)
        return self._chain_rule(left, right, kind)

    def _leaf_tangent(self, left: Ref, right: Ref, kind: Kind) -> Derived:
        use, other = self._same_parameter(left, right)
        parameter = self.variables.core.parameters[use.parameter]
        same = self.weights.same(use, left, other, right)
        rate = self.weights.value(parameter.multiplier, use, left) * same
        own = rate.blame(parameter) if parameter.trained else NOTHING
        if isinstance(use, Load):
            self._note_vanishing(own, parameter)
            return Derived(own, "random vector")
        own = (own * self._contraction(left, right, use, parameter)).blame(parameter)
        self._note_vanishing(own, parameter)
        (u,), (v,) = self.variables.operands(left), self.variables.operands(right)
        if u.name in self.variables.data:
            return Derived(own, "matrix product")
        inner = self.asymptotics.evaluate(inner_dimension(use, parameter)) * self.tangent(u, v, kind)
        return Derived(self.weights.value(parameter.variance, use, left) * same * inner + own, "matrix product")

    def _note_vanishing(self, own: Term, parameter: Parameter) -> None:
        """Say so if the learning rate of a parameter is too small to be felt."""
        if own.power < 0 and not own.vanishes:
            statement = f"with its learning rate, `{parameter.name}` adds a term of order n^{own.power} to the NTK"
            self.ledger.note(f"`{parameter.name}` vanishes from the NTK", statement, parameter.span)

    def _chain_rule(self, left: Ref, right: Ref, kind: Kind) -> Derived:
        """T(v, w) = Σ_{g, g'} T(g, g') E[∂_g φ ∂_{g'} ψ]."""
        try:
            return self._chain(left, right, kind, self.one.normal_form.outer)
        except NeedsExpansion:
            return self._chain(left, right, kind, self.one.normal_form)

    def _chain(self, left: Ref, right: Ref, kind: Kind, form: Form) -> Derived:
        pairs = _pairs(form(left), form(right))
        inner = dict.fromkeys((g, h) for a, b in pairs for g in a.refs for h in b.refs)
        terms = []
        for g, h in inner:
            tangent = self.ledger.without_zeros(self.tangent(g, h, kind))
            if not tangent.vanishes:
                terms.append(tangent * self._passed_on((left, right), (g, h), kind, form))
        return Derived(total(terms), "chain rule")

    def _passed_on(self, outer: tuple[Ref, Ref], inner: tuple[Ref, Ref], kind: Kind, form: Form) -> Term:
        """Return E[∂_g φ ∂_h ψ], named after the nonlinearities."""
        return self.ledger.named_factor(kind, outer, inner, lambda a, b: self._derivative_rule(a, b, inner, kind, form))

    def _derivative_rule(self, left: Ref, right: Ref, inner: tuple[Ref, Ref], kind: Kind, form: Form) -> Derived:
        true: Differentiate = true_derivative if kind is Kind.SURROGATE else derivative
        rules: list[str] = []
        terms = []
        for a, b in _pairs(form(left), form(right)):
            slopes = _pairs(a.slopes(inner[0], true), b.slopes(inner[1], derivative))
            for slope, other in slopes:
                factors = [*list_factors(slope, Side.LEFT), *self.across_factors(other)]
                value, used = self._expect(left, right, factors)
                terms.append(a.coefficient * self.across(b.coefficient) * value)
                rules += used
        return Derived(total(terms), join_rules(rules))

    # --- shared steps ----------------------------------------------------------------------------------------------

    def _bilinear(self, left: Ref, right: Ref, of: Second, wanted: Callable[[Ref], bool]) -> Term | None:
        """Return Σ_i c_i Q(o_i, right), with the constant's share, if a side is a wanted linear combination.

        Of two linear combinations the one that is made later is taken apart.
        """
        sides = ((left, X), (right, self.right))
        known = [(ref, copy) for ref, copy in sides if wanted(ref) and is_linear(ref.name, self.variables)]
        if not known:
            return None
        ref, copy = max(known, key=lambda side: (*self.variables.order(side[0]), side[0] is left))
        form = linear_form(ref, self.variables, copy)
        assert form is not None
        if ref is left:
            return self._apart(ref, form, lambda operand: of(operand, right), right, of, lambda term: term)
        return self._apart(ref, form, lambda operand: of(left, operand), left, of, self.across)

    def _apart(
        self,
        ref: Ref,
        form: Linear,
        of: Callable[[Ref], Term],
        other: Ref,
        rule: Second,
        side: Callable[[Term], Term],
    ) -> Term:
        values, asymptotics = self.one.scalar_operands(ref), self.one.placed(ref)
        terms = [
            self._part(part, side(asymptotics.evaluate(part.coefficient, values)), of, side) for part in form.parts
        ]
        if rule == self.second:
            back = (lambda term: term) if side == self.across else self.across
            terms.append(side(asymptotics.evaluate(form.constant, values)) * back(self.one.mean(other)))
        return total(terms)

    def _part(self, part: Part, coefficient: Term, of: Callable[[Ref], Term], side: Callable[[Term], Term]) -> Term:
        """Return where · coefficient · Σ_indices of(part)."""
        term = coefficient * side(Term(part.where)) * of(part.ref)
        return self.ledger.add_up(term, part.indices)

    def _same_parameter(self, left: Ref, right: Ref) -> tuple[Load | MatMul, Load | MatMul]:
        definitions = self.variables.definitions
        use, other = definitions[left.name], definitions[right.name]
        assert isinstance(use, Load | MatMul) and isinstance(other, Load | MatMul) and use.parameter == other.parameter
        return use, other


def inner_dimension(use: MatMul, parameter: Parameter) -> Expr:
    """Return the dimension of the vector that a matrix is applied to."""
    return parameter.shape[0] if use.transposed else parameter.shape[1]


def _pairs(left: tuple[Product, ...], right: tuple[Product, ...]) -> list[tuple[Product, Product]]:
    return [(a, b) for a in left for b in right]


def total(terms: Iterable[Term]) -> Term:
    """Return the sum of terms."""
    return functools.reduce(operator.add, terms, NOTHING)


def join_rules(rules: Iterable[str]) -> str:
    """Return the name of a rule that applies several rules."""
    return "; ".join(dict.fromkeys(rules)) or "constant"
