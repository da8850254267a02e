"""The expectation of a product of functions of Gaussian variables, factored over independent groups.

    E Π_j f_j(Z^{g_j}, …) = Π_groups E Π_{j in group} f_j(Z^{g_j}, …),

two Gaussians being in one group if they share a leaf, or if a function reads both. A group of one is a one-dimensional
expectation, a group of two functions of one Gaussian each a dual activation (`dual.expectation`), and all others are
expectations of one function of several Gaussians (`dual.joint.several`).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

import sympy as sp

from tensorprog.dual.expectation import Dual
from tensorprog.limit.product import ARGUMENT, Fixed
from tensorprog.limit.scaling import Asymptotics, Term
from tensorprog.limit.variables import Ref
from tensorprog.nonlin.expression import Expr, Number, Operand, operands
from tensorprog.nonlin.simplify import bind, simplify

__all__ = ["Argument", "Factor", "Gaussian", "Laws", "NeedsExpansion", "Side", "TooManyGaussians", "expectation"]


MOST_GAUSSIANS = 32
"""Expectations of functions of more dependent Gaussians, those of both copies counted, are refused."""


class Side(Enum):
    """To which copy of the input a variable belongs: x or x'."""

    LEFT = "x"
    RIGHT = "x'"


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A variable of one of the two copies: Gaussian, or one that is read as it stands."""

    ref: Ref
    side: Side


Argument: TypeAlias = Gaussian | Fixed


@dataclass(frozen=True, slots=True)
class Factor:
    """function(Z^{arguments}) over Operand(0), …, one factor of a product; numbers are those of the side it is on."""

    function: Expr
    arguments: tuple[Argument, ...]

    @property
    def gaussians(self) -> tuple[Gaussian, ...]:
        """The variables that the function reads."""
        read = (self.arguments[index] for index in operands(self.function))
        return tuple(argument for argument in read if isinstance(argument, Gaussian))

    @property
    def single(self) -> Gaussian | None:
        """The variable of a function of one variable, None for another."""
        (first, *rest) = self.arguments
        return first if not rest and isinstance(first, Gaussian) else None


class NeedsExpansion(Exception):
    """A variable that is not Gaussian stands in one group with a function: its normal form is needed."""


class Laws(Protocol):
    """What `expectation` must be told about the Gaussians, and how it takes expectations of functions of them."""

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

    def joint(self, function: Expr, arguments: Sequence[Argument]) -> Dual:
        """Return E function(Z^{arguments}), over Operand(0), … in their order."""


class TooManyGaussians(Exception):
    """A product needs the joint law of more dependent Gaussians than any rule integrates over."""

    def __init__(self, gaussians: Sequence[Gaussian]) -> None:
        super().__init__(f"{len(gaussians)} dependent Gaussians")
        self.gaussians = tuple(gaussians)


def expectation(factors: Sequence[Factor], laws: Laws) -> tuple[Term, tuple[str, ...]]:
    """Return E Π factors, and the rules that gave it.

    Raises:
        TooManyGaussians: a group has more members than a rule integrates over.
        NeedsExpansion: a group has a variable that is not Gaussian, and more than second moments are needed.
    """
    constants = [factor.function for factor in factors if not operands(factor.function)]
    result = functools.reduce(operator.mul, map(laws.asymptotics.evaluate, constants), Term(sp.Integer(1)))
    rules: list[str] = []
    for members, group in _groups([factor for factor in factors if operands(factor.function)], laws):
        if all(laws.is_gaussian(member) for member in members):
            dual = _group_expectation(members, group, laws)
            result, rules = result * Term(dual.expr), [*rules, dual.rule]
        else:
            result, rules = result * _moment(group, laws), [*rules, "independent factors"]
    return result, tuple(rules)


def _moment(group: list[Factor], laws: Laws) -> Term:
    """Return the moment of variables that stand for themselves."""
    members = [factor.single for factor in group if factor.function == ARGUMENT]
    if len(members) < len(group) or len(members) > 2:
        raise NeedsExpansion
    known = [member for member in members if member is not None]
    return laws.first_moment(known[0]) if len(known) == 1 else laws.second_moment(known[0], known[1])


def _groups(factors: list[Factor], laws: Laws) -> list[tuple[list[Gaussian], list[Factor]]]:
    """Return the connected components under dependence, with their members, in order of first appearance."""
    groups: list[tuple[list[Gaussian], list[Factor]]] = []
    for factor in factors:
        own = list(factor.gaussians)
        joined = [group for group in groups if any(a == b or laws.dependent(a, b) for a in own for b in group[0])]
        groups = [group for group in groups if group not in joined]
        members = [member for group in joined for member in group[0]]
        parts = [part for group in joined for part in group[1]]
        groups.append((list(dict.fromkeys([*members, *own])), [*parts, factor]))
    return groups


def _group_expectation(members: list[Gaussian], factors: list[Factor], laws: Laws) -> Dual:
    functions = {member: [f.function for f in factors if f.single == member] for member in members}
    if len(members) > 2 or any(factor.single is None for factor in factors):
        return _joint_expectation(members, factors, laws)
    if len(members) == 1:
        (gaussian,) = members
        if len(functions[gaussian]) == 2:
            left, right = functions[gaussian]
            return laws.coincident(left, right, gaussian)
        return laws.point(_product(functions[gaussian]), gaussian)
    a, b = members
    return laws.pair(_product(functions[a]), _product(functions[b]), a, b)


def _joint_expectation(members: list[Gaussian], factors: list[Factor], laws: Laws) -> Dual:
    """Return the expectation of a product as that of one function of all arguments, the members first."""
    if len(members) > MOST_GAUSSIANS:
        raise TooManyGaussians(members)
    numbers = (argument for factor in factors for argument in factor.arguments if isinstance(argument, Fixed))
    arguments: list[Argument] = list(dict.fromkeys([*members, *numbers]))
    place: dict[Argument, Expr] = {argument: Operand(index) for index, argument in enumerate(arguments)}
    unread = Number(0)
    functions = [bind(f.function, tuple(place.get(argument, unread) for argument in f.arguments)) for f in factors]
    return laws.joint(_product(functions), arguments)


def _product(functions: Sequence[Expr]) -> Expr:
    return simplify(functools.reduce(operator.mul, functions))
