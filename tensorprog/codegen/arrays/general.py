"""Definitions entry by entry: whatever the index maps are, and the steps of recurrences along axes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from tensorprog.codegen.arrays.conditions import write_condition
from tensorprog.codegen.arrays.context import Context
from tensorprog.codegen.arrays.requests import (
    ComponentTable,
    RangeExtent,
    RangeStart,
    RowCount,
    RowPositions,
    SideDense,
    SideLine,
    SideRange,
)
from tensorprog.codegen.arrays.series import write_series_entry
from tensorprog.codegen.arrays.shapes import symbols_of_place
from tensorprog.kernel.gate import NEAR, find_gate, open_terms
from tensorprog.kernel.ir import (
    AxisIndex,
    Contract,
    Contraction,
    Copy,
    Definition,
    Delta,
    Expectation,
    Let,
    Place,
    Ref,
    Scalar,
    Within,
    walk,
)

__all__ = ["Reader", "write_entries", "write_sums", "write_term"]


@dataclass(slots=True)
class Reader:
    """Reads quantities at any places, zero out of range; `indices` are the indices over axes that have a value."""

    context: Context
    indices: dict[str, AxisIndex]
    known: dict[tuple[str, object, tuple[Place, ...]], str] = field(default_factory=dict)

    @property
    def values(self) -> Mapping[str, str]:
        """The variables of the indices."""
        return {symbol: self.context.symbol(symbol) for symbol in self.indices}

    def leaves(self, scalar: Scalar) -> dict[Scalar, str]:
        """Return the text of everything in an expression that is not an operator, having written what it needs."""
        found: dict[Scalar, str] = {}
        for node in walk(scalar):
            if isinstance(node, Delta | Within):
                found[node] = f"(1.0 if {write_condition(self.context, node, self.values)} else 0.0)"
            elif isinstance(node, Ref) and node not in found:
                found[node] = self.read(node)
        return found

    def read(self, ref: Ref) -> str:
        """Return the text of a quantity."""
        key = ref.name, (ref.indices, ref.copy), ref.places
        if key in self.known:
            return self.known[key]
        if not ref.places:
            return self.context.scalar_read(ref)
        return self._read_own(ref) if ref.copy is Copy.OWN else self._read_side(ref)

    def _read_own(self, ref: Ref) -> str:
        context = self.context
        rows = [
            self.row(ref.name, component, tuple(ref.places[dimension] for dimension in dimensions))
            for component, dimensions in enumerate(context.components(ref.name))
        ]
        entry = rows[0]
        for component, row in enumerate(rows[1:], 1):
            entry = f"({entry}) * {context.number(RowCount(ref.name, component), f'{ref.name}_rows')} + {row}"
        start, value = context.own(ref.name, ref.indices), context.fresh(ref.name)
        context.line(f"{value} = work[{start} + {entry}] if {' and '.join(f'{row} >= 0' for row in rows)} else 0.0")
        return value

    def row(self, array: str, component: int, places: tuple[Place, ...]) -> str:
        """Return the row of a component of an array at some places, −1 if there is none."""
        context = self.context
        dimensions = context.components(array)[component]
        texts = [self._wrapped(array, dimension, place) for dimension, place in zip(dimensions, places, strict=True)]
        table = context.number(ComponentTable(array, component), f"{array}_table")
        row = context.fresh("row")
        name = context.helper("band_row" if len(dimensions) == 2 else "span_row")
        context.line(f"{row} = {name}(tables, {table}, {', '.join(texts)})")
        return row

    def _wrapped(self, array: str, dimension: int, place: Place) -> str:
        context = self.context
        text = context.place(place, self.values)
        index = context.shapes[array][dimension]
        if not context.ir.axes[index.axis].circular:
            return text
        start = context.number(RangeStart(array, dimension), f"{array}_start")
        extent = context.number(RangeExtent(array, dimension), f"{array}_extent")
        return f"{start} + ({text} - {start}) % {extent}"

    def _read_side(self, ref: Ref) -> str:
        context = self.context
        names = {name for place in ref.places for name in symbols_of_place(place)} & set(self.indices)
        if len(names) == 1:
            (symbol,) = names
            index = self.indices[symbol]
            renamed = tuple(_renamed(place, symbol) for place in ref.places)
            plain = AxisIndex("", index.axis, Copy.RIGHT if index.copy is Copy.RIGHT else Copy.LEFT)
            table = context.number(SideLine(ref.copy, ref.name, renamed, plain), f"{ref.name}_line")
            entry = context.fresh("entry")
            context.line(f"{entry} = tables[{table} + {context.symbol(symbol)} - {context.start_of(index)}]")
        else:
            entry = self._dense_entry(ref)
        start, value = context.side(ref.copy, ref.name, ref.indices), context.fresh(ref.name)
        context.line(f"{value} = {context.row_of(ref.copy)}[{start} + {entry}] if {entry} >= 0 else 0.0")
        return value

    def _dense_entry(self, ref: Ref) -> str:
        context = self.context
        context.number(SideDense(ref.copy, ref.name), "dense")
        table = context.number(SideRange(ref.copy, ref.name), f"{ref.name}_ranges")
        entry = context.fresh("entry")
        context.line(f"{entry} = 0")
        for dimension, place in enumerate(ref.places):
            name = context.helper("wrapped_row" if self._is_circular(ref, dimension) else "dense_row")
            at = f"{table} + {2 * dimension}" if dimension else table
            context.line(f"{entry} = {name}(tables, {at}, {entry}, {context.place(place, self.values)})")
        return entry

    def _is_circular(self, ref: Ref, dimension: int) -> bool:
        return self.context.ir.axes[self.context.side_shapes[ref.name][dimension].axis].circular


def _renamed(place: Place, symbol: str) -> Place:
    """Return a place with the index named '', which all indices over the axis have."""
    return Place(place.constant, tuple(("" if name == symbol else name, factor) for name, factor in place.terms))


def write_entries(
    context: Context, definition: Definition, rows: Mapping[int, str], reader: Reader | None = None
) -> None:
    """Write a definition as loops over its entries; `rows` are the rows of components that are given.

    The variables of the indices of given components must have their values.
    """
    with ExitStack() as blocks:
        entry = _open_rows(context, definition, rows, blocks)
        target = context.own(definition.name, definition.indices)
        reader = reader or Reader(context, {index.symbol: index for index in definition.axes})
        if isinstance(definition, Let) and isinstance(definition.value, Expectation):
            covariance = definition.value.args[4]
            text = context.scalar(covariance, reader.leaves(covariance))
            write_series_entry(context, definition, entry, text)
        elif isinstance(definition, Let):
            leaves = reader.leaves(definition.value)
            context.line(f"work[{target} + {entry}] = {context.scalar(definition.value, leaves)}")
        elif (gate := find_gate(definition)) is not None:
            value = context.fresh(definition.name)
            context.line(f"{value} = {reader.read(gate)}")
            with context.block(f"if {value} < {NEAR}:"):
                context.line(f"{value} = {write_sums(context, definition, open_terms(definition), reader)}")
            context.line(f"work[{target} + {entry}] = {value}")
        else:
            total = write_sums(context, definition, definition.terms, reader)
            context.line(f"work[{target} + {entry}] = {total}")


def write_sums(context: Context, contract: Contract, terms: tuple[Contraction, ...], reader: Reader) -> str:
    """Write the sum of terms at one entry, and return the variable that has it."""
    total = context.fresh(contract.name)
    context.line(f"{total} = 0.0")
    for term in terms:
        _write_sum(context, term, reader, total)
    return total


def write_term(context: Context, contract: Contract, term: Contraction, *, keep: bool) -> None:
    """Write one term of a definition as loops over the entries, added to what is there if `keep`."""
    with ExitStack() as blocks:
        entry = _open_rows(context, contract, {}, blocks)
        target = context.own(contract.name, contract.indices)
        total = context.fresh(contract.name)
        context.line(f"{total} = {f'work[{target} + {entry}]' if keep else '0.0'}")
        reader = Reader(context, {index.symbol: index for index in contract.axes})
        _write_sum(context, term, reader, total)
        context.line(f"work[{target} + {entry}] = {total}")


def _open_rows(context: Context, definition: Definition, rows: Mapping[int, str], blocks: ExitStack) -> str:
    """Open the loops over the rows that are not given, and return the entry."""
    name, entry = definition.name, ""
    for component, dimensions in enumerate(context.components(name)):
        count = context.number(RowCount(name, component), f"{name}_rows")
        row = rows.get(component)
        if row is None:
            row = context.fresh("row")
            blocks.enter_context(context.block(f"for {row} in range({count}):"))
            for dimension in dimensions:
                symbol = definition.axes[dimension].symbol
                table = context.number(RowPositions(name, dimension), f"{symbol}_positions")
                context.line(f"{context.symbol(symbol)} = tables[{table} + {row}]")
        entry = f"({entry}) * {count} + {row}" if entry else row
    return entry or "0"


def _write_sum(context: Context, term: Contraction, reader: Reader, total: str) -> None:
    """Write the loops that add a term to a variable."""
    with ExitStack() as blocks:
        inside = Reader(context, {**reader.indices, **{index.symbol: index for index in term.bound}}, reader.known)
        for index in term.bound:
            blocks.enter_context(context.block(f"for {context.symbol(index.symbol)} in {context.range_of(index)}:"))
        conditions = [factor for factor in term.factors if isinstance(factor, Delta | Within)]
        others = [factor for factor in term.factors if not isinstance(factor, Delta | Within)]
        if conditions:
            texts = [write_condition(context, condition, inside.values) for condition in conditions]
            blocks.enter_context(context.block(f"if {' and '.join(texts)}:"))
        factors = [_bracketed(context.scalar(factor, inside.leaves(factor))) for factor in others]
        context.line(f"{total} += {' * '.join(factors) or '1.0'}")


def _bracketed(text: str) -> str:
    return text if text.replace("_", "").replace(".", "").isalnum() else f"({text})"
