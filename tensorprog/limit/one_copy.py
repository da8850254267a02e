"""The one-copy system: what is deterministic in the limit of a single sample, and the moments within it.

Means M(v) = E Z^v, averages avg(v) → M(v) (the law of large numbers: Yang, Tensor Programs I, 1910.12478, Theorem 5.4),
scalars made of such, and the second moments of two variables of the same sample.
"""

from __future__ import annotations

import sympy as sp

from tensorprog.core.ir import Load, Map, MatMul, Parameter
from tensorprog.errors import Diagnostic, LimitError
from tensorprog.limit.equations import Kind, X
from tensorprog.limit.gaussians import list_factors, refuse_unknown
from tensorprog.limit.grouping import Argument, Factor, Gaussian, NeedsExpansion, Side
from tensorprog.limit.linear import Linear, linear_form
from tensorprog.limit.moments import Form, Moments, inner_dimension, join_rules, total
from tensorprog.limit.naming import Derived, Ledger
from tensorprog.limit.normalize import Normalizer
from tensorprog.limit.scalars import scalar_rule
from tensorprog.limit.scaling import NOTHING, UNIT, Asymptotics, Term
from tensorprog.limit.variables import Ref, Variables
from tensorprog.nonlin.expression import Apply, Expr, Number, Operand

__all__ = ["OneCopy", "TwoCopies"]


class OneCopy(Moments):
    """The one-copy system: moments of a single sample, and what is deterministic in the limit: means and scalars."""

    def __init__(self, variables: Variables, asymptotics: Asymptotics, ledger: Ledger) -> None:
        super().__init__(variables, asymptotics, ledger, None)
        self.normal_form = Normalizer(variables, asymptotics, self.scalar)

    def _expect(self, left: Ref, right: Ref, factors: list[Factor]) -> tuple[Term, tuple[str, ...]]:
        """Take the expectation with both copies the same."""
        same = [Factor(factor.function, tuple(map(_of_the_sample, factor.arguments))) for factor in factors]
        return super()._expect(left, right, same)

    def placed(self, ref: Ref) -> Asymptotics:
        """Return the evaluator of scalar expressions at the step and the position of `ref`."""
        values = self.variables.values(ref)
        return self.asymptotics.at({sp.Symbol(axis): value for axis, value in values.items()})

    def scalar_operands(self, ref: Ref) -> dict[int, Term]:
        """Return the deterministic scalar operands of the definition of `ref`, a map."""
        if not isinstance(self.variables.definitions.get(ref.name), Map):
            return {}
        refs = self.variables.operands(ref)
        return {
            index: self.scalar(operand)
            for index, operand in enumerate(refs)
            if not self.variables.is_random(operand.name) and not self.variables.is_vector(operand.name)
        }

    def mean(self, ref: Ref) -> Term:
        """Return M(ref) = E Z^ref."""
        if ref.name not in self.variables.gaussian:
            return self.ledger.named(Kind.MEAN, (ref,), self._mean_rule, self.mean)
        if self.variables.is_centred(ref):
            return NOTHING
        return self.ledger.named(Kind.MEAN, (ref,), self._gaussian_mean, self.mean)

    def scalar(self, ref: Ref) -> Term:
        """Return the limit of a deterministic scalar."""
        if ref.name in self.variables.data and not self.variables.is_scalar_formula(ref.name):
            return self.ledger.data(ref)
        return self.ledger.named(Kind.SCALAR, (ref,), self._scalar_rule, self.scalar)

    def order_one_scalar(self, term: Term, ref: Ref) -> sp.Expr:
        """Return the coefficient of a scalar of order one; a vanishing one is zero.

        Raises:
            LimitError: the scalar grows with the width, or nothing is known of it.
        """
        span = self.variables.definitions[ref.name].span
        what = f"the argument of {self.variables.describe(ref.name)}"
        if term.is_unknown:
            raise refuse_unknown(what, span)
        if term.vanishes or term.power <= 0:
            return term.coefficient if term.power == 0 else sp.Integer(0)
        raise LimitError(Diagnostic("TP322", f"{what} has no limit of order one: it is of order n^{term.power}", span))

    def _gaussian_mean(self, ref: Ref) -> Derived:
        form = linear_form(ref, self.variables, X)
        if form is not None:
            return Derived(self._linear_mean(ref, form), "linear combination")
        use = self.variables.definitions[ref.name]
        assert isinstance(use, Load | MatMul)
        parameter = self.variables.core.parameters[use.parameter]
        mean = (self.weights.value(parameter.mean, use, ref) * self.weights.within(use, ref)).blame(parameter)
        if isinstance(use, Load):
            return Derived(mean, "random vector")
        (operand,) = self.variables.operands(ref)
        if operand.name in self.variables.data:
            raise LimitError(
                Diagnostic(
                    "TP333",
                    f"the data layer `{parameter.name}` has entries of nonzero mean",
                    use.span,
                    "add a bias of that mean instead",
                )
            )
        return Derived(self._matrix_mean(mean, use, parameter, operand), "matrix product")

    def _matrix_mean(self, mean: Term, use: MatMul, parameter: Parameter, operand: Ref) -> Term:
        """Return (mean of an entry) · m · M(u), which must not be a positive power of n times zero."""
        inner = mean * self.asymptotics.evaluate(inner_dimension(use, parameter))
        value = self.mean(operand)
        if value.vanishes and inner.power > 0:
            raise LimitError(
                Diagnostic(
                    "TP321",
                    f"the mean of `{parameter.name}` times a vector of mean zero has no deterministic limit",
                    use.span,
                    "a random matrix needs entries of mean O(1 / n)",
                )
            )
        return inner * value

    def _fluctuation(self, operand: Ref) -> Term:
        """Return what is known of the average of a vector of mean zero: o(√K), though not zero at finite width."""
        power = self.second(operand, operand).power if operand.at is None else sp.Integer(0)
        return Term(sp.Integer(0), power / 2, is_bound=True)

    def _linear_mean(self, ref: Ref, form: Linear) -> Term:
        values, asymptotics = self.scalar_operands(ref), self.placed(ref)
        terms = [self._part(p, asymptotics.evaluate(p.coefficient, values), self.mean, lambda t: t) for p in form.parts]
        return total([*terms, asymptotics.evaluate(form.constant, values)])

    def _mean_rule(self, ref: Ref) -> Derived:
        form = linear_form(ref, self.variables, X)
        if form is not None:
            return Derived(self._linear_mean(ref, form), "linear combination")
        inner = self._product_of_two(ref)
        if inner is not None:
            return Derived(inner, "second moment")
        try:
            return self._expected(ref, self.normal_form.outer)
        except NeedsExpansion:
            return self._expected(ref, self.normal_form)

    def _expected(self, ref: Ref, form: Form) -> Derived:
        terms, rules = [], list[str]()
        for product in form(ref):
            value, used = self._expect(ref, ref, list_factors(product, Side.LEFT))
            terms.append(product.coefficient * value)
            rules += used
        return Derived(total(terms), join_rules(rules))

    def _product_of_two(self, ref: Ref) -> Term | None:
        """Return K(u, v) if Z^ref = Z^u Z^v as it stands."""
        definition = self.variables.definitions[ref.name]
        assert isinstance(definition, Map)
        pair = _two_operands(definition.expression)
        if pair is None or not all(self.variables.is_random(definition.operands[index]) for index in pair):
            return None
        operands = self.variables.operands(ref)
        return self.second(operands[pair[0]], operands[pair[1]])

    def _scalar_rule(self, ref: Ref) -> Derived:
        form = None if isinstance(self.variables.definitions[ref.name], Map) else linear_form(ref, self.variables, X)
        if form is not None:
            return Derived(total(self._part(p, UNIT, self.scalar, lambda t: t) for p in form.parts), "sum")
        return scalar_rule(self.variables.definitions[ref.name], ref, self)

    def average(self, ref: Ref) -> Derived:
        """Return the average of the coordinates of the operand of `ref`, a moment."""
        (operand,) = self.variables.operands(ref)
        mean = self.mean(operand)
        return Derived(self._fluctuation(operand) if mean.vanishes else mean, "law of large numbers")


class TwoCopies(Moments):
    """The two-copy system: moments and tangents between x and x'."""

    def __init__(self, one: OneCopy, ledger: Ledger) -> None:
        super().__init__(one.variables, one.asymptotics, ledger, one)


def _of_the_sample(argument: Argument) -> Argument:
    """Return an argument of either copy as one of the sample."""
    return Gaussian(argument.ref, Side.LEFT) if isinstance(argument, Gaussian) else argument


def _two_operands(expr: Expr) -> tuple[int, int] | None:
    """Return (i, j) if the expression is Operand(i) · Operand(j), or a square."""
    match expr:
        case Apply("mul", (Operand(i), Operand(j))):
            return i, j
        case Apply("pow", (Operand(i), Number(2))) | Apply("square", (Operand(i),)):
            return i, i
    return None
