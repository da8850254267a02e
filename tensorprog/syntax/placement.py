"""Which statement may stand where: the header first, declarations at top level, `return` last in its block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorprog.errors import Diagnostic
from tensorprog.syntax import tree as node
from tensorprog.syntax.recover import NOWHERE

__all__ = ["check_placement"]

_TOP_LEVEL: dict[type[node.Node], str] = {
    node.Header: "program",
    node.WidthDecl: "width",
    node.AxisDecl: "axis",
    node.InputDecl: "input",
    node.FnDecl: "fn",
    node.BlockDecl: "block",
    node.UseDecl: "use",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a sequence of statements stands."""

    top: bool = False
    in_block: bool = False  # in the body of a block itself, not of a loop within
    in_scan: bool = False


def check_placement(statements: Sequence[node.Statement | node.Header]) -> list[Diagnostic]:
    """Return a diagnostic for every statement of a file that may not stand where it stands."""
    return [*_check_headers(statements), *_check_body(statements, _Place(top=True))]


def _check_headers(statements: Sequence[node.Statement | node.Header]) -> Iterator[Diagnostic]:
    for statement in statements[1:]:
        if isinstance(statement, node.Header):
            message = "`program` is not the first statement"
            if isinstance(statements[0], node.Header):
                message = "a second `program` in one file"
            yield Diagnostic(
                "TP114", message, statement.span, "a file is one program; `program` is its first statement"
            )


def _check_body(statements: Sequence[node.Statement | node.Header], place: _Place) -> Iterator[Diagnostic]:
    for position, statement in enumerate(statements):
        if not place.top and type(statement) in _TOP_LEVEL:
            keyword = _TOP_LEVEL[type(statement)]
            hint = "move it out of the block"
            yield Diagnostic("TP115", f"`{keyword}` stands at top level only", statement.span, hint)
        yield from _check_statement(statement, place, last=position == len(statements) - 1)


def _check_statement(statement: node.Statement | node.Header, place: _Place, *, last: bool) -> Iterator[Diagnostic]:
    match statement:
        case node.Return() if not place.in_block:
            yield Diagnostic(
                "TP115", "`return` outside of a block", statement.span, "the result of a program is `output`"
            )
        case node.Return() if not last:
            yield Diagnostic(
                "TP115", "`return` is not the last statement of its block", statement.span, "move it to the end"
            )
        case node.Init() if not place.in_scan:
            yield Diagnostic(
                "TP115", "`init` outside of a scan", statement.span, "it gives a state of a `scan` its first value"
            )
        case node.BlockDecl(name=node.Identifier(name=name)) if name == NOWHERE:
            pass  # stands in for a header that was reported; what may stand in its body is not known
        case node.BlockDecl(body=body):
            yield from _check_body(body, _Place(in_block=True))
        case node.For(body=body):
            yield from _check_body(body, _Place(in_scan=place.in_scan))
        case node.ScanBlock(body=body):
            yield from _check_body(body, _Place(in_scan=True))
