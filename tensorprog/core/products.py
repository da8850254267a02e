"""Matrix products."""

from __future__ import annotations

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.ir import MatMul, Type
from tensorprog.core.lower import lower_term
from tensorprog.core.names import kind_of, resolve
from tensorprog.core.reads import weight
from tensorprog.core.scope import Kind, ParameterName
from tensorprog.core.shapes import WILD, Value, describe, print_size, union
from tensorprog.errors import Span
from tensorprog.nonlin.expression import Expr, Number
from tensorprog.syntax.tree import Index, Name, Term, Transpose

__all__ = ["multiply"]


def multiply(builder: Builder, left: Term, right: Term, span: Span) -> Value | None:
    """Return `left @ right`: left is a matrix, perhaps transposed, right a vector."""
    if builder.scope.kind is Kind.FUNCTION:
        builder.report(
            Code.NOT_ELEMENTWISE, "`@` in an `fn`", span, "an `fn` is elementwise; a `block` may hold anything"
        )
        return None
    binding = _matrix(builder, left)
    value = lower_term(right, builder)
    if binding is None:
        return None
    plain = left.operand if isinstance(left, Transpose) else left
    name, terms = (plain.name.name, plain.indices) if isinstance(plain, Index) else (_name(plain), ())
    used = weight(builder, name, binding, terms, plain.span)
    if used is None:
        return None
    parameter, indices, free = used
    if len(parameter.shape) != 2:
        message = f"`{name}` is {_vector(parameter.shape)}, and `@` takes a matrix on its left"
        hint = f"a readout has one row: `param {name} : (1, n)`; two vectors have `dot(u, v)`"
        builder.report(Code.MATRIX, message, left.span, hint)
        return None
    if value is None:
        return None
    transposed = isinstance(left, Transpose)
    rows, columns = reversed(parameter.shape) if transposed else parameter.shape
    if not _fits(value, columns):
        message = f"shapes do not fit: `{name}{'.T' if transposed else ''}` takes a vector of dimension"
        message = f"{message} {print_size(columns)}, and this is {describe(value)}"
        shape = f"({print_size(rows)}, {print_size(columns)})"
        builder.report(Code.SHAPES, message, right.span, f"the shape on the left of `@` is {shape}")
        return None
    operand = builder.materialize(value, right.span)
    kind = Type(union((operand.axes, free), builder.order), None if rows == Number(1) else rows)
    source = builder.leaves[operand.operands[0]]
    return builder.emit(
        MatMul, kind, span, parameter=parameter.name, indices=indices, operand=source, transposed=transposed
    )


def _name(term: Term) -> str:
    return term.name if isinstance(term, Name) else ""


def _vector(shape: tuple[Expr, ...]) -> str:
    return f"a parameter of shape ({', '.join(print_size(size) for size in shape)})"


def _fits(value: Value, columns: Expr) -> bool:
    return value.dimension in (columns, WILD) or (value.dimension is None and columns == Number(1))


def _matrix(builder: Builder, left: Term) -> ParameterName | None:
    """Return the parameter on the left of `@`; anything else there is reported."""
    plain = left.operand if isinstance(left, Transpose) else left
    hint = "only a parameter stands on the left of `@`; two vectors have `dot(u, v)`"
    if not isinstance(plain, Name | Index) or (isinstance(plain, Name) and plain.name == "pi"):
        builder.report(Code.MATRIX, "the left side of `@` is not a parameter", left.span, hint)
        return None
    identifier = plain.name if isinstance(plain, Index) else plain
    binding = resolve(builder, identifier.name, identifier.span)
    if binding is None or isinstance(binding, ParameterName):
        return binding
    word = "`.T` on" if isinstance(left, Transpose) else "the left side of `@` is"
    code = Code.WRONG_KIND if isinstance(left, Transpose) else Code.MATRIX
    builder.report(code, f"{word} `{identifier.name}`, {kind_of(binding)}", left.span, hint)
    return None
