"""How large a text may be, so that no input exhausts the machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

from tensorprog.errors import Diagnostic
from tensorprog.syntax.tree import Node, SyntaxTree, Term

__all__ = ["Limits", "check_depth"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a program text.

    Attributes:
        size: of the text, in bytes of UTF-8.
        nesting: of brackets and blocks in each other.
        depth: of an expression, counted in operators and calls from its root to its deepest leaf.
        statements: after loops are unrolled and blocks expanded.
        findings: how many diagnostics of one file are reported, at most.
    """

    size: int = 1 << 20
    nesting: int = 64
    depth: int = 1000
    statements: int = 10_000
    findings: int = 100


def _parts(value: object) -> Iterator[Node]:
    """Yield the nodes that stand directly in a field of a node, which may be a node, a tuple, or a tuple of tuples."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item)


def check_depth(tree: SyntaxTree, limits: Limits) -> list[Diagnostic]:
    """Return one diagnostic for every expression of `tree` that is deeper than `limits.depth`; does not recurse."""
    found: list[Diagnostic] = []
    waiting: list[tuple[Node, int, Node]] = [(tree, 0, tree)]  # a node, its depth, the root of its expression
    while waiting:
        node, depth, root = waiting.pop()
        if isinstance(node, Term):
            depth, root = depth + 1, root if depth else node
        if depth > limits.depth:
            found.append(_too_deep(root, limits))
            waiting = [entry for entry in waiting if entry[1] == 0]  # leave this expression
        else:
            waiting.extend((part, depth, root) for field in fields(node) for part in _parts(getattr(node, field.name)))
    return found


def _too_deep(node: Node, limits: Limits) -> Diagnostic:
    message = f"an expression is deeper than {limits.depth}"
    return Diagnostic("TP118", message, node.span, "give its parts names of their own")
