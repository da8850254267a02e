"""The expectation of a product of functions of Gaussian variables, factored over independent groups.

    E Π_j f_j(Z^{g_j}) = Π_groups E Π_{j in group} f_j(Z^{g_j}),

two Gaussians being in one group if they share a leaf. A group of one is a one-dimensional expectation, a group of two a
dual activation (`dual`); a larger one is refused.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import sympy as sp

from tensorprog.dual.expectation import Dual
from tensorprog.limit.normal_form import ARGUMENT
from tensorprog.limit.scaling import Asymptotics, Term
from tensorprog.limit.variables import Ref
from tensorprog.nonlin.expression import Expr, operands
from tensorprog.nonlin.simplify import simplify

__all__ = ["Factor", "Gaussian", "Laws", "NeedsExpansion", "Side", "TooManyGaussians", "expectation"]


class Side(Enum):
    """To which copy of the input a variable belongs: x or x'."""

    LEFT = "x"
    RIGHT = "x'"


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A variable of one of the two copies: Gaussian, or one that is read as it stands."""

    ref: Ref
    side: Side


@dataclass(frozen=True, slots=True)
class Factor:
    """function(Z^gaussian), one factor of a product."""

    gaussian: Gaussian
    function: Expr


class NeedsExpansion(Exception):
    """A variable that is not Gaussian stands in one group with a function: its normal form is needed."""


class Laws(Protocol):
    """What `expectation` must be told about the Gaussians, and how it takes expectations of one or two of them."""

    asymptotics: Asymptotics

    def dependent(self, a: Gaussian, b: Gaussian) -> bool:
        """Return whether the two share a leaf."""

    def is_gaussian(self, a: Gaussian) -> bool:
        """Return whether a variable is Gaussian; one that is not may only stand for itself."""

    def first_moment(self, a: Gaussian) -> Term:
        """Return E Z^a."""

    def second_moment(self, a: Gaussian, b: Gaussian) -> Term:
        """Return E Z^a Z^b."""

    def point(self, function: Expr, a: Gaussian) -> Dual:
        """Return E function(Z^a)."""

    def coincident(self, left: Expr, right: Expr, a: Gaussian) -> Dual:
        """Return E left(Z^a) right(Z^a)."""

    def pair(self, left: Expr, right: Expr, a: Gaussian, b: Gaussian) -> Dual:
        """Return E left(Z^a) right(Z^b)."""


class TooManyGaussians(Exception):
    """A product needs the joint law of more than two dependent Gaussians."""

    def __init__(self, gaussians: Sequence[Gaussian]) -> None:
        super().__init__(f"{len(gaussians)} dependent Gaussians")
        self.gaussians = tuple(gaussians)


def expectation(factors: Sequence[Factor], laws: Laws) -> tuple[Term, tuple[str, ...]]:
    """Return E Π factors, and the rules that gave it.

    Raises:
        TooManyGaussians: a group has more than two members.
        NeedsExpansion: a group has a variable that is not Gaussian, and more than second moments are needed.
    """
    constants = [factor.function for factor in factors if not operands(factor.function)]
    result = functools.reduce(operator.mul, map(laws.asymptotics.evaluate, constants), Term(sp.Integer(1)))
    functions = _functions([factor for factor in factors if operands(factor.function)])
    rules: list[str] = []
    for group in _groups(list(functions), laws):
        if all(laws.is_gaussian(member) for member in group):
            dual = _group_expectation(group, functions, laws)
            result, rules = result * Term(dual.expr), [*rules, dual.rule]
        else:
            result, rules = result * _moment(group, functions, laws), [*rules, "independent factors"]
    return result, tuple(rules)


def _moment(group: list[Gaussian], functions: Mapping[Gaussian, list[Expr]], laws: Laws) -> Term:
    """Return the moment of variables that stand for themselves."""
    members = [member for member in group for _ in functions[member]]
    if any(function != ARGUMENT for member in group for function in functions[member]) or len(members) > 2:
        raise NeedsExpansion
    return laws.first_moment(members[0]) if len(members) == 1 else laws.second_moment(members[0], members[1])


def _functions(factors: Sequence[Factor]) -> Mapping[Gaussian, list[Expr]]:
    found: dict[Gaussian, list[Expr]] = {}
    for factor in factors:
        found.setdefault(factor.gaussian, []).append(factor.function)
    return found


def _groups(gaussians: list[Gaussian], laws: Laws) -> list[list[Gaussian]]:
    """Return the connected components under dependence, in order of first appearance."""
    groups: list[list[Gaussian]] = []
    for gaussian in gaussians:
        joined = [group for group in groups if any(laws.dependent(gaussian, other) for other in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([*functools.reduce(operator.add, joined, []), gaussian])
    return groups


def _group_expectation(group: list[Gaussian], functions: Mapping[Gaussian, list[Expr]], laws: Laws) -> Dual:
    if len(group) == 1:
        (gaussian,) = group
        if len(functions[gaussian]) == 2:
            left, right = functions[gaussian]
            return laws.coincident(left, right, gaussian)
        return laws.point(_product(functions[gaussian]), gaussian)
    if len(group) == 2:
        a, b = group
        return laws.pair(_product(functions[a]), _product(functions[b]), a, b)
    raise TooManyGaussians(group)


def _product(functions: Sequence[Expr]) -> Expr:
    return simplify(functools.reduce(operator.mul, functions))
