"""Sums over small windows in one copy are put into the sums over windows in the other copy that read them.

Pooling in both copies comes as two equations, the first a moment of a fine image with a coarse one:

    K_ap(i, o′) = Σ_r′ K_a(i, 2 o′ + r′),   K_p(o, o′) = Σ_r K_ap(2 o + r, o′)

Nothing pairs the positions i and o′, so that K_ap would need all of them; K_p(o, o′) = Σ_rr′ K_a(2 o + r, 2 o′ + r′)
needs only the displacements that are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from tensorprog.kernel.axes import AxisTable, is_right
from tensorprog.kernel.contraction import Term
from tensorprog.kernel.ir import (
    AxisIndex,
    AxisRange,
    Const,
    Contract,
    Contraction,
    Delta,
    Op,
    Place,
    Position,
    Ref,
    Scalar,
    Statement,
    Within,
    definitions,
    expressions,
    references,
    walk,
)
from tensorprog.nonlin.expression import Number

__all__ = ["inline_windows"]

LARGEST = 64
"""The most products of a window that is put into another."""


def inline_windows(statements: tuple[Statement, ...], table: AxisTable, kept: Iterable[str]) -> tuple[Statement, ...]:
    """Return the statements without such moments.

    Args:
        statements: a program.
        table: the axes of the program.
        kept: the quantities that others than these statements read.
    """
    contracts = {part.name: part for part in statements if isinstance(part, Contract)}
    windows = {name: part for name, part in contracts.items() if _is_window(part, table.axes)}
    for name in kept:
        windows.pop(name, None)
    for part in definitions(statements):
        for ref in (ref for scalar in expressions(part) for ref in references(scalar)):
            if ref.name in windows and not _fits(windows[ref.name], ref, contracts.get(part.name), table):
                del windows[ref.name]
    return tuple(_Inliner(windows).rewrite(statements))


def _is_window(part: Contract, axes: Mapping[str, AxisRange]) -> bool:
    """Tell whether a contraction is over small windows, and over axes in either copy that the other has not."""
    left = {index.axis for index in part.axes if not is_right(index)}
    right = {index.axis for index in part.axes if is_right(index)}
    if not (left - right and right - left) or any(axes[index.axis].circular for index in part.axes):
        return False
    extents = [axes[index.axis].extent for term in part.terms for index in term.bound]
    small = math.prod(extent.value for extent in extents if isinstance(extent, Number)) <= LARGEST
    if any(sum(isinstance(factor, Ref) and bool(factor.places) for factor in term.factors) > 1 for term in part.terms):
        return False  # a mixing with coefficients, which costs less in two steps
    scalars = [node for scalar in expressions(part) for node in walk(scalar)]
    return (
        small
        and all(isinstance(extent, Number) for extent in extents)
        and not any(isinstance(node, Position) for node in scalars)
    )


def _fits(window: Contract, ref: Ref, reader: Contract | None, table: AxisTable) -> bool:
    """Tell whether a read may be replaced: out of its range there is a factor that is zero, or it is never there."""
    if reader is None or ref.indices != window.indices or not any(ref in term.factors for term in reader.terms):
        return False
    known = {index.symbol: index for term in reader.terms for index in (*reader.axes, *term.bound)}
    return all(
        (place.plain in known and replace(known[place.plain], symbol=index.symbol) == index)
        or all(_is_read_at(index, term, table) for term in window.terms)
        for index, place in zip(window.axes, ref.places, strict=True)
    )


def _is_read_at(index: AxisIndex, term: Contraction, table: AxisTable) -> bool:
    """Tell whether a factor over the axis of an index stands at that index as it is."""
    return any(
        place.plain == index.symbol and axis == index.axis
        for factor in term.factors
        if isinstance(factor, Ref)
        for place, (axis, _) in zip(factor.places, table.shapes.get(factor.name, ()), strict=False)
    )


@dataclass(slots=True)
class _Inliner:
    windows: Mapping[str, Contract]
    done: dict[str, Contract] = field(default_factory=dict)

    def rewrite(self, statements: tuple[Statement, ...]) -> Iterator[Statement]:
        for statement in statements:
            if not isinstance(statement, Contract):
                yield statement
                continue
            terms = tuple(new for term in statement.terms for new in self._expanded(term, statement.axes))
            if statement.name in self.windows:
                self.done[statement.name] = replace(statement, terms=terms)
            else:
                yield replace(statement, terms=terms)

    def _expanded(self, term: Contraction, axes: tuple[AxisIndex, ...]) -> Iterator[Contraction]:
        """Yield a term with its windows written out."""
        reads = [factor for factor in term.factors if isinstance(factor, Ref) and factor.name in self.done]
        if not reads:
            yield term
            return
        rest = list(term.factors)
        rest.remove(reads[0])
        window = self.done[reads[0].name]
        taken = {index.symbol for index in (*axes, *term.bound)}
        for inner in window.terms:
            bound = tuple(_fresh(index, taken) for index in inner.bound)
            values = dict(zip((index.symbol for index in window.axes), reads[0].places, strict=True))
            values |= {old.symbol: Place(0, ((new.symbol, 1),)) for old, new in zip(inner.bound, bound, strict=True)}
            factors = [_substituted(factor, values) for factor in inner.factors]
            whole = Term(tuple(rest), (*term.bound, *bound))
            if isinstance(factors[0], Const | Op):
                whole = whole.scaled(factors.pop(0))
            yield from self._expanded(Contraction((*whole.factors, *factors), whole.bound), axes)


def _fresh(index: AxisIndex, taken: set[str]) -> AxisIndex:
    """Return an index with a symbol that is not taken, and take it."""
    symbol = index.symbol
    while symbol in taken:
        symbol += "₁"
    taken.add(symbol)
    return replace(index, symbol=symbol)


def _substituted(scalar: Scalar, values: Mapping[str, Place]) -> Scalar:
    """Return a factor with the indices in its places replaced."""
    match scalar:
        case Ref():
            return replace(scalar, places=tuple(place.moved(values) for place in scalar.places))
        case Delta(left, right):
            return Delta(left.moved(values), right.moved(values))
        case Within(place):
            return replace(scalar, place=place.moved(values))
    return scalar
