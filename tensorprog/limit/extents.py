"""Extents that only the data bind, where a limit has to be derived for numbers.

What is written out position by position, as the steps of a recurrence with gates, a maximum over a window, or a mean
inside a nonlinearity, needs to know how many positions there are. Such a program has a limit for every extent, each
derived by itself: with a number in place of the size that the data bind, as if it were a hyperparameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from tensorprog.core.ir import Core
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.nonlin.evaluate import evaluate_integer
from tensorprog.nonlin.expression import Expr, symbols
from tensorprog.syntax.tree import Identifier, Num, SyntaxTree

__all__ = [
    "FEWER",
    "NeedsExtents",
    "find_positions",
    "free_sizes",
    "needs_extents",
    "settle",
    "sizes_of_axes",
    "with_sizes",
]

T = TypeVar("T")

FEWER = "take fewer positions, or sample the network at finite width: net.sample(…)"
"""What to do about an axis that is too long to be written out."""


class NeedsExtents(LimitError):
    """The limit is derived for numbers only: `names` are sizes, bound by the data, that must be known for it."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic], names: Iterable[str]) -> None:
        super().__init__(diagnostics)
        self.names = frozenset(names)


def needs_extents(code: str, message: str, span: Span | None, names: Iterable[str]) -> NeedsExtents:
    """Return the refusal of a program for which the data, or the user, must first say what some sizes are."""
    listed = sorted(names)
    known = ", ".join(f"`{name}`" for name in listed)
    example = ", ".join(f'"{name}": 3' for name in listed)
    option = " ".join(f"--dim {name}=3" for name in listed)
    hint = (
        f"the data bind {known}: net.compile() derives the kernel when they are there, net.derive(sizes={{{example}}}) "
        f"({option}) shows its formulas"
    )
    return NeedsExtents(Diagnostic(code, message, span, hint), listed)


def find_positions(axis: str, core: Core) -> range | None:
    """Return the positions of an axis, None if the data bind its extent."""
    try:
        start, extent = (
            evaluate_integer(size, core.symbols) for size in (core.axes[axis].start, core.axes[axis].extent)
        )
    except KeyError:
        return None
    return range(start, start + extent)


def free_sizes(expr: Expr, core: Core) -> frozenset[str]:
    """Return the sizes in an expression over sizes that only the data bind."""
    return frozenset(symbols(expr)) - {*core.symbols, *(width.name for width in core.widths), "pi"}


def sizes_of_axes(axes: Iterable[str], core: Core) -> frozenset[str]:
    """Return the sizes, bound by the data, that the extents of axes depend on."""
    exprs = [expr for axis in axes for expr in (core.axes[axis].start, core.axes[axis].extent)]
    return frozenset().union(*(free_sizes(expr, core) for expr in exprs))


def with_sizes(tree: SyntaxTree, sizes: Mapping[str, int]) -> SyntaxTree:
    """Return the program in which sizes that data would bind are hyperparameters with these values."""
    if tree.header is None or not sizes:
        return tree
    span = tree.header.span
    added = tuple((Identifier(name, span=span), Num(value, span=span)) for name, value in sizes.items())
    return replace(tree, header=replace(tree.header, hyperparameters=(*tree.header.hyperparameters, *added)))


def settle(derive: Callable[[frozenset[str]], T], names: frozenset[str], known: Iterable[str]) -> T:
    """Return what `derive` gives with numbers in place of as few sizes as possible, `names` among them.

    Raises:
        NeedsExtents: a size is needed that is not `known`.
    """
    while True:
        try:
            return derive(names)
        except NeedsExtents as error:
            if not error.names.issubset(known) or error.names <= names:
                raise
            names |= error.names
