"""Linear forms: a variable as a constant plus a sum of coefficients times other variables at other positions.

    v[p] = constant + Σ_parts where · coefficient · Σ_indices u[e(p, indices)]

Maps that are affine in their random operands, sums over axes, gathers (reads out of range are zero) and the states of a
scan (the value of the step before, and the initial value at the first) all are of this form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

from tensorprog.core.ir import Scatter, Sum
from tensorprog.limit.sums import equal
from tensorprog.limit.variables import Ref, Variables
from tensorprog.nonlin.expression import ONE, ZERO, Expr

__all__ = ["Linear", "Part", "is_linear", "linear_form"]


@dataclass(frozen=True, slots=True)
class Part:
    """where · coefficient · Σ_indices Z^ref."""

    ref: Ref
    coefficient: Expr = ONE
    indices: tuple[sp.Symbol, ...] = ()
    where: sp.Expr = sp.S.One


@dataclass(frozen=True, slots=True)
class Linear:
    """constant + Σ parts."""

    constant: Expr
    parts: tuple[Part, ...]


def is_linear(name: str, variables: Variables) -> bool:
    """Return whether a variable has a linear form."""
    definition = variables.definitions.get(name)
    is_made_so = name in variables.states or variables.is_alias(name) or isinstance(definition, Sum | Scatter)
    return is_made_so or variables.affine(name) is not None


def linear_form(ref: Ref, variables: Variables, copy: sp.Symbol) -> Linear | None:
    """Return `ref` as a linear form, None if it is none; indices that are summed over belong to `copy`."""
    definition = variables.definitions.get(ref.name)
    if ref.name in variables.states:
        return Linear(ZERO, tuple(_state(ref, variables)))
    if variables.is_alias(ref.name):
        return Linear(ZERO, (Part(variables.look_through(variables.behind(ref))),))
    if isinstance(definition, Sum):
        return Linear(ZERO, (_sum(ref, definition, variables, copy),))
    if isinstance(definition, Scatter):
        return Linear(ZERO, (_scatter(ref, definition, variables, copy),))
    form = variables.affine(ref.name)
    if form is None:
        return None
    operands = variables.operands(ref)
    return Linear(form.constant, tuple(Part(operands[index], value) for index, value in form.coefficients.items()))


def _sum(ref: Ref, definition: Sum, variables: Variables, copy: sp.Symbol) -> Part:
    fresh = {axis: variables.places.fresh(axis, copy) for axis in definition.axes}
    operand = variables.resolve(definition.operand, ref.at, {**variables.values(ref), **fresh})
    return Part(operand, indices=tuple(fresh.values()))


def _scatter(ref: Ref, definition: Scatter, variables: Variables, copy: sp.Symbol) -> Part:
    """Return Σ_r [indices(r) = p] source[r], r over the axes of the source."""
    places = variables.places
    bound = {axis: places.fresh(axis, copy) for axis in variables.axes(definition.source)}
    targets = (places.place(index, bound) for index in definition.indices)
    ends = zip(targets, ref.index, variables.axes(ref.name), strict=True)
    here = sp.Mul(*(_is_at(target, place, axis, variables) for target, place, axis in ends))
    return Part(variables.resolve(definition.source, ref.at, bound), indices=tuple(bound.values()), where=here)


def _is_at(target: sp.Expr, place: sp.Expr, axis: str, variables: Variables) -> sp.Expr:
    """Return [target = place], on a circular axis modulo its extent."""
    if not variables.core.axes[axis].circular:
        return equal(target, place)
    places = variables.places
    turns = places.turns(target - place, axis)
    return sp.Add(*(equal(target, place + turn * places.extent(axis)) for turn in turns))


def _state(ref: Ref, variables: Variables) -> Iterator[Part]:
    """Yield the value of the step before, which is zero before the first, and the initial value at the first."""
    yield Part(variables.look_through(variables.behind(ref)))
    initial = variables.states[ref.name].initial
    if initial is not None:
        values = variables.values(ref)
        axis = variables.scans[ref.name].axis
        at_first = equal(values[axis], variables.places.first(axis))
        yield Part(variables.resolve(initial, None, values), where=at_first)
