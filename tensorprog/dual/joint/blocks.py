"""What the expectation of a function of several Gaussians is made of: terms, products of the expectations of blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from tensorprog.dual.closed.delta import has_delta
from tensorprog.dual.expectation import Dual, Expectations, Naming, PairLaw, pair, point
from tensorprog.dual.joint.isserlis import gaussian_moment
from tensorprog.dual.joint.terms import Line
from tensorprog.dual.special import JointExpectation
from tensorprog.dual.undefined import UndefinedExpectation
from tensorprog.nonlin.expression import Expr, Operand, operands
from tensorprog.nonlin.simplify import bind

__all__ = [
    "Block",
    "Constant",
    "Joint",
    "Law",
    "Lines",
    "Moment",
    "Slice",
    "Term",
    "collected",
    "cost",
    "rational",
    "sum_of",
]

ISSERLIS = "Isserlis' theorem"
_JOINT_ERROR = "integrated numerically over {} Gaussian variables; the error is estimated at run time"


@dataclass(frozen=True, slots=True)
class Law:
    """u ~ N(means, covariances)."""

    means: tuple[sp.Expr, ...]
    covariances: tuple[tuple[sp.Expr, ...], ...]

    def mean(self, line: Line) -> sp.Expr:
        """Return the mean of a line."""
        return sp.Add(*(rational(a) * self.means[i] for i, a in line))

    def covariance(self, left: Line, right: Line) -> sp.Expr:
        """Return the covariance of two lines."""
        return sp.Add(*(rational(a) * rational(b) * self.covariances[i][j] for i, a in left for j, b in right))


def rational(value: Fraction) -> sp.Expr:
    """Return a fraction as a number of sympy."""
    return sp.Rational(value)


@dataclass(frozen=True, slots=True)
class Constant:
    """A factor without variables."""

    value: Expr
    size = 0

    def dual(self, law: Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its value."""
        return point(self.value, sp.Integer(0), sp.Integer(0), naming, mode)


@dataclass(frozen=True, slots=True)
class Moment:
    """Π u_i^powers[i]."""

    powers: tuple[tuple[int, int], ...]
    size = 0

    def dual(self, law: Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its expectation."""
        by_index = dict(self.powers)
        powers = [by_index.get(i, 0) for i in range(len(law.means))]
        return Dual(gaussian_moment(powers, law.means, law.covariances), ISSERLIS)


@dataclass(frozen=True, slots=True)
class Lines:
    """The product of functions of one or two lines."""

    functions: tuple[tuple[Line, Expr], ...]
    size = 2

    def dual(self, law: Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its expectation."""
        (u, phi), *others = self.functions
        if not others:
            return point(phi, law.mean(u), law.covariance(u, u), naming, mode)
        ((v, psi),) = others
        moments = law.covariance(u, u), law.covariance(v, v), law.covariance(u, v)
        return pair(phi, psi, PairLaw(law.mean(u), law.mean(v), *moments), naming, mode)


@dataclass(frozen=True, slots=True)
class Joint:
    """A function of more variables."""

    function: Expr

    @property
    def size(self) -> int:
        """How many variables it has."""
        return len(operands(self.function))

    def dual(self, law: Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its expectation, to be integrated numerically."""
        if has_delta(self.function):
            raise UndefinedExpectation(
                "a delta distribution under an expectation of several Gaussians is not supported"
            )
        used = operands(self.function)
        renamed = bind(self.function, tuple(Operand(used.index(i) if i in used else 0) for i in range(used[-1] + 1)))
        upper = [law.covariances[i][j] for number, i in enumerate(used) for j in used[number:]]
        node = JointExpectation(naming(renamed), *(law.means[i] for i in used), *upper)
        return Dual(node, f"numerical expectation over {len(used)} Gaussians", _JOINT_ERROR.format(len(used)))


@dataclass(frozen=True, slots=True)
class Slice:
    """weight · the expectation of some terms under another law."""

    weight: sp.Expr
    given: Law
    terms: tuple[Term, ...]

    @property
    def size(self) -> int:
        """The largest number of variables of its parts."""
        return cost(list(self.terms))[0]

    def dual(self, law: Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its value."""
        inner = sum_of(term.dual(self.given, naming, mode) for term in self.terms)
        rule = "Stein's lemma, density at the jump" + (f"; {inner.rule}" if any(t.blocks for t in self.terms) else "")
        return Dual(self.weight * inner.expr, rule, inner.error)


Block = Constant | Moment | Lines | Joint | Slice


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient · Π E blocks."""

    coefficient: sp.Expr
    blocks: tuple[Block, ...]

    def dual(self, law: Law, naming: Naming, mode: Expectations) -> Dual:
        """Return the product of the expectations."""
        parts = [block.dual(law, naming, mode) for block in self.blocks]
        rules = "; ".join(dict.fromkeys(part.rule for part in parts))
        error = next((part.error for part in parts if part.error), None)
        return Dual(sp.Mul(self.coefficient, *(part.expr for part in parts)), rules, error)


def cost(terms: list[Term]) -> tuple[int, int]:
    """Return the largest number of variables that are integrated numerically, and how often."""
    sizes = [block.size for term in terms for block in term.blocks]
    return max(sizes, default=0), sum(size > 2 for size in sizes)


def collected(terms: Iterable[Term]) -> list[Term]:
    """Return terms with those of the same blocks added up."""
    sums: dict[tuple[Block, ...], sp.Expr] = {}
    for term in terms:
        sums[term.blocks] = sums.get(term.blocks, sp.Integer(0)) + term.coefficient
    return [Term(coefficient, blocks) for blocks, coefficient in sums.items() if coefficient != 0]


def sum_of(duals: Iterable[Dual]) -> Dual:
    """Return the sum of expectations, with all rules, and the first error."""
    parts = [part for part in duals if part.expr != 0] or [Dual(sp.Integer(0), ISSERLIS)]
    rules = "; ".join(dict.fromkeys(rule for part in parts for rule in part.rule.split("; ") if rule))
    error = next((part.error for part in parts if part.error), None)
    return Dual(sp.Add(*(part.expr for part in parts)), rules or ISSERLIS, error)
