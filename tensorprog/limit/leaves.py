"""Gaussian leaves: which sources of randomness a variable is made of, and which variables are independent.

Two variables that share no leaf, looking back no further than each matrix, are independent in the limit (Yang, Tensor
Programs II, 2006.14548: the sampling data and ZHat).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from tensorprog.core.ir import Gather, Load, MatMul
from tensorprog.limit.facts import Facts, Loop, Ref

__all__ = ["Leaf", "Leaves", "Step"]


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


@dataclass(frozen=True)
class Leaves:
    """The leaves of the variables of one program."""

    facts: Facts

    def of(self, ref: Ref) -> frozenset[Leaf]:
        """Return the Gaussian leaves of Z^ref, looking back no further than each matrix."""
        found = self._own.get(ref.name, frozenset())
        if ref.at is None or ref.at == self.facts.loops[ref.name].index:
            return found
        step = Step.ALL if ref.at.is_number else Step.PAST
        inside = self._loop_parameters(self.facts.loops[ref.name])
        before = (
            self._own.get(self.facts.initials.get(ref.name) or "", frozenset())
            if self.facts.is_past(ref)
            else frozenset()
        )
        return before | {Leaf(leaf.parameter, step) if leaf.parameter in inside else leaf for leaf in found}

    def _loop_parameters(self, loop: Loop) -> frozenset[str]:
        return frozenset(p for p, made in self.facts.core.parameters.items() if loop.scan.axis in made.axes)

    @cached_property
    def _own(self) -> Mapping[str, frozenset[Leaf]]:
        """The leaves of every variable at its own step, iterated to a fixed point since carries look back."""
        found: dict[str, frozenset[Leaf]] = dict.fromkeys(self.facts.definitions, frozenset())
        while True:
            new = {name: self._own_leaves(name, found) for name in self.facts.definitions}
            if new == found:
                return found
            found = new

    def _own_leaves(self, name: str, found: Mapping[str, frozenset[Leaf]]) -> frozenset[Leaf]:
        instruction = self.facts.definitions[name]
        if name in self.facts.carries:
            carry = self.facts.carries[name]
            own = self._loop_parameters(self.facts.loops[name])
            source = found[carry.source]
            past = frozenset(Leaf(leaf.parameter, Step.PAST) if leaf.parameter in own else leaf for leaf in source)
            return past | (found.get(carry.initial, frozenset()) if carry.initial else frozenset())
        if isinstance(instruction, Load | MatMul):
            loop = self.facts.loops.get(name)
            inside = loop is not None and loop.scan.axis in self.facts.core.parameters[instruction.parameter].axes
            return frozenset({Leaf(instruction.parameter, Step.NOW if inside else Step.ALL)})
        if isinstance(instruction, Gather) and instruction.source in self.facts.loops and name not in self.facts.loops:
            inner = self._loop_parameters(self.facts.loops[instruction.source])
            leaves = found[instruction.source]
            return frozenset(Leaf(leaf.parameter, Step.ALL) if leaf.parameter in inner else leaf for leaf in leaves)
        read = [source for source in self.facts.reads(name) if source in found and self.facts.is_random(source)]
        return frozenset().union(*(found[source] for source in read))

    def independent(self, left: Ref, right: Ref) -> bool:
        """Return whether the two share no Gaussian leaf."""
        mine, other = self.of(left), self.of(right)
        return not any(a.meets(b) for a in mine for b in other)
