"""Finding, reading and binding names."""

from __future__ import annotations

import difflib
from dataclasses import replace

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.ir import Affine, Gather, Type
from tensorprog.core.scope import (
    AxisName,
    Binding,
    BlockName,
    Broken,
    Carried,
    Constant,
    Exported,
    FunctionName,
    Given,
    Kind,
    ParameterName,
    Scope,
    VariableName,
    enclosing,
    find,
    frame,
    is_declared,
)
from tensorprog.core.shapes import Value
from tensorprog.errors import Span
from tensorprog.nonlin.expression import Number, Operand
from tensorprog.syntax.tree import Identifier

__all__ = [
    "as_variable",
    "assign",
    "can_assign",
    "declare",
    "kind_of",
    "nearest",
    "point",
    "resolve",
    "resolve_axes",
    "resolve_axis",
]


def nearest(name: str, known: list[str]) -> str | None:
    """Return `did you mean …?` with the known name most like `name`, if one is."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{found[0]}`?" if found else None


def kind_of(binding: Binding) -> str:
    """Return what a name stands for, in words."""
    match binding:
        case Constant(kind=kind):
            return f"a {kind}" if kind != "width" else "a width"
        case AxisName(loop=loop):
            return "a loop variable" if loop else "an axis"
        case ParameterName():
            return "a parameter"
        case FunctionName():
            return "an `fn`"
        case BlockName():
            return "a block"
        case VariableName(declared=True):
            return "an input or output"
        case _:
            return "a variable"


def resolve(builder: Builder, name: str, span: Span) -> Binding | None:
    """Return what `name` stands for here; values carried into or out of loops become variables now."""
    found = find(builder.scope, name)
    if found is None:
        _report_unknown(builder, name, span)
        return None
    scope, binding = found
    match binding:
        case Broken():
            return None
        case Carried():
            return _enter(builder, scope, name, span)
        case Exported():
            return _leave(builder, scope, name, binding)
        case _:
            return binding


def _visible(builder: Builder) -> list[str]:
    return [name for scope in enclosing(builder.scope) for name in scope.names if find(builder.scope, name)]


def _report_unknown(builder: Builder, name: str, span: Span) -> None:
    code, message = Code.UNKNOWN_NAME, f"unknown name `{name}`"
    hint = nearest(name, _visible(builder))
    if name in builder.root.names:
        message = f"`{name}` is not visible in a block or an `fn`"
        hint = "these see what the program declares, not its variables: pass it as an argument"
    elif name in builder.later and builder.later[name].source is span.source and builder.later[name].line >= span.line:
        message = f"`{name}` is used before it is defined"
        hint = f"it is defined in line {builder.later[name].line}"
    builder.report(code, message, span, hint)
    if not any(here.kind is Kind.BLOCK for here in enclosing(builder.scope)):
        builder.root.names.setdefault(name, Broken(span))


def point(builder: Builder, axes: tuple[str, ...]) -> tuple[Affine, ...]:
    """Return the indices that read a variable over `axes` where it is."""
    return tuple(Affine(Number(0), ((axis, Number(1)),)) for axis in axes)


def _enter(builder: Builder, scope: Scope, name: str, span: Span) -> Binding | None:
    """Let the body of a rolled loop read `name` as the step before left it; the outer value is the first."""
    assert scope.parent is not None
    inner, builder.scope = builder.scope, scope.parent
    try:
        with builder.at_level(scope.depth - 1):
            binding = resolve(builder, name, span)
            outer = as_variable(builder, name, binding) if binding is not None else None
    finally:
        builder.scope = inner
    if outer is None:
        scope.names[name] = Broken(span)
        return None
    target = builder.fresh(f"{builder.qualified(name)}.before")
    builder.types[target] = builder.types[outer.name]
    before = VariableName(span, target, outer.own, outer.implicit)
    scope.names[name] = before
    builder.entered[scope, name] = (outer.name, before)
    return before


def _leave(builder: Builder, scope: Scope, name: str, binding: Exported) -> Binding:
    """Let `name`, bound in a rolled loop, be its value at the last step."""
    source, target = binding.variable.name, builder.fresh(builder.qualified(name))
    kind = Type(builder.types[source].axes[1:], builder.types[source].dimension)
    indices = (Affine(Number(binding.last)), *point(builder, kind.axes))
    with builder.at_level(binding.depth):
        builder.add(Gather(target, source, indices, kind.axes, span=binding.span), kind)
    scope.names[name] = replace(binding.variable, name=target)
    return scope.names[name]


def as_variable(builder: Builder, name: str, binding: Binding) -> VariableName | None:
    """Return the variable that a name stands for, made from its number or value if it is none yet."""
    if isinstance(binding, VariableName):
        return binding
    value = (
        binding.value if isinstance(binding, Given) else Value(binding.expr) if isinstance(binding, Constant) else None
    )
    if value is None:
        return None
    if isinstance(value.expr, Operand):
        return VariableName(binding.span, builder.leaves[value.expr.index], (), value.axes)
    target = builder.fresh(builder.qualified(name))
    builder.finish(value, target, Type(value.axes, value.dimension), binding.span)
    return VariableName(binding.span, target, (), value.axes)


def resolve_axis(builder: Builder, identifier: Identifier, *, running: bool = False) -> str | None:
    """Return the axis that a name stands for; a running one, that of a scan around, only if `running`."""
    binding = resolve(builder, identifier.name, identifier.span)
    if binding is None:
        return None
    if not isinstance(binding, AxisName) or binding.loop:
        message = f"`{identifier.name}` is {kind_of(binding)}, not an axis"
        builder.report(Code.WRONG_KIND, message, identifier.span, "axes are declared by `axis i : H`")
        return None
    if binding.axis in builder.running and not running:
        message = f"the scan runs along `{identifier.name}` here"
        builder.report(Code.SCAN_BODY, message, identifier.span, "reduce or index over it after the scan")
        return None
    return binding.axis


def resolve_axes(
    builder: Builder, identifiers: tuple[Identifier, ...], *, running: bool = False
) -> tuple[str, ...] | None:
    """Return the axes of a list, which names none twice."""
    found = [resolve_axis(builder, identifier, running=running) for identifier in identifiers]
    for place, identifier in enumerate(identifiers):
        if identifier.name in {other.name for other in identifiers[:place]}:
            message = f"the axis `{identifier.name}` occurs twice in one list"
            hint = "declare a second axis of the same extent, or index with it: `h[i, i]`"
            builder.report(Code.REPEATED_AXIS, message, identifier.span, hint)
            return None
    return None if None in found else tuple(axis for axis in found if axis is not None)


def _taken(builder: Builder, identifier: Identifier, binding: Binding) -> None:
    word = "declared" if is_declared(binding) else "defined"
    message = f"`{identifier.name}` is {word} already, as {kind_of(binding)} in line {binding.span.line}"
    builder.report(
        Code.DECLARED_TWICE, message, identifier.span, "all declared names share one namespace: choose another"
    )


def _bound(builder: Builder, name: str) -> Binding | None:
    """Return the meaning of `name` in the block or program around; a block's own names hide the program's."""
    return next((here.names[name] for here in frame(builder.scope) if name in here.names), None)


def declare(builder: Builder, identifier: Identifier, binding: Binding) -> None:
    """Declare a name in the innermost scope; it may not have a meaning yet."""
    taken = _bound(builder, identifier.name)
    if taken is not None and not isinstance(taken, Broken | Carried):
        _taken(builder, identifier, taken)
    else:
        builder.scope.names[identifier.name] = binding


def can_assign(builder: Builder, identifier: Identifier) -> bool:
    """Return whether a definition may bind the name; if it is declared, that is reported."""
    taken = _bound(builder, identifier.name)
    if taken is None or not is_declared(taken):
        return True
    _taken(builder, identifier, taken)
    return False


def assign(builder: Builder, name: str, binding: Binding) -> None:
    """Bind a name, which the iterations of an unrolled loop do for the scope around it."""
    scope = next(here for here in frame(builder.scope) if here.kind is not Kind.ITERATION)
    scope.names[name] = binding
