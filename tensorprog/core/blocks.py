"""Blocks: macros with a scope of their own, expanded where they are called."""

from __future__ import annotations

from tensorprog.core.builder import Builder
from tensorprog.core.codes import Code
from tensorprog.core.ir import Type
from tensorprog.core.lower import lower_statement, lower_term
from tensorprog.core.names import nearest
from tensorprog.core.scope import Binding, BlockName, Broken, Given, Kind, ParameterName, Scope, find
from tensorprog.core.shapes import Value, union
from tensorprog.nonlin.expression import Operand
from tensorprog.syntax.tree import Argument, BlockDecl, CallTerm, Name, Return, Term

__all__ = ["expand"]


@lower_statement.register
def _(statement: BlockDecl, builder: Builder) -> None:
    """Check what can be checked of a block before it is called."""
    names = [name.name for name, _ in statement.parameters]
    for place, (name, _) in enumerate(statement.parameters):
        if name.name in names[:place]:
            message = f"the parameter `{name.name}` occurs twice"
            builder.report(Code.DECLARED_TWICE, message, name.span, "give every parameter a name of its own")
    if not statement.body or not isinstance(statement.body[-1], Return):
        message = f"the block `{statement.name.name}` does not return anything"
        builder.report(Code.NO_RETURN, message, statement.name.span, "end it with `return` and an expression")


@lower_statement.register
def _(statement: Return, builder: Builder) -> None:
    message = "`return` where no block ends"
    builder.report(Code.MISPLACED, message, statement.span, "it is the last statement of a block")


def expand(builder: Builder, term: CallTerm, binding: BlockName) -> Value | None:
    """Return the value of a block, its statements carried out with fresh parameters."""
    block, name = binding.declaration, binding.declaration.name.name
    arguments = _match(builder, term, block)
    if name in builder.calls:
        message = f"the block `{name}` calls itself"
        builder.report(Code.RECURSION, message, term.function.span, "repeat with `for` instead")
        return None
    if len(builder.calls) >= builder.limits.nesting:
        message = f"blocks nested deeper than {builder.limits.nesting}"
        builder.report(Code.TOO_LARGE, message, term.function.span, "repeat with `for` instead")
        return None
    prefix = builder.fresh(builder.qualified(name))
    given = {key: _given(builder, f"{prefix}.{key}", argument) for key, argument in (arguments or {}).items()}
    if arguments is None or not isinstance(block.body[-1] if block.body else None, Return):
        return None
    groups = (value.value.axes for value in given.values() if isinstance(value, Given))
    inner = Scope(Kind.BLOCK, builder.root, f"{prefix}.", union(groups, builder.order), names=dict(given))
    return _run(builder, block, inner)


def _run(builder: Builder, block: BlockDecl, inner: Scope) -> Value | None:
    outer, calls = builder.scope, builder.calls
    builder.scope, builder.calls = inner, (*calls, block.name.name)
    try:
        for name, default in block.parameters:
            if default is not None and name.name not in inner.names:
                inner.names[name.name] = _given(builder, f"{inner.prefix}{name.name}", default)
        for statement in block.body[:-1]:
            lower_statement(statement, builder)
        last = block.body[-1]
        assert isinstance(last, Return)
        with builder.statement(inner.prefix.removesuffix("."), union((inner.passing, builder.order), ())):
            return lower_term(last.value, builder)
    finally:
        builder.scope, builder.calls = outer, calls


def _match(builder: Builder, term: CallTerm, block: BlockDecl) -> dict[str, Term] | None:
    """Return the arguments of a call by the names of the block's parameters; what does not fit is reported."""
    names = [name.name for name, _ in block.parameters]
    found: dict[str, Term] = {}
    fits = True
    for place, argument in enumerate(term.arguments):
        fits = _take(builder, term, names, place, argument, found) and fits
    missing = [name.name for name, default in block.parameters if default is None and name.name not in found]
    if missing and fits:
        wanted = ", ".join(f"`{name}`" for name in missing)
        message = f"the block `{block.name.name}` is called without {wanted}"
        builder.report(Code.ARGUMENTS, message, term.span, f"it is declared as `{block.name.name}({', '.join(names)})`")
    if not fits or missing:
        for argument in term.arguments:
            lower_term(argument.value, builder)
    return found if fits and not missing else None


def _take(
    builder: Builder, term: CallTerm, names: list[str], place: int, argument: Argument, found: dict[str, Term]
) -> bool:
    """Give one argument its name; return whether it has one."""
    block, hint = term.function.name, f"it is declared as `{term.function.name}({', '.join(names)})`"
    if argument.name is None and place >= len(names):
        message = f"the block `{block}` takes {len(names)} argument{'s' if len(names) != 1 else ''}"
        builder.report(Code.ARGUMENTS, message, argument.span, hint)
        return False
    name = names[place] if argument.name is None else argument.name.name
    if name not in names:
        message = f"the block `{block}` has no parameter `{name}`"
        builder.report(Code.ARGUMENTS, message, argument.span, nearest(name, names) or hint)
        return False
    if name in found:
        builder.report(Code.ARGUMENTS, f"the argument `{name}` is given twice", argument.span, hint)
        return False
    found[name] = argument.value
    return True


def _given(builder: Builder, name: str, term: Term) -> Binding:
    """Return what an argument stands for in the block: a number, a parameter, a variable, or a variable made now."""
    if isinstance(term, Name):
        found = find(builder.scope, term.name)
        if found is not None and isinstance(found[1], ParameterName):
            return found[1]
    value = _argument(builder, name, term)
    return Given(term.span, value) if value is not None else Broken(term.span)


def _argument(builder: Builder, name: str, term: Term) -> Value | None:
    value = lower_term(term, builder)
    if value is None or not value.operands or isinstance(value.expr, Operand):
        return value
    target = builder.fresh(name)
    builder.finish(value, target, Type(value.axes, value.dimension), term.span)
    return builder.leaf(target)
