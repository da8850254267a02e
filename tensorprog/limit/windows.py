"""Maxima over windows as maps: the largest of vectors at the positions of an axis of fixed extent.

    max(u₁, …, u_k) = u_k + relu(d_{k−1} + relu(d_{k−2} + … relu(d₁))),   d_j = u_j − u_{j+1}

is a function of the k − 1 differences beside a linear term, so that the maximum of two Gaussians has closed forms and
that of k takes integrals over k − 1 differences. A function that does not decrease is taken after the maximum. The
program computes the same, and its gradient goes to the largest, too (ties have probability zero).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from tensorprog.core.ir import Affine, Core, Gather, Instruction, Map, Max
from tensorprog.limit.extents import find_positions
from tensorprog.limit.rewriting import Rewriting, rewrite
from tensorprog.limit.variables import Variables
from tensorprog.nonlin.expression import ONE, ZERO, Apply, Expr, Number, Operand, apply

__all__ = ["LARGEST_WINDOW", "write_out_maxima"]

LARGEST_WINDOW = 16
"""A maximum of more variables is not written out."""

_NONDECREASING = frozenset({"relu", "step", "sign", "tanh", "erf", "Phi", "sigmoid", "softplus", "elu", "exp"})
_ZERO_AT_ZERO = frozenset({"relu", "tanh", "erf", "elu"})


def write_out_maxima(core: Core) -> Core:
    """Return an equivalent program without maxima of random vectors over axes of fixed extent."""
    return rewrite(core, _changed)


def _changed(instruction: Instruction, state: Rewriting) -> Iterator[Instruction] | None:
    if not isinstance(instruction, Max) or not _is_window(instruction, state.variables):
        return None
    return _write_out(instruction, state)


def _is_window(instruction: Max, variables: Variables) -> bool:
    """Return whether an instruction is the maximum of finitely many random vectors, their number known."""
    if not variables.is_random(instruction.target) or not variables.is_vector(instruction.target):
        return False
    count = 1
    for axis in instruction.axes:
        positions = find_positions(axis, variables.core)
        count *= LARGEST_WINDOW + 1 if positions is None else len(positions)
    return 1 <= count <= LARGEST_WINDOW


def _write_out(instruction: Max, state: Rewriting) -> Iterator[Instruction]:
    span, target = instruction.span, instruction.target
    outer, made, operand = _under_function(instruction, state)
    yield from made
    known = state.known
    axes = tuple(axis for axis in known[operand].axes if axis not in _enclosing(target, state.variables))
    kept = tuple(axis for axis in axes if axis not in instruction.axes)
    parts: list[str] = []
    for place in itertools.product(*(find_positions(axis, state.variables.core) or () for axis in instruction.axes)):
        at = {axis: Affine(Number(position)) for axis, position in zip(instruction.axes, place, strict=True)}
        indices = tuple(at.get(axis) or Affine(ZERO, ((axis, ONE),)) for axis in axes)
        parts.append(state.fresh(target, target))
        yield Gather(parts[-1], operand, indices, kept, span=span)
    if _is_gaussian(operand, made, state.variables):
        differences = [state.fresh(target, target) for _ in parts[1:]]
        for name, pair in zip(differences, itertools.pairwise(parts), strict=True):
            yield Map(name, Operand(0) - Operand(1), pair, span=span)
        yield Map(target, _applied(outer, _chain(len(parts))), (parts[-1], *differences), span=span)
    else:
        largest: Expr = Operand(0)
        for index in range(1, len(parts)):
            largest = apply("max", largest, Operand(index))
        yield Map(target, _applied(outer, largest), tuple(parts), span=span)


def _chain(count: int) -> Expr:
    """Return u + relu(d_{k−1} + relu(… relu(d₁))), u being Operand(0) and d_j Operand(j), for k = `count`."""
    if count == 1:
        return Operand(0)
    inner: Expr = apply("relu", Operand(1))
    for index in range(2, count):
        inner = apply("relu", Operand(index) + inner)
    return Operand(0) + inner


def _applied(outer: tuple[str, ...], expr: Expr) -> Expr:
    for function in reversed(outer):
        expr = apply(function, expr)
    return expr


def _under_function(instruction: Max, state: Rewriting) -> tuple[tuple[str, ...], tuple[Gather, ...], str]:
    """Return the functions, outermost first, that may be taken after the maximum, and the variable below them.

    φ(h)[i + k] is φ(h[i + k]) where φ(0) = 0; that read of h is a new instruction.
    """
    variables = state.variables
    outer: list[str] = []
    made: tuple[Gather, ...] = ()
    operand = instruction.operand
    while True:
        definition = variables.definitions.get(made[0].source if made else operand)
        if isinstance(definition, Gather) and not made and _inner(definition.source, variables, _ZERO_AT_ZERO):
            made = (replace(definition, target=state.fresh(instruction.target, operand)),)
            continue
        read = made[0].source if made else operand
        found = _inner(read, variables, _ZERO_AT_ZERO if made else _NONDECREASING)
        if found is None:
            return tuple(outer), made, made[0].target if made else operand
        outer.append(found[0])
        if made:
            made = (replace(made[0], source=found[1]),)
        else:
            operand = found[1]


def _inner(name: str, variables: Variables, functions: frozenset[str]) -> tuple[str, str] | None:
    """Return (φ, u) if a variable is φ(u) of one of `functions` over the same axes, made in the same block."""
    definition = variables.definitions.get(name)
    if not isinstance(definition, Map) or len(definition.operands) != 1 or name in variables.carries:
        return None
    (operand,) = definition.operands
    match definition.expression:
        case Apply(function, (Operand(0),)) if function in functions and _alike(name, operand, variables):
            return function, operand
    return None


def _alike(name: str, operand: str, variables: Variables) -> bool:
    types = variables.core.types
    return types[name].axes == types[operand].axes and _enclosing(name, variables) == _enclosing(operand, variables)


def _is_gaussian(operand: str, made: tuple[Gather, ...], variables: Variables) -> bool:
    return (made[0].source if made else operand) in variables.gaussian


def _enclosing(name: str, variables: Variables) -> tuple[str, ...]:
    """Return the axis of the recurrence or loop that a variable is made in."""
    if name in variables.scans:
        return (variables.scans[name].axis,)
    return (variables.loops[name].scan.axis,) if name in variables.loops else ()
