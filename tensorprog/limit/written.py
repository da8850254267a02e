"""A program with some axes written out, as it is being made: every variable by its positions on these axes.

h over an axis t of three positions is h[0], h[1] and h[2], h.1 becomes h[0].1 and so on. Inputs keep their axes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce

from tensorprog.core.dependence import find_scopes
from tensorprog.core.ir import Affine, Core, Gather, Instruction, Type
from tensorprog.limit.facts import TEMPORARY, name_part
from tensorprog.nonlin.expression import ONE, ZERO, Expr, Number, Position, substitute
from tensorprog.nonlin.simplify import simplify

__all__ = ["Where", "Written", "at_numbers", "fold", "shared_scans", "unmoved"]

Where = Mapping[str, int]
"""Positions, by axis."""


class Written:
    """What has been made: the value of a variable at a position is the name of a variable, or None for the constant 0.

    `axes` are the axes written out, with their positions. The instructions made are in `body`, after `reads` of inputs.
    """

    def __init__(self, core: Core, axes: Mapping[str, range]) -> None:
        self.core, self.axes = core, axes
        self.inputs = {entry.name: entry for entry in core.inputs}
        self.path = find_scopes(core.body).path
        self.types: dict[str, Type] = {entry.name: entry.type for entry in core.inputs}
        self.reads: list[Instruction] = []
        self.body: list[Instruction] = []
        self._values: dict[str, dict[tuple[int, ...], str | None]] = {}
        self._known: dict[Instruction, str] = {}

    # --- positions ---------------------------------------------------------------------------------------------------

    def places(self, name: str, where: Where) -> Iterator[Where]:
        """Yield the positions of a variable on the axes written out, those of the steps around it given."""
        free = [axis for axis in self.core.types[name].axes if axis in self.axes and axis not in where]
        return self.along(free, where)

    def along(self, axes: Sequence[str], where: Where) -> Iterator[Where]:
        """Yield all positions on `axes`, beside those given."""
        for place in itertools.product(*(self.axes[axis] for axis in axes)):
            yield {**where, **dict(zip(axes, place, strict=True))}

    def kept(self, axes: Sequence[str]) -> tuple[str, ...]:
        """Return those of some axes that are not written out."""
        return tuple(axis for axis in axes if axis not in self.axes)

    def _place(self, name: str, here: Where) -> tuple[int, ...]:
        return tuple(here[axis] for axis in self.core.types[name].axes if axis in self.axes)

    # --- variables ---------------------------------------------------------------------------------------------------

    def set(self, name: str, here: Where, value: str | None) -> None:
        """Let a variable have a value at a position."""
        self._values.setdefault(name, {})[self._place(name, here)] = value

    def read(self, name: str, here: Where) -> str | None:
        """Return the value of a variable at a position."""
        if name not in self.inputs:
            return self._values[name][self._place(name, here)]
        kind = self.inputs[name].type
        if self.axes.keys().isdisjoint(kind.axes):
            return name
        indices = tuple(fold(unmoved(axis), here) for axis in kind.axes)
        found = _name_at(name, self._place(name, here))
        if found not in self.types:
            self.types[found] = Type(self.kept(kind.axes), kind.dimension)
            axes = self.types[found].axes
            self.reads.append(Gather(found, name, indices, axes, span=self.inputs[name].span))
        return found

    def declare(self, name: str, here: Where) -> str:
        """Return a new name for a variable at a position, its type known."""
        kind = self.core.types[name]
        return self.new(_name_at(name, self._place(name, here)), Type(self.kept(kind.axes), kind.dimension))

    def new(self, name: str, kind: Type) -> str:
        """Return a name that is not taken, for a variable of a given type."""
        while name in self.types:
            name += "'"
        self.types[name] = kind
        return name

    def part(self, name: str, here: Where, kind: Type) -> str:
        """Return a name for an unnamed part of a variable at a position."""
        found = name_part(_name_at(name, self._place(name, here)), self.types)
        self.types[found] = kind
        return found

    # --- instructions ------------------------------------------------------------------------------------------------

    def emit(self, instruction: Instruction, name: str, here: Where) -> str:
        """Add an instruction that makes a variable at a position; what is there already is not computed again."""
        key = replace(instruction, target="")
        if key not in self._known:
            self._known[key] = found = self.declare(name, here)
            self.body.append(replace(instruction, target=found))
        return self._known[key]

    def enter(self) -> tuple[list[Instruction], dict[Instruction, str]]:
        """Begin the body of a recurrence that is kept; return what `leave` needs."""
        outer = self.body, dict(self._known)
        self.body = []
        return outer

    def leave(self, outer: tuple[list[Instruction], dict[Instruction, str]]) -> tuple[Instruction, ...]:
        """Return to what is around a recurrence, and return its body."""
        body = tuple(self.body)
        self.body, self._known = outer
        return body


def unmoved(axis: str) -> Affine:
    """Return the index expression that is the index of an axis itself."""
    return Affine(ZERO, ((axis, ONE),))


def fold(index: Affine, here: Where) -> Affine:
    """Return an index expression with numbers for the indices that are known."""
    known = [coefficient * Number(here[axis]) for axis, coefficient in index.terms if axis in here]
    constant = simplify(reduce(lambda left, right: left + right, known, index.constant)) if known else index.constant
    return Affine(constant, tuple((axis, factor) for axis, factor in index.terms if axis not in here))


def at_numbers(expr: Expr, here: Where) -> Expr:
    """Return an expression with numbers for the positions that are known."""

    def number(node: Expr) -> Expr | None:
        return Number(here[node.axis]) if isinstance(node, Position) and node.axis in here else None

    return substitute(expr, number)


def shared_scans(path: Mapping[str, tuple[int, ...]], reader: str, name: str) -> int:
    """Return the number of scans around both a reader and what it reads: their axes take no index."""
    pairs = zip(path.get(reader, ()), path.get(name, ()), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _name_at(name: str, place: tuple[int, ...]) -> str:
    """Return the name of a variable at a position: h[2] for h, h[2].1 for h.1."""
    part = TEMPORARY.search(name)
    owner, suffix = (name[: part.start()], part.group()) if part else (name, "")
    return owner + "".join(f"[{k}]" for k in place) + suffix
