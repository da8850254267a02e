"""Integers and sizes that must be known when a program is built."""

from __future__ import annotations

from tensorprog.core.builder import Builder, Unroll
from tensorprog.core.codes import Code
from tensorprog.core.lower import lower_term
from tensorprog.core.shapes import Value, print_size
from tensorprog.core.sizes import SizeError, normal
from tensorprog.nonlin.expression import Expr, Number, Position, Symbol, symbols, walk
from tensorprog.syntax.tree import Term

__all__ = ["known_integer", "lower_dimension", "lower_size"]


def _normal(builder: Builder, term: Term, value: Value, what: str) -> Expr | None:
    """Return the normal form of a size; loops whose variable enters it are unrolled."""
    for node in walk(value.expr):
        if isinstance(node, Position) and node.axis in builder.rolled:
            raise Unroll(node.axis)
    if not value.is_constant or value.dimension is not None:
        message = f"{what} is not a known integer"
        builder.report(Code.NOT_INTEGER, message, term.span, "it is made of integers, hyperparameters and sizes")
        return None
    try:
        return normal(value.expr, builder.symbols)
    except ZeroDivisionError:
        builder.report(Code.ZERO_DIVISION, "division by zero", term.span, "the divisor is the constant 0")
    except SizeError as error:
        message = f"{what} is not a known integer: {error}"
        builder.report(Code.NOT_INTEGER, message, term.span, "sizes are integer arithmetic; `//` divides integers")
    return None


def known_integer(builder: Builder, term: Term, what: str) -> int | None:
    """Return the integer that a term is.

    Raises:
        Unroll: the variable of a rolled loop enters it.
    """
    value = lower_term(term, builder)
    size = _normal(builder, term, value, what) if value is not None else None
    if size is None or isinstance(size, Number):
        return int(size.value) if isinstance(size, Number) else None
    message = f"{what} is not known when the program is loaded: {print_size(size)}"
    builder.report(Code.NOT_INTEGER, message, term.span, "it is made of integers and hyperparameters")
    return None


def lower_size(builder: Builder, term: Term, what: str) -> Expr | None:
    """Return a finite size in normal form; a width is refused."""
    value = lower_term(term, builder)
    size = _normal(builder, term, value, what) if value is not None else None
    if size is None:
        return None
    found = [name for name in symbols(size) if name in builder.widths]
    if found:
        message = f"the width `{found[0]}` where a finite dimension is needed"
        builder.report(
            Code.WIDTH_FOR_SIZE, message, term.span, f"{what} is finite: a number, or a name that the data binds"
        )
        return None
    if isinstance(size, Number) and size.value < 1:
        builder.report(Code.EMPTY, f"{what} is {size.value}, not positive", term.span, "it has at least one element")
        return None
    return size


def lower_dimension(builder: Builder, term: Term, what: str) -> Expr | None:
    """Return a dimension of a parameter: a width by itself, or a finite size."""
    mark = len(builder.diagnostics)
    value = lower_term(term, builder)
    if value is None:
        return None
    names = symbols(value.expr) if value.is_constant else ()
    if any(name in builder.widths for name in names):
        if isinstance(value.expr, Symbol):
            return value.expr
        message = f"{what} is an expression in a width"
        hint = f"name it first: `width m = {print_size(value.expr)}`"
        builder.report(Code.WIDTH_RATIO, message, term.span, hint)
        return None
    return lower_size(builder, term, what) if len(builder.diagnostics) == mark else None
