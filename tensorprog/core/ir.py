"""The core language: a typed, straight-line NETSOR⊤+ program with finite index axes.

    Core        ::= widths, axes, inputs, parameters, Instruction*, outputs
    Instruction ::= Gather | Scatter | Load | MatMul | Map | Sum | Max | First | Softmax | Moment | Scan

Every instruction defines one variable, `target`, from variables named by strings (A-normal form); a variable is a
vector or a scalar at every position of its axes, as `Core.types` says. Axes are named dimensions: operands of one
instruction align by axis name and broadcast over the axes that they lack. All index arithmetic is in `Gather`, its
transpose `Scatter`, and the weight indices of `Load` and `MatMul`.

Sources: Yang, Tensor Programs I (1910.12478), II (2006.14548) and III (2009.10685) for the instructions; the index
axes are ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tensorprog.errors import Span
from tensorprog.nonlin.expression import Expr

__all__ = [
    "Affine",
    "Axis",
    "Carry",
    "Core",
    "First",
    "Gather",
    "Gradient",
    "Input",
    "Instruction",
    "Load",
    "Map",
    "MatMul",
    "Max",
    "Moment",
    "Output",
    "Parameter",
    "Repeat",
    "Scan",
    "Scatter",
    "Softmax",
    "Sum",
    "Type",
    "Width",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Width:
    """A dimension that goes to infinity; `size` gives it in terms of earlier widths, None for the first."""

    name: str
    size: Expr | None  # of a dependent width, in terms of earlier widths: `width m = 4 * n`
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Axis:
    """A finite index set {start, …, start + extent − 1}; reads of variables over a circular axis wrap round."""

    name: str
    start: Expr
    extent: Expr
    circular: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Affine:
    """An index expression: constant + Σ coefficient · (value of the index on an axis), all integers."""

    constant: Expr
    terms: tuple[tuple[str, Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class Type:
    """What a variable is: its axes, and the dimension of its vectors (None for a scalar).

    A dimension is a width (`Symbol("n")`), or a finite size: a number or an expression over what the data binds.
    """

    axes: tuple[str, ...]
    dimension: Expr | None


@dataclass(frozen=True, slots=True)
class Input:
    """The data of one sample: an array of shape (*axes, *shape), shape () or (c)."""

    name: str
    type: Type
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An i.i.d. Gaussian tensor of `shape` at every position of `axes`: entries N(mean, variance).

    `rate` is the learning-rate multiplier lr of the NTK, None for the default, the entry variance. `mean`, `variance`
    and `rate` may contain widths, sizes, hyperparameters and `Position`s on the parameter's own axes.
    Shape (n, m) is a matrix, (n) a vector, (1) or () a scalar, (1, n) a readout.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[Expr, ...]
    mean: Expr
    variance: Expr
    rate: Expr | None
    trained: bool
    span: Span = field(compare=False, repr=False)

    @property
    def multiplier(self) -> Expr:
        """The learning-rate multiplier lr of the NTK: `rate`, or the entry variance where none is given."""
        return self.variance if self.rate is None else self.rate


@dataclass(frozen=True, slots=True)
class Output:
    """A named output: `source` is a scalar variable; its axes are the axes of the output."""

    name: str
    source: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Instruction:
    """The base of all instructions: what is defined, and by which stretch of the source."""

    target: str
    span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Gather(Instruction):
    """target[r] = source[indices(r)], r over `axes` (the target's); zero out of range, or wrapped on a circular axis.

    `indices` has one affine expression per axis of the source; they may also read the index of an enclosing scan.
    """

    source: str
    indices: tuple[Affine, ...]
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scatter(Instruction):
    """target[p] = Σ_r source[r] over the r with indices(r) = p: the transpose of `Gather`; `axes` are the target's."""

    source: str
    indices: tuple[Affine, ...]
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Load(Instruction):
    """target[r] = parameter[indices(r)]: a vector or scalar parameter read as a variable."""

    parameter: str
    indices: tuple[Affine, ...]


@dataclass(frozen=True, slots=True)
class MatMul(Instruction):
    """target[r] = parameter[indices(r)] @ operand[r], or with the transposed matrix."""

    parameter: str
    indices: tuple[Affine, ...]
    operand: str
    transposed: bool


@dataclass(frozen=True, slots=True)
class Map(Instruction):
    """target = expression(operands…), coordinate by coordinate; scalars broadcast over coordinates."""

    expression: Expr
    operands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sum(Instruction):
    """target = Σ operand over `axes`; an axis that the operand lacks multiplies by its extent."""

    operand: str
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Max(Instruction):
    """target = max of operand over `axes`, elementwise."""

    operand: str
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class First(Instruction):
    """target = 1 where operand attains its maximum over `axes` for the first time (row-major), else 0; axes kept."""

    operand: str
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Softmax(Instruction):
    """target = exp(operand) / Σ_axis exp(operand), for scalars; the axis is kept."""

    operand: str
    axis: str


@dataclass(frozen=True, slots=True)
class Moment(Instruction):
    """target = (1/n) Σ_α operand_α, the mean over the coordinates of a vector: a scalar."""

    operand: str


@dataclass(frozen=True, slots=True)
class Carry:
    """Inside a scan: `target` is `source` a step before; at the first step the outer variable `initial`, or zero."""

    target: str
    source: str
    initial: str | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Scan(Instruction):
    """A recurrence along `axis`, run upwards, or downwards if `reverse`; `target` is only a label.

    Inside the body a variable means its value at the current step, so it lacks `axis` there; the index of the step may
    occur in `Position`, in weight indices and in `Gather.indices` (never in `Gather.axes`). After the scan every body
    variable is known to the outside with `axis` as its first axis; `Core.types` gives that outside type. `Carry`
    targets are body variables too.
    """

    axis: str
    carries: tuple[Carry, ...]
    body: tuple[Instruction, ...]
    reverse: bool


@dataclass(frozen=True, slots=True)
class Repeat(Scan):
    """A scan that stands for a `for`: its axis counts the iterations, every one with parameters of its own."""


@dataclass(frozen=True, slots=True)
class Gradient:
    """One use of a parameter, as the backward pass leaves it: ∂L/∂W[indices] += adjoint ⊗ operand.

    `operand` is None for a `Load`. If `transposed`, the use was Wᵀ @ operand and the gradient is operand ⊗ adjoint.
    `axes` are the axes over which the uses range: those of the adjoint variable as seen from outside all scans.
    """

    parameter: str
    indices: tuple[Affine, ...]
    adjoint: str
    operand: str | None
    transposed: bool
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Core:
    """A program of the core language, in order of execution.

    `symbols` maps every hyperparameter to its value. `types` has an entry for each input and each variable.
    `gradients` is empty for a forward program; a program with its backward pass lists one entry per use of a parameter,
    and has one more input, the seed of the differentiated variable.
    """

    name: str
    symbols: Mapping[str, int | float]
    widths: tuple[Width, ...]
    axes: Mapping[str, Axis]
    inputs: tuple[Input, ...]
    parameters: Mapping[str, Parameter]
    body: tuple[Instruction, ...]
    outputs: tuple[Output, ...]
    types: Mapping[str, Type]
    gradients: tuple[Gradient, ...] = ()

    def __str__(self) -> str:
        text = importlib.import_module("tensorprog.core.text")  # which imports this module
        listing: str = text.core_text(self)
        return listing


def walk(body: tuple[Instruction, ...]) -> Iterator[Instruction]:
    """Yield every instruction in order, a scan before its body."""
    for instruction in body:
        yield instruction
        if isinstance(instruction, Scan):
            yield from walk(instruction.body)
