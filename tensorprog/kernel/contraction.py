"""The order in which a product is summed: inner sums that do not need all indices are done first.

Σ_jj′ a(i, j) a′(i′, j′) K(j, j′)   costs T⁴;   B(i, j′) = Σ_j a(i, j) K(j, j′), Σ_j′ a′(i′, j′) B(i, j′)   2 T³
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tensorprog.kernel.axes import AxisTable, free_indices
from tensorprog.kernel.ir import AxisIndex, Const, Op, Scalar

__all__ = ["Term", "split"]


@dataclass(frozen=True, slots=True)
class Term:
    """Σ_bound Π factors."""

    factors: tuple[Scalar, ...]
    bound: tuple[AxisIndex, ...] = ()

    def scaled(self, coefficient: Scalar) -> Term:
        """Return the term times a number, which comes first."""
        if coefficient == Const(1.0):
            return self
        if self.factors and isinstance(self.factors[0], Const) and isinstance(coefficient, Const):
            return Term((Const(coefficient.value * self.factors[0].value), *self.factors[1:]), self.bound)
        if self.factors and _is_number(self.factors[0]):
            return Term((Op("mul", (coefficient, self.factors[0])), *self.factors[1:]), self.bound)
        return Term((coefficient, *self.factors), self.bound)


def _is_number(scalar: Scalar) -> bool:
    return isinstance(scalar, Const | Op)


def split(term: Term, axes: Sequence[AxisIndex], table: AxisTable) -> tuple[Term, Term] | None:
    """Return an inner sum worth a definition of its own, and the term without it; None if there is none."""
    free = [free_indices(factor, table).keys() for factor in term.factors]
    everything = {index.symbol for index in (*axes, *term.bound)}
    for group in _groups(term.bound, free):
        names = {index.symbol for index in group}
        inner = [bool(names & found) for found in free]
        needed = {name for found, inside in zip(free, inner, strict=True) if inside for name in found}
        if everything - needed:
            parts = [
                tuple(factor for factor, inside in zip(term.factors, inner, strict=True) if inside is wanted)
                for wanted in (True, False)
            ]
            rest = tuple(index for index in term.bound if index not in group)
            return Term(parts[0], tuple(group)), Term(parts[1], rest)
    return None


def _groups(bound: Sequence[AxisIndex], free: Sequence[Collection[str]]) -> Iterator[list[AxisIndex]]:
    """Yield sets of bound indices to sum over together: those connected by factors, then those of the same factors."""
    uses = {index: tuple(index.symbol in names for names in free) for index in bound}
    waiting = [index for index in bound if any(uses[index])]
    used = list(dict.fromkeys(uses[index] for index in waiting))
    while waiting:
        group = _connected(waiting[0].symbol, free)
        yield [index for index in waiting if index.symbol in group]
        waiting = [index for index in waiting if index.symbol not in group]
    for use in used:
        yield [index for index in bound if uses[index] == use]


def _connected(symbol: str, free: Sequence[Collection[str]]) -> set[str]:
    """Return the names that share a factor with a symbol, directly or not."""
    names = {symbol}
    while more := {name for group in free if names & set(group) for name in group} - names:
        names |= more
    return names
