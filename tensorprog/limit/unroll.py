"""Recurrences written out: one variable per position of an axis, and one set of instructions per step.

A gate multiplied into a state that the same matrices made before does not close on second moments, as a recurrence. Its
steps, written down one after another, are a program without recurrence that computes the same:

    scan t { h[t] = z[t] * h[t - 1] + g[t] }  over t = 0, 1, 2   →   h[0] = g[0] ; h[1] = z[1] * h[0] + g[1] ; …

An axis must have a fixed extent for that, and so must every axis along which a variable over it is read, as o in
`h[t + o]`. Inputs and parameters keep their axes and are read at fixed positions; outputs keep theirs and are put
together from their positions. Reads beyond an axis, and states before the first step, are zero and drop out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from tensorprog.core.dependence import find_scopes, prune
from tensorprog.core.ir import Carry, Core, Gather, Instruction, Map, Output, Scan, Scatter, walk
from tensorprog.errors import Diagnostic, LimitError
from tensorprog.limit.extents import FEWER, find_positions, needs_extents, sizes_of_axes
from tensorprog.limit.written import Where, Written, fold, shared_scans, unmoved
from tensorprog.limit.written_at import GATED, MOST_POSITIONS, make_zero, refuse_size, value_at
from tensorprog.nonlin.expression import ZERO, Expr, Operand, apply

__all__ = ["GATED", "gated_axes", "unroll"]


def gated_axes(core: Core, error: LimitError) -> frozenset[str]:
    """Return the axes of the recurrences that were refused because of their gates.

    Raises:
        NeedsExtents: the data bind the extent of one.
        LimitError: one has too many positions.
    """
    gates = [finding for finding in error.diagnostics if finding.code == GATED]
    places = {finding.span for finding in gates}
    scans = (instruction for instruction in walk(core.body) if isinstance(instruction, Scan))
    axes = {scan.axis for scan in scans if any(inner.span in places for inner in walk(scan.body))}
    names = sizes_of_axes(axes, core)
    if names:
        raise needs_extents(GATED, gates[0].message, gates[0].span, names)
    for axis in axes:
        _positions(core, axis)
    return frozenset(axes)


def unroll(core: Core, axes: frozenset[str]) -> Core:
    """Return an equivalent program without variables over `axes`, outputs excepted.

    Raises:
        NeedsExtents: an axis or an index that comes with them has a size that the data bind.
        LimitError: an axis has too many positions.
    """
    if not axes:
        return core
    written = Written(core, _closed(core, axes))
    _block(core.body, {}, written)
    outputs = tuple(_output(output, written) for output in core.outputs)
    body = prune((*written.reads, *written.body), [output.source for output in outputs])
    made = {name for instruction in walk(body) for name in _defined(instruction)}
    types = {name: kind for name, kind in written.types.items() if name in made or name in written.inputs}
    return replace(core, body=body, types=types, outputs=outputs)


def _positions(core: Core, axis: str) -> range:
    """Return the positions of an axis that is written out."""
    positions, span = find_positions(axis, core), core.axes[axis].span
    if positions is None:
        raise refuse_size(f"the data bind the extent of `{axis}`", span, sizes_of_axes([axis], core))
    if len(positions) > MOST_POSITIONS:
        what = f"axis `{axis}` has {len(positions)} positions"
        message = f"a recurrence with gates is written out step by step, and {what}: more than {MOST_POSITIONS}"
        raise LimitError(Diagnostic(GATED, message, span, FEWER))
    return positions


def _closed(core: Core, axes: frozenset[str]) -> dict[str, range]:
    """Return `axes`, and those along which variables over them are read, with their positions."""
    inputs = {entry.name for entry in core.inputs}
    reads = [read for read in walk(core.body) if isinstance(read, Gather) and read.source not in inputs]
    path = find_scopes(core.body).path
    known, size = set(axes), 0
    while size < len(known):
        size = len(known)
        for read in reads:
            seen = core.types[read.source].axes[shared_scans(path, read.target, read.source) :]
            indices = zip(seen, read.indices, strict=True)
            known |= {name for axis, index in indices if axis in known for name, _ in index.terms}
    return {axis: _positions(core, axis) for axis in core.axes if axis in known}


def _block(body: tuple[Instruction, ...], where: Where, written: Written) -> None:
    for instruction in body:
        if isinstance(instruction, Scan) and instruction.axis in written.axes:
            _steps(instruction, where, written)
        elif isinstance(instruction, Scan):
            _keep(instruction, where, written)
        else:
            for here in written.places(instruction.target, where):
                written.set(instruction.target, here, value_at(instruction, here, written))


def _steps(scan: Scan, where: Where, written: Written) -> None:
    """Write the steps of a recurrence one after another."""
    positions, before = written.axes[scan.axis], None
    for step in reversed(positions) if scan.reverse else positions:
        here = {**where, scan.axis: step}
        for carry in scan.carries:
            for inner in written.places(carry.target, here):
                written.set(carry.target, inner, _carried(carry, scan.axis, before, inner, written))
        _block(scan.body, here, written)
        before = step


def _carried(carry: Carry, axis: str, before: int | None, here: Where, written: Written) -> str | None:
    """Return a state before a step."""
    if before is not None:
        return written.read(carry.source, {**here, axis: before})
    return written.read(carry.initial, here) if carry.initial is not None else None


def _keep(scan: Scan, where: Where, written: Written) -> None:
    """Keep a recurrence along another axis, with one state per position."""
    states = [(carry, here) for carry in scan.carries for here in written.places(carry.target, where)]
    for carry, here in states:
        written.set(carry.target, here, written.declare(carry.target, here))
    outer = written.enter()
    _block(scan.body, where, written)
    carries = tuple(_state(carry, here, written) for carry, here in states)
    body = written.leave(outer)
    written.body.append(replace(scan, body=body, carries=carries))


def _state(carry: Carry, here: Where, written: Written) -> Carry:
    target, source = written.read(carry.target, here), written.read(carry.source, here)
    assert target is not None
    if source is None:
        source = make_zero(carry.source, here, carry.span, written)
    initial = None if carry.initial is None else written.read(carry.initial, here)
    return replace(carry, target=target, source=source, initial=initial)


def _output(output: Output, written: Written) -> Output:
    """Return an output put together from its positions, each of which stands at its own and is zero elsewhere."""
    kind = written.core.types[output.source]
    parts: list[str] = []
    for here in written.places(output.source, {}):
        value = written.read(output.source, here)
        if value is not None and kind.axes == written.types[value].axes:
            return replace(output, source=value)
        if value is not None:
            indices = tuple(fold(unmoved(axis), here) for axis in kind.axes)
            parts.append(written.part(output.source, here, kind))
            written.body.append(Scatter(parts[-1], value, indices, kind.axes, span=output.span))
    terms: list[Expr] = [Operand(k) for k in range(len(parts))] or [ZERO]
    total = reduce(lambda left, right: apply("add", left, right), terms)
    name = written.new(output.source, kind)
    written.body.append(Map(name, total, tuple(parts), span=output.span))
    return replace(output, source=name)


def _defined(instruction: Instruction) -> tuple[str, ...]:
    if isinstance(instruction, Scan):
        return tuple(carry.target for carry in instruction.carries)
    return (instruction.target,)
