"""Values of terms while a program is built, and how their axes and dimensions combine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tensorprog.core.ir import Type
from tensorprog.nonlin.expression import Expr, Number, Operand, Position, Symbol, walk
from tensorprog.nonlin.text import text

__all__ = ["WILD", "Value", "describe", "merge_dimensions", "print_size", "union"]

WILD = Symbol("?")
"""The dimension of a state of a scan while it is being inferred: it fits everything."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a term stands for: an elementwise expression over interned variables, its free axes and its dimension."""

    expr: Expr
    axes: tuple[str, ...] = ()
    dimension: Expr | None = None
    depth: int = 1

    @property
    def operands(self) -> tuple[int, ...]:
        """The variables that occur, in order of first appearance."""
        return tuple(dict.fromkeys(node.index for node in walk(self.expr) if isinstance(node, Operand)))

    @property
    def is_constant(self) -> bool:
        """Whether the value is a number that neither variables nor positions enter."""
        return not any(isinstance(node, Operand | Position) for node in walk(self.expr))


def union(groups: Iterable[tuple[str, ...]], order: Sequence[str]) -> tuple[str, ...]:
    """Return the axes of all groups, those of `order` first and in its order."""
    found = dict.fromkeys(axis for group in groups for axis in group)
    return tuple([axis for axis in order if axis in found] + [axis for axis in found if axis not in order])


def merge_dimensions(dimensions: Iterable[Expr | None]) -> Expr | None:
    """Return the dimension of an elementwise combination: scalars fit every vector.

    Raises:
        ValueError: two dimensions differ.
    """
    found = {dimension for dimension in dimensions if dimension is not None}
    if len(found) > 1:
        found.discard(WILD)
    if len(found) > 1:
        raise ValueError("dimensions differ")
    return next(iter(found), None)


def print_size(size: Expr) -> str:
    """Return a size as text."""
    return text(size, ())


def describe(kind: Value | Type) -> str:
    """Return a shape in words: `a vector of dimension n over [i, j]`."""
    words = "a scalar" if kind.dimension is None else f"a vector of dimension {print_size(kind.dimension)}"
    if kind.dimension == Number(1):
        words = "a vector of dimension 1"
    return words + (f" over [{', '.join(kind.axes)}]" if kind.axes else "")
