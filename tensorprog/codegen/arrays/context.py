"""What the writers of array code share: names, the register of requests, where quantities lie in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from tensorprog.codegen.arrays.requests import (
    ArrayPlan,
    ArraySeries,
    AxisExtent,
    AxisStart,
    EntryCount,
    Offset,
    Request,
    ScratchOffset,
    SideCount,
    SideOffset,
    SizeValue,
    Volume,
)
from tensorprog.codegen.arrays.shapes import components
from tensorprog.codegen.operators import intrinsic_name, write_call
from tensorprog.codegen.source import Names, Writer, lay_out
from tensorprog.kernel.gate import find_gate
from tensorprog.kernel.ir import (
    AxisIndex,
    Contract,
    Copy,
    Index,
    KernelIR,
    Loop,
    Parameter,
    Place,
    Position,
    Ref,
    Scalar,
    Statement,
    definitions,
    ranges,
)
from tensorprog.kernel.scope import NUMPY
from tensorprog.kernel.storage import find_histories
from tensorprog.kernel.text import print_scalar
from tensorprog.nonlin.expression import Number

__all__ = ["Context"]

_RESERVED = frozenset(
    "math np njit tile x_row y_row upper work left right sizes tables out a b missed worst rows columns i j e m o r"
    " abs float min max range".split()
)


@dataclass(slots=True)
class _Step:
    """The number of the step that is written now, and how many scratch memories it has."""

    number: int = 0
    scratch: int = 0


class Context:
    """The program, and what has been written of it."""

    def __init__(self, ir: KernelIR, helpers: frozenset[str]) -> None:
        self.ir, self.helpers = ir, helpers
        self.names = Names({*_RESERVED, *helpers, *map(intrinsic_name, NUMPY)})
        self.writer = Writer()
        self.imports: set[str] = set()
        self.used: set[str] = set()
        self.requests: dict[Request, str] = {}
        self.parameters: dict[str, str] = {}
        self.series: dict[tuple[str, tuple[Index, ...]], ArraySeries] = {}
        self.step = _Step()
        self.lives: dict[str, tuple[int, int]] = {}
        self.groups: list[tuple[str, ...]] = []
        self.aliases = dict(_find_aliases(ir.pair))
        self.histories = find_histories(ir.pair, (result.pair for result in ir.results))
        self.ranges, self.side_ranges = ranges(ir.pair), ranges(ir.sample)

    @cached_property
    def shapes(self) -> Mapping[str, tuple[AxisIndex, ...]]:
        """The axes of all quantities of the pair."""
        found = {definition.name: definition.axes for definition in definitions(self.ir.pair)}
        return {**{name: self.ir.shapes.get(name, ()) for name in self.ir.grams}, **found}

    @cached_property
    def side_shapes(self) -> Mapping[str, tuple[AxisIndex, ...]]:
        """The axes of all quantities of one sample."""
        found = {definition.name: definition.axes for definition in definitions(self.ir.sample)}
        return {**self.ir.shapes, **found}

    def components(self, array: str) -> tuple[tuple[int, ...], ...]:
        """Return the dimensions of each component of an array."""
        return components(self.shapes[array])

    def plan(self) -> ArrayPlan:
        """Return everything that was asked for, with the numerical expectations."""
        slots = {name: self.slots(name) for name in self.lives}
        return ArrayPlan(
            tuple(self.requests),
            self.shapes,
            tuple(self.groups),
            dict(self.lives),
            slots,
            tuple(self.series.values()),
        )

    def line(self, text: str) -> None:
        """Write a line."""
        self.writer.line(text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write a head line and what is inside."""
        with self.writer.block(head):
            yield

    def number(self, request: Request, wish: str) -> str:
        """Return the name of a number or of the start of a table."""
        if request not in self.requests:
            self.requests[request] = self.names.identifier(("request", request), wish)
        return self.requests[request]

    def fresh(self, wish: str) -> str:
        """Return a new name."""
        return self.names.identifier(("fresh", len(self.names.given)), wish)

    def helper(self, name: str) -> str:
        """Return the name of a function of the runtime."""
        self.used.add(name)
        return name

    def next_step(self) -> None:
        """Begin another step: scratch memory is free again."""
        self.step = _Step(self.step.number + 1)

    def scratch(self, volume: Volume, unless: Request | None = None) -> str:
        """Return where new scratch memory starts; it has no size if `unless` is 1."""
        self.step.scratch += 1
        return self.number(ScratchOffset(self.step.number, self.step.scratch, volume, unless), "scratch")

    def touch(self, array: str) -> None:
        """Note that an array is needed now."""
        first, _ = self.lives.get(array, (self.step.number, 0))
        self.lives[array] = first, self.step.number

    def slots(self, array: str) -> int:
        """Return how many values of its loop indices an array keeps."""
        bounds = self.ranges.get(array, ())
        if bounds and array not in self.histories:
            return 2
        total = 1
        for first, last in bounds:
            total *= last - first + 1
        return total

    def own(self, name: str, indices: tuple[Index, ...]) -> str:
        """Return where an array of the pair starts, at a value of its loop indices."""
        name = self.aliases.get(name, name)
        self.touch(name)
        start = self.number(Offset(name), f"{name}_at")
        if not indices:
            return start
        count = self.number(EntryCount(name), f"{name}_count")
        if name not in self.histories:
            return f"{start} + {count} * ({self.index(indices[-1])} & 1)"
        layout = lay_out([name], {name: self.ranges[name]})
        return f"{start} + {count} * ({layout.row_text(name, indices, self.symbol)})"

    def side(self, copy: Copy, name: str, indices: tuple[Index, ...]) -> str:
        """Return where a quantity of one sample starts in its row, at a value of its loop indices."""
        start = self.number(SideOffset(copy, name), f"{name}_{_side(copy)}")
        if not indices:
            return start
        count = self.number(SideCount(copy, name), f"{name}_{_side(copy)}_count")
        layout = lay_out([name], {name: self.side_ranges[name]})
        return f"{start} + {count} * ({layout.row_text(name, indices, self.symbol)})"

    def row_of(self, copy: Copy) -> str:
        """Return the array with the quantities of one of the two samples."""
        return {Copy.LEFT: "x_row", Copy.RIGHT: "y_row"}[copy]

    def symbol(self, name: str) -> str:
        """Return the variable of an index, of a loop or over an axis."""
        return self.names.identifier(("index", name), name)

    def index(self, index: Index) -> str:
        """Return the value of a loop index."""
        if index.symbol is None:
            return f"({index.offset})"
        return f"({self.symbol(index.symbol)} + {index.offset})" if index.offset else self.symbol(index.symbol)

    def start_of(self, index: AxisIndex) -> str:
        """Return the first position of the axis of an index."""
        value = self.ir.axes[index.axis].start
        return _integer(value) or self.number(AxisStart(_axis(index)), f"{index.axis}_start")

    def extent_of(self, index: AxisIndex) -> str:
        """Return the number of positions of the axis of an index."""
        value = self.ir.axes[index.axis].extent
        return _integer(value) or self.number(AxisExtent(_axis(index)), f"{index.axis}_extent")

    def range_of(self, index: AxisIndex) -> str:
        """Return the positions of the axis of an index, as a Python range."""
        start, extent = self.start_of(index), self.extent_of(index)
        return f"range({extent})" if start == "0" else f"range({start}, {start} + {extent})"

    def place(self, place: Place, values: Mapping[str, str]) -> str:
        """Return a position; `values` are the variables of the indices, other names are sizes."""
        terms = [
            name if coefficient == 1 else f"{coefficient} * {name}"
            for name, coefficient in ((self._value(name, values), coefficient) for name, coefficient in place.terms)
        ]
        if place.constant or not terms:
            terms.append(str(place.constant))
        return " + ".join(terms).replace("+ -", "- ")

    def _value(self, name: str, values: Mapping[str, str]) -> str:
        return values[name] if name in values else self.number(SizeValue(name), name)

    def parameter(self, name: str) -> str:
        """Return the variable of a constant or of a size."""
        return self.parameters.setdefault(name, self.names.identifier(("parameter", name), name))

    def scalar(self, scalar: Scalar, leaf: Mapping[Scalar, str]) -> str:
        """Return an expression; `leaf` has the text of everything that is not an operator, number or parameter."""

        def write(node: Scalar) -> str:
            if node in leaf:
                return leaf[node]
            if isinstance(node, Parameter):
                return self.parameter(node.name)
            if isinstance(node, Position):
                return f"float({self.symbol(node.index)})"
            raise NotImplementedError(f"{type(node).__name__} has no source here")

        return print_scalar(scalar, write, lambda operator, args: write_call(operator, args, self.imports))

    def scalar_read(self, ref: Ref) -> str:
        """Return the value of a quantity without axes."""
        if ref.copy is Copy.OWN:
            return f"work[{self.own(ref.name, ref.indices)}]"
        return f"{self.row_of(ref.copy)}[{self.side(ref.copy, ref.name, ref.indices)}]"


def _find_aliases(statements: tuple[Statement, ...]) -> Iterator[tuple[str, str]]:
    """Yield the quantities that share the memory of another one: what gates a sum is overwritten by it."""
    for statement in statements:
        if isinstance(statement, Loop):
            yield from _find_aliases(statement.body)
        elif isinstance(statement, Contract) and statement.axes:
            gate = find_gate(statement)
            if gate is not None:
                yield gate.name, statement.name


def _axis(index: AxisIndex) -> AxisIndex:
    """Return the index under a name that all indices over its axis have."""
    return AxisIndex("", index.axis, Copy.RIGHT if index.copy is Copy.RIGHT else Copy.LEFT)


def _side(copy: Copy) -> str:
    return {Copy.LEFT: "x", Copy.RIGHT: "y", Copy.OWN: ""}[copy]


def _integer(value: object) -> str | None:
    return str(int(value.value)) if isinstance(value, Number) else None
