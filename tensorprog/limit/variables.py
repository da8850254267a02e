"""Limit variables: what is known of Z^v before any moment is taken.

A `Ref` is a variable of the core at a step of the loop around it. This module answers, from the program alone, which
variables are data, which scalars stay random, which vectors are Gaussian in the limit, and which share a Gaussian leaf:
two variables that share none are independent (Yang, Tensor Programs II, 2006.14548: the sampling data and ZHat).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import sympy as sp

from tensorprog.core.ir import Affine, Carry, Core, Gather, Instruction, Load, Map, MatMul, Parameter, Scan
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.affine import AffineForm, affine_form
from tensorprog.limit.scaling import Asymptotics
from tensorprog.nonlin.evaluate import evaluate_integer
from tensorprog.nonlin.expression import Expr

__all__ = [
    "ONLY_ROLLED",
    "TEMPORARY",
    "Leaf",
    "Loop",
    "Ref",
    "Step",
    "Variables",
    "refuse_axes",
    "refuse_rolled",
    "sources",
]


ONLY_ROLLED = "TP312"
"""The code of what refuses a loop kept as a recurrence, and not the loop unrolled."""

TEMPORARY = re.compile(r"\.\d+(#\d+)?$")
"""The names of variables that stand for a part of a statement."""


class Step(Enum):
    """When a leaf was made, seen from a variable inside its loop: at this step, before it, or at any step."""

    NOW = "now"
    PAST = "past"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A source of randomness: a parameter, and the steps at which it was used (ALL outside of loops)."""

    parameter: str
    step: Step

    def meets(self, other: Leaf) -> bool:
        """Return whether the two may be the same tensor."""
        return self.parameter == other.parameter and {self.step, other.step} != {Step.NOW, Step.PAST}


@dataclass(frozen=True, slots=True)
class Loop:
    """A rolled loop, with its index as a symbol and its range, both ends included."""

    scan: Scan
    index: sp.Symbol
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Ref:
    """A variable, at a step if it is defined in a loop: the loop's index, the index minus one, or a number."""

    name: str
    at: sp.Expr | None = None


@dataclass(frozen=True)
class Variables:
    """The facts about the variables of one program."""

    core: Core

    @cached_property
    def definitions(self) -> Mapping[str, Instruction]:
        """Variable -> the instruction that defines it, in program order (the scan, for a carried variable)."""
        found: dict[str, Instruction] = {}
        for instruction in self.core.body:
            if isinstance(instruction, Scan):
                found.update({carry.target: instruction for carry in instruction.carries})
                found.update({inner.target: inner for inner in instruction.body})
            else:
                found[instruction.target] = instruction
        return found

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Variable -> its place in program order."""
        return {name: number for number, name in enumerate(self.definitions)}

    @cached_property
    def loops(self) -> Mapping[str, Loop]:
        """Body variable -> the loop it is defined in."""
        scans = [instruction for instruction in self.core.body if isinstance(instruction, Scan)]
        found: dict[str, Loop] = {}
        for scan in scans:
            loop = self._loop(scan)
            names = [carry.target for carry in scan.carries] + [inner.target for inner in scan.body]
            found.update(dict.fromkeys(names, loop))
        return found

    def _loop(self, scan: Scan) -> Loop:
        axis = self.core.axes[scan.axis]
        try:
            first, extent = (evaluate_integer(size, self.core.symbols) for size in (axis.start, axis.extent))
        except (KeyError, ValueError) as error:
            raise refuse_axes(scan.axis, scan.span) from error
        return Loop(scan, sp.Symbol(scan.axis), first, first + extent - 1)

    @cached_property
    def carries(self) -> Mapping[str, Carry]:
        """Carried variable -> what it carries."""
        scans = [instruction for instruction in self.core.body if isinstance(instruction, Scan)]
        return {carry.target: carry for scan in scans for carry in scan.carries}

    @cached_property
    def initials(self) -> Mapping[str, str | None]:
        """Body variable that is carried -> its value before the first step."""
        return {carry.source: carry.initial for carry in self.carries.values()}

    @cached_property
    def data(self) -> frozenset[str]:
        """The variables that are computed from the data alone."""
        known = {item.name for item in self.core.inputs}
        for name, instruction in self.definitions.items():
            read = sources(instruction)
            if not isinstance(instruction, Load | MatMul | Scan) and all(source in known for source in read):
                known.add(name)
        return frozenset(known)

    @cached_property
    def random_scalars(self) -> frozenset[str]:
        """The scalars that stay random in the limit: readouts, scalar parameters and what is made of them."""
        known: set[str] = set()
        while True:
            new = {name for name in self.definitions if not self.is_vector(name) and self._inherits(name, known)}
            if new == known:
                return frozenset(known)
            known = new

    def _inherits(self, name: str, random: set[str]) -> bool:
        """Return whether a scalar is random if those in `random` are."""
        instruction = self.definitions[name]
        if name in self.carries:
            carry = self.carries[name]
            return carry.source in random or carry.initial in random
        return isinstance(instruction, Load | MatMul) or any(source in random for source in sources(instruction))

    def is_vector(self, name: str) -> bool:
        """Return whether the variable has coordinates."""
        return name in self.core.types and self.core.types[name].dimension is not None

    def describe(self, name: str) -> str:
        """Return how an error speaks of a variable: by its name, if its author gave it one."""
        return "this expression" if TEMPORARY.search(name) else f"`{name}`"

    def parameter_behind(self, name: str) -> str:
        """Return a parameter that makes a scalar random."""
        instruction = self.definitions[name]
        if isinstance(instruction, Load | MatMul):
            return instruction.parameter
        return self.parameter_behind(next(s for s in sources(instruction) if s in self.random_scalars))

    def is_scalar_formula(self, name: str) -> bool:
        """Return whether the variable is a scalar made of scalars: its formula may contain powers of n."""
        instruction = self.definitions.get(name)
        if not isinstance(instruction, Map) or self.is_vector(name):
            return False
        return not any(self.is_vector(source) for source in instruction.operands)

    def is_random(self, name: str) -> bool:
        """Return whether a coordinate of the variable has a law of its own (a deterministic scalar has none)."""
        return name not in self.data and (self.is_vector(name) or name in self.random_scalars)

    def resolve(self, name: str, at: sp.Expr | None) -> Ref:
        """Return what `name` means to a reader at step `at`: gathers and carries are looked through."""
        if name in self.carries:
            assert at is not None
            return Ref(self.carries[name].source, at - 1)
        instruction = self.definitions.get(name)
        if isinstance(instruction, Gather) and instruction.source in self.loops:
            return Ref(instruction.source, self._index(instruction.indices[0]))
        return Ref(name, at if name in self.loops else None)

    def own(self, name: str) -> Ref:
        """Return a variable at the step at which it is made."""
        return Ref(name, self.loops[name].index if name in self.loops else None)

    def _index(self, index: Affine) -> sp.Expr:
        return sp.Integer(evaluate_integer(index.constant, self.core.symbols))

    def operands(self, ref: Ref) -> tuple[Ref, ...]:
        """Return the operands of the definition of `ref`, at its step.

        Raises:
            LimitError: that looks behind the step before in a loop, where there may be an initial value instead.
        """
        names = sources(self.definitions[ref.name])
        is_carried = (
            ref.at is not None and ref.at != self.loops[ref.name].index and not self.carries.keys().isdisjoint(names)
        )
        if is_carried or self.is_past(ref):
            raise refuse_rolled(f"`{ref.name}` is needed two steps back", self.definitions[ref.name].span)
        return tuple(self.resolve(source, ref.at) for source in names)

    def is_past(self, ref: Ref) -> bool:
        """Return whether `ref` is what a loop made one step ago: at the first step, its initial value."""
        return ref.at is not None and not ref.at.is_number and ref.at != self.loops[ref.name].index

    @cached_property
    def arguments(self) -> frozenset[str]:
        """The variables that a nonlinearity reads."""
        maps = [name for name, instruction in self.definitions.items() if isinstance(instruction, Map)]
        nonlinear = [name for name in maps if name not in self.carries and self.affine(name) is None]
        return frozenset(source for name in nonlinear for source in sources(self.definitions[name]))

    def order(self, ref: Ref) -> tuple[bool, int]:
        """Return a key that sorts variables by when they are made: what a loop made a step ago comes first."""
        return not self.is_past(ref), self.position[ref.name]

    def leaves(self, ref: Ref) -> frozenset[Leaf]:
        """Return the Gaussian leaves of Z^ref, looking back no further than each matrix."""
        found = self._leaves.get(ref.name, frozenset())
        if ref.at is None or ref.at == self.loops[ref.name].index:
            return found
        step = Step.ALL if ref.at.is_number else Step.PAST
        inside = self._loop_parameters(self.loops[ref.name])
        before = self._leaves.get(self.initials.get(ref.name) or "", frozenset()) if self.is_past(ref) else frozenset()
        return before | {Leaf(leaf.parameter, step) if leaf.parameter in inside else leaf for leaf in found}

    def _loop_parameters(self, loop: Loop) -> frozenset[str]:
        return frozenset(p for p, made in self.core.parameters.items() if loop.scan.axis in made.axes)

    @cached_property
    def _leaves(self) -> Mapping[str, frozenset[Leaf]]:
        """The leaves of every variable at its own step, iterated to a fixed point since carries look back."""
        found: dict[str, frozenset[Leaf]] = dict.fromkeys(self.definitions, frozenset())
        while True:
            new = {name: self._own_leaves(name, found) for name in self.definitions}
            if new == found:
                return found
            found = new

    def _own_leaves(self, name: str, found: Mapping[str, frozenset[Leaf]]) -> frozenset[Leaf]:
        instruction = self.definitions[name]
        if name in self.carries:
            carry = self.carries[name]
            own = self._loop_parameters(self.loops[name])
            source = found[carry.source]
            past = frozenset(Leaf(leaf.parameter, Step.PAST) if leaf.parameter in own else leaf for leaf in source)
            return past | (found.get(carry.initial, frozenset()) if carry.initial else frozenset())
        if isinstance(instruction, Load | MatMul):
            loop = self.loops.get(name)
            inside = loop is not None and loop.scan.axis in self.core.parameters[instruction.parameter].axes
            return frozenset({Leaf(instruction.parameter, Step.NOW if inside else Step.ALL)})
        if isinstance(instruction, Gather) and instruction.source in self.loops:
            inner = self._loop_parameters(self.loops[instruction.source])
            leaves = found[instruction.source]
            return frozenset(Leaf(leaf.parameter, Step.ALL) if leaf.parameter in inner else leaf for leaf in leaves)
        read = [source for source in sources(instruction) if source in found and self.is_random(source)]
        return frozenset().union(*(found[source] for source in read))

    def independent(self, left: Ref, right: Ref) -> bool:
        """Return whether the two share no Gaussian leaf."""
        mine, other = self.leaves(left), self.leaves(right)
        return not any(a.meets(b) for a in mine for b in other)

    def affine(self, name: str) -> AffineForm | None:
        """Return constant + Σ coefficient · operand if `name` is affine in its random operands, else None."""
        instruction = self.definitions.get(name)
        if name in self.carries or not isinstance(instruction, Map):
            return None
        random = [i for i, source in enumerate(instruction.operands) if self.is_random(source)]
        return affine_form(instruction.expression, frozenset(random))

    def is_centred(self, ref: Ref) -> bool:
        """Return whether a Gaussian variable has mean zero by construction, at the first step of its loop as well."""
        before = self.initials.get(ref.name) if self.is_past(ref) else None
        return ref.name in self._centred and (before is None or before in self._centred)

    @cached_property
    def _centred(self) -> frozenset[str]:
        """The Gaussian variables of mean zero: the greatest set closed under the rules."""
        known = set(self.gaussian)
        lost = known
        while lost:
            lost = {name for name in known if not self._stays_centred(name, known)}
            known -= lost
        return frozenset(known)

    def _stays_centred(self, name: str, known: set[str]) -> bool:
        instruction = self.definitions[name]
        if name in self.carries:
            carry = self.carries[name]
            return carry.source in known and (carry.initial is None or carry.initial in known)
        if isinstance(instruction, Load | MatMul):
            parameter = self.core.parameters[instruction.parameter]
            if self._is_zero(parameter.mean):
                return True
            return isinstance(instruction, MatMul) and instruction.operand in known and self._averages(parameter)
        if isinstance(instruction, Gather):
            return instruction.source in known
        form = self.affine(name)
        assert form is not None
        return self._is_zero(form.constant) and all(sources(instruction)[i] in known for i in form.coefficients)

    def _averages(self, parameter: Parameter) -> bool:
        """Return whether the entries of a matrix have a mean O(1 / n), so that it averages what it is applied to."""
        mean, inner = (Asymptotics(self.core).evaluate(expr) for expr in (parameter.mean, parameter.shape[1]))
        return bool((mean * inner).power <= 0)

    def _is_zero(self, expr: Expr) -> bool:
        return Asymptotics(self.core).is_zero(expr)

    @cached_property
    def gaussian(self) -> frozenset[str]:
        """The variables that are jointly Gaussian in the limit: the greatest set closed under the rules."""
        known = {name for name in self.definitions if self.is_random(name) or name in self.carries}
        lost = known
        while lost:
            lost = {name for name in known if not self._stays_gaussian(name, known)}
            known -= lost
        return frozenset(known)

    def _stays_gaussian(self, name: str, known: set[str]) -> bool:
        instruction = self.definitions[name]
        if name in self.carries:
            carry = self.carries[name]
            return carry.source in known and (carry.initial is None or carry.initial in known)
        if isinstance(instruction, Load | MatMul):
            return True
        if isinstance(instruction, Gather):
            return instruction.source in known
        form = self.affine(name)
        read = sources(instruction)
        return form is not None and all(read[index] in known for index in form.coefficients)


def sources(instruction: Instruction) -> tuple[str, ...]:
    """Return the variables that an instruction reads, in order."""
    if isinstance(instruction, Map):
        return instruction.operands
    if isinstance(instruction, Load | Scan):
        return ()
    return (instruction.source if isinstance(instruction, Gather) else instruction.operand,)  # type: ignore[attr-defined]


def refuse_rolled(reason: str, span: Span) -> LimitError:
    """Return the refusal of a loop kept as a recurrence; the caller may unroll it."""
    return LimitError(Diagnostic(ONLY_ROLLED, f"{reason}, so the loop has no recurrence over one step", span))


def refuse_axes(axis: str, span: Span) -> LimitError:
    """Return the refusal of a limit with index axes."""
    message = f"the limit of a program with the index axis `{axis}` is not implemented yet"
    return LimitError(Diagnostic("TP310", message, span, "the program can be sampled at finite width: net.sample(…)"))
