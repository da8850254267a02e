"""Equations that read each other along the axes of a `scan`, as one sweep over the steps of both copies.

A moment of v at step t and w at step t′ needs moments of what v and w are made of: variables that the body defines
before them, or that were made at an earlier step. With the variables of the body ranked in program order, the equations
can therefore be computed by what their later variable is, at every step and rank in turn. A scan is through before the
next begins, so of sides made in several scans the steps of the last one count, and at each all steps of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.utilities.iterables import strongly_connected_components

from tensorprog.core.ir import Scan
from tensorprog.errors import Diagnostic, LimitError
from tensorprog.limit.equations import Earlier, Equation, Ranks, Sweep, X
from tensorprog.limit.naming import Ledger

__all__ = ["find_cycles", "make_sweep", "own_reads"]

Graph = Mapping[str, Iterable[str]]


@dataclass(frozen=True, slots=True)
class _Side:
    """A side of a quantity that is made in a scan: the index of its step, which argument that is, and its variable."""

    scan: Scan
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


def own_reads(expr: sp.Expr, right: sp.Symbol) -> set[str]:
    """Return the names of what an expression reads in its own system: the pair's at (x, x'), not at (x, x)."""
    return {str(read.func) for read in expr.atoms(AppliedUndef) if {X, right} <= set(read.args)}


def make_sweep(equations: list[Equation], ledger: Ledger) -> Equation | Sweep:
    """Return equations that read each other as a sweep, a single one that does not read itself as it stands.

    Raises:
        LimitError: one looks ahead along a scan.
    """
    if len(equations) == 1 and equations[0].name not in own_reads(equations[0].rhs, ledger.right):
        return equations[0]
    sides = {equation.name: _sides(equation, ledger) for equation in equations}
    scans = _scans(sides.values())
    for equation in equations:
        _refuse_looking_ahead(equation, sides, scans[-1], ledger.right)
    positions = sorted({side.position for found in sides.values() for side in found.made})
    groups: dict[Ranks, list[Equation]] = {}
    for equation in equations:
        found = sides[equation.name]
        left, right = (None if s is None else positions.index(s.position) for s in (found.left, found.right))
        groups.setdefault(Ranks(left, right), []).append(equation)
    ranks = sorted(groups, key=Ranks.order)
    parts = [_part(scan, sides.values(), positions) for scan in scans]
    left, right, earlier = parts[-1].left, parts[-1].right, parts[:-1]
    if ledger.right != X:
        # Of two copies no pair of variables waits for the law of either: a side is made in one scan, or in none.
        (left, right), earlier = (_only(part.left for part in parts), _only(part.right for part in parts)), []
    return Sweep(left, right, tuple(tuple(groups[rank]) for rank in ranks), tuple(ranks), tuple(earlier))


def _only(indices: Iterable[sp.Symbol | None]) -> sp.Symbol | None:
    known = {index for index in indices if index is not None}
    assert len(known) < 2, "a side is made in two scans"
    return next(iter(known), None)


def _sides(equation: Equation, ledger: Ledger) -> _Sides:
    refs, variables = ledger.records[equation.name].refs, ledger.variables
    starts = (0, len(refs[0].index))
    found = [
        _Side(variables.scans[ref.name], ref.index[0], start, variables.position[ref.name])
        if ref.name in variables.scans
        else None
        for ref, start in zip(refs, starts, strict=False)
    ]
    return _Sides(found[0], found[1] if len(found) > 1 else None)


def _scans(sides: Iterable[_Sides]) -> list[Scan]:
    """Return the scans in which sides are made, in program order."""
    made = sorted((side for found in sides for side in found.made), key=lambda side: side.position)
    return [side.scan for place, side in enumerate(made) if all(side.scan is not other.scan for other in made[:place])]


def _part(scan: Scan, sides: Iterable[_Sides], positions: list[int]) -> Earlier:
    """Return the indices of a scan, and the ranks of its variables."""
    lefts, rights = zip(*((found.left, found.right) for found in sides), strict=True)
    left, right = ([side for side in column if side is not None and side.scan is scan] for column in (lefts, rights))
    ranks = {positions.index(side.position) for side in (*left, *right)}
    first, second = (next((side.index for side in made), None) for made in (left, right))
    return Earlier(first, second, tuple(sorted(ranks)))


def _refuse_looking_ahead(equation: Equation, sides: Mapping[str, _Sides], last: Scan, right: sp.Symbol) -> None:
    """Refuse what reads a later step of the last scan, or at the same step of it a later one of another scan."""
    own = [side.scan for side in sides[equation.name].made]
    for read in sorted(equation.rhs.atoms(AppliedUndef), key=str):
        if str(read.func) not in sides or right not in read.args:
            continue
        made = sides[str(read.func)].made
        steps = [(side.scan is last, _offset(read.args[side.argument])) for side in made if side.scan in own]
        is_before = any(offset is not None and offset < 0 for is_last, offset in steps if is_last)
        if any(offset is None or offset > 0 for is_last, offset in steps if is_last or not is_before):
            message = f"recurrences that share a matrix read each other at other steps than their own: {read}"
            hint = "give the recurrences matrices of their own: another `param` in one of them"
            raise LimitError(Diagnostic("TP310", message, equation.span, hint))


def _offset(place: sp.Expr) -> int | None:
    """Return by how many steps a place t + offset is away from its index, None for another place."""
    offset, step = place.as_coeff_Add()
    return int(offset) if step.is_Symbol and offset.is_Integer else None
