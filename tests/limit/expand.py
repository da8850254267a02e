"""Programs written out: every position of every axis becomes a variable of its own, and no axis is left.

    h[i] = W @ x[i]   over i = 0, 1   →   h@0 = W @ x@0 ; h@1 = W @ x@1

The limit of the program without axes must be that of the program with them. Reads beyond an axis become constants.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce, singledispatchmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.core.ir import (
    Affine,
    Core,
    Gather,
    Input,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Moment,
    Output,
    Parameter,
    Scan,
    Softmax,
    Sum,
    Type,
)
from tensorprog.dual.expectation import Expectations
from tensorprog.limit.derive import assemble, make_systems, refuse_unsupported
from tensorprog.limit.equations import Kind, LimitSystem, Result
from tensorprog.limit.scaling import Asymptotics, Term
from tensorprog.limit.variables import Ref, Variables
from tensorprog.nonlin.evaluate import evaluate, evaluate_integer
from tensorprog.nonlin.expression import (
    ZERO,
    Expr,
    Number,
    Operand,
    Position,
    Symbol,
    apply,
    operands,
    substitute,
    symbols,
)
from tensorprog.nonlin.simplify import bind, inline, simplify

__all__ = ["Place", "expand", "name_at", "pair_system", "slice_inputs"]

Place = tuple[int, ...]
Value = str | Expr
"""What a variable is at a position: the name of a variable, or a constant expression."""

Array = npt.NDArray[np.float64]


def name_at(name: str, place: Place) -> str:
    """Return the name of a variable, an input or a parameter at a position."""
    return "@".join((name, *(str(k) for k in place)))


def expand(core: Core, sizes: Mapping[str, int] | None = None) -> Core:
    """Return the program without axes; `sizes` are the extents that the data would bind."""
    return _Expansion(core, {**core.symbols, **(sizes or {})}).run()


def slice_inputs(core: Core, data: Mapping[str, Array]) -> dict[str, Array]:
    """Return the data of the expanded program: one array per position of every input."""
    found = dict[str, Array]()
    for entry in core.inputs:
        array, axes = data[entry.name], entry.type.axes
        starts = [evaluate_integer(core.axes[axis].start, core.symbols) for axis in axes]
        for place in np.ndindex(*array.shape[1 : 1 + len(axes)]):
            name = name_at(entry.name, tuple(start + k for start, k in zip(starts, place, strict=True)))
            found[name] = array[:, *place]
    return found


def pair_system(core: Core) -> tuple[Core, LimitSystem]:
    """Return a program and its limit with one result for every two of its outputs, named `left|right`."""
    variables = Variables(core)
    asymptotics = Asymptotics(core, variables.sizes)
    independence = refuse_unsupported(variables, asymptotics)
    systems = make_systems(variables, asymptotics, Expectations.AUTO)
    results = dict[tuple[str, str], Result]()
    outputs = list[Output]()
    for left, right in itertools.product(core.outputs, repeat=2):
        refs = Ref(left.source), Ref(right.source)
        name = f"{left.name}|{right.name}"
        outputs.append(replace(left, name=name))
        one, two = systems.one, systems.two
        results[name, "nngp"] = Result(_finite(one.second(*refs)), _finite(two.second(*refs)))
        results[name, "ntk"] = Result(
            _finite(one.tangent(*refs, Kind.TANGENT)), _finite(two.tangent(*refs, Kind.TANGENT))
        )
    system = assemble(core, systems, asymptotics, independence, results, {})
    return replace(core, outputs=tuple(outputs)), system


def _finite(term: Term) -> Any:
    assert not term.is_unknown
    if term.vanishes or term.power < 0:
        return term.coefficient * 0
    assert term.power == 0
    return term.coefficient


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is visible: for every variable its values by position, and the order of the axes of these positions."""

    axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict[str, dict[Place, Value]] = field(default_factory=dict)

    def inside(self) -> _Scope:
        return _Scope(dict(self.axes), dict(self.values))

    def at(self, name: str, where: Mapping[str, int]) -> Value:
        """Return a variable at the position that `where` gives, by axis."""
        return self.values[name][tuple(where[axis] for axis in self.axes[name])]


class _Expansion:
    def __init__(self, core: Core, sizes: Mapping[str, int | float]) -> None:
        self.core = core
        self.sizes = sizes
        self.body: list[Instruction] = []
        self.types: dict[str, Type] = {}
        self.parameters: dict[str, Parameter] = {}
        self.known: dict[Instruction, str] = {}

    # --- positions -------------------------------------------------------------------------------------------------

    def range(self, axis: str) -> range:
        start, extent = (
            evaluate_integer(e, self.sizes) for e in (self.core.axes[axis].start, self.core.axes[axis].extent)
        )
        return range(start, start + extent)

    def positions(self, axes: tuple[str, ...]) -> Iterator[Place]:
        return itertools.product(*(self.range(axis) for axis in axes))

    def locate(self, indices: tuple[Affine, ...], axes: tuple[str, ...], where: Mapping[str, int]) -> Place | None:
        """Return the position that is read in a container over `axes`, None where it is beyond them."""
        found = list[int]()
        for index, axis in zip(indices, axes, strict=True):
            terms = [evaluate_integer(factor, self.sizes) * where[name] for name, factor in index.terms]
            place, reach = evaluate_integer(index.constant, self.sizes) + sum(terms), self.range(axis)
            if self.core.axes[axis].circular:
                place = reach.start + (place - reach.start) % len(reach)
            if place not in reach:
                return None
            found.append(place)
        return tuple(found)

    # --- the program -----------------------------------------------------------------------------------------------

    def run(self) -> Core:
        scope = _Scope()
        inputs = list[Input]()
        for entry in self.core.inputs:
            kind = Type((), entry.type.dimension)
            scope.axes[entry.name], scope.values[entry.name] = entry.type.axes, {}
            for place in self.positions(entry.type.axes):
                name = name_at(entry.name, place)
                inputs.append(Input(name, kind, entry.span))
                self.types[name] = kind
                scope.values[entry.name][place] = name
        self.run_body(self.core.body, scope, {})
        return Core(
            name=self.core.name,
            symbols=self.core.symbols,
            widths=self.core.widths,
            axes={},
            inputs=tuple(inputs),
            parameters=self.parameters,
            body=tuple(self.body),
            outputs=tuple(self.outputs(scope)),
            types=self.types,
        )

    def outputs(self, scope: _Scope) -> Iterator[Output]:
        for output in self.core.outputs:
            axes = self.core.types[output.source].axes
            for place in self.positions(axes):
                value = scope.at(output.source, dict(zip(axes, place, strict=True)))
                if isinstance(value, str):
                    yield Output(name_at(output.name, place), value, output.span)

    def run_body(self, body: tuple[Instruction, ...], scope: _Scope, steps: Mapping[str, int]) -> None:
        for instruction in body:
            if isinstance(instruction, Scan):
                self.run_scan(instruction, scope, steps)
                continue
            axes = tuple(axis for axis in self.core.types[instruction.target].axes if axis not in steps)
            values = dict[Place, Value]()
            for place in self.positions(axes):
                where = {**steps, **dict(zip(axes, place, strict=True))}
                values[place] = self.at(instruction, where, scope)
            scope.axes[instruction.target], scope.values[instruction.target] = axes, values

    def run_scan(self, scan: Scan, scope: _Scope, steps: Mapping[str, int]) -> None:
        history: dict[str, dict[Place, Value]] = {}
        inner, before = scope.inside(), dict[str, tuple[tuple[str, ...], dict[Place, Value]]]()
        order = list(self.range(scan.axis))
        for step in reversed(order) if scan.reverse else order:
            inner = scope.inside()
            for carry in scan.carries:
                self.carry(carry.target, before.get(carry.source), carry.initial, inner, (*steps, scan.axis))
            self.run_body(scan.body, inner, {**steps, scan.axis: step})
            before = {carry.source: (inner.axes[carry.source], inner.values[carry.source]) for carry in scan.carries}
            for name in inner.values.keys() - scope.values.keys():
                found = history.setdefault(name, {})
                found.update({(step, *place): value for place, value in inner.values[name].items()})
        for name, values in history.items():
            scope.axes[name], scope.values[name] = (scan.axis, *inner.axes[name]), values

    def carry(
        self,
        target: str,
        before: tuple[tuple[str, ...], dict[Place, Value]] | None,
        initial: str | None,
        scope: _Scope,
        running: tuple[str, ...],
    ) -> None:
        axes = tuple(axis for axis in self.core.types[target].axes if axis not in running)
        if before is None and initial is not None:
            before = scope.axes[initial], scope.values[initial]
        values = dict[Place, Value]()
        for place in self.positions(axes):
            where = dict(zip(axes, place, strict=True))
            values[place] = ZERO if before is None else before[1][tuple(where[axis] for axis in before[0])]
        scope.axes[target], scope.values[target] = axes, values

    # --- one instruction at one position ---------------------------------------------------------------------------

    def emit(self, instruction: Instruction, like: Instruction, where: Mapping[str, int]) -> str:
        """Add an instruction, named after `like`; what is there already is not computed again."""
        if instruction in self.known:
            return self.known[instruction]
        place = tuple(where[axis] for axis in self.core.types[like.target].axes)
        name = name_at(like.target, place)
        while name in self.types:
            name += "'"
        self.known[instruction] = name
        self.types[name] = Type((), self.core.types[like.target].dimension)
        self.body.append(replace(instruction, target=name))
        return name

    def parameter(self, name: str, indices: tuple[Affine, ...], where: Mapping[str, int]) -> str | None:
        made = self.core.parameters[name]
        place = self.locate(indices, made.axes, where)
        if place is None:
            return None
        found = name_at(name, place)
        here = dict(zip(made.axes, place, strict=True))
        mean, variance = (self.placed(e, here) for e in (made.mean, made.variance))
        rate = None if made.rate is None else self.placed(made.rate, here)
        self.parameters[found] = replace(made, name=found, axes=(), mean=mean, variance=variance, rate=rate)
        return found

    def placed(self, expr: Expr, where: Mapping[str, int]) -> Expr:
        """Return an expression with numbers for positions, and for the sizes that are known."""

        def number(node: Expr) -> Expr | None:
            if isinstance(node, Position):
                return Number(where[node.axis])
            if isinstance(node, Symbol) and node.name in self.sizes and node.name not in self.core.symbols:
                return Number(self.sizes[node.name])
            return None

        return substitute(expr, number)

    def map(self, expr: Expr, values: list[Value], like: Instruction, where: Mapping[str, int]) -> Value:
        """Return expr(values…), an instruction or a constant; equal variables become one operand."""
        names = list(dict.fromkeys(value for value in values if isinstance(value, str)))
        known = tuple(Operand(names.index(value)) if isinstance(value, str) else value for value in values)
        bound = bind(expr, known)
        if len(known) > len(names):
            bound = simplify(inline(bound))
        used = operands(bound)
        if used == () and not symbols(bound):
            return Number(float(evaluate(bound, (), self.sizes)))
        if (
            used == (0,)
            and bound == Operand(0)
            and self.types[names[0]].dimension == self.core.types[like.target].dimension
        ):
            return names[0]
        kept = bind(bound, tuple(Operand(used.index(k)) if k in used else ZERO for k in range(len(names))))
        return self.emit(Map("", kept, tuple(names[k] for k in used), span=like.span), like, where)

    def named(self, value: Value, like: Instruction, name: str, where: Mapping[str, int]) -> str:
        """Return a variable that has a value, of a constant a frozen parameter that does not vary."""
        if isinstance(value, str):
            return value
        made = f"{name}={value}"
        if made not in self.types:
            self.types[made] = kind = Type((), self.core.types[name].dimension)
            shape = () if kind.dimension is None else (kind.dimension,)
            self.parameters[made] = Parameter(made, (), shape, value, ZERO, None, False, like.span)
            self.body.append(Load(made, made, (), span=like.span))
        return made

    @singledispatchmethod
    def at(self, instruction: Instruction, where: Mapping[str, int], scope: _Scope) -> Value:
        """Return what an instruction makes at a position."""
        raise TypeError(f"{type(instruction).__name__} is not in forward programs")

    @at.register
    def _(self, instruction: Gather, where: Mapping[str, int], scope: _Scope) -> Value:
        place = self.locate(instruction.indices, scope.axes[instruction.source], where)
        return ZERO if place is None else scope.values[instruction.source][place]

    @at.register
    def _(self, instruction: Load, where: Mapping[str, int], scope: _Scope) -> Value:
        name = self.parameter(instruction.parameter, instruction.indices, where)
        return ZERO if name is None else self.emit(Load("", name, (), span=instruction.span), instruction, where)

    @at.register
    def _(self, instruction: MatMul, where: Mapping[str, int], scope: _Scope) -> Value:
        value = scope.at(instruction.operand, where)
        name = self.parameter(instruction.parameter, instruction.indices, where)
        if name is None or value == ZERO or value == Number(0.0):
            return ZERO
        operand = self.named(value, instruction, instruction.operand, where)
        return self.emit(
            MatMul("", name, (), operand, instruction.transposed, span=instruction.span), instruction, where
        )

    @at.register
    def _(self, instruction: Map, where: Mapping[str, int], scope: _Scope) -> Value:
        values = [scope.at(name, where) for name in instruction.operands]
        return self.map(self.placed(instruction.expression, where), values, instruction, where)

    def over(self, name: str, axes: tuple[str, ...], where: Mapping[str, int], scope: _Scope) -> list[Value]:
        """Return a variable at all positions of `axes`."""
        return [scope.at(name, {**where, **dict(zip(axes, k, strict=True))}) for k in self.positions(axes)]

    @at.register
    def _(self, instruction: Sum, where: Mapping[str, int], scope: _Scope) -> Value:
        values = self.over(instruction.operand, instruction.axes, where, scope)
        return self.map(_fold("add", [Operand(k) for k in range(len(values))]), values, instruction, where)

    @at.register
    def _(self, instruction: Max, where: Mapping[str, int], scope: _Scope) -> Value:
        values = self.over(instruction.operand, instruction.axes, where, scope)
        return self.map(_fold("max", [Operand(k) for k in range(len(values))]), values, instruction, where)

    @at.register
    def _(self, instruction: Softmax, where: Mapping[str, int], scope: _Scope) -> Value:
        values = self.over(instruction.operand, (instruction.axis,), where, scope)
        powers = [apply("exp", Operand(k)) for k in range(len(values))]
        own = powers[where[instruction.axis] - self.range(instruction.axis).start]
        return self.map(apply("div", own, _fold("add", powers)), values, instruction, where)

    @at.register
    def _(self, instruction: Moment, where: Mapping[str, int], scope: _Scope) -> Value:
        value = scope.at(instruction.operand, where)
        if not isinstance(value, str):
            return value
        return self.emit(Moment("", value, span=instruction.span), instruction, where)


def _fold(function: str, terms: Sequence[Expr]) -> Expr:
    """Return the terms joined by a function of two arguments."""
    return reduce(lambda total, term: apply(function, total, term), terms)
