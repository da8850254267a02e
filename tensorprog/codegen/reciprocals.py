"""Divisions by what is the same for all entries as multiplications: the reciprocal is taken outside of the loop."""

from __future__ import annotations

from dataclasses import replace

from tensorprog.kernel.ir import Const, Expectation, Op, Parameter, Scalar, walk

__all__ = ["with_reciprocals"]


def with_reciprocals(scalar: Scalar) -> Scalar:
    """Return the expression with a · (1/b) for a/b wherever b consists of numbers and parameters, to one more ulp."""
    match scalar:
        case Op("div", (above, below)) if above != Const(1.0) and _is_invariant(below):
            return Op("mul", (with_reciprocals(above), Op("div", (Const(1.0), below))))
        case Op() | Expectation():
            return replace(scalar, args=tuple(map(with_reciprocals, scalar.args)))
    return scalar


def _is_invariant(scalar: Scalar) -> bool:
    return all(isinstance(node, Const | Parameter | Op) for node in walk(scalar))
