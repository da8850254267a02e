"""Elementwise functions of the user: `fn phi(u) = body derivative term`."""

from __future__ import annotations

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.ir import Type
from tensorprog.core.lower import lower_statement, lower_term
from tensorprog.core.scope import Given, Kind, Scope
from tensorprog.core.shapes import Value
from tensorprog.errors import Span
from tensorprog.nonlin.expression import Expr, Fn, Operand, substitute
from tensorprog.syntax.tree import FnDecl, Term

__all__ = ["function_of"]


@lower_statement.register
def _(statement: FnDecl, builder: Builder) -> None:
    function_of(builder, statement, statement.name.span)


def function_of(builder: Builder, declaration: FnDecl, span: Span) -> Fn | None:
    """Return the function that a declaration defines; one that calls itself is reported where it does."""
    name = declaration.name.name
    if name in builder.calls:
        builder.report(Code.RECURSION, f"`{name}` calls itself", span, "an `fn` is a formula: write it without itself")
        return None
    if name not in builder.functions:
        builder.functions[name] = None
        builder.functions[name] = _define(builder, declaration)
    return builder.functions[name]


def _define(builder: Builder, declaration: FnDecl) -> Fn | None:
    variables = [variable.name for variable in declaration.variables]
    for place, variable in enumerate(declaration.variables):
        if variable.name in variables[:place]:
            message = f"the variable `{variable.name}` occurs twice"
            builder.report(Code.DECLARED_TWICE, message, variable.span, "give every variable a name of its own")
            return None
    if declaration.derivative is not None and len(variables) > 1:
        message = f"`derivative` on a function of {len(variables)} variables"
        hint = "only a function of one variable can have a derivative of its own"
        builder.report(Code.DERIVATIVE, message, declaration.derivative.span, hint)
    body = _formula(builder, declaration, declaration.body)
    derivative = _formula(builder, declaration, declaration.derivative) if declaration.derivative is not None else None
    if body is None or (derivative is None and declaration.derivative is not None):
        return None
    return Fn(declaration.name.name, tuple(variables), body, derivative if len(variables) == 1 else None)


def _formula(builder: Builder, declaration: FnDecl, term: Term) -> Expr | None:
    """Return a term over the variables of a function as an expression over its operands."""
    scope, calls = builder.scope, builder.calls
    inner = Scope(Kind.FUNCTION, builder.root)
    places: dict[int, Operand] = {}
    for place, variable in enumerate(declaration.variables):
        hidden = f"{declaration.name.name}({variable.name})"
        builder.types[hidden] = Type((), None)
        value = builder.leaf(hidden)
        del builder.types[hidden]
        places[value.operands[0]] = Operand(place)
        inner.names[variable.name] = Given(variable.span, value)
    builder.scope, builder.calls = inner, (*calls, declaration.name.name)
    try:
        found = lower_term(term, builder)
    finally:
        builder.scope, builder.calls = scope, calls
    return _replace(found, places) if found is not None else None


def _replace(value: Value, places: dict[int, Operand]) -> Expr:
    return substitute(value.expr, lambda node: places[node.index] if isinstance(node, Operand) else None)
