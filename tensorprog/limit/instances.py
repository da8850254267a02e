"""Two instances of a program side by side, for two data sets between which extents of axes differ.

What is written out position by position differs between them: a batch of four against one of six, a sequence of two
steps against one of three. Both have the same parameters, so that they are one program with two inputs and two outputs:
the variables of the second instance are called h₂ where those of the first are called h, its axes t₂ where they have
another extent than t. The kernel of the two data sets is the one of the two outputs, of f and f₂.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from tensorprog.core.ir import (
    Affine,
    Axis,
    Carry,
    Core,
    Input,
    Instruction,
    Load,
    MatMul,
    Output,
    Parameter,
    Type,
    walk,
)
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.extents import sizes_of_axes
from tensorprog.limit.facts import TEMPORARY
from tensorprog.limit.variables import Variables
from tensorprog.nonlin.evaluate import evaluate_integer
from tensorprog.nonlin.expression import Call, Expr, Fn, Number, Position, Symbol, substitute

__all__ = ["Pair", "beside", "pair_up", "partner"]

MARK = "₂"
"""What the names of the second instance end with; no name of a program has it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two instances in one program: the second one's names of inputs, and of axes of its own, by those of the first."""

    core: Core
    inputs: Mapping[str, str]
    axes: Mapping[str, str]


def beside(name: str) -> str:
    """Return the name in the second instance: h₂ for h, h₂.1 for an unnamed part h.1."""
    part = TEMPORARY.search(name)
    return name + MARK if part is None else name[: part.start()] + MARK + part.group()


def partner(name: str) -> str:
    """Return a name that is the same for a variable of the first instance and for that of the second."""
    return name.replace(MARK, "")


def pair_up(first: Core, second: Core, varying: frozenset[str]) -> Pair:
    """Return two instances as one program; its outputs are those of the first and then those of the second.

    Args:
        first: the program with numbers for the sizes `varying`, hyperparameters of it; without loops.
        second: the same with other numbers.
        varying: the sizes that differ.

    Raises:
        LimitError: a parameter is read beyond an axis that has another extent in the second instance.
    """
    common = replace(first, symbols={name: value for name, value in first.symbols.items() if name not in varying})
    differing = (
        axis for axis in first.axes if first.axes[axis] != second.axes[axis] or sizes_of_axes([axis], common) & varying
    )
    own = {axis: axis + MARK for axis in differing}
    for instance in (first, second):
        _check_reads(instance, frozenset(own))
    one = _Renaming(str, {}, {name: first.symbols[name] for name in varying}).core(first)
    two = _Renaming(beside, own, {name: second.symbols[name] for name in varying}).core(second)
    axes = {**one.axes, **two.axes}
    joined = replace(
        one,
        symbols=common.symbols,
        axes=axes,
        inputs=(*one.inputs, *two.inputs),
        parameters={
            name: _longest(parameter, two.parameters[name], axes) for name, parameter in one.parameters.items()
        },
        body=(*one.body, *two.body),
        outputs=(*one.outputs, *two.outputs),
        types={**one.types, **two.types},
    )
    return Pair(joined, {entry.name: beside(entry.name) for entry in first.inputs}, own)


def _check_reads(core: Core, own: frozenset[str]) -> None:
    """Refuse reads beyond parameters over axes `own`: where these end, the tensors of the other instance need not."""
    variables = Variables(core)
    for use in (instruction for instruction in walk(core.body) if isinstance(instruction, Load | MatMul)):
        places = variables.weight(use, variables.own(use.target))
        for axis in own.intersection(places):
            if not variables.places.is_inside(places[axis], axis):
                raise _refuse_beyond(use.parameter, axis, use.span)


def _refuse_beyond(parameter: str, axis: str, span: Span) -> LimitError:
    message = f"`{parameter}` is read beyond its axis `{axis}`, which has other extents in x1 and x2"
    return LimitError(Diagnostic("TP337", message, span, "the limit of such a read is derived for equal extents"))


def _longest(parameter: Parameter, other: Parameter, axes: Mapping[str, Axis]) -> Parameter:
    """Return a parameter over its axes in the instance in which these are longer."""
    here, there = ([axes[axis] for axis in one.axes] for one in (parameter, other))
    if all(_holds(mine, yours) for mine, yours in zip(here, there, strict=True)):
        return parameter
    if all(_holds(yours, mine) for mine, yours in zip(here, there, strict=True)):
        return other
    message = f"of the axes of `{parameter.name}`, one is longer in x1 and another in x2"
    raise LimitError(Diagnostic("TP337", message, parameter.span, "the limit is derived for equal extents"))


def _holds(axis: Axis, other: Axis) -> bool:
    """Return whether an axis has all positions of another one."""
    if axis == other:
        return True
    try:
        start, extent, first, count = (
            evaluate_integer(size, {}) for size in (axis.start, axis.extent, other.start, other.extent)
        )
    except KeyError:
        return False
    return start <= first and first + count <= start + extent


class _Renaming:
    """The names and the numbers of one instance: variables, axes of its own, and sizes with values."""

    def __init__(self, name: Callable[[str], str], axes: Mapping[str, str], sizes: Mapping[str, int | float]) -> None:
        self._axes, self._sizes = axes, sizes
        self._functions: dict[Fn, Fn] = {}
        self._parts: Mapping[str, Callable[[Any], Any]] = {
            "target": name,
            "source": name,
            "operand": name,
            "name": name,
            "initial": lambda found: None if found is None else name(found),
            "operands": lambda found: tuple(map(name, found)),
            "axis": self.axis,
            "axes": lambda found: tuple(map(self.axis, found)),
            "indices": lambda found: tuple(map(self._affine, found)),
            "expression": self.expr,
            "type": self._type,
            "carries": lambda found: tuple(map(self._moved, found)),
            "body": lambda found: tuple(map(self._moved, found)),
        }
        self._name = name

    def core(self, core: Core) -> Core:
        """Return a program under the new names; its parameters keep theirs."""
        return replace(
            core,
            axes={self.axis(axis.name): self._declared(axis) for axis in core.axes.values()},
            inputs=tuple(map(self._moved, core.inputs)),
            parameters={name: self._parameter(parameter) for name, parameter in core.parameters.items()},
            body=tuple(map(self._moved, core.body)),
            outputs=tuple(map(self._moved, core.outputs)),
            types={self._name(name): self._type(kind) for name, kind in core.types.items()},
        )

    def axis(self, name: str) -> str:
        """Return the name of an axis."""
        return self._axes.get(name, name)

    def expr(self, expr: Expr) -> Expr:
        """Return an expression over the axes and the numbers of the instance."""
        return substitute(expr, self._leaf)

    def _leaf(self, node: Expr) -> Expr | None:
        match node:
            case Symbol(name) if name in self._sizes:
                return Number(self._sizes[name])
            case Position(axis):
                return Position(self.axis(axis))
            case Call(fn, args):
                return Call(self._function(fn), tuple(map(self.expr, args)))
        return None

    def _function(self, fn: Fn) -> Fn:
        if fn not in self._functions:
            slope = None if fn.derivative is None else self.expr(fn.derivative)
            self._functions[fn] = replace(fn, body=self.expr(fn.body), derivative=slope)
        return self._functions[fn]

    def _moved(self, part: Input | Output | Instruction | Carry) -> Any:
        """Return an instruction, or another part of a program, with everything in it renamed."""
        names = [entry.name for entry in fields(part) if entry.name not in _KEPT]
        return replace(part, **{name: self._parts[name](getattr(part, name)) for name in names})

    def _affine(self, index: Affine) -> Affine:
        terms = tuple((self.axis(axis), self.expr(coefficient)) for axis, coefficient in index.terms)
        return Affine(self.expr(index.constant), terms)

    def _type(self, kind: Type) -> Type:
        dimension = None if kind.dimension is None else self.expr(kind.dimension)
        return Type(tuple(map(self.axis, kind.axes)), dimension)

    def _declared(self, axis: Axis) -> Axis:
        return replace(axis, name=self.axis(axis.name), start=self.expr(axis.start), extent=self.expr(axis.extent))

    def _parameter(self, parameter: Parameter) -> Parameter:
        return replace(
            parameter,
            axes=tuple(map(self.axis, parameter.axes)),
            shape=tuple(map(self.expr, parameter.shape)),
            mean=self.expr(parameter.mean),
            variance=self.expr(parameter.variance),
            rate=None if parameter.rate is None else self.expr(parameter.rate),
        )


_KEPT = frozenset({"span", "parameter", "transposed", "reverse"})
"""The fields of instructions in which nothing is renamed."""
