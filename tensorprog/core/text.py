"""The core as text: one declaration or instruction a line, typed, each with the source line that it comes from.

    h1.1 : vector(n) = matmul W1 @ x                     # line 9
    h1   : vector(n) = map h1.1 + h1.2                   # line 9

Reads as NETSOR⊤+ (Yang 2020, Tensor Programs III, 2009.10685): `matmul` and `load` bring in parameters, `map` is a
nonlinearity, `moment` the mean over coordinates; index arithmetic stands in `gather` and `scatter` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import PurePath

from tensorprog.core.ir import (
    Affine,
    Axis,
    Carry,
    Core,
    First,
    Gather,
    Gradient,
    Input,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Moment,
    Parameter,
    Scan,
    Scatter,
    Softmax,
    Sum,
    Type,
    walk,
)
from tensorprog.errors import Source, Span
from tensorprog.nonlin.expression import ONE, ZERO, Call, Expr, Fn, Number, Position
from tensorprog.nonlin.text import text as expression_text
from tensorprog.nonlin.traverse import fold

__all__ = ["affine_text", "axis_ends", "carry_text", "core_text", "instruction_text", "shape_text", "type_text"]

COMMENT_COLUMN = 64
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the listing, without its comment."""

    depth: int
    text: str
    span: Span | None = None


def core_text(core: Core) -> str:
    """Return the listing of a core program: its declarations, then its instructions in order, then what it gives.

    The text is the same for equal programs, and two programs with the same text run alike.
    """
    home = core.outputs[0].span.source if core.outputs else None
    return "\n".join(_render(line, home) for line in _lines(core)) + "\n"


def _lines(core: Core) -> Iterator[Line]:
    yield Line(0, f"core {core.name}{_settings(core)}")
    yield Line(0, "")
    yield from _declarations(core)
    yield Line(0, "")
    yield from _body(core.body, core, ())
    yield Line(0, "")
    for output in core.outputs:
        yield Line(0, f"output {output.name} = {output.source}", output.span)
    for gradient in core.gradients:
        yield Line(0, _gradient_text(gradient))


def _render(line: Line, home: Source | None) -> str:
    text = INDENT * line.depth + line.text
    return text if line.span is None else f"{text:<{COMMENT_COLUMN}}  # {_place(line.span, home)}"


def _place(span: Span, home: Source | None) -> str:
    """Return `line 9`, or `layers.tp line 9` for a line of another file."""
    file = "" if home is None or span.source.name == home.name else f"{PurePath(span.source.name).name} "
    return f"{file}line {span.line}"


# Declarations


def _settings(core: Core) -> str:
    return f"({', '.join(f'{name} = {value!r}' for name, value in core.symbols.items())})" if core.symbols else ""


def _declarations(core: Core) -> Iterator[Line]:
    for width in core.widths:
        size = "" if width.size is None else f" = {_text(width.size)}"
        yield Line(0, f"width {width.name}{size}", width.span)
    for axis in core.axes.values():
        yield Line(0, _axis_text(axis), axis.span)
    for entry in core.inputs:
        yield Line(0, _input_text(entry), entry.span)
    for fn in _functions(core):
        yield Line(0, _fn_text(fn))
    for parameter in core.parameters.values():
        yield Line(0, _parameter_text(parameter), parameter.span)


def _axis_text(axis: Axis) -> str:
    """Return `axis t : T` or `axis k : -1..1`, both ends included."""
    bounds = _text(axis.extent) if axis.start == ZERO else "..".join(axis_ends(axis))
    return f"axis {axis.name} : {bounds}{' circular' if axis.circular else ''}"


def axis_ends(axis: Axis) -> tuple[str, str]:
    """Return the first and the last index of an axis, both included."""
    if isinstance(axis.start, Number) and isinstance(axis.extent, Number):
        return _text(axis.start), str(axis.start.value + axis.extent.value - 1)
    return _text(axis.start), _text(axis.extent - 1 if axis.start == ZERO else axis.start + axis.extent - 1)


def _input_text(entry: Input) -> str:
    shape = "()" if entry.type.dimension is None else f"({_text(entry.type.dimension)})"
    return f"input {entry.name}{_brackets(entry.type.axes)} : {shape}"


def _parameter_text(parameter: Parameter) -> str:
    keyword = "param" if parameter.trained else "frozen"
    law = f"N({_text(parameter.mean)}, {_text(parameter.variance)})"
    rate = "" if parameter.rate is None else f" lr {_text(parameter.rate)}"
    return f"{keyword} {parameter.name}{_brackets(parameter.axes)} : {shape_text(parameter)} ~ {law}{rate}"


def _functions(core: Core) -> Iterator[Fn]:
    """Yield the functions of the user that the program calls, each once, a function before its callers."""
    maps = (instruction.expression for instruction in walk(core.body) if isinstance(instruction, Map))
    yield from dict.fromkeys(fn for expression in maps for fn in _called(expression))


def _called(expression: Expr) -> tuple[Fn, ...]:
    """Return the functions that an expression calls, directly or through another, each once."""
    return fold(expression, _called_at)


def _called_at(node: Expr, below: tuple[tuple[Fn, ...], ...]) -> tuple[Fn, ...]:
    found = [fn for fns in below for fn in fns]
    if isinstance(node, Call):
        bodies = (node.fn.body,) if node.fn.derivative is None else (node.fn.body, node.fn.derivative)
        found += [*(fn for body in bodies for fn in _called(body)), node.fn]
    return tuple(dict.fromkeys(found))


def _fn_text(fn: Fn) -> str:
    derivative = "" if fn.derivative is None else f" derivative {_text(fn.derivative, fn.variables)}"
    return f"fn {fn.name}({', '.join(fn.variables)}) = {_text(fn.body, fn.variables)}{derivative}"


# Instructions


def _body(body: tuple[Instruction, ...], core: Core, scans: tuple[str, ...]) -> Iterator[Line]:
    for instruction in body:
        if isinstance(instruction, Scan):
            yield from _scan(instruction, core, scans)
        else:
            type_ = _type_within(core.types[instruction.target], scans)
            text = f"{instruction.target} : {type_} = {instruction_text(instruction)}"
            yield Line(len(scans), text, instruction.span)


def _scan(scan: Scan, core: Core, scans: tuple[str, ...]) -> Iterator[Line]:
    inner = (*scans, scan.axis)
    yield Line(len(scans), f"{scan.target} : {instruction_text(scan)} {{", scan.span)
    for carry in scan.carries:
        type_ = _type_within(core.types[carry.target], inner)
        yield Line(len(inner), f"{carry.target} : {type_} = {carry_text(carry)}", carry.span)
    yield from _body(scan.body, core, inner)
    yield Line(len(scans), "}")


def carry_text(carry: Carry) -> str:
    """Return the right-hand side of a carry: whose value of the step before it is, and what it is at first."""
    return f"previous {carry.source}, at first {carry.initial or '0'}"


def _gradient_text(gradient: Gradient) -> str:
    weight = f"{gradient.parameter}{_places(gradient.indices)}"
    factors = [gradient.adjoint] if gradient.operand is None else [gradient.adjoint, gradient.operand]
    product = " ⊗ ".join(reversed(factors) if gradient.transposed else factors)
    over = f" over {_brackets(gradient.axes)}" if gradient.axes else ""
    return f"gradient {weight} += {product}{over}"


def _type_within(type_: Type, scans: Sequence[str]) -> str:
    """Return the type that a variable has inside of `scans`, whose axes it lacks there."""
    return type_text(Type(tuple(axis for axis in type_.axes if axis not in scans), type_.dimension))


def type_text(type_: Type) -> str:
    """Return `vector(n)[i, j]`, or `scalar[i]`."""
    kind = "scalar" if type_.dimension is None else f"vector({_text(type_.dimension)})"
    return kind + _brackets(type_.axes)


def shape_text(parameter: Parameter) -> str:
    """Return `(n, m)`, the shape of a parameter at one position of its axes."""
    return f"({', '.join(_text(size) for size in parameter.shape)})"


@singledispatch
def instruction_text(instruction: Instruction) -> str:
    """Return the right-hand side of an instruction: its name and its operands."""
    raise NotImplementedError(f"no text for {type(instruction).__name__}")


@instruction_text.register
def _(instruction: Gather) -> str:
    return f"gather {instruction.source}{_places(instruction.indices)}"


@instruction_text.register
def _(instruction: Scatter) -> str:
    return f"scatter {instruction.source} to {_places(instruction.indices) or '[]'}"


@instruction_text.register
def _(instruction: Load) -> str:
    return f"load {instruction.parameter}{_places(instruction.indices)}"


@instruction_text.register
def _(instruction: MatMul) -> str:
    transpose = ".T" if instruction.transposed else ""
    return f"matmul {instruction.parameter}{_places(instruction.indices)}{transpose} @ {instruction.operand}"


@instruction_text.register
def _(instruction: Map) -> str:
    return f"map {_text(instruction.expression, instruction.operands)}"


@instruction_text.register
def _(instruction: Sum) -> str:
    return f"sum{_brackets(instruction.axes)} {instruction.operand}"


@instruction_text.register
def _(instruction: Max) -> str:
    return f"max{_brackets(instruction.axes)} {instruction.operand}"


@instruction_text.register
def _(instruction: First) -> str:
    return f"first{_brackets(instruction.axes)} {instruction.operand}"


@instruction_text.register
def _(instruction: Softmax) -> str:
    return f"softmax[{instruction.axis}] {instruction.operand}"


@instruction_text.register
def _(instruction: Moment) -> str:
    return f"moment {instruction.operand}"


@instruction_text.register
def _(instruction: Scan) -> str:
    return f"scan {instruction.axis} {'downwards' if instruction.reverse else 'upwards'}"


# Indices


def affine_text(index: Affine) -> str:
    """Return an index as the language writes it, `2 * o + k - 1`."""
    terms = [_term(axis, factor) for axis, factor in index.terms]
    if not terms:
        return _text(index.constant)
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return _text(_shift(total, index.constant))


def _term(axis: str, factor: Expr) -> Expr:
    if factor == ONE:
        return Position(axis)
    return -Position(axis) if factor == Number(-1) else factor * Position(axis)


def _shift(expression: Expr, constant: Expr) -> Expr:
    if isinstance(constant, Number):
        if constant.value == 0:
            return expression
        if constant.value < 0:
            return expression - Number(-constant.value)
    return expression + constant


def _places(indices: tuple[Affine, ...]) -> str:
    return f"[{', '.join(affine_text(index) for index in indices)}]" if indices else ""


def _brackets(axes: Sequence[str]) -> str:
    return f"[{', '.join(axes)}]" if axes else ""


def _text(expression: Expr, names: Sequence[str] = ()) -> str:
    return expression_text(expression, names)
