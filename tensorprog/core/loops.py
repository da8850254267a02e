"""`for`: rolled into a `Scan` over an axis of its own where its iterations share nothing but carried variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tensorprog.core.builder import Builder, Level, Loops, Unroll
from tensorprog.core.codes import Code
from tensorprog.core.integers import known_integer
from tensorprog.core.ir import Axis, Carry, Type
from tensorprog.core.lower import lower_statement
from tensorprog.core.names import as_variable, assign, declare, resolve
from tensorprog.core.scope import (
    AxisName,
    Broken,
    Carried,
    Constant,
    Exported,
    Kind,
    Scope,
    VariableName,
    find,
    is_declared,
)
from tensorprog.nonlin.expression import Number
from tensorprog.syntax.tree import Assign, For, ScanBlock, Statement

__all__: list[str] = []


@lower_statement.register
def _(statement: For, builder: Builder) -> None:
    first = known_integer(builder, statement.first, "the start of the loop")
    last = known_integer(builder, statement.last, "the end of the loop")
    if first is None or last is None:
        for name in _assigned(statement.body):
            found = find(builder.scope, name)
            if found is None or not is_declared(found[1]):
                assign(builder, name, Broken(statement.span))
        return
    if last - first >= builder.limits.statements:
        message = f"the loop has {last - first + 1} steps, more than {builder.limits.statements}"
        place = statement.first.span.to(statement.last.span)
        builder.report(Code.TOO_LARGE, message, place, "make the loop shorter, or raise the limit")
        return
    if builder.loops is Loops.UNROLLED or last <= first or not _is_rolled(builder, statement, first, last):
        _unroll(builder, statement, first, last)


def _assigned(body: tuple[Statement, ...]) -> Iterator[str]:
    """Yield the names that statements bind."""
    for statement in body:
        if isinstance(statement, Assign):
            yield statement.name.name
        elif isinstance(statement, For | ScanBlock):
            yield from _assigned(statement.body)


def _unroll(builder: Builder, statement: For, first: int, last: int) -> None:
    """Carry out the iterations one after another; an iteration with findings is the last."""
    outer, findings = builder.scope, len(builder.diagnostics)
    for value in range(first, last + 1):
        builder.scope = Scope(Kind.ITERATION, outer)
        builder.count_statement(statement.span)
        try:
            declare(builder, statement.variable, Constant(statement.variable.span, Number(value), "loop variable"))
            for child in statement.body:
                lower_statement(child, builder)
        finally:
            builder.scope = outer
        if len(builder.diagnostics) > findings:
            return


def _is_rolled(builder: Builder, statement: For, first: int, last: int) -> bool:
    """Make the loop a `Scan` and return True, or leave everything as it was and return False."""
    key = (id(statement), builder.calls)
    if key in builder.unrolled:
        return False
    restore = builder.save()
    axis = builder.fresh_axis(statement.variable.name)
    try:
        _roll(builder, statement, axis, first, last)
    except Unroll as reason:
        if reason.axis != axis:
            raise
        restore()
        builder.unrolled.add(key)
        return False
    return True


def _roll(builder: Builder, statement: For, axis: str, first: int, last: int) -> None:
    steps, outer = last - first + 1, builder.scope
    builder.axes[axis] = Axis(axis, Number(first), Number(steps), False, span=statement.variable.span)
    builder.levels = (*builder.levels, Level(axis, rolled=True, repeats=steps))
    builder.scope = scope = Scope(Kind.LOOP, outer, depth=len(builder.levels))
    declare(builder, statement.variable, AxisName(statement.variable.span, axis, loop=True))
    for name in _assigned(statement.body):
        found = find(outer, name)
        if found is not None and not is_declared(found[1]) and not isinstance(found[1], Broken):
            scope.names[name] = Carried(found[1].span)
    for child in statement.body:
        lower_statement(child, builder)
    carries = tuple(_carries(builder, scope, axis))
    for name, binding in list(scope.names.items()):
        if isinstance(binding, Exported):
            resolve(builder, name, binding.span)
    builder.scope = outer
    builder.close_level(carries, f"{axis}.loop", statement.span)
    _export(builder, scope, axis, last)


def _carries(builder: Builder, scope: Scope, axis: str) -> Iterator[Carry]:
    """Yield a carry for every name that the body reads before it binds it.

    Raises:
        Unroll: such a name has another type after the step than before.
    """
    for (home, name), (initial, before) in list(builder.entered.items()):
        if home is not scope:
            continue
        binding = resolve(builder, name, before.span)
        after = as_variable(builder, name, binding) if binding is not None else None
        if after is None:
            continue
        if (after.own, set(after.implicit)) != (before.own, set(before.implicit)) or after.name == before.name:
            raise Unroll(axis)
        after = _in_order(builder, name, after, builder.types[before.name])
        if builder.types[after.name] != builder.types[before.name]:
            raise Unroll(axis)
        yield Carry(before.name, after.name, initial, span=after.span)


def _in_order(builder: Builder, name: str, variable: VariableName, kind: Type) -> VariableName:
    """Return a variable with its axes in the order of `kind`, a copy if it has another."""
    here = builder.types[variable.name]
    if here.axes == kind.axes or set(here.axes) != set(kind.axes) or here.dimension != kind.dimension:
        return variable
    target = builder.fresh(builder.qualified(name))
    builder.finish(builder.leaf(variable.name), target, kind, variable.span)
    return replace(variable, name=target)


def _export(builder: Builder, scope: Scope, axis: str, last: int) -> None:
    """Bind what the body has bound for the statements after the loop."""
    for name, binding in scope.names.items():
        if isinstance(binding, VariableName) and not binding.declared:
            assign(builder, name, Exported(binding.span, binding, axis, last, len(builder.levels)))
        elif isinstance(binding, Broken) or (isinstance(binding, Constant) and binding.kind == "number"):
            assign(builder, name, binding)
