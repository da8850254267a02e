"""Outputs that are Gaussian in the limit: affine in readouts `V @ h` and scalar parameters.

number    what data, sizes and moments determine: it has a deterministic limit
gaussian  affine in readouts and scalar parameters, its coefficients numbers
other     anything else, as relu(V @ h) or a product of readouts
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from functools import singledispatch

from tensorprog.core.codes import Code
from tensorprog.core.ir import (
    Gather,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Moment,
    Output,
    Scan,
    Softmax,
    Sum,
    Type,
)
from tensorprog.errors import Diagnostic
from tensorprog.nonlin.expression import Apply, Expr, Operand
from tensorprog.nonlin.traverse import fold

__all__ = ["check_outputs"]


class _Law(IntEnum):
    """What a scalar is in the limit; the worst part decides."""

    NUMBER = 0
    GAUSSIAN = 1
    OTHER = 2


_Laws = dict[str, _Law]


def check_outputs(
    body: tuple[Instruction, ...], types: Mapping[str, Type], outputs: tuple[Output, ...]
) -> Iterator[Diagnostic]:
    """Yield a finding for every output that is not affine in readouts."""
    laws: _Laws = {}
    _run(body, types, laws)
    for output in outputs:
        law = laws.get(output.source, _Law.OTHER)
        if law is _Law.NUMBER:
            message = f"the output `{output.name}` is not Gaussian in the limit: it contains no readout"
            hint = "an output is `V @ h` with `param V : (1, n)`, or linear in such"
            yield Diagnostic(Code.NOT_GAUSSIAN.value, message, output.span, hint)
        if law is _Law.OTHER:
            message = f"the output `{output.name}` is not Gaussian in the limit"
            hint = "it is linear in readouts `V @ h` and biases: no functions and no products of these"
            yield Diagnostic(Code.NOT_GAUSSIAN.value, message, output.span, hint)


def _run(body: tuple[Instruction, ...], types: Mapping[str, Type], laws: _Laws) -> None:
    for instruction in body:
        if isinstance(instruction, Scan):
            _run_scan(instruction, types, laws)
        elif types[instruction.target].dimension is not None:
            laws[instruction.target] = _Law.NUMBER
        else:
            laws[instruction.target] = _law(instruction, laws)


def _run_scan(scan: Scan, types: Mapping[str, Type], laws: _Laws) -> None:
    """Find the laws of a recurrence: those of its states only grow from step to step, twice at most."""
    for carry in scan.carries:
        laws[carry.target] = laws.get(carry.initial, _Law.NUMBER) if carry.initial is not None else _Law.NUMBER
    for _ in range(len(scan.carries) * len(_Law) + 1):
        _run(scan.body, types, laws)
        before = dict(laws)
        for carry in scan.carries:
            laws[carry.target] = max(laws[carry.target], laws.get(carry.source, _Law.NUMBER))
        if laws == before:
            return


@singledispatch
def _law(instruction: Instruction, laws: _Laws) -> _Law:
    return _Law.OTHER


@_law.register
def _(instruction: Gather, laws: _Laws) -> _Law:
    return laws.get(instruction.source, _Law.NUMBER)


@_law.register
def _(instruction: Sum, laws: _Laws) -> _Law:
    return laws.get(instruction.operand, _Law.NUMBER)


@_law.register(Load)
@_law.register(MatMul)
def _(instruction: Instruction, laws: _Laws) -> _Law:
    return _Law.GAUSSIAN


@_law.register
def _(instruction: Moment, laws: _Laws) -> _Law:
    return _Law.NUMBER


@_law.register(Max)
@_law.register(Softmax)
def _(instruction: Max | Softmax, laws: _Laws) -> _Law:
    return _Law.OTHER if laws.get(instruction.operand, _Law.NUMBER) else _Law.NUMBER


@_law.register
def _(instruction: Map, laws: _Laws) -> _Law:
    names = instruction.operands

    def rule(node: Expr, args: tuple[_Law, ...]) -> _Law:
        if isinstance(node, Operand):
            return laws.get(names[node.index], _Law.NUMBER)
        if not any(args):
            return _Law.NUMBER
        return _LINEAR.get(node.function, _nonlinear)(*args) if isinstance(node, Apply) else _Law.OTHER

    return fold(instruction.expression, rule)


def _nonlinear(*args: _Law) -> _Law:
    return _Law.OTHER


def _sum(*args: _Law) -> _Law:
    return max(args)


def _product(left: _Law, right: _Law) -> _Law:
    return max(left, right) if _Law.NUMBER in (left, right) else _Law.OTHER


def _quotient(left: _Law, right: _Law) -> _Law:
    return left if right is _Law.NUMBER else _Law.OTHER


_LINEAR: dict[str, Callable[..., _Law]] = {"add": _sum, "sub": _sum, "neg": _sum, "mul": _product, "div": _quotient}
