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
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import sympy as sp

from tensorprog.core.ir import Load, MatMul, Parameter
from tensorprog.dual import expectation as dual
from tensorprog.dual.joint import several
from tensorprog.dual.ranges import check_integrable
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.equations import Kind, X
from tensorprog.limit.grouping import (
    MOST_GAUSSIANS,
    Argument,
    Factor,
    Gaussian,
    NeedsExpansion,
    Side,
    TooManyGaussians,
    expectation,
)
from tensorprog.limit.linear import Linear, Part, is_linear, linear_form
from tensorprog.limit.naming import Derived, Ledger, PositionInside
from tensorprog.limit.normalize import Normalizer
from tensorprog.limit.product import Fixed, Joint, Product
from tensorprog.limit.scaling import NOTHING, UNIT, Asymptotics, Term
from tensorprog.limit.variables import Ref, Variables, refuse_rolled
from tensorprog.limit.weights import Weights
from tensorprog.nonlin.derivative import derivative, true_derivative
from tensorprog.nonlin.expression import Apply, Expr, walk
from tensorprog.nonlin.simplify import inline

__all__ = ["Form", "Moments", "join_rules", "list_factors", "refuse_unknown", "total"]

Second = Callable[[Ref, Ref], Term]
Differentiate = Callable[[Expr, int], Expr]
Form = Callable[[Ref], tuple[Product, ...]]


class OneSample(Protocol):
    """What the rules must be told about a single sample: what is deterministic in the limit, and the moments within."""

    normal_form: Normalizer

    def mean(self, ref: Ref) -> Term:
        """Return M(ref) = E Z^ref."""

    def scalar(self, ref: Ref) -> Term:
        """Return the limit of a deterministic scalar."""

    def scalar_operands(self, ref: Ref) -> dict[int, Term]:
        """Return the deterministic scalar operands of the definition of `ref`."""

    def placed(self, ref: Ref) -> Asymptotics:
        """Return the evaluator of scalar expressions at the step and the position of `ref`."""

    def second(self, left: Ref, right: Ref) -> Term:
        """Return K(left, right) within the sample."""

    def covariance(self, left: Ref, right: Ref) -> Term:
        """Return C(left, right) within the sample."""


class Moments:
    """The rules that one-copy and two-copy systems share. `right` is the second copy: x in the one, x' in the other."""

    def __init__(self, variables: Variables, asymptotics: Asymptotics, ledger: Ledger, one: OneSample | None) -> None:
        self.variables = variables
        self.asymptotics = asymptotics
        self.ledger = ledger
        self.one: OneSample = one if one is not None else self  # type: ignore[assignment]
        self.right = ledger.right
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

    def across(self, term: Term) -> Term:
        """Return a one-copy quantity of x as the same quantity of the second copy."""
        return replace(term, coefficient=self.ledger.across(term.coefficient))

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

    def _expect(self, left: Ref, right: Ref, factors: list[Factor]) -> tuple[Term, tuple[str, ...]]:
        span = self.variables.definitions[right.name].span
        shrunk = [(g, factor) for factor in factors for g in factor.gaussians if self._shrinks(g.ref)]
        for gaussian, factor in shrunk:
            if _has_jump(factor.function):
                raise refuse_shrunk(self.variables.describe(gaussian.ref.name), span)
        try:
            value, rules = expectation(factors, self)
            return (Term(sp.Integer(0), is_bound=True) if shrunk and value.is_nothing else value), rules
        except TooManyGaussians as error:
            raise LimitError(
                Diagnostic(
                    "TP332",
                    f"{self.variables.describe(right.name)} needs the joint law of {_listed(error, self.variables)}",
                    span,
                    f"expectations are taken over up to {MOST_GAUSSIANS} dependent Gaussians",
                )
            ) from error
        except PositionInside as error:
            raise self._refuse_position(str(error), right, span) from error
        except dual.UndefinedExpectation as error:
            raise LimitError(
                Diagnostic("TP340", f"the moments of {self.variables.describe(right.name)} do not exist: {error}", span)
            ) from error

    def _refuse_position(self, name: str, ref: Ref, span: Span) -> LimitError:
        value = self.variables.places.values[sp.Symbol(name)]
        what = f"{self.variables.describe(ref.name)} is a function, without a closed form, of an index"
        if not value.free_symbols <= self.variables.places.indices.keys():
            return refuse_rolled(what, span)
        hint = "take the index out of the function, or into an affine argument: i * tanh(h[i]), tanh(i * h[i])"
        return LimitError(Diagnostic("TP338", f"{what} and a vector", span, hint))

    def _shrinks(self, ref: Ref) -> bool:
        """Return whether a Gaussian variable tends to its mean, so that functions of it are taken there."""
        if ref.name not in self.variables.gaussian:
            return False
        variance = self.one.covariance(ref, ref)
        return not variance.vanishes and bool(variance.power < 0)

    # --- the laws of Gaussians, as `grouping` asks for them ----------------------------------------------------------

    def dependent(self, a: Gaussian, b: Gaussian) -> bool:
        """Return whether two Gaussians share a leaf."""
        return not self.variables.independent(a.ref, b.ref)

    def is_gaussian(self, a: Gaussian) -> bool:
        """Return whether a variable is Gaussian in the limit."""
        return a.ref.name in self.variables.gaussian

    def first_moment(self, a: Gaussian) -> Term:
        """Return E Z^a."""
        return self._on(a.side, self.one.mean(a.ref))

    def second_moment(self, a: Gaussian, b: Gaussian) -> Term:
        """Return E Z^a Z^b, of one copy or of both."""
        if a.side is b.side:
            return self._on(a.side, self.one.second(a.ref, b.ref))
        return self.second(a.ref, b.ref) if a.side is Side.LEFT else self.second(b.ref, a.ref)

    def law(self, a: Gaussian, b: Gaussian) -> dual.PairLaw:
        """Return the joint law of two Gaussians, of one copy or of both."""
        m1, q1 = self._point_law(a)
        m2, q2 = self._point_law(b)
        return dual.PairLaw(m1, m2, q1, q2, self._cross(a, b))

    def _cross(self, a: Gaussian, b: Gaussian) -> sp.Expr:
        """Return Cov(Z^a, Z^b)."""
        if a.side == b.side:
            cross = self._on(a.side, self.one.covariance(a.ref, b.ref))
        elif a.side is Side.LEFT:
            cross = self.covariance(a.ref, b.ref)
        else:
            cross = self.covariance(b.ref, a.ref)
        return self._order_one(self.ledger.without_zeros(cross), b.ref)

    def point(self, function: Expr, a: Gaussian) -> dual.Dual:
        """Return E function(Z^a)."""
        return dual.point(function, *self._point_law(a), self.ledger.names, self.ledger.mode)

    def coincident(self, left: Expr, right: Expr, a: Gaussian) -> dual.Dual:
        """Return E left(Z^a) right(Z^a)."""
        return dual.coincident(left, right, *self._point_law(a), self.ledger.names, self.ledger.mode)

    def pair(self, left: Expr, right: Expr, a: Gaussian, b: Gaussian) -> dual.Dual:
        """Return E left(Z^a) right(Z^b)."""
        return dual.pair(left, right, self.law(a, b), self.ledger.names, self.ledger.mode)

    def joint(self, function: Expr, arguments: Sequence[Argument]) -> dual.Dual:
        """Return E function(Z^{arguments}); a number is a Gaussian of that mean and of variance zero."""
        check_integrable(function, self.variables.core.symbols)
        zero = sp.Integer(0)
        laws = [(a.value, zero) if isinstance(a, Fixed) else self._point_law(a) for a in arguments]
        covariances = [[variance if i == j else zero for j in range(len(laws))] for i, (_, variance) in enumerate(laws)]
        for (i, a), (j, b) in itertools.combinations(enumerate(arguments), 2):
            if isinstance(a, Gaussian) and isinstance(b, Gaussian):
                covariances[i][j] = covariances[j][i] = self._cross(a, b)
        return several.joint(function, [mean for mean, _ in laws], covariances, self.ledger.names, self.ledger.mode)

    def across_factors(self, product: Product) -> list[Factor]:
        """Return the factors of a product of the second copy."""
        joint = [Joint(part.function, tuple(map(self._argument_across, part.arguments))) for part in product.joint]
        return list_factors(replace(product, joint=tuple(joint)), Side.RIGHT)

    def _argument_across(self, argument: Ref | Fixed) -> Ref | Fixed:
        return Fixed(self.ledger.across(argument.value)) if isinstance(argument, Fixed) else argument

    def _point_law(self, a: Gaussian) -> tuple[sp.Expr, sp.Expr]:
        mean = self._order_one(self._on(a.side, self.one.mean(a.ref)), a.ref, "mean")
        return mean, self._order_one(self._on(a.side, self.one.covariance(a.ref, a.ref)), a.ref)

    def _on(self, side: Side, term: Term) -> Term:
        return term if side is Side.LEFT else self.across(term)

    def _order_one(self, term: Term, ref: Ref, moment: str = "variance") -> sp.Expr:
        """Return the coefficient of a moment of order one; a smaller moment is zero, a larger one refused."""
        span = self.variables.definitions[ref.name].span
        if term.is_unknown:
            raise refuse_unknown(f"the law of {self.variables.describe(ref.name)}", span)
        if term.vanishes or term.power == 0:
            return term.coefficient
        cause = f" (through `{term.origin.name}`)" if term.origin is not None else ""
        if term.power < 0:
            self.ledger.note(
                f"the {moment} of {self.variables.describe(ref.name)} vanishes",
                f"it is of order n^{term.power}{cause}",
                span,
            )
            return sp.Integer(0)
        raise LimitError(
            Diagnostic(
                "TP320",
                f"the coordinates of {self.variables.describe(ref.name)} grow with the width: their {moment} is of "
                f"order n^{term.power}{cause}",
                span,
                "a matrix (n, m) keeps coordinates of order one with entries of variance proportional to 1 / m",
            )
        )


def refuse_unknown(what: str, span: Span) -> LimitError:
    """Return the refusal of a positive power of n times a limit of zero."""
    message = f"{what} contains a positive power of the width times a limit of zero, and has no deterministic limit"
    hint = "the average of a vector of mean zero is of order 1 / sqrt(n), and random: scale it by less"
    return LimitError(Diagnostic("TP324", message, span, hint))


def refuse_shrunk(what: str, span: Span) -> LimitError:
    """Return the refusal of a jump at which the variance vanishes: the value there is not the limit."""
    message = f"the variance of {what} vanishes as the width grows, and this function or its derivative may jump there"
    return LimitError(Diagnostic("TP326", message, span, "scale the parameters so that coordinates are of order one"))


def _has_jump(function: Expr) -> bool:
    return any(isinstance(node, Apply) and node.function in ("step", "sign") for node in walk(inline(function)))


def _listed(error: TooManyGaussians, variables: Variables) -> str:
    """Return how many Gaussians there are, and which, if they all have names."""
    names = list(dict.fromkeys(variables.describe(gaussian.ref.name) for gaussian in error.gaussians))
    listed = f" ({', '.join(names)})" if all(name.startswith("`") for name in names) else ""
    return f"{error}{listed}, those at the second sample included"


def inner_dimension(use: MatMul, parameter: Parameter) -> Expr:
    """Return the dimension of the vector that a matrix is applied to."""
    return parameter.shape[0] if use.transposed else parameter.shape[1]


def _pairs(left: tuple[Product, ...], right: tuple[Product, ...]) -> list[tuple[Product, Product]]:
    return [(a, b) for a in left for b in right]


def list_factors(product: Product, side: Side) -> list[Factor]:
    """Return the factors of a product of one of the two copies; its numbers are those of that copy."""
    single = [Factor(function, (Gaussian(ref, side),)) for ref, function in product.factors.items()]
    return single + [Factor(joint.function, _placed_on(side, joint)) for joint in product.joint]


def _placed_on(side: Side, joint: Joint) -> tuple[Argument, ...]:
    return tuple(a if isinstance(a, Fixed) else Gaussian(a, side) for a in joint.arguments)


def total(terms: Iterable[Term]) -> Term:
    """Return the sum of terms."""
    return functools.reduce(operator.add, terms, NOTHING)


def join_rules(rules: Iterable[str]) -> str:
    """Return the name of a rule that applies several rules."""
    return "; ".join(dict.fromkeys(rules)) or "constant"
