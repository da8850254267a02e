"""Walking expressions bottom-up, every distinct subexpression once, without recursion."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from tensorprog.nonlin.expression import Apply, Call, Expr, Number, children

__all__ = ["fold"]

T = TypeVar("T")


def fold(expr: Expr, rule: Callable[[Expr, tuple[T, ...]], T]) -> T:
    """Return `rule(node, results of its children)` at the root; equal subexpressions share one result."""
    numbering: dict[int, int] = {}  # by object: which value it has
    table: dict[Hashable, int] = {}  # by structure: the same
    results: list[T] = []
    stack = [expr]
    while stack:
        node = stack[-1]
        pending = [child for child in reversed(children(node)) if id(child) not in numbering]
        if pending:
            stack.extend(pending)
            continue
        stack.pop()
        if id(node) not in numbering:
            arguments = tuple(numbering[id(child)] for child in children(node))
            key = _key(node, arguments)
            if key not in table:
                table[key] = len(results)
                results.append(rule(node, tuple(results[argument] for argument in arguments)))
            numbering[id(node)] = table[key]
    return results[numbering[id(expr)]]


def _key(node: Expr, arguments: tuple[int, ...]) -> Hashable:
    if isinstance(node, Apply):
        return node.function, arguments
    if isinstance(node, Call):
        return id(node.fn), arguments
    return (type(node.value), repr(node.value)) if isinstance(node, Number) else node
