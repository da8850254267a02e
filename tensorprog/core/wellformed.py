"""The rules that every core program obeys; compiler passes are tested against them.

Every variable is defined once, before it is used and where it is visible; types, axes and indices agree; everything has
a span.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import singledispatch

from tensorprog.core.ir import (
    Affine,
    Core,
    First,
    Gather,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Moment,
    Scan,
    Scatter,
    Softmax,
    Sum,
    Type,
)
from tensorprog.errors import Span
from tensorprog.nonlin.expression import Expr, Number, Position, operands, walk

__all__ = ["check_wellformed", "violations"]


@dataclass(slots=True)
class _Context:
    """What is visible at a place: for each variable, its type as seen from there."""

    core: Core
    running: tuple[str, ...] = ()
    visible: dict[str, Type] = field(default_factory=dict)
    defined: set[str] = field(default_factory=set)

    def inside(self, axis: str) -> _Context:
        """Return the context of the body of a scan."""
        return _Context(self.core, (*self.running, axis), dict(self.visible), self.defined)


def check_wellformed(core: Core) -> None:
    """Check a core program.

    Raises:
        ValueError: it breaks a rule; the message lists every violation.
    """
    found = list(violations(core))
    if found:
        raise ValueError(f"core program {core.name}: " + "; ".join(found))


def violations(core: Core) -> Iterator[str]:
    """Yield a sentence for every rule that a core program breaks."""
    context = _Context(core)
    for name, kind in core.types.items():
        yield from (f"{name}: unknown axis {axis}" for axis in kind.axes if axis not in core.axes)
    for parameter in core.parameters.values():
        yield from (f"{parameter.name}: unknown axis {axis}" for axis in parameter.axes if axis not in core.axes)
        yield from _span(parameter.name, parameter.span)
    for entry in core.inputs:
        yield from _span(entry.name, entry.span)
        yield from _introduce(context, entry.name, entry.type)
    yield from _body(core.body, context)
    for output in core.outputs:
        if output.source not in context.visible:
            yield f"output {output.name}: {output.source} is not defined"
        elif context.visible[output.source].dimension is not None:
            yield f"output {output.name} is not a scalar"
    for gradient in core.gradients:
        names = (gradient.adjoint, gradient.operand)
        yield from (
            f"gradient of {gradient.parameter}: {name} is not defined"
            for name in names
            if name and name not in context.visible
        )


def _span(name: str, span: object) -> Iterator[str]:
    if not isinstance(span, Span):
        yield f"{name}: no span"


def _introduce(context: _Context, name: str, kind: Type) -> Iterator[str]:
    """Make a variable visible, its type as its scope sees it."""
    if name in context.defined:
        yield f"{name} is defined twice"
    context.defined.add(name)
    context.visible[name] = kind
    full = context.core.types.get(name)
    if full != Type((*context.running, *kind.axes), kind.dimension):
        yield f"{name}: its type is {full}, not {context.running} and {kind}"


def _inner(context: _Context, name: str) -> Type | None:
    """Return the type of a variable that is defined here, as its scope sees it."""
    full = context.core.types.get(name)
    if full is None or full.axes[: len(context.running)] != context.running:
        return None
    return Type(full.axes[len(context.running) :], full.dimension)


def _body(body: tuple[Instruction, ...], context: _Context) -> Iterator[str]:
    for instruction in body:
        yield from _span(instruction.target, instruction.span)
        if isinstance(instruction, Scan):
            yield from _scan(instruction, context)
            continue
        kind = _inner(context, instruction.target)
        if kind is None:
            yield f"{instruction.target}: no type, or not over the axes of the scans around it"
            continue
        missing = [name for name in _reads(instruction) if name not in context.visible]
        yield from (f"{instruction.target}: reads {name}, which is not visible" for name in missing)
        if not missing:
            yield from _rule(instruction, kind, context)
        yield from _introduce(context, instruction.target, kind)


def _scan(scan: Scan, context: _Context) -> Iterator[str]:
    inner = context.inside(scan.axis)
    if scan.axis not in context.core.axes or scan.axis in context.running:
        yield f"{scan.target}: its axis {scan.axis} is unknown, or running already"
    for carry in scan.carries:
        kind = _inner(inner, carry.target)
        if kind is None:
            yield f"{carry.target}: no type"
            continue
        if carry.initial is not None and _loose(context.visible.get(carry.initial)) != _loose(kind):
            yield f"{carry.target}: its first value {carry.initial} has another type"
        yield from _introduce(inner, carry.target, kind)
    yield from _body(scan.body, inner)
    for carry in scan.carries:
        if _loose(inner.visible.get(carry.source)) != _loose(inner.visible.get(carry.target)):
            yield f"{carry.target}: carries {carry.source}, which has another type"
    for name, kind in inner.visible.items():
        if name not in context.visible:
            context.visible[name] = Type((scan.axis, *kind.axes), kind.dimension)


def _loose(kind: Type | None) -> tuple[frozenset[str], Expr | None] | None:
    return (frozenset(kind.axes), kind.dimension) if kind is not None else None


@singledispatch
def _reads(instruction: Instruction) -> tuple[str, ...]:
    return ()


@_reads.register(Gather)
@_reads.register(Scatter)
def _(instruction: Gather | Scatter) -> tuple[str, ...]:
    return (instruction.source,)


@_reads.register
def _(instruction: Map) -> tuple[str, ...]:
    return instruction.operands


@_reads.register(MatMul)
@_reads.register(Sum)
@_reads.register(Max)
@_reads.register(First)
@_reads.register(Softmax)
@_reads.register(Moment)
def _(instruction: MatMul | Sum | Max | First | Softmax | Moment) -> tuple[str, ...]:
    return (instruction.operand,)


@singledispatch
def _rule(instruction: Instruction, kind: Type, context: _Context) -> Iterator[str]:
    yield f"{instruction.target}: an unknown instruction"


def _free(indices: tuple[Affine, ...], context: _Context) -> set[str]:
    return {axis for index in indices for axis, _ in index.terms} - set(context.running)


def _covers(instruction: Instruction, kind: Type, axes: set[str]) -> Iterator[str]:
    if not axes <= set(kind.axes):
        yield f"{instruction.target}: ranges over {sorted(axes - set(kind.axes))}, which its type lacks"


def _keeps(instruction: Instruction, kind: Type, dimension: Expr | None) -> Iterator[str]:
    if kind.dimension != dimension:
        yield f"{instruction.target}: its dimension is {kind.dimension}, not {dimension}"


@_rule.register(Gather)
def _(instruction: Gather, kind: Type, context: _Context) -> Iterator[str]:
    source = context.visible[instruction.source]
    if len(instruction.indices) != len(source.axes) or instruction.axes != kind.axes:
        yield f"{instruction.target}: {len(instruction.indices)} indices for {source.axes}, axes {instruction.axes}"
    yield from _covers(instruction, kind, _free(instruction.indices, context))
    yield from _keeps(instruction, kind, source.dimension)


@_rule.register(Scatter)
def _(instruction: Scatter, kind: Type, context: _Context) -> Iterator[str]:
    if len(instruction.indices) != len(kind.axes) or instruction.axes != kind.axes:
        yield f"{instruction.target}: {len(instruction.indices)} indices for {kind.axes}, axes {instruction.axes}"
    yield from _keeps(instruction, kind, context.visible[instruction.source].dimension)


def _weight(name: str, indices: tuple[Affine, ...], instruction: Instruction, context: _Context) -> Iterator[str]:
    parameters = context.core.parameters
    if name not in parameters or len(indices) != len(parameters[name].axes):
        yield f"{instruction.target}: the parameter {name} is unknown, or read with {len(indices)} indices"


@_rule.register(Load)
def _(instruction: Load, kind: Type, context: _Context) -> Iterator[str]:
    broken = list(_weight(instruction.parameter, instruction.indices, instruction, context))
    yield from broken
    yield from _covers(instruction, kind, _free(instruction.indices, context))
    if not broken:
        shape = context.core.parameters[instruction.parameter].shape
        yield from _keeps(instruction, kind, None if shape in ((), (Number(1),)) else shape[0])


@_rule.register(MatMul)
def _(instruction: MatMul, kind: Type, context: _Context) -> Iterator[str]:
    broken = list(_weight(instruction.parameter, instruction.indices, instruction, context))
    yield from broken
    operand = context.visible[instruction.operand]
    yield from _covers(instruction, kind, {*_free(instruction.indices, context), *operand.axes})
    if broken:
        return
    shape = context.core.parameters[instruction.parameter].shape
    if len(shape) != 2:
        yield f"{instruction.target}: {instruction.parameter} is no matrix"
        return
    rows, columns = reversed(shape) if instruction.transposed else shape
    yield from _keeps(instruction, kind, None if rows == Number(1) and kind.dimension is None else rows)
    if operand.dimension != columns and not (operand.dimension is None and columns == Number(1)):
        yield f"{instruction.target}: the operand has dimension {operand.dimension}, not {columns}"


@_rule.register(Map)
def _(instruction: Map, kind: Type, context: _Context) -> Iterator[str]:
    used = operands(instruction.expression)
    if used and max(used) >= len(instruction.operands):
        yield f"{instruction.target}: an operand that is not there"
    for name in instruction.operands:
        operand = context.visible[name]
        yield from _covers(instruction, kind, set(operand.axes))
        if operand.dimension not in (None, kind.dimension):
            yield f"{instruction.target}: {name} has dimension {operand.dimension}, not {kind.dimension}"
    positions = {node.axis for node in walk(instruction.expression) if isinstance(node, Position)}
    yield from _covers(instruction, kind, positions - set(context.running))


@_rule.register(Sum)
@_rule.register(Max)
def _(instruction: Sum | Max, kind: Type, context: _Context) -> Iterator[str]:
    operand = context.visible[instruction.operand]
    yield from _covers(instruction, kind, set(operand.axes) - set(instruction.axes))
    yield from _keeps(instruction, kind, operand.dimension)
    if set(kind.axes) & set(instruction.axes):
        yield f"{instruction.target}: keeps an axis that it reduces"


@_rule.register(First)
@_rule.register(Softmax)
def _(instruction: First | Softmax, kind: Type, context: _Context) -> Iterator[str]:
    operand = context.visible[instruction.operand]
    yield from _covers(instruction, kind, set(operand.axes))
    yield from _keeps(instruction, kind, operand.dimension)


@_rule.register
def _(instruction: Moment, kind: Type, context: _Context) -> Iterator[str]:
    operand = context.visible[instruction.operand]
    yield from _covers(instruction, kind, set(operand.axes))
    yield from _keeps(instruction, kind, None)
    if operand.dimension is None:
        yield f"{instruction.target}: a moment of a scalar"
