"""From the syntax tree to the core: names, shapes and indices are checked, and every statement becomes instructions.

All findings of a file are collected and raised at once, in the order of the source. The rules, each in its module:

    declarations    width, axis, input, param           definitions   name[i] = …, output
    functions       fn                                  blocks        block, return, calls of blocks
    loops           for                                 recurrences   scan, init
    terms           numbers, names, operators           reads         variables and parameters at indices
    products        W @ h                               calls         functions, avg, dot, sum, mean, max, softmax
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from tensorprog.core import blocks, calls, declarations, definitions, functions, loops, recurrences, terms
from tensorprog.core.builder import Abandon, Builder, Loops
from tensorprog.core.calls import builtin_functions
from tensorprog.core.codes import Code
from tensorprog.core.hyperparameters import set_hyperparameters
from tensorprog.core.ir import Core
from tensorprog.core.lower import lower_statement
from tensorprog.core.names import declare, nearest
from tensorprog.core.readouts import check_outputs
from tensorprog.core.scope import BlockName, Constant, FunctionName, Kind, Scope
from tensorprog.errors import CheckError, Diagnostic, Span
from tensorprog.nonlin.expression import Symbol
from tensorprog.syntax.limits import Limits
from tensorprog.syntax.tree import (
    Argument,
    Assign,
    AxisDecl,
    Binary,
    BlockDecl,
    CallTerm,
    FnDecl,
    Header,
    Index,
    InputDecl,
    Name,
    OutputDecl,
    ParamDecl,
    Reduce,
    SyntaxTree,
    Term,
    Transpose,
    Unary,
    WidthDecl,
)

__all__ = ["Loops", "build"]

_RULES = (blocks, calls, declarations, definitions, functions, loops, recurrences, terms)
_NOTHING: Mapping[str, float] = MappingProxyType({})
_RESERVED_CALLS = frozenset({"avg", "dot", "sum", "mean", "softmax"})
_DEEP = 25_000


def build(
    tree: SyntaxTree,
    hyperparameters: Mapping[str, float] = _NOTHING,
    limits: Limits | None = None,
    loops: Loops = Loops.ROLLED,
) -> Core:
    """Return the core program of a syntax tree whose `use`s are inlined.

    Args:
        tree: the program.
        hyperparameters: values instead of the defaults in the program's header.
        limits: how large the program may be; the defaults of `Limits` if not given.
        loops: whether loops become scans where they can, or are unrolled everywhere.

    Raises:
        CheckError: names, shapes or indices do not fit, with a diagnostic for each finding, in the order of the source.
    """
    if tree.header is None:
        first = tree.statements[0].span if tree.statements else tree.span
        message, hint = "a program starts with `program NAME`", "a file without it is for `use` only"
        raise CheckError(Diagnostic(Code.NO_PROGRAM.value, message, first, hint))
    values, findings = set_hyperparameters(tree.header, hyperparameters)
    if findings:
        raise CheckError(findings)
    root = Scope(Kind.PROGRAM)
    builder = Builder(limits if limits is not None else Limits(), loops, values, root, root)
    with _deep_stack():
        _prepare(builder, tree, tree.header)
        _lower_all(builder, tree)
    if builder.diagnostics:
        found = sorted(builder.diagnostics, key=lambda finding: _place(finding, tree))
        raise CheckError(found[: builder.limits.findings])
    return _core(builder, tree.header.name.name)


@contextmanager
def _deep_stack() -> Iterator[None]:
    """Let Python recurse as deep as the deepest expression that the limits allow."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _place(finding: Diagnostic, tree: SyntaxTree) -> tuple[bool, str, int, int]:
    if finding.span is None:
        return (False, "", 0, 0)
    source = finding.span.source
    return (source is not tree.span.source, source.name, finding.span.line, finding.span.column)


def _prepare(builder: Builder, tree: SyntaxTree, header: Header) -> None:
    """Declare what may be used before its line: hyperparameters, sizes that the data bind, functions and blocks."""
    for name, _ in header.hyperparameters:
        declare(builder, name, Constant(name.span, Symbol(name.name), "hyperparameter"))
    for statement in tree.statements:
        if isinstance(statement, Assign | AxisDecl | InputDecl | OutputDecl | ParamDecl | WidthDecl):
            builder.later.setdefault(statement.name.name, statement.name.span)
        elif isinstance(statement, FnDecl | BlockDecl):
            _declare_callable(builder, statement)
    for size, span in _sizes(tree):
        if size not in builder.later and size not in builder.root.names:
            builder.sizes[size] = span
            builder.root.names[size] = Constant(span, Symbol(size), "size")


def _declare_callable(builder: Builder, statement: FnDecl | BlockDecl) -> None:
    name = statement.name
    if name.name in builtin_functions() or name.name in _RESERVED_CALLS:
        message = f"`{name.name}` is a function of the language"
        builder.report(Code.DECLARED_TWICE, message, name.span, "choose another name")
    elif isinstance(statement, FnDecl):
        declare(builder, name, FunctionName(name.span, statement))
    else:
        declare(builder, name, BlockName(name.span, statement))


def _sizes(tree: SyntaxTree) -> Iterator[tuple[str, Span]]:
    """Yield the names that occur in the extents of axes and the shapes of inputs."""
    for statement in tree.statements:
        if isinstance(statement, AxisDecl):
            for term in (statement.extent, statement.start, statement.stop):
                yield from _names(term) if term is not None else ()
        elif isinstance(statement, InputDecl):
            for term in statement.shape:
                yield from _names(term)


def _names(term: Term) -> Iterator[tuple[str, Span]]:
    waiting: list[Term | Argument] = [term]
    while waiting:
        match waiting.pop():
            case Name(name=name, span=span) if name != "pi":
                yield name, span
            case Binary(left=left, right=right):
                waiting += (right, left)
            case Unary(operand=inner) | Transpose(operand=inner) | Reduce(operand=inner) | Argument(value=inner):
                waiting.append(inner)
            case CallTerm(arguments=arguments):
                waiting.extend(arguments)
            case Index(indices=indices):
                waiting.extend(indices)


def _lower_all(builder: Builder, tree: SyntaxTree) -> None:
    try:
        for statement in tree.statements:
            lower_statement(statement, builder)
    except Abandon:
        return
    _check_sizes(builder)
    if not builder.outputs and not builder.failed_outputs:
        hint = "end with a readout: `output f = V @ h`"
        place = tree.statements[-1].span if tree.statements else tree.span
        builder.report(Code.NO_OUTPUT, "the program has no output", place, hint)
    body = tuple(builder.levels[0].body)
    for finding in check_outputs(body, builder.types, tuple(builder.outputs)):
        builder.diagnostics.append(finding)


def _check_sizes(builder: Builder) -> None:
    """Report the sizes that no input binds: as its dimension, or as the extent of one of its axes."""
    bound = {entry.type.dimension for entry in builder.inputs}
    bound |= {builder.axes[axis].extent for entry in builder.inputs for axis in entry.type.axes}
    for name, span in builder.sizes.items():
        if Symbol(name) not in bound:
            others = [other for other in builder.root.names if other != name]
            hint = nearest(name, others) or "declare an input with this dimension or over an axis of this extent"
            builder.report(Code.UNBOUND_SIZE, f"no input binds the size `{name}`", span, hint)


def _core(builder: Builder, name: str) -> Core:
    variables = {key: kind for key, kind in builder.types.items()}
    return Core(
        name=name,
        symbols=dict(builder.symbols),
        widths=tuple(builder.widths.values()),
        axes=dict(builder.axes),
        inputs=tuple(builder.inputs),
        parameters=dict(builder.parameters),
        body=tuple(builder.levels[0].body),
        outputs=tuple(builder.outputs),
        types=variables,
    )
