"""Equations that read each other along the axes of a `scan`, as one sweep over the steps of both copies.

A moment of v at step t and w at step t′ needs moments of what v and w are made of: variables that the body defines
before them, or that were made at an earlier step. With the variables of the body ranked in program order, the equations
can therefore be computed by what their later variable is, at every step and rank in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.utilities.iterables import strongly_connected_components

from tensorprog.errors import Diagnostic, LimitError
from tensorprog.limit.equations import Equation, Ranks, Sweep
from tensorprog.limit.naming import Ledger

__all__ = ["find_cycles", "make_sweep"]

Graph = Mapping[str, Iterable[str]]


@dataclass(frozen=True, slots=True)
class _Side:
    """A side of a quantity that is made in a scan: the index of its step, which argument that is, and its variable."""

    index: sp.Symbol
    argument: int
    position: int


@dataclass(frozen=True, slots=True)
class _Sides:
    """The sides of a quantity; None where one is not made in a scan."""

    left: _Side | None
    right: _Side | None

    @property
    def made(self) -> tuple[_Side, ...]:
        """The sides that are made in a scan."""
        return tuple(side for side in (self.left, self.right) if side is not None)


def find_cycles(reads: Graph) -> dict[str, str]:
    """Return for every equation the first of those that read each other with it, itself if there is none."""
    place = {label: number for number, label in enumerate(reads)}
    edges = [(label, other) for label, others in reads.items() for other in others if other in place]
    found = strongly_connected_components((list(reads), edges))
    return {label: min(group, key=place.__getitem__) for group in found for label in group}


def make_sweep(equations: list[Equation], ledger: Ledger) -> Equation | Sweep:
    """Return equations that read each other as a sweep, a single one that does not read itself as it stands.

    Raises:
        LimitError: one looks ahead along a scan.
    """
    sides = {equation.name: _sides(equation, ledger) for equation in equations}
    if len(equations) == 1 and not any(str(read.func) in sides for read in _applied(equations[0])):
        return equations[0]
    for equation in equations:
        _refuse_looking_ahead(equation, sides)
    positions = sorted({side.position for found in sides.values() for side in found.made})
    groups: dict[Ranks, list[Equation]] = {}
    for equation in equations:
        found = sides[equation.name]
        left, right = (None if s is None else positions.index(s.position) for s in (found.left, found.right))
        groups.setdefault(Ranks(left, right), []).append(equation)
    ranks = sorted(groups, key=Ranks.order)
    left, right = (
        next((side.index for found in sides.values() if (side := getattr(found, name)) is not None), None)
        for name in ("left", "right")
    )
    return Sweep(left, right, tuple(tuple(groups[rank]) for rank in ranks), tuple(ranks))


def _applied(equation: Equation) -> list[AppliedUndef]:
    return [node for node in sp.preorder_traversal(equation.rhs) if isinstance(node, AppliedUndef)]


def _sides(equation: Equation, ledger: Ledger) -> _Sides:
    refs, variables = ledger.records[equation.name].refs, ledger.variables
    starts = (0, len(refs[0].index))
    found = [
        _Side(ref.index[0], start, variables.position[ref.name]) if ref.name in variables.scans else None
        for ref, start in zip(refs, starts, strict=False)
    ]
    return _Sides(found[0], found[1] if len(found) > 1 else None)


def _refuse_looking_ahead(equation: Equation, sides: Mapping[str, _Sides]) -> None:
    for read in _applied(equation):
        for side in sides[str(read.func)].made if str(read.func) in sides else ():
            offset, step = read.args[side.argument].as_coeff_Add()
            if not (step.is_Symbol and offset <= 0):
                message = f"recurrences that share a matrix read each other at other steps than their own: {read}"
                raise LimitError(Diagnostic("TP310", message, equation.span, "give them matrices of their own"))
