"""Facts about the variables of a program, from its text alone: which are data or random, what a loop carries."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from tensorprog.core.ir import Carry, Core, Gather, Instruction, Load, Map, MatMul, Repeat, Scan, Scatter
from tensorprog.errors import Diagnostic, LimitError, Span
from tensorprog.limit.affine import AffineForm, affine_form
from tensorprog.nonlin.evaluate import evaluate_integer

__all__ = ["ONLY_ROLLED", "TEMPORARY", "Facts", "Loop", "Ref", "name_part", "refuse_rolled", "sources"]

ONLY_ROLLED = "TP312"
"""The code of what refuses a loop kept as a recurrence, and not the loop unrolled."""

TEMPORARY = re.compile(r"\.\d+(#\d+)?$")
"""The names of variables that stand for a part of a statement."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A rolled loop, with its index as a symbol and its range, both ends included."""

    scan: Scan
    index: sp.Symbol
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Ref:
    """A variable at a position, and at a step if it is defined in a loop.

    `at` is the index of the loop, the index minus one, or a number; `index` has one position per axis of the variable.
    """

    name: str
    at: sp.Expr | None = None
    index: tuple[sp.Expr, ...] = ()


@dataclass(frozen=True)
class Facts:
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
        repeats = [instruction for instruction in self.core.body if isinstance(instruction, Repeat)]
        found: dict[str, Loop] = {}
        for scan in repeats:
            loop = self._loop(scan)
            names = [carry.target for carry in scan.carries] + [inner.target for inner in scan.body]
            found.update(dict.fromkeys(names, loop))
        return found

    def _loop(self, scan: Scan) -> Loop:
        axis = self.core.axes[scan.axis]
        first, extent = (evaluate_integer(size, self.core.symbols) for size in (axis.start, axis.extent))
        return Loop(scan, sp.Symbol(scan.axis), first, first + extent - 1)

    @cached_property
    def scans(self) -> Mapping[str, Scan]:
        """Body variable of a `scan` statement -> the scan."""
        scans = [i for i in self.core.body if isinstance(i, Scan) and not isinstance(i, Repeat)]
        return {
            name: scan
            for scan in scans
            for name in (*(carry.target for carry in scan.carries), *(inner.target for inner in scan.body))
        }

    @cached_property
    def carries(self) -> Mapping[str, Carry]:
        """Variable that a loop carries -> what it carries."""
        scans = [instruction for instruction in self.core.body if isinstance(instruction, Repeat)]
        return {carry.target: carry for scan in scans for carry in scan.carries}

    @cached_property
    def states(self) -> Mapping[str, Carry]:
        """Variable that a `scan` carries -> what it carries."""
        return {carry.target: carry for scan in self.scans.values() for carry in scan.carries}

    @cached_property
    def initials(self) -> Mapping[str, str | None]:
        """Variable of a loop that is carried -> its value before the first step."""
        return {carry.source: carry.initial for carry in self.carries.values()}

    def axes(self, name: str) -> tuple[str, ...]:
        """Return the axes over which a variable has positions: all but the one that counts the steps of its loop."""
        axes = self.core.types[name].axes
        return axes[1:] if name in self.loops else axes

    @cached_property
    def data(self) -> frozenset[str]:
        """The variables that are computed from the data alone."""
        inputs = {item.name for item in self.core.inputs}
        known = {
            name
            for name, instruction in self.definitions.items()
            if not isinstance(instruction, Load | MatMul | Repeat)
        }
        lost = known
        while lost:
            lost = {name for name in known if not known.union(inputs).issuperset(self.reads(name))}
            known -= lost
        return frozenset(known | inputs)

    def reads(self, name: str) -> tuple[str, ...]:
        """Return the variables that the definition of a variable reads, of a state what it carries."""
        carry = self.states.get(name) or self.carries.get(name)
        if carry is not None:
            return (carry.source, carry.initial) if carry.initial is not None else (carry.source,)
        return sources(self.definitions[name])

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
        if isinstance(self.definitions[name], Load | MatMul):
            return True
        return any(source in random for source in self.reads(name))

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
        return self.parameter_behind(next(s for s in self.reads(name) if s in self.random_scalars))

    def is_scalar_formula(self, name: str) -> bool:
        """Return whether the variable is a scalar made of scalars: its formula may contain powers of n."""
        instruction = self.definitions.get(name)
        if not isinstance(instruction, Map) or self.is_vector(name):
            return False
        return not any(self.is_vector(source) for source in instruction.operands)

    def is_random(self, name: str) -> bool:
        """Return whether a coordinate of the variable has a law of its own (a deterministic scalar has none)."""
        return name not in self.data and (self.is_vector(name) or name in self.random_scalars)

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

    def affine(self, name: str) -> AffineForm | None:
        """Return constant + Σ coefficient · operand if `name` is affine in its random operands, else None."""
        instruction = self.definitions.get(name)
        if not isinstance(instruction, Map):
            return None
        random = [i for i, source in enumerate(instruction.operands) if self.is_random(source)]
        return affine_form(instruction.expression, frozenset(random))


def name_part(target: str, known: Collection[str]) -> str:
    """Return a new name for an unnamed part of a variable: h.3 for one of h, or of h.1."""
    owner = TEMPORARY.sub("", target)
    return next(name for number in itertools.count(1) if (name := f"{owner}.{number}") not in known)


def sources(instruction: Instruction) -> tuple[str, ...]:
    """Return the variables that an instruction reads, in order."""
    if isinstance(instruction, Map):
        return instruction.operands
    if isinstance(instruction, Load | Scan):
        return ()
    return (instruction.source if isinstance(instruction, Gather | Scatter) else instruction.operand,)  # type: ignore[attr-defined]


def refuse_rolled(reason: str, span: Span) -> LimitError:
    """Return the refusal of a loop kept as a recurrence; the caller may unroll it."""
    return LimitError(Diagnostic(ONLY_ROLLED, f"{reason}, so the loop has no recurrence over one step", span))
