"""Limit variables: what is known of Z^v before any moment is taken.

A `Ref` is a variable of the core at a position and at a step of the loop around it. This module answers, from the
program alone, what a variable reads where; which variables are Gaussian in the limit, and which are independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from tensorprog.core.ir import Gather, Load, MatMul
from tensorprog.limit.equations import X
from tensorprog.limit.facts import ONLY_ROLLED, TEMPORARY, Facts, Loop, Ref, refuse_rolled, sources
from tensorprog.limit.laws import Laws
from tensorprog.limit.leaves import Leaves
from tensorprog.limit.places import Places
from tensorprog.limit.sizes import Sizes

__all__ = [
    "ONLY_ROLLED",
    "TEMPORARY",
    "Loop",
    "Ref",
    "Variables",
    "refuse_rolled",
    "sources",
]


@dataclass(frozen=True)
class Variables(Facts):
    """The variables of one program: the facts about them, their positions, their laws and what they depend on."""

    @cached_property
    def places(self) -> Places:
        """The indices of the program."""
        return Places(self.core, self.sizes)

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes that the data bind."""
        return Sizes(self.core)

    def resolve(self, name: str, at: sp.Expr | None, values: Mapping[str, sp.Expr]) -> Ref:
        """Return what `name` means to a reader at step `at`, with the indices at `values` by axis.

        Gathers and carries are looked through, unless the read may leave the axes of what they define.
        """
        if name in self.carries:
            assert at is not None
            source = self.carries[name].source
            return Ref(source, at - 1, tuple(values[axis] for axis in self.axes(source)))
        return self.look_through(Ref(name, at if name in self.loops else None, self._place(name, values)))

    def _place(self, name: str, values: Mapping[str, sp.Expr]) -> tuple[sp.Expr, ...]:
        return tuple(values[axis] for axis in self.axes(name)) if name in self.core.types else ()

    def look_through(self, ref: Ref) -> Ref:
        """Return what a gather reads, or a state that starts at zero, where both are zero beyond the same axes."""
        while self.is_alias(ref.name) and self._is_transparent(ref, self.behind(ref)):
            ref = self.behind(ref)
        return ref

    def _is_transparent(self, ref: Ref, deeper: Ref) -> bool:
        """Return whether every position is known to be in range, or stands unchanged at the same axis behind."""
        behind = set(zip(deeper.index, self.axes(deeper.name), strict=True))
        return all(
            (place, axis) in behind or self.places.is_inside(place, axis)
            for place, axis in zip(ref.index, self.axes(ref.name), strict=True)
        )

    def is_alias(self, name: str) -> bool:
        """Return whether a variable is another one at other positions."""
        state = self.states.get(name)
        return isinstance(self.definitions.get(name), Gather) or (state is not None and state.initial is None)

    def has_initial(self, ref: Ref) -> bool:
        """Return whether a variable is a state of a scan that starts at a value of its own."""
        return ref.name in self.states and not self.is_alias(ref.name)

    def behind(self, ref: Ref) -> Ref:
        """Return what an alias reads, where `ref` is in its range."""
        values = self.values(ref)
        if ref.name in self.states:
            scan, source = self.scans[ref.name], self.states[ref.name].source
            before = {**values, scan.axis: values[scan.axis] - 1}
            return Ref(source, None, self._place(source, before))
        gather = self.definitions[ref.name]
        assert isinstance(gather, Gather)
        found = tuple(self.places.place(index, values) for index in gather.indices)
        if gather.source in self.carries:
            source = self.carries[gather.source].source
            assert ref.at is not None
            return Ref(source, ref.at - 1, found)
        if gather.source in self.loops:
            inside = self.loops.get(ref.name) is self.loops[gather.source]
            return Ref(gather.source, ref.at if inside else found[0], found if inside else found[1:])
        if ref.name in self.scans and self.scans.get(gather.source) is self.scans[ref.name]:
            return Ref(gather.source, None, (values[self.scans[ref.name].axis], *found))
        return Ref(gather.source, None, found)

    def is_inside(self, ref: Ref) -> bool:
        """Return whether a position is known to be in the range of its variable."""
        return all(
            self.places.is_inside(place, axis) for place, axis in zip(ref.index, self.axes(ref.name), strict=True)
        )

    def values(self, ref: Ref) -> dict[str, sp.Expr]:
        """Return the indices at `ref`, by axis; of a variable in a loop also the step."""
        values = dict(zip(self.axes(ref.name), ref.index, strict=True))
        if ref.at is not None:
            values[self.loops[ref.name].scan.axis] = ref.at
        return values

    def own(self, name: str, copy: sp.Symbol = X) -> Ref:
        """Return a variable at the step at which it is made, and at its own indices in one of the copies."""
        at = self.loops[name].index if name in self.loops else None
        return Ref(name, at, self.places.own(self.axes(name), copy))

    def operands(self, ref: Ref) -> tuple[Ref, ...]:
        """Return the operands of the definition of `ref`, at its step and its position.

        Raises:
            LimitError: that looks behind the step before in a loop, where there may be an initial value instead.
        """
        names = sources(self.definitions[ref.name])
        is_carried = (
            ref.at is not None and ref.at != self.loops[ref.name].index and not self.carries.keys().isdisjoint(names)
        )
        if is_carried or self.is_past(ref):
            raise refuse_rolled(f"`{ref.name}` is needed two steps back", self.definitions[ref.name].span)
        values = self.values(ref)
        return tuple(self.resolve(source, ref.at, values) for source in names)

    def weight(self, use: Load | MatMul, ref: Ref) -> dict[str, sp.Expr]:
        """Return the position at which `ref` reads its parameter, by axis of the parameter."""
        values = self.values(ref)
        axes = self.core.parameters[use.parameter].axes
        return {axis: self.places.place(index, values) for axis, index in zip(axes, use.indices, strict=True)}

    @cached_property
    def leaves(self) -> Leaves:
        """What the variables are made of."""
        return Leaves(self)

    @cached_property
    def laws(self) -> Laws:
        """Which variables are Gaussian, and centred."""
        return Laws(self)

    @property
    def gaussian(self) -> frozenset[str]:
        """The variables that are jointly Gaussian in the limit."""
        return self.laws.gaussian

    def is_centred(self, ref: Ref) -> bool:
        """Return whether a Gaussian variable has mean zero by construction, at the first step of its loop as well."""
        return self.laws.is_centred(ref)

    def independent(self, left: Ref, right: Ref) -> bool:
        """Return whether the two share no Gaussian leaf."""
        return self.leaves.independent(left, right)
