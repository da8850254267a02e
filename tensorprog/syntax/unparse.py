"""Syntax tree to canonical text: one statement a line, blocks indented by four spaces, no parenthesis too many.

`parse(unparse(tree)) == tree` for every tree that `parse` gives. Comments are not in the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from itertools import chain

from tensorprog.syntax import tree as node

__all__ = ["unparse", "unparse_term"]

_SUM, _PRODUCT, _NEGATION, _MATMUL, _POWER, _ATOM = range(6)
_INDENT = "    "


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place for a term: the weakest binding that needs no parentheses there, and whether a `-` may lead."""

    binding: int = _SUM
    minus: bool = False


@dataclass(frozen=True, slots=True)
class _Operator:
    text: str
    binding: int
    left: _Slot
    right: _Slot


_OPERATORS = {
    "+": _Operator(" + ", _SUM, _Slot(_SUM), _Slot(_PRODUCT)),
    "-": _Operator(" - ", _SUM, _Slot(_SUM), _Slot(_PRODUCT)),
    "*": _Operator(" * ", _PRODUCT, _Slot(_PRODUCT), _Slot(_NEGATION)),
    "/": _Operator(" / ", _PRODUCT, _Slot(_PRODUCT), _Slot(_NEGATION)),
    "//": _Operator(" // ", _PRODUCT, _Slot(_PRODUCT), _Slot(_NEGATION)),
    "@": _Operator(" @ ", _MATMUL, _Slot(_POWER), _Slot(_MATMUL, minus=True)),
    "^": _Operator("^", _POWER, _Slot(_ATOM), _Slot(_POWER, minus=True)),
}

Piece = str | tuple[node.Term, _Slot]


def unparse_term(term: node.Term) -> str:
    """Return the text of an expression; its depth is no matter."""
    done: list[str] = []
    waiting: list[Piece] = [(term, _Slot())]
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, str):
            done.append(piece)
        else:
            waiting.extend(reversed(_place(*piece)))
    return "".join(done)


def _place(term: node.Term, slot: _Slot) -> Sequence[Piece]:
    if isinstance(term, node.Unary) and slot.minus:
        return ("-", (term.operand, slot))
    if _binding(term) < slot.binding:
        return ("(", *_pieces(term), ")")
    return _pieces(term)


def _binding(term: node.Term) -> int:
    match term:
        case node.Binary(operator=operator):
            return _OPERATORS[operator].binding
        case node.Unary():
            return _NEGATION
        case node.Num(value=value) if value < 0:
            return _NEGATION
    return _ATOM


def _separate(parts: Iterable[Sequence[Piece]]) -> Sequence[Piece]:
    return [*chain.from_iterable((", ", *part) for part in parts)][1:]


def _list_terms(terms: Iterable[node.Term]) -> Sequence[Piece]:
    return _separate([(term, _Slot())] for term in terms)


@singledispatch
def _pieces(term: node.Term) -> Sequence[Piece]:
    raise TypeError(f"no term: {type(term).__name__}")


@_pieces.register
def _(term: node.Num) -> Sequence[Piece]:
    return (repr(term.value),)


@_pieces.register
def _(term: node.Name) -> Sequence[Piece]:
    return (term.name,)


@_pieces.register
def _(term: node.Index) -> Sequence[Piece]:
    return (term.name.name, "[", *_list_terms(term.indices), "]")


@_pieces.register
def _(term: node.Transpose) -> Sequence[Piece]:
    return (*_pieces(term.operand), ".T")


@_pieces.register
def _(term: node.Unary) -> Sequence[Piece]:
    return ("-", (term.operand, _Slot(_NEGATION)))


@_pieces.register
def _(term: node.Binary) -> Sequence[Piece]:
    operator = _OPERATORS[term.operator]
    return ((term.left, operator.left), operator.text, (term.right, operator.right))


@_pieces.register
def _(term: node.CallTerm) -> Sequence[Piece]:
    return (term.function.name, "(", *_separate(_argument(argument) for argument in term.arguments), ")")


def _argument(argument: node.Argument) -> Sequence[Piece]:
    keyword = () if argument.name is None else (f"{argument.name.name} = ",)
    return (*keyword, (argument.value, _Slot()))


@_pieces.register
def _(term: node.Reduce) -> Sequence[Piece]:
    return (f"{term.operator.name}{_axes(term.axes)}(", (term.operand, _Slot()), ")")


def _axes(axes: Sequence[node.Identifier]) -> str:
    return f"[{', '.join(axis.name for axis in axes)}]" if axes else ""


def _shape(shape: Sequence[node.Term]) -> str:
    return f"({', '.join(map(unparse_term, shape))})"


def _body(statements: Sequence[node.Statement]) -> str:
    lines = "\n".join(map(_statement, statements)).splitlines()
    return "\n".join(["{", *(_INDENT + line for line in lines), "}"])


@singledispatch
def _statement(statement: node.Statement) -> str:
    raise TypeError(f"no statement: {type(statement).__name__}")


@_statement.register
def _(statement: node.WidthDecl) -> str:
    size = "" if statement.size is None else f" = {unparse_term(statement.size)}"
    return f"width {statement.name.name}{size}"


@_statement.register
def _(statement: node.AxisDecl) -> str:
    ends = (statement.extent,) if statement.extent is not None else (statement.start, statement.stop)
    extent = "..".join(unparse_term(end) for end in ends if end is not None)
    return f"axis {statement.name.name} : {extent}{' circular' if statement.circular else ''}"


@_statement.register
def _(statement: node.InputDecl) -> str:
    return f"input {statement.name.name}{_axes(statement.axes)} : {_shape(statement.shape)}"


@_statement.register
def _(statement: node.ParamDecl) -> str:
    keyword = "param" if statement.trained else "frozen"
    normal = f"N({unparse_term(statement.mean)}, {unparse_term(statement.variance)})"
    rate = "" if statement.rate is None else f" lr {unparse_term(statement.rate)}"
    return f"{keyword} {statement.name.name}{_axes(statement.axes)} : {_shape(statement.shape)} ~ {normal}{rate}"


@_statement.register
def _(statement: node.Assign) -> str:
    return f"{statement.name.name}{_axes(statement.axes)} = {unparse_term(statement.value)}"


@_statement.register
def _(statement: node.OutputDecl) -> str:
    return f"output {statement.name.name}{_axes(statement.axes)} = {unparse_term(statement.value)}"


@_statement.register
def _(statement: node.Init) -> str:
    return f"init {statement.name.name}{_axes(statement.axes)} = {unparse_term(statement.value)}"


@_statement.register
def _(statement: node.FnDecl) -> str:
    variables = ", ".join(variable.name for variable in statement.variables)
    derivative = "" if statement.derivative is None else f" derivative {unparse_term(statement.derivative)}"
    return f"fn {statement.name.name}({variables}) = {unparse_term(statement.body)}{derivative}"


@_statement.register
def _(statement: node.BlockDecl) -> str:
    defaults = (
        name.name if value is None else f"{name.name} = {unparse_term(value)}" for name, value in statement.parameters
    )
    return f"block {statement.name.name}({', '.join(defaults)}) {_body(statement.body)}"


@_statement.register
def _(statement: node.Return) -> str:
    return f"return {unparse_term(statement.value)}"


@_statement.register
def _(statement: node.UseDecl) -> str:
    return f'use "{statement.path}"'


@_statement.register
def _(statement: node.For) -> str:
    ends = f"{unparse_term(statement.first)}..{unparse_term(statement.last)}"
    return f"for {statement.variable.name} in {ends} {_body(statement.body)}"


@_statement.register
def _(statement: node.ScanBlock) -> str:
    return f"scan {statement.axis.name} {_body(statement.body)}"


def _header(header: node.Header) -> str:
    if not header.hyperparameters:
        return f"program {header.name.name}"
    defaults = ", ".join(f"{name.name} = {default.value!r}" for name, default in header.hyperparameters)
    return f"program {header.name.name}({defaults})"


def unparse(tree: node.SyntaxTree) -> str:
    """Return the canonical text of a whole file, ended by a line end; a blank line follows the header."""
    header = [] if tree.header is None else [_header(tree.header), ""]
    return "\n".join([*header, *map(_statement, tree.statements)]).rstrip("\n") + "\n"
