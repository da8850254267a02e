"""Shifted results: φ(h[i + k]) as the shifted read of φ(h), where the two are the same.

Beyond the axis a read is zero, so they are the same if φ(0) = 0, or if the read stays on the axis. A window then costs
one expectation per position of h and not one per position and offset. The program computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tensorprog.core.ir import Core, Gather, Instruction, Map
from tensorprog.limit.rewriting import Rewriting, rewrite
from tensorprog.limit.variables import Variables
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Position, walk

__all__ = ["shift_results"]


def shift_results(core: Core) -> Core:
    """Return an equivalent program in which functions are applied before their arguments are shifted."""
    made: dict[tuple[Expr, str], str] = {}  # variables by function and argument

    def changed(instruction: Instruction, state: Rewriting) -> Iterator[Instruction] | None:
        if not isinstance(instruction, Map) or (read := _shifted(instruction, state.variables)) is None:
            return None
        return _shift(instruction, read, state, made)

    return rewrite(core, changed)


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


def _shift(
    instruction: Map, read: Gather, state: Rewriting, made: dict[tuple[Expr, str], str]
) -> Iterator[Instruction]:
    key = instruction.expression, read.source
    if key not in made:
        made[key] = name = state.fresh(instruction.target, read.source)
        yield Map(name, instruction.expression, (read.source,), span=instruction.span)
    yield replace(read, target=instruction.target, source=made[key], span=instruction.span)
