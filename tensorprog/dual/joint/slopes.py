"""The derivative of a function of one variable in the sense of distributions, its jumps apart."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from tensorprog.dual.closed.constant import number
from tensorprog.dual.closed.delta import Spike, has_delta, split_deltas
from tensorprog.dual.joint.terms import affine
from tensorprog.dual.undefined import UndefinedExpectation, check_defined
from tensorprog.nonlin.derivative import distributional_derivative
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Apply, Expr, Number, walk
from tensorprog.nonlin.expression import symbols as symbols_of
from tensorprog.nonlin.simplify import expand, inline

__all__ = ["Jump", "Slope", "has_jump", "split_slope"]


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump of a function: where, and by how much."""

    place: Fraction
    height: sp.Expr


@dataclass(frozen=True, slots=True)
class Slope:
    """φ′ = ordinary + Σ height · δ(u − place)."""

    ordinary: Expr
    jumps: tuple[Jump, ...]


def has_jump(phi: Expr) -> bool:
    """Return whether a function of one variable jumps somewhere, or may do so."""
    return has_delta(phi) or has_delta(distributional_derivative(phi, 0))


def split_slope(phi: Expr) -> Slope | None:
    """Return the derivative of a function of Operand(0); None where a jump, or an expectation, has no formula."""
    try:
        ordinary, spikes = split_deltas(distributional_derivative(phi, 0))
        check_defined(ordinary)
    except (ValueError, UndefinedExpectation):
        return None
    jumps = [_jump(spike) for spike in spikes]
    return None if has_delta(phi) or None in jumps else Slope(ordinary, tuple(jump for jump in jumps if jump))


def _jump(spike: Spike) -> Jump | None:
    form = affine(spike.argument)
    if form is None or not form.coefficients or symbols_of(spike.weight):
        return None
    slope = form.coefficients[0]
    place = -form.constant / slope
    if any(_vanishes(node, place) for node in walk(expand(inline(spike.weight)))):
        return None
    weight = float(evaluate(spike.weight, (float(place),), {}))
    return Jump(place, number(Number(weight)) / abs(sp.Rational(slope)))


def _vanishes(node: Expr, place: Fraction) -> bool:
    """Return whether a step in the weight is at the jump, where its value is not what counts."""
    if not isinstance(node, Apply) or node.function not in ("step", "sign"):
        return False
    form = affine(node.args[0])
    return form is None or form.constant + form.coefficients.get(0, Fraction(0)) * place == 0
