"""Sums whose index maps act on each component alone: windows, strides, pooling, traces, by sparse matrices.

Σ over bound indices of one array at affine places, if every index concerns one component of the target or of the
source only, is the product of the array with a matrix of zeros and small integers in each component. So a window of
k × k costs 2 k sums per entry. What runs along a row of the last component is contiguous.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tensorprog.codegen.arrays.context import Context
from tensorprog.codegen.arrays.requests import (
    IsBroken,
    IsIdentity,
    Mode,
    PaddedRow,
    Request,
    RowCount,
    Segments,
    Taps,
    Volume,
    Weights,
)
from tensorprog.codegen.arrays.shapes import is_placed, symbols_of, symbols_of_place
from tensorprog.kernel.ir import Contract, Contraction, Copy, Delta, Place, Ref, Within

__all__ = ["ModeTerm", "find_modes", "write_modes"]


@dataclass(frozen=True, slots=True)
class ModeTerm:
    """A term as a product of modes with `source` (with the number 1 if it is None), in the order of the components."""

    source: Ref | None
    modes: tuple[Mode, ...]


def find_modes(context: Context, contract: Contract, term: Contraction, dynamic: frozenset[str]) -> ModeTerm | None:
    """Return a term as a product of modes, None if it is none; `dynamic` are axes that may be long."""
    indices = {index.symbol for index in (*contract.axes, *term.bound)}
    placed = [factor for factor in term.factors if is_placed(factor, indices)]
    arrays = [factor for factor in placed if isinstance(factor, Ref)]
    conditions = [factor for factor in placed if isinstance(factor, Delta | Within)]
    if len(arrays) > 1 or len(arrays) + len(conditions) < len(placed):
        return None
    if any(array.copy is not Copy.OWN for array in arrays):
        return None
    clusters = _Clusters(context, contract, term, arrays[0] if arrays else None, conditions)
    modes = tuple(clusters.modes())
    if not modes or not clusters.is_separable(modes):
        return None
    if any(mode.target is not None and _is_long(mode, dynamic) for mode in modes):
        return None
    return ModeTerm(arrays[0] if arrays else None, modes)


def _is_long(mode: Mode, dynamic: frozenset[str]) -> bool:
    """Tell whether every row of the target sums over a long axis."""
    return any(index.axis in dynamic for index in mode.bound)


@dataclass(slots=True)
class _Clusters:
    context: Context
    contract: Contract
    term: Contraction
    source: Ref | None
    conditions: list[Delta | Within]

    def modes(self) -> Iterator[Mode]:
        """Yield the modes in the order of the target's components, before each the ones without target."""
        sources = self.context.components(self.source.name) if self.source is not None else ()
        pending = list(range(len(sources)))
        for number, dimensions in enumerate(self.context.components(self.contract.name)):
            symbols = {self.contract.axes[dimension].symbol for dimension in dimensions}
            for component in tuple(pending):
                touched = self._touched(component)
                if touched & symbols:
                    pending.remove(component)
                    yield self._mode(number, dimensions, component)
                    break
                if touched & self._target_symbols():
                    yield self._mode(number, dimensions, None)
                    break
                pending.remove(component)
                yield self._mode(None, (), component)
            else:
                yield self._mode(number, dimensions, None)
        for component in pending:
            yield self._mode(None, (), component)

    def _target_symbols(self) -> frozenset[str]:
        return frozenset(index.symbol for index in self.contract.axes)

    def _touched(self, component: int) -> frozenset[str]:
        """Return the names in the places of a component of the source."""
        if self.source is None:
            return frozenset()
        dimensions = self.context.components(self.source.name)[component]
        return frozenset(name for dimension in dimensions for name in symbols_of_place(self.source.places[dimension]))

    def _mode(self, target: int | None, dimensions: tuple[int, ...], source: int | None) -> Mode:
        symbols = tuple(self.contract.axes[dimension].symbol for dimension in dimensions)
        places: tuple[Place, ...] = ()
        if source is not None and self.source is not None:
            places = tuple(
                self.source.places[dimension] for dimension in self.context.components(self.source.name)[source]
            )
        names = {*symbols, *(name for place in places for name in symbols_of_place(place))} & self._known()
        conditions = tuple(condition for condition in self.conditions if symbols_of(condition) & names)
        names.update(name for condition in conditions for name in symbols_of(condition))
        bound = tuple(index for index in self.term.bound if index.symbol in names)
        return Mode(
            None if target is None else (self.contract.name, target),
            symbols,
            None if source is None or self.source is None else (self.source.name, source),
            places,
            bound,
            conditions,
        )

    def is_separable(self, modes: tuple[Mode, ...]) -> bool:
        """Tell whether every index, condition and component belongs to one mode exactly."""
        owners: dict[str, int] = {}
        for number, mode in enumerate(modes):
            for name in self._names(mode):
                if owners.setdefault(name, number) != number:
                    return False
        if any(index.symbol not in owners for index in self.term.bound):
            return False
        if sum(len(mode.conditions) for mode in modes) != len(self.conditions):
            return False
        targets = [mode.target for mode in modes if mode.target is not None]
        wanted = len(self.context.components(self.contract.name))
        sources = [mode.source for mode in modes if mode.source is not None]
        found = 0 if self.source is None else len(self.context.components(self.source.name))
        return len(targets) == wanted and len(sources) == found

    def _known(self) -> frozenset[str]:
        """Return all indices: other names in places are sizes."""
        return self._target_symbols() | {index.symbol for index in self.term.bound}

    def _names(self, mode: Mode) -> frozenset[str]:
        places = {name for place in mode.places for name in symbols_of_place(place)}
        conditions = {name for condition in mode.conditions for name in symbols_of(condition)}
        return frozenset((places | conditions | set(mode.symbols)) & self._known())


def write_modes(context: Context, contract: Contract, found: ModeTerm, factor: str, *, keep: str) -> None:
    """Write a term: `keep` is 1 if it is added to what the target holds, 0 if it is all."""
    _Passes(context, contract, found, factor, keep).write()


@dataclass(slots=True)
class _Passes:
    context: Context
    contract: Contract
    found: ModeTerm
    factor: str
    keep: str

    def write(self) -> None:
        """Write one pass per mode."""
        context = self.context
        order = sorted(range(len(self.found.modes)), key=self._cost)
        dims: list[tuple[str, int] | None] = [mode.source for mode in self.found.modes]
        start = context.fresh("source")
        if self.found.source is None:
            one = context.scratch(())
            context.line(f"work[{one}] = 1.0")
            context.line(f"{start} = {one}")
        else:
            context.line(f"{start} = {context.own(self.found.source.name, self.found.source.indices)}")
        for turn, number in enumerate(order):
            mode = self.found.modes[number]
            outer, inner = _volume(dims[:number]), _volume(dims[number + 1 :])
            dims[number] = mode.target
            if turn == len(order) - 1:
                target = context.own(self.contract.name, self.contract.indices)
                self._pass(mode, start, target, outer, inner, self.factor, self.keep)
                return
            scratch = context.scratch(_volume(dims))
            if _may_be_identity(mode):
                with context.block(f"if {context.number(IsIdentity(mode), 'identity')} == 0:"):
                    self._pass(mode, start, scratch, outer, inner, "1.0", "0")
                    context.line(f"{start} = {scratch}")
            else:
                self._pass(mode, start, scratch, outer, inner, "1.0", "0")
                context.line(f"{start} = {scratch}")

    def _cost(self, number: int) -> tuple[int, int]:
        """Return a key: first what may be nothing, then what makes arrays smaller, last what makes them larger."""
        mode = self.found.modes[number]
        if _may_be_identity(mode):
            return 0, -number
        if mode.target is None:
            return 1, -number
        return (3 if mode.source is None else 2), -number

    def _pass(self, mode: Mode, source: str, target: str, outer: Volume, inner: Volume, factor: str, keep: str) -> None:
        context = self.context
        before, after = self._count(outer), self._count(inner)
        rows = [self._count(_volume([part])) for part in (mode.source, mode.target)]
        if mode.target is None:
            name, request, sizes = "reduce_rows", Weights(mode), f"{before}, {rows[0]}, {after}"
        elif mode.source is None:
            name, request, sizes = "expand_rows", Weights(mode), f"{before}, {rows[1]}, {after}"
        else:
            self._combine(mode, source, target, (before, *rows, after), factor, keep)
            return
        arguments = f"work, tables, {self._table(request)}, {source}, {target}, {sizes}, {factor}, {keep}"
        context.line(f"{context.helper(name)}({arguments})")

    def _combine(self, mode: Mode, source: str, target: str, sizes: tuple[str, ...], factor: str, keep: str) -> None:
        """Write the pass of a matrix from rows to rows; where rows are single entries there are two ways."""
        context = self.context
        rest = f"{source}, {target}, {', '.join(sizes)}, {factor}, {keep}"
        rows = f"{context.helper('combine_rows')}(work, tables, {self._table(Segments(mode))}, {rest})"
        if sizes[-1] != "1":
            context.line(rows)
            return
        assert mode.source is not None
        scratch = context.scratch((PaddedRow(*mode.source),))
        rest = f"{source}, {target}, {', '.join(sizes[:-1])}, {factor}, {keep}, {scratch}"
        with context.block(f"if {context.number(IsBroken(mode), 'broken')} == 1:"):
            context.line(f"{context.helper('combine_entries')}(work, tables, {self._table(Taps(mode))}, {rest})")
        with context.block("else:"):
            context.line(rows)

    def _table(self, request: Request) -> str:
        return self.context.number(request, "mode")

    def _count(self, volume: Volume) -> str:
        return " * ".join(self.context.number(factor, "rows") for factor in volume) or "1"


def _may_be_identity(mode: Mode) -> bool:
    """Tell whether a mode may change nothing."""
    plain = tuple(place.plain for place in mode.places)
    return mode.target is not None and plain == mode.symbols and not mode.bound and not mode.conditions


def _volume(dims: list[tuple[str, int] | None]) -> Volume:
    return tuple(RowCount(*part) for part in dims if part is not None)
