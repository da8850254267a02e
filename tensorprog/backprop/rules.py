"""The adjoint rules: what each instruction sends back to what it has read.

With d.v = ∂L/∂v for every variable v, the rule of an instruction v = F(u) contributes (∂F/∂u)ᵀ d.v to d.u. Index maps
transpose to index maps, matrices to their transposes, sums to broadcasts; nothing here needs more than the core
language itself. Variables that depend on the data alone get no adjoint.
"""

from __future__ import annotations

from functools import singledispatch

from tensorprog.backprop.tape import Tape
from tensorprog.core.ir import (
    First,
    Gather,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Moment,
    Scatter,
    Softmax,
    Sum,
    Type,
)
from tensorprog.nonlin.derivative import derivative
from tensorprog.nonlin.expression import ZERO, Expr, Operand, operands, substitute
from tensorprog.nonlin.simplify import simplify

__all__ = ["pull_back"]


@singledispatch
def pull_back(instruction: Instruction, adjoint: str, tape: Tape) -> None:
    """Contribute to the adjoints of what `instruction` reads, given the adjoint of its target."""
    raise TypeError(f"no adjoint rule for {type(instruction).__name__} (have you added an instruction?)")


@pull_back.register
def _(instruction: Gather, adjoint: str, tape: Tape) -> None:
    """From v[r] = u[ι(r)]: d.u[p] += Σ_{r: ι(r) = p} d.v[r]; the steps of a scan between u and v are part of r."""
    if instruction.source not in tape.active:
        return

    def transpose() -> None:
        kind = tape.seen(instruction.source)
        target = tape.temporary(instruction.source)
        part = Scatter(target, adjoint, instruction.indices, kind.axes, span=instruction.span)
        tape.contribute(instruction.source, tape.emit(part, kind), instruction.span)

    tape.at_home(instruction.source, transpose)


@pull_back.register
def _(instruction: Scatter, adjoint: str, tape: Tape) -> None:
    """From v[p] = Σ_{r: ι(r) = p} u[r]: d.u[r] += d.v[ι(r)]."""
    if instruction.source in tape.active:
        kind = tape.seen(instruction.source)
        target = tape.temporary(instruction.source)
        part = Gather(target, adjoint, instruction.indices, kind.axes, span=instruction.span)
        tape.contribute(instruction.source, tape.emit(part, kind), instruction.span)


@pull_back.register
def _(instruction: Load, adjoint: str, tape: Tape) -> None:
    """From v[r] = b[ι(r)]: the adjoint is the gradient of this use."""
    tape.record(instruction.parameter, instruction.indices, adjoint, None, transposed=False)


@pull_back.register
def _(instruction: MatMul, adjoint: str, tape: Tape) -> None:
    """From v = W @ u: ∂L/∂W += d.v uᵀ (its transpose for Wᵀ @ u) and d.u += Wᵀ @ d.v."""
    tape.record(instruction.parameter, instruction.indices, adjoint, instruction.operand, instruction.transposed)
    if instruction.operand not in tape.active:
        return
    kind = Type(tape.local(adjoint).axes, tape.types[instruction.operand].dimension)
    back = MatMul(
        tape.temporary(instruction.operand),
        instruction.parameter,
        instruction.indices,
        adjoint,
        not instruction.transposed,
        span=instruction.span,
    )
    tape.contribute(instruction.operand, tape.emit(back, kind), instruction.span)


@pull_back.register
def _(instruction: Map, adjoint: str, tape: Tape) -> None:
    """From v = φ(u_1, …, u_k): d.u_i += ∂_i φ(u_1, …, u_k) · d.v, summed over what u_i lacks."""
    for index, operand in enumerate(instruction.operands):
        if operand not in tape.active:
            continue
        slope = derivative(instruction.expression, index)
        if slope == ZERO:
            continue
        product = simplify(slope * Operand(len(instruction.operands)))
        expression, used = _compact(product, (*instruction.operands, adjoint))
        names = tuple(name if name == adjoint else tape.value(name, instruction.span) for name in used)
        part = tape.map(operand, expression, names, tape.local(adjoint), instruction.span)
        tape.contribute(operand, part, instruction.span)


def _compact(expression: Expr, names: tuple[str, ...]) -> tuple[Expr, tuple[str, ...]]:
    """Return the expression over those of its operands that occur, and their names."""
    used = operands(expression)
    places = {index: Operand(place) for place, index in enumerate(used)}
    renumbered = substitute(expression, lambda node: places[node.index] if isinstance(node, Operand) else None)
    return renumbered, tuple(names[index] for index in used)


@pull_back.register
def _(instruction: Sum, adjoint: str, tape: Tape) -> None:
    """From v = Σ_k u[k]: d.u[k] += d.v for every k."""
    if instruction.operand in tape.active:
        kind = _with_axes(tape.seen(instruction.operand), instruction.axes)
        part = tape.map(instruction.operand, Operand(0), (adjoint,), kind, instruction.span)
        tape.contribute(instruction.operand, part, instruction.span)


@pull_back.register
def _(instruction: Max, adjoint: str, tape: Tape) -> None:
    """From v = max_k u[k]: d.u[k] += d.v where u[k] is the first to attain the maximum."""
    if instruction.operand in tape.active:
        span, operand = instruction.span, instruction.operand
        kind = _with_axes(tape.seen(operand), instruction.axes)
        first = First(tape.temporary(operand), tape.value(operand, span), instruction.axes, span=span)
        parts = (tape.emit(first, kind), adjoint)
        tape.contribute(operand, tape.map(operand, Operand(0) * Operand(1), parts, kind, span), span)


@pull_back.register
def _(instruction: First, adjoint: str, tape: Tape) -> None:
    """The place of a maximum is piecewise constant: nothing flows back."""


@pull_back.register
def _(instruction: Softmax, adjoint: str, tape: Tape) -> None:
    """From a = softmax_j(s): d.s += a · (d.a − Σ_j a · d.a)."""
    if instruction.operand in tape.active:
        span, operand, kind = instruction.span, instruction.operand, tape.local(adjoint)
        shares = tape.value(instruction.target, span)
        product = tape.map(operand, Operand(0) * Operand(1), (shares, adjoint), kind, span)
        rest = Type(tuple(axis for axis in kind.axes if axis != instruction.axis), None)
        mean = tape.emit(Sum(tape.temporary(operand), product, (instruction.axis,), span=span), rest)
        expression = Operand(0) * (Operand(1) - Operand(2))
        tape.contribute(operand, tape.map(operand, expression, (shares, adjoint, mean), kind, span), span)


@pull_back.register
def _(instruction: Moment, adjoint: str, tape: Tape) -> None:
    """From c = (1/n) Σ_α v_α: d.v_α += d.c / n."""
    if instruction.operand in tape.active:
        kind = tape.seen(instruction.operand)
        assert kind.dimension is not None
        part = tape.map(instruction.operand, Operand(0) / kind.dimension, (adjoint,), kind, instruction.span)
        tape.contribute(instruction.operand, part, instruction.span)


def _with_axes(kind: Type, axes: tuple[str, ...]) -> Type:
    return Type((*kind.axes, *(axis for axis in axes if axis not in kind.axes)), kind.dimension)
