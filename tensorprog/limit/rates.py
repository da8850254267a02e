"""A bound of the order of tangents: the greatest power of n that a learning rate on the way to a variable gives.

Nonlinearities are of order one and so are their derivatives: a tangent passes through them at its order. A matrix adds
λ K(u, u') of its own and σ² m T(u, u'). Bounds of powers only: no moment is taken that is not known to exist.
"""

from __future__ import annotations

import sympy as sp

from tensorprog.core.ir import Load, Map, MatMul
from tensorprog.limit.moments import inner_dimension
from tensorprog.limit.one_copy import OneCopy
from tensorprog.limit.scaling import Term

__all__ = ["greatest_tangent"]


def greatest_tangent(name: str, one: OneCopy) -> Term:
    """Return a term of an order that the tangent of a variable of order one cannot exceed.

    That is the greatest rate of a parameter behind it, times all factors on the way that grow with n.
    """
    seen: set[str] = set()
    stack, rate, gain = [name], sp.Integer(0), sp.Integer(0)
    while stack:
        current = stack.pop()
        if current in seen or current not in one.variables.definitions:
            continue
        seen.add(current)
        rate = max(rate, _rate(current, one))
        gain += max(sp.Integer(0), _gain(current, one))
        stack += one.variables.reads(current)
    return Term(sp.Integer(1), rate + gain)


def _rate(name: str, one: OneCopy) -> sp.Expr:
    """Return the power of λ K(u, u') of a use of a parameter."""
    definition = one.variables.definitions[name]
    if not isinstance(definition, Load | MatMul) or not one.weights.parameter(definition).trained:
        return sp.Integer(0)
    return one.asymptotics.evaluate(one.weights.parameter(definition).multiplier).power + _inner(definition, one)


def _gain(name: str, one: OneCopy) -> sp.Expr:
    """Return the power of the factor with which the definition of a variable passes a tangent on."""
    definition = one.variables.definitions[name]
    if isinstance(definition, MatMul):
        return one.asymptotics.evaluate(one.weights.parameter(definition).variance).power + _inner(definition, one)
    form = one.variables.affine(name) if isinstance(definition, Map) and one.variables.is_random(name) else None
    if form is None:
        return sp.Integer(0)
    own = one.variables.own(name)
    values, asymptotics = one.scalar_operands(own), one.placed(own)
    return max((2 * asymptotics.evaluate(c, values).power for c in form.coefficients.values()), default=sp.Integer(0))


def _inner(definition: Load | MatMul, one: OneCopy) -> sp.Expr:
    """Return the power of the inner width of a matrix, 0 for a random vector and a data layer."""
    if isinstance(definition, Load) or definition.operand in one.variables.data:
        return sp.Integer(0)
    return one.asymptotics.evaluate(inner_dimension(definition, one.weights.parameter(definition))).power
