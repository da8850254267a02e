"""Elementwise combination of values: axes unite, dimensions agree, and arguments of nonlinear functions stand alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.scope import Kind
from tensorprog.core.shapes import Value, describe, merge_dimensions, union
from tensorprog.errors import Span
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Number, Position, Symbol, walk

__all__ = ["bounded", "combine", "known_number"]

_DEEPEST = 40
"""Deeper expressions are cut, so that nothing that reads them needs a deep stack."""


def combine(
    builder: Builder,
    make: Callable[..., Expr],
    values: Sequence[Value | None],
    span: Span,
    nonlinear: Sequence[int] = (),
) -> Value | None:
    """Return `make(expressions…)` of values of one dimension, or scalars.

    The arguments at the places `nonlinear` become variables of their own if more than one variable enters them, so
    that what stays in one instruction is made of products and sums of functions of one variable each.
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    try:
        dimension = merge_dimensions(value.dimension for value in known)
    except ValueError:
        first, second = _unlike(known)
        message = f"shapes do not fit: {describe(first)} and {describe(second)}"
        builder.report(Code.SHAPES, message, span, "both sides need the same dimension, or one side a scalar")
        return None
    parts = [_alone(builder, value, span) if place in nonlinear else value for place, value in enumerate(known)]
    depth = 1 + max(part.depth for part in parts)
    axes = union((part.axes for part in parts), builder.order)
    return bounded(builder, Value(make(*(part.expr for part in parts)), axes, dimension, depth), span)


def _unlike(values: Sequence[Value]) -> tuple[Value, Value]:
    vectors = [value for value in values if value.dimension is not None]
    return vectors[0], next(value for value in vectors if value.dimension != vectors[0].dimension)


def _alone(builder: Builder, value: Value, span: Span) -> Value:
    """Return a vector as a function of one variable with numeric coefficients, free of the widths."""
    if value.dimension is None:
        return value
    varies = any(_varies(node, builder) for node in walk(value.expr))
    return builder.materialize(value, span) if varies or len(value.operands) > 1 else value


def _varies(node: Expr, builder: Builder) -> bool:
    """Return whether a node of an expression has a value of its own at every index, or at every width."""
    return isinstance(node, Position) or (isinstance(node, Symbol) and node.name in builder.widths)


def bounded(builder: Builder, value: Value, span: Span) -> Value:
    """Return `value` with an expression of bounded depth."""
    if value.depth <= _DEEPEST or builder.scope.kind is Kind.FUNCTION:
        return value
    number = known_number(builder, value)
    return Value(Number(number)) if number is not None else builder.materialize(value, span)


def known_number(builder: Builder, value: Value | None) -> int | float | None:
    """Return the number that a value is if only numbers and hyperparameters enter it and it is defined."""
    if value is None or not value.is_constant:
        return None
    names = {node.name for node in walk(value.expr) if isinstance(node, Symbol)}
    if not names <= {"pi", *builder.symbols}:
        return None
    try:
        found = evaluate(value.expr, (), builder.symbols)
    except (ArithmeticError, ValueError):
        return None
    return found if isinstance(found, int | float) else None
