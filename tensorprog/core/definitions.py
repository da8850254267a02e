"""Definitions and outputs: `name[i, j] = expression`, `output f = expression`."""

from __future__ import annotations

from tensorprog.core.builder import Builder, Unroll
from tensorprog.core.codes import Code
from tensorprog.core.ir import Output, Type
from tensorprog.core.lower import lower_statement, lower_term
from tensorprog.core.names import assign, can_assign, declare, resolve_axes
from tensorprog.core.scope import Broken, Constant, VariableName
from tensorprog.core.shapes import Value, describe, union
from tensorprog.syntax.tree import Assign, Identifier, OutputDecl, Term

__all__ = ["check_axes"]


@lower_statement.register
def _(statement: Assign, builder: Builder) -> None:
    builder.count_statement(statement.span)
    identifier, span = statement.name, statement.name.span
    may = can_assign(builder, identifier)
    own = resolve_axes(builder, statement.axes)
    base = builder.qualified(identifier.name)
    target = builder.fresh(base)
    with builder.statement(target, union((builder.passing, own or ()), ())):
        value = lower_term(statement.value, builder)
        if not may:
            return
        if value is None or own is None or not check_axes(builder, value, own, statement.value):
            assign(builder, identifier.name, Broken(span))
        elif value.is_constant and not own:
            builder.counts[base] -= 1
            assign(builder, identifier.name, Constant(span, value.expr, "number"))
        else:
            assign(builder, identifier.name, _define(builder, statement, target, own, value))


def _define(
    builder: Builder, statement: Assign | OutputDecl, target: str, own: tuple[str, ...], value: Value
) -> VariableName:
    """Let `target`, indexed by `own`, be `value`; axes that pass through a block come first."""
    implicit = tuple(axis for axis in value.axes if axis not in own)
    builder.finish(value, target, Type((*implicit, *own), value.dimension), statement.span)
    return VariableName(statement.name.span, target, own, implicit, declared=isinstance(statement, OutputDecl))


def check_axes(builder: Builder, value: Value, own: tuple[str, ...], term: Term) -> bool:
    """Return whether the free axes of a value are on the left, or pass through the block around."""
    free = [axis for axis in value.axes if axis not in own and axis not in builder.passing]
    for axis in free:
        message = f"the axis `{axis}` is free on the right, but not on the left"
        hint = f"put it on the left, or bind it: `sum[{axis}](…)`, `mean[{axis}](…)`, `max[{axis}](…)`"
        builder.report(Code.FREE_AXIS, message, term.span, hint)
    return not free


@lower_statement.register
def _(statement: OutputDecl, builder: Builder) -> None:
    builder.count_statement(statement.span)
    if builder.rolled:
        raise Unroll(builder.rolled[-1])
    if builder.running:
        message = "an output in a scan"
        builder.report(Code.SCAN_BODY, message, statement.name.span, "put it after the scan, indexed by its axis")
        return
    own = resolve_axes(builder, statement.axes)
    target = builder.fresh(builder.qualified(statement.name.name))
    with builder.statement(target, union((builder.passing, own or ()), ())):
        value = lower_term(statement.value, builder)
        if value is None or own is None or not check_axes(builder, value, own, statement.value):
            _declare_broken(builder, statement.name)
        elif value.dimension is not None:
            message = f"the output `{statement.name.name}` is not a scalar: it is {describe(value)}"
            hint = "an output is a readout `V @ h`, `param V : (1, n)`; for several, index it: `output f[c] = V[c] @ h`"
            builder.report(Code.NOT_GAUSSIAN, message, statement.value.span, hint)
            _declare_broken(builder, statement.name)
        else:
            declare(builder, statement.name, _define(builder, statement, target, own, value))
            builder.outputs.append(Output(target, target, span=statement.span))


def _declare_broken(builder: Builder, identifier: Identifier) -> None:
    builder.failed_outputs += 1
    declare(builder, identifier, Broken(identifier.span))
