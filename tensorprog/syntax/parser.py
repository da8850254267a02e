"""Text to syntax tree, or all the reasons why it is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tensorprog.errors import Diagnostic, ParseError, Source
from tensorprog.syntax.build import build_tree
from tensorprog.syntax.grammar import build_parser, split_tokens
from tensorprog.syntax.layout import Layout
from tensorprog.syntax.limits import Limits, check_depth
from tensorprog.syntax.placement import check_placement
from tensorprog.syntax.places import Places
from tensorprog.syntax.recover import parse_tokens
from tensorprog.syntax.tree import Header, Statement, SyntaxTree

__all__ = ["parse"]


def parse(source: Source, limits: Limits | None = None) -> SyntaxTree:
    """Return the syntax tree of a `.tp` text.

    Args:
        source: the text and its name; a byte-order mark at its start is ignored.
        limits: how large the text may be; the defaults of `Limits` if not given.

    Raises:
        ParseError: if the text is not of the grammar, with a diagnostic for every statement that is not, in order.
    """
    limits = limits if limits is not None else Limits()
    _check_size(source, limits)
    places = Places(Source(source.name, source.text.removeprefix("\ufeff")))
    layout = Layout(places, limits)
    layout.run(split_tokens(places.source.text))
    parsed, found = parse_tokens(build_parser(), layout.tokens, places)
    statements, malformed = build_tree(parsed, places)
    tree = _assemble(statements, places)
    _raise_if_any([*layout.found, *found, *malformed, *check_placement(statements), *check_depth(tree, limits)], limits)
    if not statements:
        hint = "a program starts with `program NAME`"
        raise ParseError(Diagnostic("TP113", "there is no statement in this file", places.span(0, 0), hint))
    return tree


def _check_size(source: Source, limits: Limits) -> None:
    size = len(source.text.encode("utf-8", "surrogatepass"))
    if size > limits.size:
        message = f"{source.name}: the text has {size} bytes, more than {limits.size}"
        raise ParseError(Diagnostic("TP118", message, hint="repeat layers with `for`, and axes with `[i]`"))


def _assemble(statements: Sequence[Statement | Header], places: Places) -> SyntaxTree:
    header = next((statement for statement in statements if isinstance(statement, Header)), None)
    rest = tuple(statement for statement in statements if not isinstance(statement, Header))
    return SyntaxTree(header, rest, span=places.span(0, len(places.source.text)))


def _position(finding: Diagnostic) -> tuple[int, int]:
    return (finding.span.line, finding.span.column) if finding.span is not None else (0, 0)


def _raise_if_any(findings: Iterable[Diagnostic], limits: Limits) -> None:
    """Raise the findings in the order of the text, each once."""
    ordered = sorted(dict.fromkeys(findings), key=_position)
    if ordered:
        raise ParseError(ordered[: limits.findings])
