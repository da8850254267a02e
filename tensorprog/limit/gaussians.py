"""The laws of Gaussian variables of one copy of the input or of both, and expectations under them.

`Gaussians` is what `grouping` asks: which variables depend on each other, their moments, and E f of one, two, several.
A moment that grows with the width is refused here, one that vanishes is zero.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import sympy as sp

from tensorprog.dual import expectation as dual
from tensorprog.dual.joint import several
from tensorprog.dual.ranges import check_integrable
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.grouping import MOST_GAUSSIANS, Argument, Factor, Gaussian, Side, TooManyGaussians, expectation
from tensorprog.limit.naming import Ledger, PositionInside
from tensorprog.limit.normalize import Normalizer
from tensorprog.limit.product import Fixed, Joint, Product
from tensorprog.limit.scaling import Asymptotics, Term
from tensorprog.limit.spans import Spans
from tensorprog.limit.variables import Ref, Variables, refuse_rolled
from tensorprog.nonlin.expression import Apply, Expr, walk
from tensorprog.nonlin.simplify import inline

__all__ = ["Gaussians", "OneSample", "list_factors", "refuse_unknown"]


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


class Gaussians(ABC):
    """Moments and expectations of Gaussian variables; `one` knows those within a single copy."""

    def __init__(self, variables: Variables, asymptotics: Asymptotics, ledger: Ledger, one: OneSample | None) -> None:
        self.variables = variables
        self.asymptotics = asymptotics
        self.ledger = ledger
        self.one: OneSample = one if one is not None else self  # type: ignore[assignment]
        self.right = ledger.right
        self.spans = Spans(variables)

    @abstractmethod
    def second(self, left: Ref, right: Ref) -> Term:
        """Return K(left, right) = E[Z^left(x) Z^right(x')]."""

    @abstractmethod
    def covariance(self, left: Ref, right: Ref) -> Term:
        """Return C(left, right), for Gaussian variables."""

    def across(self, term: Term) -> Term:
        """Return a one-copy quantity of x as the same quantity of the second copy."""
        return replace(term, coefficient=self.ledger.across(term.coefficient))

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
        zero = sp.Integer(0)
        laws = [(a.value, zero) if isinstance(a, Fixed) else self._point_law(a) for a in arguments]
        centred = all(mean == 0 for mean, _ in laws)
        check_integrable(function, self.variables.core.symbols, self.spans(arguments) if centred else None)
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


def list_factors(product: Product, side: Side) -> list[Factor]:
    """Return the factors of a product of one of the two copies; its numbers are those of that copy."""
    single = [Factor(function, (Gaussian(ref, side),)) for ref, function in product.factors.items()]
    return single + [Factor(joint.function, _placed_on(side, joint)) for joint in product.joint]


def _placed_on(side: Side, joint: Joint) -> tuple[Argument, ...]:
    return tuple(a if isinstance(a, Fixed) else Gaussian(a, side) for a in joint.arguments)
