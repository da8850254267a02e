"""The limits of deterministic scalars, by the instruction that defines them."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Protocol

import sympy as sp

from tensorprog.core.ir import Instruction, Map, Max, Moment, Softmax
from tensorprog.errors import Diagnostic, LimitError
from tensorprog.limit.equations import Largest, SoftmaxOver, X
from tensorprog.limit.naming import Derived
from tensorprog.limit.scaling import Asymptotics, Term
from tensorprog.limit.variables import Ref, Variables

__all__ = ["Scalars", "scalar_rule"]


class Scalars(Protocol):
    """What the rules must be told about a sample."""

    variables: Variables

    def average(self, ref: Ref) -> Derived:
        """Return the average of the coordinates of the operand of `ref`."""

    def scalar(self, ref: Ref) -> Term:
        """Return the limit of a deterministic scalar."""

    def scalar_operands(self, ref: Ref) -> dict[int, Term]:
        """Return the deterministic scalar operands of the definition of `ref`."""

    def placed(self, ref: Ref) -> Asymptotics:
        """Return the evaluator of scalar expressions at the step and the position of `ref`."""

    def order_one_scalar(self, term: Term, ref: Ref) -> sp.Expr:
        """Return the coefficient of a scalar of order one."""


@functools.singledispatch
def scalar_rule(definition: Instruction, ref: Ref, one: Scalars) -> Derived:
    """Return the limit of a deterministic scalar by the instruction that defines it."""
    raise TypeError(f"no rule for the scalar {ref.name}, a {type(definition).__name__}")


@scalar_rule.register
def _(definition: Moment, ref: Ref, one: Scalars) -> Derived:
    return one.average(ref)


@scalar_rule.register
def _(definition: Map, ref: Ref, one: Scalars) -> Derived:
    try:
        return Derived(one.placed(ref).evaluate(definition.expression, one.scalar_operands(ref)), "scalar")
    except (ArithmeticError, KeyError) as error:
        message = f"the scalar {one.variables.describe(ref.name)} has no limit of order one: {error}"
        raise LimitError(Diagnostic("TP322", message, definition.span)) from error


@scalar_rule.register
def _(definition: Softmax, ref: Ref, one: Scalars) -> Derived:
    (operand,) = one.variables.operands(ref)
    index = one.variables.values(ref)[definition.axis]
    value = one.order_one_scalar(one.scalar(operand), ref)
    return Derived(Term(SoftmaxOver(value, index)), "softmax")


@scalar_rule.register
def _(definition: Max, ref: Ref, one: Scalars) -> Derived:
    fresh = {axis: one.variables.places.fresh(axis, X) for axis in definition.axes}
    operand = one.variables.resolve(definition.operand, ref.at, {**one.variables.values(ref), **fresh})
    value = one.scalar(operand)
    return Derived(replace(value, coefficient=Largest(value.coefficient, *fresh.values())), "maximum")
