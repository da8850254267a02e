"""What one instruction is at one position of the axes written out: an instruction over the others, or a constant 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce, singledispatch

from tensorprog.core.ir import Gather, Instruction, Load, Map, MatMul, Max, Moment, Softmax, Sum
from tensorprog.errors import Span
from tensorprog.limit.extents import NeedsExtents, free_sizes, needs_extents
from tensorprog.limit.written import Where, Written, at_numbers, fold, shared_scans, unmoved
from tensorprog.nonlin.evaluate import evaluate, evaluate_integer
from tensorprog.nonlin.expression import ZERO, Expr, Number, Operand, apply, operands
from tensorprog.nonlin.simplify import bind, simplify

__all__ = ["GATED", "MOST_POSITIONS", "make_zero", "refuse_size", "value_at"]

GATED = "TP335"
"""The code of what refuses a recurrence, and not its steps written out."""

MOST_POSITIONS = 64
"""An axis with more positions is not written out."""


def refuse_size(what: str, span: Span, names: Iterable[str]) -> NeedsExtents:
    """Return the refusal of a program of which not everything has fixed places before the data give sizes `names`."""
    return needs_extents(GATED, f"a recurrence with gates is written out step by step, and {what}", span, names)


@singledispatch
def value_at(instruction: Instruction, here: Where, written: Written) -> str | None:
    """Return what an instruction makes at a position.

    Raises:
        NeedsExtents: an index has a size that the data bind.
    """
    raise TypeError(f"{type(instruction).__name__} is not in forward programs")


@value_at.register
def _(instruction: Gather, here: Where, written: Written) -> str | None:
    found = tuple(fold(index, here) for index in instruction.indices)
    kept = written.kept(instruction.axes)
    if instruction.source in written.inputs:
        return written.emit(replace(instruction, indices=found, axes=kept), instruction.target, here)
    axes = written.core.types[instruction.source].axes
    around = shared_scans(written.path, instruction.target, instruction.source)
    index = dict(zip(axes[around:], found, strict=True))
    place = {axis: here[axis] for axis in axes[:around] if axis in written.axes}
    for axis in index.keys() & written.axes.keys():
        at = _locate(index[axis].constant, axis, instruction.span, written)
        if at is None:
            return None
        place[axis] = at
    value = written.read(instruction.source, place)
    if value is None:
        return None
    rest = written.types[value].axes[len(written.kept(axes[:around])) :]
    if rest == kept and all(index[axis] == unmoved(axis) for axis in rest):
        return value
    moved = replace(instruction, source=value, indices=tuple(index[axis] for axis in rest), axes=kept)
    return written.emit(moved, instruction.target, here)


def _locate(index: Expr, axis: str, span: Span, written: Written) -> int | None:
    """Return the position that is read, None beyond the axis."""
    try:
        at = evaluate_integer(index, written.core.symbols)
    except KeyError as error:
        raise refuse_size("an index has a size in it", span, free_sizes(index, written.core)) from error
    positions = written.axes[axis]
    if written.core.axes[axis].circular:
        return positions.start + (at - positions.start) % len(positions)
    return at if at in positions else None


@value_at.register
def _(instruction: Load, here: Where, written: Written) -> str | None:
    indices = tuple(fold(index, here) for index in instruction.indices)
    return written.emit(replace(instruction, indices=indices), instruction.target, here)


@value_at.register
def _(instruction: MatMul, here: Where, written: Written) -> str | None:
    operand = written.read(instruction.operand, here)
    if operand is None:
        return None
    indices = tuple(fold(index, here) for index in instruction.indices)
    return written.emit(replace(instruction, operand=operand, indices=indices), instruction.target, here)


@value_at.register
def _(instruction: Moment, here: Where, written: Written) -> str | None:
    operand = written.read(instruction.operand, here)
    return None if operand is None else written.emit(replace(instruction, operand=operand), instruction.target, here)


@value_at.register
def _(instruction: Map, here: Where, written: Written) -> str | None:
    values = [written.read(name, here) for name in instruction.operands]
    return _apply(at_numbers(instruction.expression, here), values, instruction, here, written)


def _apply(expr: Expr, values: Sequence[str | None], like: Instruction, here: Where, written: Written) -> str | None:
    """Return expr(values…), zeros simplified away."""
    names = list(dict.fromkeys(value for value in values if value is not None))
    bound = bind(expr, tuple(ZERO if value is None else Operand(names.index(value)) for value in values))
    if len(names) < len(values):
        bound = simplify(bound)
    used = operands(bound)
    if not used and _is_zero(bound, written):
        return None
    expression = bind(bound, tuple(Operand(used.index(k)) if k in used else ZERO for k in range(len(names))))
    return written.emit(Map("", expression, tuple(names[k] for k in used), span=like.span), like.target, here)


def _is_zero(constant: Expr, written: Written) -> bool:
    try:
        return bool(evaluate(constant, (), written.core.symbols) == 0)
    except (KeyError, ZeroDivisionError):
        return False


@value_at.register
def _(instruction: Sum, here: Where, written: Written) -> str | None:
    axes = [axis for axis in instruction.axes if axis in written.axes]
    counts = Counter(written.read(instruction.operand, place) for place in written.along(axes, here))
    terms: list[Expr] = []
    names = [name for name in counts if name is not None]
    for k, name in enumerate(names):
        terms.append(Number(counts[name]) * Operand(k) if counts[name] > 1 else Operand(k))
    return _reduce(instruction, "add", terms, names, here, written) if names else None


@value_at.register
def _(instruction: Max, here: Where, written: Written) -> str | None:
    axes = [axis for axis in instruction.axes if axis in written.axes]
    values = dict.fromkeys(written.read(instruction.operand, place) for place in written.along(axes, here))
    names = [name for name in values if name is not None]
    terms = [ZERO if name is None else Operand(names.index(name)) for name in values]
    return _reduce(instruction, "max", terms, names, here, written) if names else None


def _reduce(
    like: Sum | Max, function: str, terms: Sequence[Expr], names: Sequence[str], here: Where, written: Written
) -> str | None:
    """Return the terms joined by a function, and the sum or the maximum over the axes that are not written out."""
    expr, rest = _joined(function, terms), written.kept(like.axes)
    if not rest:
        return _apply(expr, names, like, here, written)
    inner = names[0]
    if expr != Operand(0):
        inner = written.part(like.target, here, written.types[names[0]])
        written.body.append(Map(inner, expr, tuple(names), span=like.span))
    return written.emit(replace(like, operand=inner, axes=rest), like.target, here)


def _joined(function: str, terms: Sequence[Expr]) -> Expr:
    return reduce(lambda left, right: apply(function, left, right), terms)


@value_at.register
def _(instruction: Softmax, here: Where, written: Written) -> str | None:
    if instruction.axis not in written.axes:
        operand = written.read(instruction.operand, here)
        named = make_zero(instruction.operand, here, instruction.span, written) if operand is None else operand
        return written.emit(replace(instruction, operand=named), instruction.target, here)
    values = [written.read(instruction.operand, place) for place in written.along((instruction.axis,), here)]
    powers = [apply("exp", Operand(k)) for k in range(len(values))]
    own = powers[here[instruction.axis] - written.axes[instruction.axis].start]
    return _apply(own / _joined("add", powers), values, instruction, here, written)


def make_zero(name: str, here: Where, span: Span, written: Written) -> str:
    """Return a variable that is zero."""
    return written.emit(Map("", ZERO, (), span=span), name, here)
