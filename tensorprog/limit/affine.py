"""Affine forms: an elementwise expression as constant + Σ coefficient · operand in chosen operands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tensorprog.nonlin.expression import ONE, ZERO, Apply, Expr, Number, Operand, operands

__all__ = ["AffineForm", "affine_form"]


@dataclass(frozen=True, slots=True)
class AffineForm:
    """constant + Σ_i coefficients[i] · Operand(i); coefficients and constant are free of the chosen operands."""

    constant: Expr
    coefficients: Mapping[int, Expr]


def affine_form(expr: Expr, chosen: frozenset[int]) -> AffineForm | None:
    """Return `expr` as an affine form in the `chosen` operands, or None if it is not affine in them."""
    if not chosen.intersection(operands(expr)):
        return AffineForm(expr, {})
    if isinstance(expr, Operand):
        return AffineForm(ZERO, {expr.index: ONE})
    if not isinstance(expr, Apply) or expr.function not in ("add", "sub", "neg", "mul", "div"):
        return None
    parts = [affine_form(arg, chosen) for arg in expr.args]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    if expr.function in ("add", "sub"):
        return _combine(expr.function, *known)
    if expr.function == "neg":
        return _scale(known[0], Number(-1), "mul")
    return _multiply(expr.function, *known)


def _combine(function: str, left: AffineForm, right: AffineForm) -> AffineForm:
    coefficients = dict(left.coefficients)
    for index, value in right.coefficients.items():
        other = coefficients.get(index)
        signed = value if function == "add" else _product(Number(-1), value)
        coefficients[index] = signed if other is None else Apply("add", (other, signed))
    if right.constant == ZERO:
        return AffineForm(left.constant, coefficients)
    return AffineForm(Apply(function, (left.constant, right.constant)), coefficients)


def _multiply(function: str, left: AffineForm, right: AffineForm) -> AffineForm | None:
    if function == "div" or not right.coefficients:
        return None if right.coefficients else _scale(left, right.constant, function)
    return None if left.coefficients else _scale(right, left.constant, "mul")


def _scale(form: AffineForm, factor: Expr, function: str) -> AffineForm:
    scaled = {
        index: _product(factor, value) if function == "mul" else Apply("div", (value, factor))
        for index, value in form.coefficients.items()
    }
    constant = form.constant if form.constant == ZERO else Apply(function, (form.constant, factor))
    return AffineForm(constant, scaled)


def _product(left: Expr, right: Expr) -> Expr:
    if ONE in (left, right):
        return right if left == ONE else left
    return Apply("mul", (left, right))
