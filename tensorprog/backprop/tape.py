"""The backward program under construction: its blocks, the contributions to every adjoint, and where they belong.

The backward pass visits the forward program from its end. Each visit may leave *contributions* to the adjoints of
what an instruction reads. Scans make this two-dimensional: a contribution made inside the reversed scan to a variable
of the outside is seen outside with the scan's axis in front, and is summed over it there; a contribution made outside
to a variable of the scan is read at the current step inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from tensorprog.core.dependence import Scopes
from tensorprog.core.ir import Affine, Core, Gather, Gradient, Instruction, Map, Moment, Sum, Type
from tensorprog.errors import Span
from tensorprog.nonlin.expression import ONE, ZERO, Expr, Operand

__all__ = ["Block", "Tape", "identity"]

Path = tuple[int, ...]


def identity(axes: tuple[str, ...]) -> tuple[Affine, ...]:
    """Return the index expressions that read a variable over `axes` at its own positions."""
    return tuple(Affine(ZERO, ((axis, ONE),)) for axis in axes)


def _common(first: Path, second: Path) -> int:
    same = 0
    while same < min(len(first), len(second)) and first[same] == second[same]:
        same += 1
    return same


def _operands(terms: Sequence[str]) -> list[Expr]:
    return [Operand(index) for index in range(len(terms))]


@dataclass(slots=True)
class Block:
    """The top level or the body of one reversed scan, in the making.

    `forward` is the path of the forward scans whose reversal this is, `path` that of the reversed ones. `terms` maps a
    forward variable to the contributions to its adjoint that live at this level, `deferred` holds what inner blocks
    leave to be done once their scan stands. `fresh` tells where the contributions stand that are used nowhere else.
    """

    path: Path
    forward: Path
    body: list[Instruction] = field(default_factory=list)
    terms: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    deferred: list[Callable[[], None]] = field(default_factory=list)
    fresh: dict[str, int] = field(default_factory=dict)


class Tape:
    """Writes the backward pass of one variable; the adjoint rules call its methods."""

    def __init__(self, core: Core, scopes: Scopes, active: frozenset[str]) -> None:
        """Start an empty backward pass of a forward program whose `active` variables depend on parameters."""
        self.core = core
        self.types = dict(core.types)
        self.scopes = scopes
        self.active = active
        self.gradients: list[Gradient] = []
        self.adjoints: dict[str, str] = {}
        self._paths: dict[str, Path] = {}
        self._counts: dict[str, int] = {}
        self._blocks = [Block((), ())]

    @property
    def block(self) -> Block:
        """The block that is being written."""
        return self._blocks[-1]

    def open(self, number: int) -> None:
        """Begin the body of the reversal of forward scan `number`."""
        outer = self.block
        self._blocks.append(Block((*outer.path, number + len(self.scopes.axes)), (*outer.forward, number)))

    def close(self) -> Block:
        """End the current body and return it."""
        return self._blocks.pop()

    def settle(self) -> None:
        """Do what the body of the scan just appended has left for this level, and pass on what belongs further out."""
        actions, self.block.deferred = self.block.deferred, []
        for action in actions:
            action()

    def name(self, wanted: str) -> str:
        """Return `wanted`, or with a number after it if there is such a variable already."""
        name, count = wanted, self._counts.get(wanted, 1)
        while name in self.types:
            count += 1
            name = f"{wanted}#{count}"
        self._counts[wanted] = count
        return name

    def temporary(self, variable: str) -> str:
        """Return a new name for a part of the adjoint of `variable`."""
        key = f"d.{variable}.part"
        count = self._counts.get(key, 0) + 1
        while f"{key}{count}" in self.types:
            count += 1
        self._counts[key] = count
        return f"{key}{count}"

    def seen(self, variable: str) -> Type:
        """Return the type of a forward variable (and of its adjoint) at the level of the current block."""
        return self._seen(variable, len(self._blocks) - 1)

    def _seen(self, variable: str, depth: int) -> Type:
        kind, path = self.types[variable], self.scopes.path.get(variable, ())
        return Type(kind.axes[_common(path, self._blocks[depth].forward) :], kind.dimension)

    def local(self, name: str) -> Type:
        """Return the type of a variable of the backward program as the current block sees it."""
        kind = self.types[name]
        return Type(kind.axes[_common(self._paths.get(name, ()), self.block.path) :], kind.dimension)

    def declare(self, name: str, kind: Type) -> str:
        """Announce a variable of the current block with its local type."""
        steps = tuple(self.scopes.axes[number] for number in self.block.forward)
        self.types[name] = Type((*steps, *kind.axes), kind.dimension)
        self._paths[name] = self.block.path
        return name

    def emit(self, instruction: Instruction, kind: Type) -> str:
        """Append an instruction whose target has the local type `kind`; return the target."""
        self.declare(instruction.target, kind)
        self.block.body.append(instruction)
        return instruction.target

    def map(self, variable: str, expression: Expr, operands: tuple[str, ...], kind: Type, span: Span) -> str:
        """Append a Map that is a part of the adjoint of `variable`."""
        return self.emit(Map(self.temporary(variable), expression, operands, span=span), kind)

    def value(self, variable: str, span: Span) -> str:
        """Return the name by which the current block knows the forward value of `variable`.

        A value of the forward scan whose reversal this is must be read at the current step: one Gather per block.
        """
        depth = _common(self.scopes.path.get(variable, ()), self.block.forward)
        if depth == 0:
            return variable
        home = self._blocks[depth]
        if variable not in home.values:
            inner, self._blocks = self._blocks, self._blocks[: depth + 1]
            axes = self.types[variable].axes
            read = Gather(self.name(f"{variable}.at"), variable, identity(axes), axes[depth:], span=span)
            home.values[variable] = self.emit(read, Type(axes[depth:], self.types[variable].dimension))
            self._blocks = inner
        return home.values[variable]

    def at_home(self, variable: str, action: Callable[[], None]) -> None:
        """Do `action` at the level where the adjoint of `variable` collects contributions from here: now or later."""
        depth = _common(self.scopes.path.get(variable, ()), self.block.forward)
        if depth == len(self._blocks) - 1:
            action()
        else:
            self._blocks[depth].deferred.append(action)

    def contribute(self, variable: str, part: str, span: Span) -> None:
        """Add `part`, a variable of the current block, to the adjoint of `variable`.

        Axes and coordinates that `variable` lacks are summed over: the transpose of broadcasting.
        """
        self.at_home(variable, lambda: self._add(variable, part, span))

    def _add(self, variable: str, part: str, span: Span) -> None:
        have, want = self.local(part), self.seen(variable)
        extra = tuple(axis for axis in have.axes if axis not in want.axes)
        if extra:
            have = Type(tuple(axis for axis in have.axes if axis not in extra), have.dimension)
            part = self.emit(Sum(self.temporary(variable), part, extra, span=span), have)
        if have.dimension is not None and want.dimension is None:
            kind = Type(have.axes, None)
            mean = self.emit(Moment(self.temporary(variable), part, span=span), kind)
            part = self.map(variable, Operand(0) * have.dimension, (mean,), kind, span)
        block = self.block
        if block.body and block.body[-1].target == part:
            block.fresh[part] = len(block.body) - 1
        block.terms.setdefault(variable, []).append(part)

    def total(self, variable: str, span: Span) -> str | None:
        """Return the sum of the contributions to `variable` here, named `d.<variable>`; None if there are none."""
        block, wanted = self.block, f"d.{variable}"
        terms = block.terms.pop(variable, [])
        if not terms or terms == [wanted]:
            return terms[0] if terms else None
        kind, name = self.seen(variable), self.name(wanted)
        place = block.fresh.pop(terms[0], None) if len(terms) == 1 else None
        if place is not None and self.local(terms[0]) == kind:
            block.body[place] = replace(block.body[place], target=name)
            del self.types[terms[0]], self._paths[terms[0]]
            return self.declare(name, kind)
        expression = reduce(lambda left, right: left + right, _operands(terms))
        return self.emit(Map(name, expression, tuple(terms), span=span), kind)

    def outside(self, variable: str, span: Span) -> str | None:
        """Return the sum of what this level contributes to a variable of an inner scan; None if nothing."""
        terms = tuple(self.block.terms.pop(variable, []))
        if len(terms) < 2:
            return terms[0] if terms else None
        return self.map(
            variable, reduce(lambda left, right: left + right, _operands(terms)), terms, self.seen(variable), span
        )

    def record(
        self, parameter: str, indices: tuple[Affine, ...], adjoint: str, operand: str | None, transposed: bool
    ) -> None:
        """List one use of a parameter with the adjoint of its result."""
        axes = self.types[adjoint].axes
        self.gradients.append(Gradient(parameter, indices, adjoint, operand, transposed, axes))
