"""The syntax tree of a `.tp` file, node for node what the grammar says, each with its span.

    SyntaxTree ::= Header? Statement*
    Statement  ::= WidthDecl | AxisDecl | InputDecl | ParamDecl | Assign | OutputDecl | FnDecl | BlockDecl | UseDecl
                 | For | ScanBlock | Init | Return
    Term       ::= Num | Name | Index | Transpose | Unary | Binary | CallTerm | Reduce

Two trees are equal if they say the same; spans do not count. `Use` statements are replaced by the `fn`s and `block`s of
the file they name when a program is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tensorprog.errors import Span

__all__ = [
    "Argument",
    "Assign",
    "AxisDecl",
    "Binary",
    "BlockDecl",
    "CallTerm",
    "FnDecl",
    "For",
    "Header",
    "Identifier",
    "Index",
    "Init",
    "InputDecl",
    "Name",
    "Node",
    "Num",
    "OutputDecl",
    "ParamDecl",
    "Reduce",
    "Return",
    "ScanBlock",
    "Statement",
    "SyntaxTree",
    "Term",
    "Transpose",
    "Unary",
    "UseDecl",
    "WidthDecl",
]


@dataclass(frozen=True, slots=True)
class Node:
    """The base of all nodes."""

    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Term(Node):
    """An expression."""


@dataclass(frozen=True, slots=True)
class Statement(Node):
    """A statement."""


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """A name that is being declared or bound, with its place."""

    name: str


@dataclass(frozen=True, slots=True)
class Num(Term):
    """A number literal: an int if it is written without a point and an exponent, else a float."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Name(Term):
    """A name that is read (`pi` too)."""

    name: str


@dataclass(frozen=True, slots=True)
class Index(Term):
    """`name[i, j]`."""

    name: Identifier
    indices: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Transpose(Term):
    """`W.T` or `W[i].T`."""

    operand: Name | Index


@dataclass(frozen=True, slots=True)
class Unary(Term):
    """`-operand`."""

    operand: Term


@dataclass(frozen=True, slots=True)
class Binary(Term):
    """`left operator right`, the operator one of `+ - * / // @ ^`."""

    operator: str
    left: Term
    right: Term


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """A positional argument (name None) or a keyword argument `name = value`."""

    name: Identifier | None
    value: Term


@dataclass(frozen=True, slots=True)
class CallTerm(Term):
    """`function(arguments…)`: an elementwise function, `avg`, `dot`, or a block."""

    function: Identifier
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Reduce(Term):
    """`operator[axes…](operand)`, the operator one of `sum mean max softmax`."""

    operator: Identifier
    axes: tuple[Identifier, ...]
    operand: Term


@dataclass(frozen=True, slots=True)
class Header(Node):
    """`program NAME(p = 1, …)`; a default is a number, perhaps negated."""

    name: Identifier
    hyperparameters: tuple[tuple[Identifier, Num], ...]  # a negative default is a Num with a negative value


@dataclass(frozen=True, slots=True)
class WidthDecl(Statement):
    """`width n` or `width m = 4 * n`."""

    name: Identifier
    size: Term | None


@dataclass(frozen=True, slots=True)
class AxisDecl(Statement):
    """`axis t : T`, `axis k : -1..1`, `axis i : H circular`; `stop` is None in the first, included in the second."""

    name: Identifier
    start: Term | None
    stop: Term | None
    extent: Term | None
    circular: bool


@dataclass(frozen=True, slots=True)
class InputDecl(Statement):
    """`input x[i, j] : (c)`; the shape is () or (c)."""

    name: Identifier
    axes: tuple[Identifier, ...]
    shape: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class ParamDecl(Statement):
    """`param W[k] : (n, m) ~ N(mean, variance) lr rate`, or `frozen …`."""

    name: Identifier
    axes: tuple[Identifier, ...]
    shape: tuple[Term, ...]
    mean: Term
    variance: Term
    rate: Term | None
    trained: bool


@dataclass(frozen=True, slots=True)
class Assign(Statement):
    """`name[i, j] = value`."""

    name: Identifier
    axes: tuple[Identifier, ...]
    value: Term


@dataclass(frozen=True, slots=True)
class OutputDecl(Statement):
    """`output f[t] = value`."""

    name: Identifier
    axes: tuple[Identifier, ...]
    value: Term


@dataclass(frozen=True, slots=True)
class FnDecl(Statement):
    """`fn phi(u, v) = body derivative term`."""

    name: Identifier
    variables: tuple[Identifier, ...]
    body: Term
    derivative: Term | None


@dataclass(frozen=True, slots=True)
class BlockDecl(Statement):
    """`block dense(h, fan, sw2 = 2) { …; return expr }`: parameters with their defaults or None."""

    name: Identifier
    parameters: tuple[tuple[Identifier, Term | None], ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Return(Statement):
    """`return expr`, the last statement of a block."""

    value: Term


@dataclass(frozen=True, slots=True)
class UseDecl(Statement):
    """`use "layers.tp"`."""

    path: str


@dataclass(frozen=True, slots=True)
class For(Statement):
    """`for l in first..last { … }`, both ends included."""

    variable: Identifier
    first: Term
    last: Term
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class ScanBlock(Statement):
    """`scan t { … }`."""

    axis: Identifier
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Init(Statement):
    """`init h = expr`, or `init h[i] = expr` for a state with more axes, inside a scan."""

    name: Identifier
    axes: tuple[Identifier, ...]
    value: Term


@dataclass(frozen=True, slots=True)
class SyntaxTree(Node):
    """A whole file; `header` is None in a file for `use`."""

    header: Header | None
    statements: tuple[Statement, ...]
