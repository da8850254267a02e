"""Declarations: widths, axes, inputs and parameters."""

from __future__ import annotations

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.integers import lower_dimension, lower_size
from tensorprog.core.ir import Axis, Input, Parameter, Type, Width
from tensorprog.core.lower import lower_statement, lower_term
from tensorprog.core.names import declare, resolve_axes
from tensorprog.core.numbers import check_ratio, check_variance
from tensorprog.core.scope import AxisName, Broken, Constant, Kind, ParameterName, VariableName, enclosing
from tensorprog.core.shapes import Value
from tensorprog.core.sizes import SizeError, normal
from tensorprog.nonlin.expression import Expr, Number, Position, Symbol, apply, symbols, walk
from tensorprog.syntax.tree import AxisDecl, InputDecl, ParamDecl, Term, UseDecl, WidthDecl

__all__ = ["LONGEST_AXIS"]

LONGEST_AXIS = 10_000_000


def _is_top(builder: Builder, keyword: str, statement: WidthDecl | AxisDecl | InputDecl) -> bool:
    if builder.scope.kind is Kind.PROGRAM:
        return True
    builder.report(Code.MISPLACED, f"`{keyword}` stands at top level only", statement.span, "move it out of the block")
    return False


@lower_statement.register
def _(statement: WidthDecl, builder: Builder) -> None:
    if not _is_top(builder, "width", statement):
        return
    name, span = statement.name.name, statement.name.span
    size = lower_term(statement.size, builder) if statement.size is not None else None
    fits = _fits_first(builder, statement, size)
    declare(builder, statement.name, Constant(span, Symbol(name), "width") if fits else Broken(span))
    if fits:
        builder.widths[name] = Width(name, size.expr if size is not None else None, span=statement.span)


def _fits_first(builder: Builder, statement: WidthDecl, size: Value | None) -> bool:
    """Return whether a width is the first, or at a fixed ratio to the first."""
    if statement.size is None:
        if not builder.widths:
            return True
        first = next(iter(builder.widths))
        message = f"the width `{statement.name.name}` has no ratio to the width `{first}`"
        hint = f"give it one: `width {statement.name.name} = 4 * {first}`"
        builder.report(Code.WIDTH_RATIO, message, statement.name.span, hint)
        return False
    return size is not None and check_ratio(builder, size, statement.size.span)


@lower_statement.register
def _(statement: AxisDecl, builder: Builder) -> None:
    if not _is_top(builder, "axis", statement):
        return
    name, span = statement.name.name, statement.name.span
    ends = _ends(builder, statement)
    declare(builder, statement.name, AxisName(span, name) if ends is not None else Broken(span))
    if ends is not None and isinstance(builder.root.names[name], AxisName):
        builder.axes[name] = Axis(name, *ends, statement.circular, span=statement.span)


def _ends(builder: Builder, statement: AxisDecl) -> tuple[Expr, Expr] | None:
    """Return the start and the extent of an axis."""
    name = statement.name.name
    if statement.extent is not None:
        extent = lower_size(builder, statement.extent, f"the extent of axis {name}")
        return (Number(0), extent) if _is_short(builder, statement, statement.extent, extent) and extent else None
    if statement.start is None or statement.stop is None:
        return None
    start, stop = (_end(builder, term) for term in (statement.start, statement.stop))
    if start is None or stop is None:
        return None
    extent = normal(apply("add", apply("sub", stop, start), Number(1)), builder.symbols)
    if isinstance(extent, Number) and extent.value < 1:
        message = f"the axis `{name}` is empty: it ends before it starts"
        builder.report(Code.EMPTY, message, statement.start.span.to(statement.stop.span), "both ends are included")
        return None
    return (start, extent) if _is_short(builder, statement, statement.start, extent) else None


def _end(builder: Builder, term: Term) -> Expr | None:
    """Return an end of an axis, which may be negative."""
    value = lower_term(term, builder)
    if value is None:
        return None
    wide = [name for name in symbols(value.expr) if name in builder.widths]
    if wide:
        message = f"the width `{wide[0]}` where a finite dimension is needed"
        builder.report(Code.WIDTH_FOR_SIZE, message, term.span, "the ends of an axis are integers")
        return None
    try:
        if value.is_constant and value.dimension is None:
            return normal(value.expr, builder.symbols)
        reason = "it depends on variables"
    except ZeroDivisionError:
        builder.report(Code.ZERO_DIVISION, "division by zero", term.span, "the divisor is the constant 0")
        return None
    except SizeError as error:
        reason = str(error)
    builder.report(Code.NOT_INTEGER, f"an end of an axis is not a known integer: {reason}", term.span)
    return None


def _is_short(builder: Builder, statement: AxisDecl, term: Term, extent: Expr | None) -> bool:
    if isinstance(extent, Number) and extent.value > LONGEST_AXIS:
        message = f"the axis `{statement.name.name}` has {extent.value} elements, more than {LONGEST_AXIS}"
        builder.report(Code.TOO_LARGE, message, term.span, "make it shorter")
        return False
    return extent is not None


@lower_statement.register
def _(statement: InputDecl, builder: Builder) -> None:
    if not _is_top(builder, "input", statement):
        return
    name, span = statement.name.name, statement.name.span
    axes = resolve_axes(builder, statement.axes)
    if len(statement.shape) > 1:
        place = statement.shape[1].span.to(statement.shape[-1].span)
        hint = "the shape is () or (c); more indices are axes: `input x[i, j] : (c)`"
        builder.report(Code.SHAPES, f"an input of {len(statement.shape)} dimensions", place, hint)
    shape = [lower_size(builder, term, f"the dimension of input {name}") for term in statement.shape]
    if axes is None or None in shape or len(shape) > 1:
        declare(builder, statement.name, Broken(span))
        return
    declare(builder, statement.name, VariableName(span, name, axes, declared=True))
    if name not in builder.types:
        builder.types[name] = Type(axes, shape[0] if shape else None)
        builder.counts[name] = 1
        builder.inputs.append(Input(name, builder.types[name], span=statement.span))


@lower_statement.register
def _(statement: UseDecl, builder: Builder) -> None:
    builder.report(Code.MISPLACED, "`use` stands at top level only", statement.span, "move it out of the block")


@lower_statement.register
def _(statement: ParamDecl, builder: Builder) -> None:
    if any(scope.kind is Kind.SCAN for scope in enclosing(builder.scope)) or len(builder.rolled) < len(builder.running):
        message = f"the parameter `{statement.name.name}` in a scan"
        builder.report(Code.SCAN_BODY, message, statement.name.span, "declare it before the scan: all steps share it")
        declare(builder, statement.name, Broken(statement.name.span))
        return
    builder.count_statement(statement.span)
    made = _parameter(builder, statement)
    span = statement.name.span
    if made is None:
        declare(builder, statement.name, Broken(span))
        return
    builder.parameters[made.name] = made
    own = made.axes[len(builder.rolled) :]
    declare(builder, statement.name, ParameterName(span, made.name, own, builder.rolled))


def _parameter(builder: Builder, statement: ParamDecl) -> Parameter | None:
    name = statement.name.name
    own = resolve_axes(builder, statement.axes)
    if len(statement.shape) > 2:
        place = statement.shape[2].span.to(statement.shape[-1].span)
        hint = f"a matrix has two dimensions; more are axes: `param {name}[k] : (n, m)`"
        builder.report(Code.SHAPES, f"a parameter of {len(statement.shape)} dimensions", place, hint)
    shape = [lower_dimension(builder, term, f"a dimension of parameter {name}") for term in statement.shape]
    axes = (*builder.rolled, *(own or ()))
    mean = _number(builder, statement.mean, axes, "mean")
    variance = _number(builder, statement.variance, axes, "variance")
    rate = _number(builder, statement.rate, axes, "learning rate") if statement.rate is not None else None
    if variance is not None:
        check_variance(builder, variance, statement.variance.span, name)
    known = [size for size in shape if size is not None]
    if own is None or mean is None or variance is None or len(known) < len(shape) or len(shape) > 2:
        return None
    if statement.rate is not None and rate is None:
        return None
    target = builder.fresh(builder.qualified(name))
    return Parameter(target, axes, tuple(known), mean, variance, rate, statement.trained, span=statement.span)


def _number(builder: Builder, term: Term, axes: tuple[str, ...], what: str) -> Expr | None:
    """Return a number that may depend on the position on `axes`."""
    value = lower_term(term, builder)
    if value is None:
        return None
    if value.operands or value.dimension is not None:
        message = f"the {what} is not a number: a variable enters it"
        hint = "it is made of numbers, hyperparameters, widths and sizes"
        builder.report(Code.NOT_A_NUMBER, message, term.span, hint)
        return None
    for node in walk(value.expr):
        if isinstance(node, Position) and node.axis not in axes:
            message = f"the {what} depends on `{node.axis}`, which is no axis of the parameter"
            builder.report(Code.FREE_AXIS, message, term.span, f"declare it as `param W[{node.axis}]`")
            return None
    return value.expr
