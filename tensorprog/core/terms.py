"""Numbers, names, indices and operators."""

from __future__ import annotations

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.elementwise import bounded, combine, known_number
from tensorprog.core.lower import lower_term
from tensorprog.core.names import kind_of, resolve
from tensorprog.core.products import multiply
from tensorprog.core.reads import load, read_state, read_variable
from tensorprog.core.scope import (
    AxisName,
    Binding,
    BlockName,
    Broken,
    Constant,
    FunctionName,
    Given,
    Kind,
    ParameterName,
    StateName,
    VariableName,
)
from tensorprog.core.shapes import Value
from tensorprog.core.sizes import SizeError, normal
from tensorprog.errors import Span
from tensorprog.nonlin.expression import Number, Position, Symbol, apply
from tensorprog.syntax.tree import Binary, Index, Name, Num, Term, Transpose, Unary

__all__: list[str] = []

_FUNCTIONS = {"+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow"}


@lower_term.register
def _(term: Num, builder: Builder) -> Value | None:
    if isinstance(term.value, float) and abs(term.value) == float("inf"):
        builder.report(Code.NOT_INTEGER, "this number is beyond the range of floating point", term.span)
        return None
    return Value(Number(term.value))


@lower_term.register
def _(term: Name, builder: Builder) -> Value | None:
    if term.name == "pi":
        return Value(Symbol("pi"))
    binding = resolve(builder, term.name, term.span)
    return _read(builder, term.name, binding, (), term.span) if binding is not None else None


@lower_term.register
def _(term: Index, builder: Builder) -> Value | None:
    binding = resolve(builder, term.name.name, term.name.span)
    if binding is None:
        for index in term.indices:
            lower_term(index, builder)
        return None
    return _read(builder, term.name.name, binding, term.indices, term.span)


def _read(builder: Builder, name: str, binding: Binding, indices: tuple[Term, ...], span: Span) -> Value | None:
    if builder.scope.kind is Kind.FUNCTION and not isinstance(binding, Given | Constant | FunctionName | BlockName):
        message = f"`{name}`, {kind_of(binding)}, in an `fn`"
        builder.report(
            Code.NOT_ELEMENTWISE, message, span, "an `fn` sees its arguments and numbers: pass it as an argument"
        )
        return None
    match binding:
        case VariableName():
            return read_variable(builder, name, binding, indices, span)
        case ParameterName():
            return load(builder, name, binding, indices, span)
        case StateName():
            return read_state(builder, name, binding, indices, span)
        case Constant() | AxisName() | Given() if indices:
            hint = "an argument is a value: name it, `c[i] = h`, to index it" if isinstance(binding, Given) else None
            message = f"`{name}` is {kind_of(binding)} and has no axes to index"
            builder.report(Code.INDEX_COUNT, message, span, hint)
        case Constant(expr=expr):
            return Value(expr)
        case AxisName(axis=axis):
            return Value(Position(axis), () if axis in builder.running else (axis,))
        case Given(value=value):
            return value
        case Broken():
            return None
        case _:
            builder.report(Code.WRONG_KIND, f"`{name}` is {kind_of(binding)}", span, f"call it: `{name}(…)`")
    return None


@lower_term.register
def _(term: Transpose, builder: Builder) -> Value | None:
    binding = resolve(
        builder, term.operand.name.name if isinstance(term.operand, Index) else term.operand.name, term.span
    )
    if binding is not None:
        _report_transpose(builder, term, binding)
    return None


def _report_transpose(builder: Builder, term: Transpose, binding: Binding) -> None:
    if isinstance(binding, ParameterName) and len(builder.parameters[binding.name].shape) == 2:
        builder.report(Code.MATRIX, "a transposed matrix without `@`", term.span, "apply it: `W.T @ h`")
    else:
        message = f"`.T` on {kind_of(binding)} that is no matrix"
        builder.report(Code.WRONG_KIND, message, term.span, "only a parameter of shape (n, m) can be transposed")


@lower_term.register
def _(term: Unary, builder: Builder) -> Value | None:
    signs, operand = 0, term.operand
    while isinstance(operand, Unary):
        signs, operand = signs + 1, operand.operand
    value = lower_term(operand, builder)
    if value is None or signs % 2:
        return value
    if isinstance(value.expr, Number):
        return Value(Number(-value.expr.value))
    return combine(builder, lambda expr: apply("neg", expr), (value,), term.span)


@lower_term.register
def _(term: Binary, builder: Builder) -> Value | None:
    spine, left = [term], term.left
    while isinstance(left, Binary) and left.operator != "@" and spine[-1].operator != "@":
        spine.append(left)
        left = left.left
    value = None if spine[-1].operator == "@" else lower_term(left, builder)
    for node in reversed(spine):
        if node.operator == "@":
            value = multiply(builder, node.left, node.right, node.span)
        else:
            value = _operate(builder, node, value, lower_term(node.right, builder))
    return value


def _operate(builder: Builder, term: Binary, left: Value | None, right: Value | None) -> Value | None:
    if left is None or right is None:
        return None
    if term.operator == "//":
        return _floor_divide(builder, left, right, term.span)
    if term.operator == "/" and known_number(builder, right) == 0:
        builder.report(Code.ZERO_DIVISION, "division by zero", term.right.span, "the divisor is the constant 0")
        return None
    nonlinear: tuple[int, ...] = ()
    if term.operator == "/":
        nonlinear = (1,) if right.is_constant else (0, 1)
    if term.operator == "^":
        nonlinear, right = (0, 1), _exponent(builder, right)
        exponent = known_number(builder, right)
        if known_number(builder, left) == 0 and exponent is not None and exponent < 0:
            builder.report(Code.ZERO_DIVISION, "zero to a negative power", term.span, "this divides by zero")
            return None
    function = _FUNCTIONS[term.operator]
    return combine(builder, lambda a, b: apply(function, a, b), (left, right), term.span, nonlinear)


def _exponent(builder: Builder, value: Value) -> Value:
    """Return an exponent as an integer literal if it is an integer."""
    number = known_number(builder, value)
    return Value(Number(int(number))) if number is not None and number == int(number) else value


def _floor_divide(builder: Builder, left: Value, right: Value, span: Span) -> Value | None:
    expr = apply("floordiv", left.expr, right.expr)
    if left.operands or right.operands:
        builder.report(Code.NOT_INTEGER, "`//` is the division of integers", span, "write `/` for variables")
        return None
    try:
        if left.is_constant and right.is_constant:
            expr = normal(expr, {})
        else:
            normal(left.expr, builder.symbols), normal(right.expr, builder.symbols)
    except ZeroDivisionError:
        builder.report(Code.ZERO_DIVISION, "division by zero", span, "the divisor is the constant 0")
        return None
    except SizeError as error:
        builder.report(Code.NOT_INTEGER, f"`//` is the division of integers: {error}", span, "write `/` for numbers")
        return None
    return bounded(builder, combine(builder, lambda a, b: expr, (left, right), span) or Value(expr), span)
