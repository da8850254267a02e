"""Sums with coefficients at every pair of positions: attention, graphs. Plain loops over arrays of all positions.

The array that is summed, and the target, are laid out row-major over all positions for the time of one sum; the index
of the inner loop is the one along which most arrays are contiguous.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from tensorprog.codegen.arrays.conditions import write_condition
from tensorprog.codegen.arrays.context import Context
from tensorprog.codegen.arrays.requests import (
    DenseMap,
    EntryCount,
    RangeExtent,
    RangeStart,
    Request,
    SideDense,
    SideExtent,
    SideStart,
)
from tensorprog.codegen.arrays.shapes import is_placed, symbols_of, symbols_of_place
from tensorprog.kernel.ir import AxisIndex, Contract, Contraction, Copy, Delta, Place, Ref, Within

__all__ = ["find_dense", "write_dense"]


@dataclass(frozen=True, slots=True)
class _Access:
    """An array of all positions: the Python array, where it starts there, and what it is read at."""

    memory: str
    start: str
    places: tuple[Place, ...]
    starts: tuple[Request, ...]
    extents: tuple[Request, ...]
    axes: tuple[AxisIndex, ...]


@dataclass(frozen=True, slots=True)
class DenseTerm:
    """A term whose innermost loop runs over `inner`."""

    term: Contraction
    references: tuple[Ref, ...]
    conditions: tuple[Delta | Within, ...]
    inner: AxisIndex


def find_dense(context: Context, contract: Contract, term: Contraction) -> DenseTerm | None:
    """Return how to compute a term by plain loops, None if it is too irregular."""
    indices = {index.symbol for index in (*contract.axes, *term.bound)}
    placed = [factor for factor in term.factors if is_placed(factor, indices)]
    references = tuple(factor for factor in placed if isinstance(factor, Ref))
    conditions = tuple(factor for factor in placed if isinstance(factor, Delta | Within))
    if len(references) + len(conditions) < len(placed) or sum(ref.copy is Copy.OWN for ref in references) > 1:
        return None
    candidates = [
        index
        for index in (*contract.axes, *term.bound)
        if not any(index.symbol in symbols_of(condition) for condition in conditions)
        and all(_is_regular(context, ref, index) for ref in references)
    ]
    if not candidates or not references:
        return None
    inner = max(candidates, key=lambda index: _score(contract, references, index.symbol))
    return DenseTerm(term, references, conditions, inner)


def _shape(context: Context, ref: Ref) -> tuple[AxisIndex, ...]:
    return (context.shapes if ref.copy is Copy.OWN else context.side_shapes)[ref.name]


def _is_regular(context: Context, ref: Ref, index: AxisIndex) -> bool:
    """Tell whether an index stands in the places of a reference as it is, if at all."""
    for place, axis in zip(ref.places, _shape(context, ref), strict=True):
        if index.symbol in symbols_of_place(place):
            if place.plain is None or (context.ir.axes[axis.axis].circular and axis.axis != index.axis):
                return False
    return True


def _score(contract: Contract, references: tuple[Ref, ...], symbol: str) -> int:
    """Return how many arrays are contiguous along an index, less the number of those that are not."""
    shapes = [tuple(place.plain for place in ref.places) for ref in references]
    shapes.append(tuple(index.symbol for index in contract.axes))
    return sum(1 if shape[-1] == symbol and symbol not in shape[:-1] else -1 for shape in shapes if symbol in shape)


def write_dense(context: Context, contract: Contract, found: DenseTerm, factor: str, *, keep: str) -> None:
    """Write a term: `keep` is 1 if it is added to what the target holds, 0 if it is all."""
    _Loops(context, contract, found).write(factor, keep)


@dataclass(slots=True)
class _Loops:
    context: Context
    contract: Contract
    found: DenseTerm

    def write(self, factor: str, keep: str) -> None:
        """Write the whole sum."""
        context, name = self.context, self.contract.name
        accesses = [self._access(ref) for ref in self.found.references]
        target = self._own(name, tuple(Place(0, ((index.symbol, 1),)) for index in self.contract.axes))
        context.line(f"{context.helper('fill')}(work, {target.start}, {self._size(target)}, 0.0)")
        self._write_loops(target, accesses)
        table = context.number(DenseMap(name), f"{name}_dense")
        count = context.number(EntryCount(name), f"{name}_count")
        out = context.own(name, self.contract.indices)
        arguments = f"work, tables, {table}, {target.start}, {out}, {count}, {factor}, {keep}"
        context.line(f"{context.helper('collect')}({arguments})")

    def _access(self, ref: Ref) -> _Access:
        context = self.context
        if ref.copy is Copy.OWN:
            access = self._own(ref.name, ref.places)
            table = context.number(DenseMap(ref.name), f"{ref.name}_dense")
            count = context.number(EntryCount(ref.name), f"{ref.name}_count")
            context.line(f"{context.helper('fill')}(work, {access.start}, {self._size(access)}, 0.0)")
            start = context.own(ref.name, ref.indices)
            context.line(f"{context.helper('scatter')}(work, tables, {table}, {start}, {access.start}, {count})")
            return access
        context.number(SideDense(ref.copy, ref.name), "dense")
        start = context.fresh(f"{ref.name}_from")
        context.line(f"{start} = {context.side(ref.copy, ref.name, ref.indices)}")
        starts = tuple(SideStart(ref.copy, ref.name, dimension) for dimension in range(len(ref.places)))
        extents = tuple(SideExtent(ref.copy, ref.name, dimension) for dimension in range(len(ref.places)))
        return _Access(context.row_of(ref.copy), start, ref.places, starts, extents, context.side_shapes[ref.name])

    def _own(self, name: str, places: tuple[Place, ...]) -> _Access:
        extents = tuple(RangeExtent(name, dimension) for dimension in range(len(places)))
        starts = tuple(RangeStart(name, dimension) for dimension in range(len(places)))
        return _Access("work", self.context.scratch(extents), places, starts, extents, self.context.shapes[name])

    def _size(self, access: _Access) -> str:
        return self._product(access.extents)

    def _product(self, factors: tuple[Request, ...]) -> str:
        return " * ".join(self.context.number(factor, "extent") for factor in factors) or "1"

    def _write_loops(self, target: _Access, accesses: list[_Access]) -> None:
        context, inner = self.context, self.found.inner
        indices = [index for index in (*self.contract.axes, *self.found.term.bound) if index != inner]
        values = {index.symbol: context.symbol(index.symbol) for index in indices}
        with ExitStack() as blocks:
            for index in indices:
                blocks.enter_context(context.block(f"for {values[index.symbol]} in {context.range_of(index)}:"))
            if self.found.conditions:
                texts = [write_condition(context, condition, values) for condition in self.found.conditions]
                blocks.enter_context(context.block(f"if {' and '.join(texts)}:"))
            first, last = context.fresh("first"), context.fresh("last")
            context.line(f"{first} = {context.start_of(inner)}")
            context.line(f"{last} = {first} + {context.extent_of(inner)}")
            entries = [self._entry(access, values, first, last, blocks) for access in (target, *accesses)]
            with context.block(f"if {last} > {first}:"):
                self._write_inner([target, *accesses], entries, f"{last} - {first}")

    def _entry(self, access: _Access, values: dict[str, str], first: str, last: str, blocks: ExitStack) -> str:
        """Write where a run over the inner index starts in an array, leaving out what is out of range."""
        context, inner = self.context, self.found.inner.symbol
        terms = [access.start]
        guards: list[str] = []
        for dimension, place in enumerate(access.places):
            start = context.number(access.starts[dimension], "start")
            extent = context.number(access.extents[dimension], "extent")
            stride = self._stride(access, dimension)
            axis = access.axes[dimension].axis
            if place.plain == inner:
                context.line(f"{first} = max({first}, {start})")
                context.line(f"{last} = min({last}, {start} + {extent})")
                text = f"{first} - {start}"
            else:
                text = context.place(place, values)
                if context.ir.axes[axis].circular:
                    text = f"({text} - {start}) % {extent}"
                elif not self._is_inside(place, access.axes[dimension]):
                    guards.append(f"{start} <= {text} < {start} + {extent}")
                    text = f"{text} - {start}"
                else:
                    text = f"{text} - {start}"
            terms.append(text if stride == "1" else f"({text}) * {stride}")
        if guards:
            blocks.enter_context(context.block(f"if {' and '.join(guards)}:"))
        return " + ".join(terms)

    def _is_inside(self, place: Place, dimension: AxisIndex) -> bool:
        """Tell whether a place is in range because its index runs over the axis itself."""
        for index in (*self.contract.axes, *self.found.term.bound):
            if place.plain == index.symbol:
                return index.axis == dimension.axis and (dimension.copy is Copy.OWN or index.copy is dimension.copy)
        return False

    def _stride(self, access: _Access, dimension: int) -> str:
        return self._product(access.extents[dimension + 1 :])

    def _step(self, access: _Access) -> str | None:
        """Return how far apart the entries of a run are, None if it has one only."""
        strides = [
            self._stride(access, dimension)
            for dimension, place in enumerate(access.places)
            if place.plain == self.found.inner.symbol
        ]
        return " + ".join(strides) or None

    def _write_inner(self, accesses: list[_Access], entries: list[str], count: str) -> None:
        context = self.context
        names = [context.fresh("at") for _ in accesses]
        for name, entry in zip(names, entries, strict=True):
            context.line(f"{name} = {entry}")
        steps = [self._step(access) for access in accesses]
        alone = [f"{access.memory}[{name}]" for access, name, step in _rows(accesses, names, steps) if step is None]
        runs = [row for row in _rows(accesses, names, steps) if row[2] is not None]
        scale = " * ".join(alone) or "1.0"
        if steps[0] is None and 1 <= len(runs) <= 2:
            pair = runs if len(runs) == 2 else [*runs, *runs]
            arguments = ", ".join(f"{access.memory}, {name}, {step}" for access, name, step in pair)
            helper = context.helper("dot" if len(runs) == 2 else "total")
            context.line(
                f"work[{names[0]}] += {scale} * {helper}({arguments if len(runs) == 2 else _one(runs)}, {count})"
            )
            return
        texts = [self._run(access, name, step, count) for access, name, step in runs]
        where = f"work[{names[0]}]" if steps[0] is None else self._run(accesses[0], names[0], steps[0], count)
        with context.block(f"for m in range({count}):"):
            context.line(f"{where} += {' * '.join([scale, *texts])}")

    def _run(self, access: _Access, name: str, step: str | None, count: str) -> str:
        """Return the entry number m of a run; one of neighbours is a slice, over which loops vectorize."""
        if step != "1":
            return f"{access.memory}[{name} + m * ({step})]"
        run = self.context.fresh("run")
        self.context.line(f"{run} = {access.memory}[{name} : {name} + {count}]")
        return f"{run}[m]"


Row = tuple[_Access, str, str | None]


def _rows(accesses: list[_Access], names: list[str], steps: list[str | None]) -> list[Row]:
    """Return the arrays that are read, with where they are read and with what step."""
    return list(zip(accesses[1:], names[1:], steps[1:], strict=True))


def _one(runs: list[Row]) -> str:
    ((access, name, step),) = runs
    return f"{access.memory}, {name}, {step}"
