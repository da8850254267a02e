"""`scan t { … }`: recurrences along an axis.

A state may be read before its definition, so its shape must be known first: the body is lowered for trial, with states
of unknown dimension at the start, until the shapes that it gives are those that it was lowered with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tensorprog.core.builder import Builder, Level
from tensorprog.core.codes import Code
from tensorprog.core.definitions import check_axes
from tensorprog.core.elementwise import known_number
from tensorprog.core.ir import Carry, Type
from tensorprog.core.lower import lower_statement, lower_term
from tensorprog.core.names import assign, can_assign, resolve_axes, resolve_axis
from tensorprog.core.scope import Broken, Kind, Scope, StateName, VariableName
from tensorprog.core.shapes import WILD, Value, describe, union
from tensorprog.nonlin.expression import Expr, Number, Operand
from tensorprog.syntax.tree import Assign, For, Init, ParamDecl, ScanBlock, Statement

__all__: list[str] = []


@dataclass(frozen=True, slots=True)
class _Shape:
    """What is believed of a state: the axes that pass through the block around, and its dimension."""

    implicit: tuple[str, ...] = ()
    dimension: Expr | None = WILD


@dataclass(frozen=True, slots=True)
class _State:
    """A state of a scan: its definition, all its axes, its core variable, its first value."""

    statement: Assign
    own: tuple[str, ...]
    target: str
    initial: Value | None
    init: Init | None

    @property
    def name(self) -> str:
        """The name in the program."""
        return self.statement.name.name


@lower_statement.register
def _(statement: ScanBlock, builder: Builder) -> None:
    findings = len(builder.diagnostics)
    axis = _axis(builder, statement)
    _check_body(builder, statement)
    inits = _inits(builder, statement)
    states = [state for item in _definitions(statement) if (state := _state(builder, item, axis, inits)) is not None]
    if axis is not None and len(builder.diagnostics) == findings:
        shapes = _infer(builder, states, axis)
        _lower(builder, statement, states, axis, shapes)
    if len(builder.diagnostics) > findings:
        for item in _definitions(statement):
            if can_assign(builder, item.name):
                assign(builder, item.name.name, Broken(item.name.span))


@lower_statement.register
def _(statement: Init, builder: Builder) -> None:
    builder.report(
        Code.MISPLACED, "`init` outside of a scan", statement.span, "it gives a state its value before t = 0"
    )


def _definitions(statement: ScanBlock) -> list[Assign]:
    return [item for item in statement.body if isinstance(item, Assign)]


def _axis(builder: Builder, statement: ScanBlock) -> str | None:
    """Return the axis of a scan, which starts at 0 and is not circular."""
    axis = resolve_axis(builder, statement.axis)
    if axis is None:
        return None
    if builder.axes[axis].start != Number(0) or builder.axes[axis].circular:
        word = "is circular" if builder.axes[axis].circular else "does not start at 0"
        message = f"a scan over the axis `{axis}`, which {word}"
        builder.report(Code.SCAN_BODY, message, statement.axis.span, f"declare it as `axis {axis} : T`")
        return None
    return axis


def _check_body(builder: Builder, statement: ScanBlock) -> None:
    """Report statements that may not stand in a scan, and names that are defined twice in it."""
    seen: set[str] = set()
    for item in statement.body:
        if not isinstance(item, Assign | Init):
            message = f"{_word(item)} in a scan"
            hint = "the body of a scan is made of definitions `s[t] = …` and `init s = …`"
            if isinstance(item, ParamDecl):
                message, hint = (
                    f"the parameter `{item.name.name}` in a scan",
                    "declare it before the scan: all steps share it",
                )
            builder.report(
                Code.SCAN_BODY, message, item.span if not isinstance(item, ParamDecl) else item.name.span, hint
            )
        elif isinstance(item, Assign):
            if item.name.name in seen:
                message = f"`{item.name.name}` is defined twice in one scan"
                builder.report(Code.DECLARED_TWICE, message, item.name.span, "give the second value a name of its own")
            seen.add(item.name.name)


def _word(item: Statement) -> str:
    return {For: "a `for`", ScanBlock: "a `scan`"}.get(
        type(item), "an output" if "Output" in type(item).__name__ else "this"
    )


def _inits(builder: Builder, statement: ScanBlock) -> Mapping[str, Init]:
    found: dict[str, Init] = {}
    states = {item.name.name for item in _definitions(statement)}
    for item in statement.body:
        if not isinstance(item, Init):
            continue
        if item.name.name not in states:
            message = f"`init` of `{item.name.name}`, which this scan does not define"
            builder.report(Code.SCAN_BODY, message, item.name.span, f"define it: `{item.name.name}[t] = …`")
        elif item.name.name in found:
            message = f"a second `init` of `{item.name.name}`"
            builder.report(Code.DECLARED_TWICE, message, item.name.span, "a state has one value before t = 0")
        found[item.name.name] = item
    return found


def _state(builder: Builder, item: Assign, axis: str | None, inits: Mapping[str, Init]) -> _State | None:
    builder.count_statement(item.span)
    own = resolve_axes(builder, item.axes)
    if not can_assign(builder, item.name) or own is None or axis is None:
        return None
    if axis not in own:
        message = f"`{item.name.name}` is defined in `scan {axis}` without the axis `{axis}`"
        hint = f"write `{item.name.name}[{axis}] = …`, or define it before the scan"
        builder.report(Code.SCAN_BODY, message, item.name.span, hint)
        return None
    target, init = builder.fresh(builder.qualified(item.name.name)), inits.get(item.name.name)
    inner = tuple(other for other in own if other != axis)
    initial = _initial(builder, init, target, inner) if init is not None else None
    return _State(item, own, target, initial, init)


def _initial(builder: Builder, init: Init, target: str, inner: tuple[str, ...]) -> Value | None:
    """Return the first value of a state, which is computed before the scan."""
    own = resolve_axes(builder, init.axes)
    with builder.statement(f"{target}.init", union((builder.passing, inner), ())):
        value = lower_term(init.value, builder)
    if own is not None and not set(own) <= set(inner):
        message = f"`init {init.name.name}` over axes that the state does not have"
        hint = f"the state has the axes [{', '.join(inner)}] beside that of the scan"
        builder.report(Code.FREE_AXIS, message, init.name.span, hint)
        return None
    fits = value is not None and own is not None and check_axes(builder, value, own, init.value)
    return value if fits else None


def _infer(builder: Builder, states: list[_State], axis: str) -> dict[str, _Shape]:
    """Return the shapes of all states, by lowering the body until they are found."""
    shapes = {state.name: _Shape((), _first(state)) for state in states}
    for _ in range(2 * len(states) + 2):
        restore = builder.save()
        builder.muted = True
        found = _run_body(builder, states, axis, shapes)
        restore()
        if found == shapes:
            break
        shapes = found
    return {name: replace(shape, dimension=_known(shape.dimension)) for name, shape in shapes.items()}


def _first(state: _State) -> Expr | None:
    return state.initial.dimension if state.initial is not None and state.initial.dimension is not None else WILD


def _known(dimension: Expr | None) -> Expr | None:
    return None if dimension == WILD else dimension


def _run_body(builder: Builder, states: list[_State], axis: str, shapes: Mapping[str, _Shape]) -> dict[str, _Shape]:
    """Lower the definitions in a new level, and return the shapes that they give their states."""
    builder.levels = (*builder.levels, Level(axis))
    builder.scope = scope = Scope(Kind.SCAN, builder.scope, depth=len(builder.levels))
    for state in states:
        shape, span = shapes[state.name], state.statement.name.span
        name = StateName(span, axis, state.target, state.own, shape.implicit, shape.dimension)
        scope.names[state.name] = name
    return {state.name: _define(builder, state, axis, shapes[state.name]) for state in states}


def _define(builder: Builder, state: _State, axis: str, believed: _Shape) -> _Shape:
    """Define a state at the current step, and return its shape."""
    inner = tuple(other for other in state.own if other != axis)
    scope, statement = builder.scope, state.statement
    with builder.statement(state.target, union((builder.passing, inner), ())):
        value = lower_term(statement.value, builder)
        if value is None or not check_axes(builder, value, inner, statement.value):
            scope.names[state.name] = Broken(statement.name.span)
            return believed
        found = _Shape(tuple(other for other in value.axes if other not in inner), value.dimension)
        builder.finish(value, state.target, Type((*found.implicit, *inner), found.dimension), statement.span)
    if found != believed and WILD not in (believed.dimension, found.dimension):
        before, after = Value(Number(0), believed.implicit, believed.dimension), replace(value, axes=found.implicit)
        message = f"the state `{state.name}` does not keep its shape: {describe(before)}, then {describe(after)}"
        builder.report(Code.SHAPES, message, statement.value.span, "a step and the one before have the same shape")
    name = scope.names[state.name]
    assert isinstance(name, StateName)
    scope.names[state.name] = replace(name, defined=True, implicit=found.implicit)
    return found


def _lower(
    builder: Builder, statement: ScanBlock, states: list[_State], axis: str, shapes: Mapping[str, _Shape]
) -> None:
    """Lower the scan with known shapes, and bind its states for what follows."""
    findings, outer = len(builder.diagnostics), builder.scope
    initials = {state.name: _start(builder, state, axis, shapes[state.name]) for state in states}
    _run_body(builder, states, axis, shapes)
    scope, builder.scope = builder.scope, outer
    if len(builder.diagnostics) > findings:
        builder.levels = builder.levels[:-1]
        return
    carries = tuple(
        Carry(name.before, state.target, initials[state.name], span=state.statement.span)
        for state in states
        if isinstance(name := scope.names[state.name], StateName) and name.before is not None
    )
    builder.close_level(carries, f"{axis}.scan", statement.span)
    for state in states:
        implicit = shapes[state.name].implicit
        assign(builder, state.name, VariableName(state.statement.name.span, state.target, state.own, implicit))


def _start(builder: Builder, state: _State, axis: str, shape: _Shape) -> str | None:
    """Return the variable that holds a state before its first step, None for zero."""
    if state.initial is None or state.init is None or known_number(builder, state.initial) == 0:
        return None
    value = state.initial
    if value.dimension not in (None, shape.dimension):
        was = Value(Number(0), (), shape.dimension)
        message = f"`init {state.name}` is {describe(value)}, and the state is {describe(was)}"
        builder.report(Code.SHAPES, message, state.init.value.span, "a state starts with its own shape")
        return None
    kind = Type((*shape.implicit, *(other for other in state.own if other != axis)), shape.dimension)
    if isinstance(value.expr, Operand) and builder.types[builder.leaves[value.expr.index]] == kind:
        return builder.leaves[value.expr.index]
    target = builder.fresh(f"{state.target}.init")
    with builder.statement(target, kind.axes):
        builder.finish(value, target, kind, state.init.span)
    return target
