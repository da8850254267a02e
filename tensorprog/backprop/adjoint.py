"""Differentiation of core programs: the backward pass as a program in the same language.

Backpropagation is a tensor program itself (Yang, Tensor Programs II, 2006.14548, section 7): it needs the transposed
matrices, coordinatewise maps and averages, and with index axes also the transposed index maps and scans that run the
other way. So whatever runs, prints or analyses a forward program does so for the backward one.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

from tensorprog.backprop.rules import pull_back
from tensorprog.backprop.tape import Tape, identity
from tensorprog.core.dependence import defined, dependent, find_scopes, prune
from tensorprog.core.ir import Affine, Carry, Core, Gather, Input, Instruction, Map, Scan, Type, walk
from tensorprog.errors import Span
from tensorprog.nonlin.expression import ONE, ZERO, Expr
from tensorprog.nonlin.simplify import simplify

__all__ = ["differentiate"]


def differentiate(core: Core, variable: str) -> Core:
    """Return the forward program of `variable` followed by its backward pass.

    The result has one more input, the seed `d.<variable>` of the variable's type: L = Σ seed · variable. It defines
    `d.<v>` = ∂L/∂v for every v on the way that depends on a parameter, and lists in `gradients` one entry for every use
    of a parameter, frozen ones included.

    Raises:
        KeyError: there is no such variable.
    """
    kind, span = core.types[variable], _span_of(core, variable)
    body = prune(core.body, (variable,))
    tape = Tape(replace(core, body=body), find_scopes(body), dependent(body))
    seed = Input(tape.name(f"d.{variable}"), kind, span)
    tape.types[seed.name] = kind
    tape.block.terms[variable] = [seed.name]
    for instruction in reversed(body):
        reverse(instruction, tape)
    used = {name for instruction in body for name in defined(instruction)} | {entry.name for entry in core.inputs}
    types = {name: kind for name, kind in tape.types.items() if name in used or name not in core.types}
    return replace(
        core,
        inputs=(*core.inputs, seed),
        body=(*body, *tape.block.body),
        outputs=tuple(output for output in core.outputs if output.source in used),
        types=types,
        gradients=tuple(tape.gradients),
    )


def _span_of(core: Core, variable: str) -> Span:
    for instruction in walk(core.body):
        if isinstance(instruction, Scan):
            for carry in instruction.carries:
                if carry.target == variable:
                    return carry.span
        elif instruction.target == variable:
            return instruction.span
    return next(entry.span for entry in core.inputs if entry.name == variable)


@singledispatch
def reverse(instruction: Instruction, tape: Tape) -> None:
    """Close the adjoint of the instruction's target and send it back to the operands."""
    if instruction.target in tape.active:
        adjoint = tape.total(instruction.target, instruction.span)
        if adjoint is not None:
            pull_back(instruction, adjoint, tape)


@reverse.register
def _(scan: Scan, tape: Tape) -> None:
    """Run the adjoints along the scan's axis the other way: what a carry brought forwards is carried back."""
    names = [name for name in defined(scan) if name in tape.active]
    totals = {name: total for name in names if (total := tape.outside(name, scan.span)) is not None}
    if not totals:
        return
    tape.open(tape.scopes.path[defined(scan)[0]][len(tape.block.forward)])
    for name, total in totals.items():
        _read_at_step(name, total, tape, scan.span)
    active = [carry for carry in scan.carries if carry.source in tape.active]
    carried = [_begin_carry(carry, tape) for carry in active]
    for instruction in reversed(scan.body):
        reverse(instruction, tape)
    adjoints = {carry.target: _end_carry(carry, tape) for carry in scan.carries if carry.target in tape.active}
    block = tape.close()
    carries = tuple(
        Carry(name, adjoints[carry.target], None, carry.span) for name, carry in zip(carried, active, strict=True)
    )
    back = Scan(tape.name(f"d.{scan.target}"), scan.axis, carries, tuple(block.body), not scan.reverse, span=scan.span)
    tape.block.body.append(back)
    tape.settle()
    for carry in scan.carries:
        if carry.initial is not None and carry.initial in tape.active:
            _leave_scan(scan, carry, adjoints[carry.target], tape)


def _read_at_step(variable: str, total: str, tape: Tape, span: Span) -> None:
    """Let what the outside contributes to a variable of the scan count at the current step."""
    kind = tape.seen(variable)
    outer = tape.types[total].axes[len(tape.block.forward) - 1 :]
    read = Gather(tape.temporary(variable), total, identity(outer), outer[1:], span=span)
    tape.contribute(variable, tape.emit(read, kind), span)


def _begin_carry(carry: Carry, tape: Tape) -> str:
    """Declare the adjoint that comes back from the step after; it counts for the carry's source."""
    name = tape.declare(tape.temporary(carry.source), tape.seen(carry.target))
    tape.contribute(carry.source, name, carry.span)
    return name


def _end_carry(carry: Carry, tape: Tape) -> str:
    total = tape.total(carry.target, carry.span)
    if total is not None:
        return total
    return tape.emit(Map(tape.name(f"d.{carry.target}"), ZERO, (), span=carry.span), tape.seen(carry.target))


def _leave_scan(scan: Scan, carry: Carry, adjoint: str, tape: Tape) -> None:
    """Send the adjoint at the first step to the initial value."""
    kind = tape.local(adjoint)
    first = Affine(_last(tape, scan.axis) if scan.reverse else tape.core.axes[scan.axis].start)
    indices = (first, *identity(kind.axes[1:]))
    assert carry.initial is not None
    read = Gather(tape.temporary(carry.initial), adjoint, indices, kind.axes[1:], span=carry.span)
    tape.contribute(carry.initial, tape.emit(read, Type(kind.axes[1:], kind.dimension)), carry.span)


def _last(tape: Tape, axis: str) -> Expr:
    return simplify(tape.core.axes[axis].start + tape.core.axes[axis].extent - ONE)
