"""Recurrences along axes: the steps of both copies in lexicographic order, all definitions at each."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from tensorprog.codegen.arrays.context import Context
from tensorprog.codegen.arrays.general import Reader, write_entries
from tensorprog.codegen.arrays.requests import ComponentTable
from tensorprog.kernel.ir import AxisIndex, Copy, Definition, Place, Sweep

__all__ = ["write_sweep"]


def write_sweep(context: Context, sweep: Sweep) -> None:
    """Write a recurrence."""
    _Steps(context, sweep).write()


@dataclass(slots=True)
class _Steps:
    context: Context
    sweep: Sweep

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """What is computed at every step, in order."""
        return tuple(definition for group in self.sweep.groups for definition in group)

    def write(self) -> None:
        """Write the loops over the steps."""
        context = self.context
        for alike in _by_axes(self.definitions):
            context.groups.append(tuple(definition.name for definition in alike))
        with ExitStack() as blocks:
            if self.sweep.left is not None:
                blocks.enter_context(self._loop(self.sweep.left))
            if self.sweep.right is not None:
                blocks.enter_context(self._right_loop(self.sweep.right))
            for alike in _runs(self.definitions):
                self._write_alike(alike)

    def _loop(self, index: AxisIndex):  # type: ignore[no-untyped-def]
        return self.context.block(f"for {self.context.symbol(index.symbol)} in {self.context.range_of(index)}:")

    def _right_loop(self, right: AxisIndex):  # type: ignore[no-untyped-def]
        """Return the loop over the steps of the right copy: only those that the one band of all holds."""
        context, left = self.context, self.sweep.left
        shapes = {definition.axes for definition in self.definitions}
        if left is None or len(shapes) > 1:
            return self._loop(right)
        component = self._component(self.definitions[0])
        if component is None or len(context.components(self.definitions[0].name)[component]) < 2:
            return self._loop(right)
        table = context.number(ComponentTable(self.definitions[0].name, component), "band")
        first, last = context.fresh("first"), context.fresh("last")
        start, extent, t = context.start_of(right), context.extent_of(right), context.symbol(left.symbol)
        context.line(f"{first} = max({start}, {t} + tables[{table} + 4])")
        context.line(f"{last} = min({start} + {extent} - 1, {t} + tables[{table} + 5])")
        return context.block(f"for {context.symbol(right.symbol)} in range({first}, {last} + 1):")

    def _component(self, definition: Definition) -> int | None:
        """Return the component of the steps, if it is one."""
        steps = self._steps()
        for component, dimensions in enumerate(self.context.components(definition.name)):
            if {definition.axes[dimension].symbol for dimension in dimensions} == steps:
                return component
        return None

    def _steps(self) -> set[str]:
        return {index.symbol for index in (self.sweep.left, self.sweep.right) if index is not None}

    def _write_alike(self, alike: list[Definition]) -> None:
        """Write definitions over the same axes: they have the same entries."""
        plain = self._plain_beside_steps(alike[0])
        for part in [[definition] for definition in alike] if plain else [alike]:
            with ExitStack() as blocks:
                for index in plain:
                    blocks.enter_context(self._loop(index))
                self._write_at(part)

    def _plain_beside_steps(self, definition: Definition) -> list[AxisIndex]:
        """Return the indices that are no steps, but stand in one component with a step."""
        steps, axes = self._steps(), definition.axes
        found = [[axes[place] for place in dimensions] for dimensions in self.context.components(definition.name)]
        shared = [indices for indices in found if {index.symbol for index in indices} & steps]
        return [index for indices in shared for index in indices if index.symbol not in steps]

    def _write_at(self, alike: list[Definition]) -> None:
        """Write definitions over the same axes where all indices that stand with a step have their values."""
        context, first = self.context, alike[0]
        steps = self._steps()
        reader = Reader(context, {index.symbol: index for index in first.axes})
        rows = {
            component: reader.row(
                first.name, component, tuple(_plain(first.axes[dimension].symbol) for dimension in dimensions)
            )
            for component, dimensions in enumerate(context.components(first.name))
            if {first.axes[dimension].symbol for dimension in dimensions} & steps
        }
        with context.block(f"if {' and '.join(f'{row} >= 0' for row in rows.values()) or 'True'}:"):
            for definition in alike:
                if set(rows) == set(range(len(context.components(definition.name)))):
                    self._write_entry(definition, rows, reader)
                else:
                    write_entries(context, definition, rows)

    def _write_entry(self, definition: Definition, rows: dict[int, str], reader: Reader) -> None:
        """Write a definition that is one number at a step; later ones read it from a variable."""
        context = self.context
        write_entries(context, definition, rows, reader)
        value = context.fresh(definition.name)
        entry = next(iter(rows.values())) if len(rows) == 1 else None
        if entry is not None:
            context.line(f"{value} = work[{context.own(definition.name, definition.indices)} + {entry}]")
            places = tuple(_plain(index.symbol) for index in definition.axes)
            reader.known[definition.name, (definition.indices, Copy.OWN), places] = value


def _plain(symbol: str) -> Place:
    return Place(0, ((symbol, 1),))


def _by_axes(definitions: tuple[Definition, ...]) -> list[list[Definition]]:
    """Return the definitions by their axes."""
    found: dict[tuple[AxisIndex, ...], list[Definition]] = {}
    for definition in definitions:
        found.setdefault(definition.axes, []).append(definition)
    return list(found.values())


def _runs(definitions: tuple[Definition, ...]) -> list[list[Definition]]:
    """Return the definitions in order, neighbours over the same axes together."""
    found: list[list[Definition]] = []
    for definition in definitions:
        if found and found[-1][0].axes == definition.axes:
            found[-1].append(definition)
        else:
            found.append([definition])
    return found
