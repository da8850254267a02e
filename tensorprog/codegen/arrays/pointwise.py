"""Pointwise definitions over the same axes: one pass over the entries, outer rows and, inside, those of the last axis.

What one definition of the group leaves for another stays in a register. Arrays of other entries are gathered first;
the quantities of single samples are read through tables, one for the outer rows and one for the inner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tensorprog.codegen.arrays.conditions import write_condition
from tensorprog.codegen.arrays.context import Context
from tensorprog.codegen.arrays.requests import (
    EntryCount,
    Gather,
    IsAligned,
    Part,
    PartCount,
    Positions,
    SideMap,
)
from tensorprog.kernel.ir import AxisIndex, Copy, Delta, Index, Let, Place, Position, Ref, Scalar, Within, walk

__all__ = ["can_join", "is_pointwise", "write_group"]


def is_pointwise(let: Let) -> bool:
    """Tell whether all references of a definition stand at plain places, at its own indices."""
    symbols = {index.symbol for index in let.axes}
    return all(place.plain in symbols for node in walk(let.value) if isinstance(node, Ref) for place in node.places)


def can_join(let: Let, group: list[Let]) -> bool:
    """Tell whether a definition can be computed in the same pass as those before it."""
    if let.axes != group[0].axes:
        return False
    defined = {(other.name, other.indices) for other in group}
    names = {other.name for other in group}
    for node in walk(let.value):
        if isinstance(node, Ref) and node.copy is Copy.OWN and node.name in names:
            if (node.name, node.indices) in defined and not _is_at(node, let.axes):
                return False
    return let.name not in names


def _is_at(ref: Ref, axes: tuple[AxisIndex, ...]) -> bool:
    """Tell whether a reference stands at the indices themselves."""
    return tuple(place.plain for place in ref.places) == tuple(index.symbol for index in axes)


def write_group(context: Context, lets: list[Let], stored: frozenset[str]) -> None:
    """Write the pass of a group of definitions; those that are `stored` go to memory."""
    _Group(context, lets, stored).write()


@dataclass(slots=True)
class _Group:
    context: Context
    lets: list[Let]
    stored: frozenset[str]

    @property
    def axes(self) -> tuple[AxisIndex, ...]:
        """The axes of all definitions."""
        return self.lets[0].axes

    @property
    def symbols(self) -> tuple[str, ...]:
        """Their indices."""
        return tuple(index.symbol for index in self.axes)

    @property
    def array(self) -> str:
        """The array that stands for the entries of all: they are joined to have the same."""
        return self.lets[0].name

    def write(self) -> None:
        """Write the pass."""
        context = self.context
        context.groups.append(tuple(let.name for let in self.lets))
        leaf: dict[Scalar, str] = {}
        reads = list(self._loads())
        starts = {ref: self._prepare(ref) for ref in reads if ref.places}
        targets = {let: context.fresh("target") for let in self.lets if let.name in self.stored}
        for ref in reads:
            if not ref.places:
                leaf[ref] = context.fresh(ref.name)
                context.line(f"{leaf[ref]} = {context.scalar_read(ref)}")
        for let, target in targets.items():
            context.line(f"{target} = {context.own(let.name, let.indices)}")
        outer, inner = self._count(True), self._count(False)
        with context.block(f"for o in range({outer}):"):
            rows = {ref: self._write_row(ref, start, inner) for ref, start in starts.items()}
            for target in targets.values():
                context.line(f"{target}_row = work[{target} + o * {inner} : {target} + (o + 1) * {inner}]")
            with context.block(f"for r in range({inner}):"):
                self._write_positions()
                for ref, row in rows.items():
                    leaf[ref] = context.fresh(ref.name)
                    context.line(f"{leaf[ref]} = {row}[r]")
                for let in self.lets:
                    self._write_let(let, leaf)
                    if let in targets:
                        context.line(f"{targets[let]}_row[r] = {leaf[self._reference(let)]}")

    def _reference(self, let: Let) -> Ref:
        return Ref(let.name, let.indices, Copy.OWN, tuple(Place(0, ((symbol, 1),)) for symbol in self.symbols))

    def _write_let(self, let: Let, leaf: dict[Scalar, str]) -> None:
        context = self.context
        for node in walk(let.value):
            if isinstance(node, Delta | Within):
                values = {symbol: context.symbol(symbol) for symbol in self.symbols}
                leaf[node] = f"(1.0 if {write_condition(context, node, values)} else 0.0)"
        name = context.fresh(let.name)
        context.line(f"{name} = {context.scalar(let.value, leaf)}")
        leaf[self._reference(let)] = name

    def _loads(self) -> Iterator[Ref]:
        """Yield what is read and not defined here, each once."""
        defined: set[tuple[str, tuple[Index, ...]]] = set()
        seen: set[Ref] = set()
        for let in self.lets:
            for node in walk(let.value):
                if isinstance(node, Ref) and node not in seen:
                    seen.add(node)
                    if node.copy is not Copy.OWN or (node.name, node.indices) not in defined:
                        yield node
            defined.add((let.name, let.indices))

    def _count(self, outer: bool) -> str:
        part = Part(self.array, outer)
        return self.context.number(PartCount(part), "rows" if outer else "entries")

    def _prepare(self, ref: Ref) -> str:
        """Return where an array with these entries starts, of a quantity of one sample scratch memory for one row."""
        context = self.context
        if ref.copy is not Copy.OWN:
            return context.scratch((PartCount(Part(self.array, outer=False)),))
        start = context.fresh(f"{ref.name}_from")
        context.line(f"{start} = {context.own(ref.name, ref.indices)}")
        if _is_at(ref, self.axes) and ref.name in {let.name for let in self.lets}:
            return start
        unless = IsAligned(self.array, ref.name) if _is_at(ref, self.axes) else None
        table = context.number(Gather(self.array, ref.name, ref.places, self.symbols), "gather")
        scratch = context.scratch((EntryCount(self.array),), unless)
        count = context.number(EntryCount(self.array), f"{self.array}_count")
        with context.block(f"if {'0' if unless is None else context.number(unless, 'aligned')} == 0:"):
            context.line(f"{context.helper('gather')}(work, tables, {table}, {start}, {scratch}, {count})")
            context.line(f"{start} = {scratch}")
        return start

    def _write_row(self, ref: Ref, start: str, inner: str) -> str:
        """Write what the inner loop reads: a row of an array, or a row gathered from what one sample has."""
        context = self.context
        row = context.fresh(f"{ref.name}_row")
        if ref.copy is Copy.OWN:
            context.line(f"{row} = work[{start} + o * {inner} : {start} + (o + 1) * {inner}]")
            return row
        tables = [
            context.number(self._side_map(ref, outer=outer), f"{ref.name}_{'outer' if outer else 'inner'}")
            for outer in (True, False)
        ]
        base = f"{context.side(ref.copy, ref.name, ref.indices)} + tables[{tables[0]} + o]"
        arguments = f"work, tables, {tables[1]}, {context.row_of(ref.copy)}, {base}, {start}, {inner}"
        context.line(f"{context.helper('gather_row')}({arguments})")
        context.line(f"{row} = work[{start} : {start} + {inner}]")
        return row

    def _side_map(self, ref: Ref, *, outer: bool) -> SideMap:
        return SideMap(ref.copy, ref.name, ref.places, self.symbols, Part(self.array, outer))

    def _write_positions(self) -> None:
        """Write the values of the indices that expressions name."""
        context = self.context
        for dimension, symbol in enumerate(self.symbols):
            if any(_names(let.value, symbol) for let in self.lets):
                tables = [
                    context.number(Positions(Part(self.array, outer), dimension), f"{symbol}_positions")
                    for outer in (True, False)
                ]
                context.line(f"{context.symbol(symbol)} = tables[{tables[0]} + o] + tables[{tables[1]} + r]")


def _names(scalar: Scalar, symbol: str) -> bool:
    """Tell whether an expression has the value of an index in it, other than as a place of a reference."""
    for node in walk(scalar):
        if isinstance(node, Position) and node.index == symbol:
            return True
        if isinstance(node, Delta) and any(symbol in dict(place.terms) for place in (node.left, node.right)):
            return True
        if isinstance(node, Within) and symbol in dict(node.place.terms):
            return True
    return False
