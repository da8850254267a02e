"""Quantities of one sample that are added to a system for what pairs need of them: an equation for every expression."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.limit.equations import Block, Equation, Recurrence, X
from tensorprog.limit.equations import equations as walk_equations

__all__ = ["SampleQuantities", "insert_quantities"]


class SampleQuantities:
    """Names expressions in x, the same one once."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self._made: dict[sp.Expr, Equation] = {}
        self._count: Counter[str] = Counter()

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The equations of all quantities, in the order in which they were asked for."""
        return tuple(self._made.values())

    def add(self, value: sp.Expr, name: str, like: Equation) -> sp.Expr:
        """Return the quantity with a value, a function of the indices of loops that the value reads, and of x.

        Args:
            value: an expression over the one-sample system.
            name: what it is.
            like: the equation for which it is needed, after which it is called: sorted alike in all layers, equal ones
                stay equal.
        """
        if value not in self._made:
            stem = f"{like.lhs.func.__name__}:{name}"
            self._count[stem] += 1
            label = f"{stem}{self._count[stem] if self._count[stem] > 1 else ''}"
            lhs = sp.Function(label)(*sorted(_indices(value), key=str), X)
            self._made[value] = Equation(label, lhs, value, self.rule, like.subject, like.span)
        return self._made[value].lhs


def _indices(value: sp.Expr) -> set[sp.Symbol]:
    """Return the indices of loops at which an expression reads quantities."""
    arguments = (arg for applied in value.atoms(AppliedUndef) for arg in applied.args)
    return {symbol for argument in arguments for symbol in argument.free_symbols} - {X}


def insert_quantities(blocks: tuple[Block, ...], added: tuple[Equation, ...]) -> tuple[Block, ...]:
    """Return the blocks of a one-sample system with equations at the end, or at the end of the loop that they read."""
    outside = tuple(equation for equation in added if not _indices(equation.rhs))
    inside = tuple(equation for equation in added if _indices(equation.rhs))
    return (*(_with_loops(block, inside) for block in blocks), *outside)


def _with_loops(block: Block, added: tuple[Equation, ...]) -> Block:
    if not isinstance(block, Recurrence):
        return block
    inner = tuple(part for part in block.body if isinstance(part, Recurrence))
    own = {equation.lhs.func for equation in block.body if isinstance(equation, Equation)}
    below = {equation.lhs.func for equation in walk_equations(inner)}
    mine = tuple(
        equation
        for equation in added
        if (read := {f.func for f in equation.rhs.atoms(AppliedUndef) if f.has(block.index)}) & own and not read & below
    )
    return replace(block, body=(*(_with_loops(part, added) for part in block.body), *mine))
