"""Shifted results: φ(h[i + k]) as the shifted read of φ(h), where the two are the same.

Beyond the axis a read is zero, so they are the same if φ(0) = 0, or if the read stays on the axis. A window then costs
one expectation per position of h and not one per position and offset. The program computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from tensorprog.core.ir import Core, Gather, Instruction, Map, Scan, Type
from tensorprog.limit.facts import name_part
from tensorprog.limit.variables import Variables
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Position, walk

__all__ = ["shift_results"]


@dataclass
class _Pass:
    """What the pass knows and what it has made: variables by function and argument."""

    variables: Variables
    types: dict[str, Type] = field(default_factory=dict)
    made: dict[tuple[Expr, str], str] = field(default_factory=dict)


def shift_results(core: Core) -> Core:
    """Return an equivalent program in which functions are applied before their arguments are shifted."""
    state = _Pass(Variables(core))
    body = tuple(_rewrite_block(core.body, state))
    return replace(core, body=body, types={**core.types, **state.types}) if state.types else core


def _rewrite_block(body: tuple[Instruction, ...], state: _Pass) -> Iterator[Instruction]:
    for instruction in body:
        if isinstance(instruction, Scan):
            yield replace(instruction, body=tuple(_rewrite_block(instruction.body, state)))
        elif isinstance(instruction, Map) and (read := _shifted(instruction, state.variables)) is not None:
            yield from _shift(instruction, read, state)
        else:
            yield instruction


def _shifted(instruction: Map, variables: Variables) -> Gather | None:
    """Return the read that a function of one variable shifts, if it takes more positions than the variable has."""
    if len(instruction.operands) != 1 or variables.affine(instruction.target) is not None:
        return None
    read = variables.definitions.get(instruction.operands[0])
    if not isinstance(read, Gather) or not variables.is_random(read.source) or not variables.is_vector(read.source):
        return None
    if variables.loops.get(read.source) is not variables.loops.get(instruction.target):
        return None
    if variables.scans.get(read.source) is not variables.scans.get(instruction.target):
        return None
    if len(variables.axes(instruction.target)) <= len(variables.axes(read.source)):
        return None
    return read if _keeps_zero(instruction.expression, variables) or _stays(read, variables) else None


def _keeps_zero(function: Expr, variables: Variables) -> bool:
    """Return whether φ(0) = 0, at every position."""
    if any(isinstance(node, Position) for node in walk(function)):
        return False
    try:
        return bool(evaluate(function, (0.0,), variables.core.symbols) == 0)
    except (KeyError, ZeroDivisionError):
        return False


def _stays(read: Gather, variables: Variables) -> bool:
    """Return whether a read stays on the axes of its source, or wraps round."""
    values = variables.values(variables.own(read.target))
    axes = variables.axes(read.source)[-len(read.indices) :]
    places = (variables.places.place(index, values) for index in read.indices)
    circular = (variables.core.axes[axis].circular for axis in axes)
    return all(
        wraps or variables.places.is_inside(place, axis)
        for wraps, place, axis in zip(circular, places, axes, strict=True)
    )


def _shift(instruction: Map, read: Gather, state: _Pass) -> Iterator[Instruction]:
    key = instruction.expression, read.source
    if key not in state.made:
        known = {**state.variables.core.types, **state.types}
        state.made[key] = name = name_part(instruction.target, known)
        state.types[name] = known[read.source]
        yield Map(name, instruction.expression, (read.source,), span=instruction.span)
    yield replace(read, target=instruction.target, source=state.made[key], span=instruction.span)
