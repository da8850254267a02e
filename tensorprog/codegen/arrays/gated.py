"""Sums that count where a quantity w is small: the few entries there are listed first, then computed one by one.

The array shares its memory with w. Sums of shares (`kernel.axis_versines`) whose index maps act on each component alone
are left to a function of the runtime; anything else is written out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tensorprog.codegen.arrays.context import Context
from tensorprog.codegen.arrays.general import Reader, write_sums
from tensorprog.codegen.arrays.requests import EntryCount, RowCount, RowPositions, SharePlan, SideDense, Volume
from tensorprog.codegen.arrays.shapes import symbols_of_place
from tensorprog.kernel.gate import open_terms
from tensorprog.kernel.ir import Contract, Contraction, Copy, Op, Ref

__all__ = ["write_gated"]

_ROOM: Volume = ()
"""One number, and what the alignment of arrays adds: more than any array has components."""


def write_gated(context: Context, contract: Contract, gate: Ref, before: Callable[[], None]) -> None:
    """Write a definition Far(w) + Near(w) Σ …, given w, which nothing else reads; `before` writes what it needs."""
    _Gated(context, contract).write(gate, before)


@dataclass(slots=True)
class _Gated:
    context: Context
    contract: Contract

    def write(self, gate: Ref, before: Callable[[], None]) -> None:
        """Write the list of entries, and the sums."""
        context, name = self.context, self.contract.name
        context.groups.append((gate.name, name))
        target = context.fresh("target")
        context.line(f"{target} = {context.own(name, self.contract.indices)}")
        entries = context.scratch((EntryCount(name),))
        found = context.fresh("found")
        count = context.number(EntryCount(name), f"{name}_count")
        context.line(f"{found} = {context.helper('list_near')}(work, {target}, {entries}, {count})")
        plans = {term: self._plan(term) for term in open_terms(self.contract)}
        with context.block(f"if {found} > 0:"):
            before()
            for term, plan in plans.items():
                if plan is not None:
                    self._write_shares(term, plan, f"{target}, {entries}, {found}")
        rest = tuple(term for term, plan in plans.items() if plan is None)
        if rest:
            self._write_entries(rest, target, entries, found)

    def _write_shares(self, term: Contraction, plan: SharePlan, where: str) -> None:
        context = self.context
        left, right, source = _shares(term)
        assert left is not None and right is not None
        sides = []
        for ref in (left, right):
            context.number(SideDense(ref.copy, ref.name), "dense")
            sides.append(f"{context.row_of(ref.copy)}, {context.side(ref.copy, ref.name, ref.indices)}")
        rows = context.scratch(_ROOM)
        start = "-1" if source is None else context.own(source.name, source.indices)
        table = context.number(plan, "shares")
        context.line(
            f"{context.helper('add_shares')}(work, tables, {table}, {where}, {rows}, {', '.join(sides)}, {start})"
        )

    def _plan(self, term: Contraction) -> SharePlan | None:
        """Return where a sum of shares is read, None for any other sum."""
        left, right, source = _shares(term)
        if left is None or right is None or left.name != right.name:
            return None
        symbols = tuple(index.symbol for index in self.contract.axes)
        bound = tuple(index.symbol for index in term.bound)
        for ref in (left, right):
            names = tuple(place.plain for place in ref.places)
            if names[len(names) - len(bound) :] != bound or not set(names[: len(names) - len(bound)]) <= set(symbols):
                return None
        if source is not None and not self._is_separable(source, symbols, bound):
            return None
        name, places = ("", ()) if source is None else (source.name, source.places)
        return SharePlan(self.contract.name, symbols, term.bound, left.name, left.places, right.places, name, places)

    def _is_separable(self, source: Ref, symbols: tuple[str, ...], bound: tuple[str, ...]) -> bool:
        """Tell whether every component of a source is read at indices of one component of the target."""
        owner = {
            symbols[dimension]: component
            for component, dimensions in enumerate(self.context.components(self.contract.name))
            for dimension in dimensions
        }
        for dimensions in self.context.components(source.name):
            names = {name for dimension in dimensions for name in symbols_of_place(source.places[dimension])}
            if len({owner[name] for name in names if name in owner}) != 1:
                return False
        return True

    def _write_entries(self, terms: tuple[Contraction, ...], target: str, entries: str, found: str) -> None:
        context = self.context
        number, entry = context.fresh("m"), context.fresh("entry")
        with context.block(f"for {number} in range({found}):"):
            context.line(f"{entry} = int(work[{entries} + {number}])")
            self._write_positions(entry)
            reader = Reader(context, {index.symbol: index for index in self.contract.axes})
            context.line(f"work[{target} + {entry}] += {write_sums(context, self.contract, terms, reader)}")

    def _write_positions(self, entry: str) -> None:
        """Write the values of the indices at an entry."""
        context, rest = self.context, entry
        components = context.components(self.contract.name)
        for component in reversed(range(len(components))):
            count = context.number(RowCount(self.contract.name, component), f"{self.contract.name}_rows")
            row = context.fresh("row")
            context.line(f"{row} = {rest} % {count}" if component else f"{row} = {rest}")
            if component:
                left = context.fresh("rest")
                context.line(f"{left} = {rest} // {count}")
                rest = left
            for dimension in components[component]:
                symbol = self.contract.axes[dimension].symbol
                table = context.number(RowPositions(self.contract.name, dimension), f"{symbol}_positions")
                context.line(f"{context.symbol(symbol)} = tables[{table} + {row}]")


def _shares(term: Contraction) -> tuple[Ref | None, Ref | None, Ref | None]:
    """Return the shares of both samples and the array of the pair in s s′ v, or the shares in Gap(s, s′)."""
    refs = [factor for factor in term.factors if isinstance(factor, Ref)]
    gaps = [factor.args for factor in term.factors if isinstance(factor, Op) and factor.operator == "Gap"]
    if len(refs) + len(gaps) < len(term.factors) or (len(refs), len(gaps)) not in ((3, 0), (0, 1)):
        return None, None, None
    found: dict[Copy, Ref] = {
        ref.copy: ref for ref in (*refs, *(arg for args in gaps for arg in args)) if isinstance(ref, Ref)
    }
    return found.get(Copy.LEFT), found.get(Copy.RIGHT), found.get(Copy.OWN)
