"""Calls: elementwise functions, `avg`, `dot`, functions and blocks of the user; and reductions over axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from tensorprog.core.blocks import expand
from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.elementwise import combine
from tensorprog.core.functions import function_of
from tensorprog.core.integers import known_integer
from tensorprog.core.ir import Max, Moment, Softmax, Sum, Type
from tensorprog.core.lower import lower_term
from tensorprog.core.names import kind_of, nearest, resolve, resolve_axes
from tensorprog.core.scope import BlockName, FunctionName, Kind, enclosing, find
from tensorprog.core.shapes import WILD, Value, describe
from tensorprog.core.sizes import product
from tensorprog.errors import Span
from tensorprog.nonlin.base import Primitive, registry
from tensorprog.nonlin.expression import Call, Number, apply
from tensorprog.syntax.tree import Argument, CallTerm, Reduce

__all__ = ["builtin_functions"]

_OPERATORS = frozenset({"add", "sub", "mul", "div", "floordiv", "pow", "neg"})

_FOREIGN = {
    "mean": "the mean of the coordinates is `avg(v)`; over an axis it is `mean[k](…)`",
    "sum": "over an axis it is `sum[k](…)`; the sum of products of coordinates is `dot(u, v)`",
    "softmax": "it goes over an axis: `softmax[k](…)`",
}
"""Names that are functions elsewhere, and what they are called here."""


@cache
def builtin_functions() -> Mapping[str, Primitive]:
    """Return the elementwise functions of the language by name."""
    return {name: record for name, record in registry().items() if not record.internal and name not in _OPERATORS}


@lower_term.register
def _(term: CallTerm, builder: Builder) -> Value | None:
    name = term.function.name
    found = find(builder.scope, name)
    binding = found[1] if found is not None else None
    match binding:
        case FunctionName():
            return _call_function(builder, term, binding)
        case BlockName():
            return expand(builder, term, binding)
    if name in ("avg", "dot"):
        return _moment(builder, term)
    if name in builtin_functions():
        return _call_builtin(builder, term, builtin_functions()[name])
    for argument in term.arguments:
        lower_term(argument.value, builder)
    if binding is None or resolve(builder, name, term.function.span) is not None:
        _report_unknown(builder, term)
    return None


def _report_unknown(builder: Builder, term: CallTerm) -> None:
    name, found = term.function.name, find(builder.scope, term.function.name)
    if found is not None:
        message = f"`{name}` is {kind_of(found[1])} and cannot be called"
        builder.report(Code.WRONG_KIND, message, term.function.span, "a product is written with `*`")
        return
    own = [
        key
        for scope in enclosing(builder.scope)
        for key, binding in scope.names.items()
        if isinstance(binding, FunctionName | BlockName)
    ]
    hint = _FOREIGN.get(name) or nearest(name, [*builtin_functions(), "avg", "dot", *own])
    builder.report(Code.UNKNOWN_FUNCTION, f"unknown function `{name}`", term.function.span, hint)


def _arguments(builder: Builder, term: CallTerm, names: Sequence[str]) -> tuple[Argument, ...] | None:
    """Return as many positional arguments as there are `names`; anything else is reported."""
    for argument in term.arguments:
        if argument.name is not None:
            hint = "keyword arguments are for blocks"
            builder.report(Code.ARGUMENTS, f"`{term.function.name}` takes no keyword arguments", argument.span, hint)
            return None
    if len(term.arguments) != len(names):
        many = f"{len(names)} argument{'s' if len(names) != 1 else ''}"
        message = f"`{term.function.name}` takes {many}, not {len(term.arguments)}"
        builder.report(
            Code.ARGUMENTS, message, term.span, f"it is called as `{term.function.name}({', '.join(names)})`"
        )
        return None
    return term.arguments


def _call_builtin(builder: Builder, term: CallTerm, record: Primitive) -> Value | None:
    names = ["u", "k" if record.integers else "slope" if record.name == "leaky_relu" else "v"][: record.arity]
    arguments = _arguments(builder, term, names)
    if arguments is None:
        return None
    values = [
        _natural(builder, record.name, argument) if place in record.integers else lower_term(argument.value, builder)
        for place, argument in enumerate(arguments)
    ]
    if record.name == "leaky_relu" and values[1] is not None and values[1].operands:
        message, hint = "the slope of `leaky_relu` is not a number", "it is made of numbers and hyperparameters"
        builder.report(Code.NOT_A_NUMBER, message, arguments[1].span, hint)
        return None
    places = range(len(values))
    return combine(builder, lambda *args: apply(record.name, *args), values, term.span, places)


def _natural(builder: Builder, name: str, argument: Argument) -> Value | None:
    number = known_integer(builder, argument.value, f"the second argument of `{name}`")
    if number is not None and number < 0:
        message = f"the second argument of `{name}` is {number}, not a natural number"
        builder.report(Code.NOT_INTEGER, message, argument.span, "it is 0, 1, 2, …")
        return None
    return Value(Number(number)) if number is not None else None


def _call_function(builder: Builder, term: CallTerm, binding: FunctionName) -> Value | None:
    arguments = _arguments(builder, term, [variable.name for variable in binding.declaration.variables])
    fn = function_of(builder, binding.declaration, term.function.span)
    values = [lower_term(argument.value, builder) for argument in arguments or ()]
    if arguments is None or fn is None:
        return None
    return combine(builder, lambda *args: Call(fn, args), values, term.span, range(len(values)))


def _moment(builder: Builder, term: CallTerm) -> Value | None:
    """Return `avg(v)` or `dot(u, v)` = dimension · avg(u * v)."""
    if builder.scope.kind is Kind.FUNCTION:
        _report_elementwise(builder, term.function.name, term.span)
        return None
    arguments = _arguments(builder, term, ["v"] if term.function.name == "avg" else ["u", "v"])
    values = [lower_term(argument.value, builder) for argument in arguments or ()]
    if arguments is None or any(value is None for value in values):
        return None
    for value, argument in zip(values, arguments, strict=True):
        if value is not None and value.dimension is None:
            message = f"`{term.function.name}` takes vectors, and this is {describe(value)}"
            builder.report(Code.SHAPES, message, argument.span, "over axes, write `mean[i](…)` or `sum[i](…)`")
            return None
    if term.function.name == "avg":
        return _average(builder, values[0], term.span)
    inner = combine(builder, lambda a, b: apply("mul", a, b), values, term.span)
    mean = _average(builder, inner, term.span)
    if inner is None or inner.dimension is None:
        return None
    return combine(builder, lambda a, b: apply("mul", a, b), (Value(inner.dimension), mean), term.span)


def _average(builder: Builder, value: Value | None, span: Span) -> Value | None:
    if value is None:
        return None
    operand = builder.materialize(value, span)
    return builder.emit(Moment, Type(operand.axes, None), span, operand=builder.leaves[operand.operands[0]])


def _report_elementwise(builder: Builder, name: str, span: Span) -> None:
    builder.report(
        Code.NOT_ELEMENTWISE, f"`{name}` in an `fn`", span, "an `fn` is elementwise; a `block` may hold anything"
    )


@lower_term.register
def _(term: Reduce, builder: Builder) -> Value | None:
    operator = term.operator.name
    if builder.scope.kind is Kind.FUNCTION:
        _report_elementwise(builder, f"{operator}[…]", term.span)
        return None
    axes = resolve_axes(builder, term.axes)
    value = lower_term(term.operand, builder)
    if operator not in _REDUCTIONS:
        hint = nearest(operator, list(_REDUCTIONS)) or "the reductions are sum, mean, max and softmax"
        builder.report(Code.UNKNOWN_FUNCTION, f"unknown reduction `{operator}`", term.operator.span, hint)
        return None
    if axes is None or value is None:
        return None
    return _REDUCTIONS[operator](builder, value, axes, term.span)


def _without(value: Value, axes: tuple[str, ...]) -> Type:
    return Type(tuple(axis for axis in value.axes if axis not in axes), value.dimension)


def _sum(builder: Builder, value: Value, axes: tuple[str, ...], span: Span) -> Value | None:
    operand = builder.materialize(value, span)
    name = builder.leaves[operand.operands[0]]
    return builder.emit(Sum, _without(operand, axes), span, operand=name, axes=axes)


def _mean(builder: Builder, value: Value, axes: tuple[str, ...], span: Span) -> Value | None:
    shared = tuple(axis for axis in axes if axis in value.axes)
    if not shared:
        return value
    extent = product(builder.axes[axis].extent for axis in shared)
    total = _sum(builder, value, shared, span)
    return combine(builder, lambda a, b: apply("div", a, b), (total, Value(extent)), span)


def _max(builder: Builder, value: Value, axes: tuple[str, ...], span: Span) -> Value | None:
    shared = tuple(axis for axis in axes if axis in value.axes)
    if not shared:
        return value
    operand = builder.materialize(value, span)
    name = builder.leaves[operand.operands[0]]
    return builder.emit(Max, _without(operand, shared), span, operand=name, axes=shared)


def _softmax(builder: Builder, value: Value, axes: tuple[str, ...], span: Span) -> Value | None:
    if len(axes) != 1 or axes[0] not in value.axes:
        message = "`softmax` goes over one axis of its argument"
        builder.report(Code.SHAPES, message, span, f"its argument is {describe(value)}")
        return None
    if value.dimension not in (None, WILD):
        message = f"`softmax` takes scalars, and this is {describe(value)}"
        builder.report(Code.SHAPES, message, span, "scores are scalars: `dot(q[i], k[j]) / n`")
        return None
    operand = builder.materialize(value, span)
    name = builder.leaves[operand.operands[0]]
    return builder.emit(Softmax, Type(operand.axes, None), span, operand=name, axis=axes[0])


_REDUCTIONS = {"sum": _sum, "mean": _mean, "max": _max, "softmax": _softmax}
