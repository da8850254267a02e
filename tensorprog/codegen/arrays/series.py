"""Numerical expectations over axes: their covariances entry by entry, then in their place the Hermite series.

E[φ(u_p) ψ(v_q)] = Σ_k a_k(p) b_k(q) ρᵏ with ρ = c(p, q) / √(q₁(p) q₂(q)). The coefficients a belong to the positions p
of one sample, b to the positions q of the other, and are found before the kernel runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tensorprog.codegen.arrays.context import Context
from tensorprog.codegen.arrays.pointwise import write_group
from tensorprog.codegen.arrays.requests import ArraySeries, EntryCount, LawCount, LawNumbers, LawOffset
from tensorprog.codegen.arrays.shapes import symbols_of
from tensorprog.codegen.laws import IrregularLawError, Side, find_sides
from tensorprog.codegen.source import lay_out
from tensorprog.kernel.expectation import DEGREES, TOLERANCE
from tensorprog.kernel.ir import (
    AxisIndex,
    Contract,
    Contraction,
    Copy,
    Definition,
    Expectation,
    Index,
    KernelIR,
    Let,
    Loop,
    Op,
    Place,
    Ref,
    Scalar,
    Statement,
    Sweep,
    definitions,
)

__all__ = ["LAW_SIZE", "find_series", "is_series", "write_series", "write_series_entry"]

LAW_SIZE = DEGREES[-1] + len(DEGREES) + 2
"""How many numbers a law has: coefficients, relative remainders for all degrees, the deviation √q, one not used."""

Key = tuple[str, tuple[Index, ...]]


def is_series(let: Let) -> bool:
    """Tell whether a definition is a numerical expectation."""
    return isinstance(let.value, Expectation)


def find_series(ir: KernelIR) -> dict[Key, ArraySeries]:
    """Return the series of all numerical expectations of the pair program, by their definitions.

    Raises:
        IrregularLawError: one of them has no such series.
    """
    found: dict[Key, ArraySeries] = {}
    temporaries = _Temporaries(ir)
    for let, around in _expectations(ir.pair, ()):
        assert isinstance(let.value, Expectation)
        left, right = find_sides(let.name, let.value, around, temporaries.inline)
        sides = {Copy.LEFT: left, Copy.RIGHT: right}
        for copy, side in sides.items():
            _check_positions(let, side, copy)
        ranges = {loop.index: (loop.first, loop.last) for loop in around}
        bounds = {copy: tuple(ranges[symbol] for symbol in side.symbols) for copy, side in sides.items()}
        names = ir.merged.get(let.name, (let.name,))
        found[let.name, let.indices] = ArraySeries(len(found), let.name, let.axes, sides, bounds, names)
    return found


def _expectations(
    statements: tuple[Statement, ...], around: tuple[Loop, ...]
) -> Iterator[tuple[Let, tuple[Loop, ...]]]:
    """Yield the numerical expectations with the loops around them."""
    for statement in statements:
        match statement:
            case Loop():
                yield from _expectations(statement.initial, around)
                yield from _expectations(statement.body, (*around, statement))
            case Sweep():
                for group in statement.groups:
                    yield from _expectations(group, around)
            case Let() if is_series(statement):
                yield statement, around


def _check_positions(let: Let, side: Side, copy: Copy) -> None:
    """Refuse a law of one sample at a position of the other."""
    others = {index.symbol for index in let.axes if (index.copy is Copy.RIGHT) != (copy is Copy.RIGHT)}
    if (symbols_of(side.mean) | symbols_of(side.variance)) & others:
        raise IrregularLawError(f"a law of {let.name} is that of one sample at a position of the other")


class _Temporaries:
    """The temporaries of the pair program that another name for a quantity of one sample can be."""

    def __init__(self, ir: KernelIR) -> None:
        self.found = {
            (definition.name, definition.indices): (definition.axes, value)
            for definition in definitions(ir.pair)
            if definition.name.startswith("%") and (value := _plain_value(definition)) is not None
        }

    def inline(self, scalar: Scalar) -> Scalar:
        """Return a law with the temporaries that it reads written out."""
        if isinstance(scalar, Op):
            return replace(scalar, args=tuple(map(self.inline, scalar.args)))
        if (
            not isinstance(scalar, Ref)
            or scalar.copy is not Copy.OWN
            or (scalar.name, scalar.indices) not in self.found
        ):
            return scalar
        axes, value = self.found[scalar.name, scalar.indices]
        return _moved(self.inline(value), _names(axes, scalar.places))


def _plain_value(definition: Definition) -> Scalar | None:
    """Return the value of a definition, None if it is a sum."""
    match definition:
        case Let():
            return definition.value
        case Contract(terms=(Contraction(factors=(factor,), bound=()),)):
            return factor
    return None


def _names(axes: tuple[AxisIndex, ...], places: tuple[Place, ...]) -> Mapping[str, Place]:
    return {index.symbol: place for index, place in zip(axes, places, strict=True)}


def _moved(scalar: Scalar, places: Mapping[str, Place]) -> Scalar:
    """Return an expression at other places of the indices of its definition."""
    match scalar:
        case Op():
            return replace(scalar, args=tuple(_moved(arg, places) for arg in scalar.args))
        case Ref():
            return replace(scalar, places=tuple(place.moved(places) for place in scalar.places))
    if symbols_of(scalar) & set(places):
        raise IrregularLawError("a law depends on a position by its number")
    return scalar


def write_series(context: Context, let: Let) -> None:
    """Write the covariances of a numerical expectation, and the call that puts its values in their place."""
    assert isinstance(let.value, Expectation)
    write_group(context, [replace(let, value=let.value.args[4])], frozenset({let.name}))
    _write_call(context, let, context.number(EntryCount(let.name), f"{let.name}_count"), "")


def write_series_entry(context: Context, let: Let, entry: str, covariance: str) -> None:
    """Write one entry of a numerical expectation, from the text of its covariance."""
    context.line(f"work[{context.own(let.name, let.indices)} + {entry}] = {covariance}")
    _write_call(context, let, "1", f" + {entry}")


def _write_call(context: Context, let: Let, count: str, shift: str) -> None:
    """Write the call for some entries, from the first or from a shifted one."""
    series = context.series[let.name, let.indices]
    target = f"{context.own(let.name, let.indices)}{shift}"
    sides = ", ".join(f"{row}, {_tables(context, series, copy)}{shift}" for copy, row in _ROWS.items())
    marks = f"missed, worst, {series.number}, i, j, {TOLERANCE!r}"
    context.line(f"{context.helper('fill_series')}(work, tables, {target}, {count}, {sides}, {marks})")


_ROWS = {Copy.LEFT: "a[i]", Copy.RIGHT: "b[j]"}
"""The coefficients of the samples of a pair."""


def _tables(context: Context, series: ArraySeries, copy: Copy) -> str:
    """Return where the coefficients of one side start, and the table of the laws of all entries."""
    start = context.number(LawOffset(copy, series.number), f"{series.array}_law")
    numbers = context.number(LawNumbers(copy, series.number), f"{series.array}_laws")
    symbols, bounds = series.sides[copy].symbols, series.bounds[copy]
    if symbols:
        count = context.number(LawCount(copy, series.number), f"{series.array}_count")
        indices = tuple(Index(symbol, 0) for symbol in symbols)
        row = lay_out([series.array], {series.array: bounds}).row_text(series.array, indices, context.symbol)
        start = f"{start} + {LAW_SIZE} * {count} * ({row})"
    return f"{start}, {numbers}"
