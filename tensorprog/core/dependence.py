"""Who reads what: the names an instruction reads and defines, and the part of a program that some names need."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import singledispatch

from tensorprog.core.ir import (
    Carry,
    Core,
    First,
    Gather,
    Instruction,
    Load,
    Map,
    MatMul,
    Max,
    Moment,
    Scan,
    Scatter,
    Softmax,
    Sum,
    walk,
)

__all__ = [
    "Scopes",
    "all_reads",
    "defined",
    "dependent",
    "determined",
    "exported",
    "find_scopes",
    "parameters_read",
    "prune",
    "reads",
]


@singledispatch
def reads(instruction: Instruction) -> tuple[str, ...]:
    """Return the variables that an instruction reads; for a scan nothing: its carries and its body do the reading."""
    raise TypeError(f"no reads are known for {type(instruction).__name__}")


@reads.register
def _(instruction: Gather | Scatter) -> tuple[str, ...]:
    return (instruction.source,)


@reads.register
def _(instruction: Load | Scan) -> tuple[str, ...]:
    return ()


@reads.register
def _(instruction: MatMul | Sum | Max | First | Softmax | Moment) -> tuple[str, ...]:
    return (instruction.operand,)


@reads.register
def _(instruction: Map) -> tuple[str, ...]:
    return instruction.operands


def all_reads(instruction: Instruction) -> set[str]:
    """Return every variable that an instruction reads, a scan by its carries and its body."""
    if not isinstance(instruction, Scan):
        return set(reads(instruction))
    found = {carry.initial for carry in instruction.carries if carry.initial is not None}
    return found.union(*(all_reads(child) for child in instruction.body))


def defined(instruction: Instruction) -> tuple[str, ...]:
    """Return the variables that an instruction defines: its target, or everything that a scan makes known outside."""
    if not isinstance(instruction, Scan):
        return (instruction.target,)
    inner = (name for child in instruction.body for name in defined(child))
    return (*(carry.target for carry in instruction.carries), *inner)


def _sources(carry: Carry) -> tuple[str, ...]:
    return (carry.source,) if carry.initial is None else (carry.source, carry.initial)


def _edges(body: Iterable[Instruction]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every variable with the variables that it is computed from."""
    for instruction in body:
        if isinstance(instruction, Scan):
            yield from ((carry.target, _sources(carry)) for carry in instruction.carries)
            yield from _edges(instruction.body)
        else:
            yield instruction.target, reads(instruction)


def _closure(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> frozenset[str]:
    seen, stack = set[str](), list(start)
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(edges.get(name, ()))
    return frozenset(seen)


def _keep(body: tuple[Instruction, ...], needed: frozenset[str]) -> Iterator[Instruction]:
    for instruction in body:
        if not isinstance(instruction, Scan):
            if instruction.target in needed:
                yield instruction
        elif not needed.isdisjoint(defined(instruction)):
            carries = tuple(carry for carry in instruction.carries if carry.target in needed)
            yield replace(instruction, carries=carries, body=tuple(_keep(instruction.body, needed)))


def prune(
    body: tuple[Instruction, ...], names: Iterable[str], known: Container[str] = frozenset()
) -> tuple[Instruction, ...]:
    """Return the instructions that `names` need, in order, the bodies of scans thinned out as well.

    What is `known` and stands outside all scans is not needed again.
    """
    given = {i.target for i in body if not isinstance(i, Scan) and i.target in known}
    edges = {target: sources for target, sources in _edges(body) if target not in given}
    return tuple(_keep(body, _closure(names, edges) - given))


def dependent(body: tuple[Instruction, ...]) -> frozenset[str]:
    """Return the variables that depend on a parameter; the others are functions of the data alone."""
    readers: dict[str, list[str]] = {}
    for target, sources in _edges(body):
        for source in sources:
            readers.setdefault(source, []).append(target)
    return _closure((i.target for i in walk(body) if isinstance(i, Load | MatMul)), readers)


def determined(core: Core, given: Container[str]) -> frozenset[str]:
    """Return the variables that depend on no other inputs than those `given`, these inputs among them."""
    readers: dict[str, list[str]] = {}
    for target, sources in _edges(core.body):
        for source in sources:
            readers.setdefault(source, []).append(target)
    return frozenset(core.types) - _closure((i.name for i in core.inputs if i.name not in given), readers)


def parameters_read(body: tuple[Instruction, ...]) -> tuple[str, ...]:
    """Return the parameters that a body uses, in order of first use."""
    return tuple(dict.fromkeys(i.parameter for i in walk(body) if isinstance(i, Load | MatMul)))


@dataclass(frozen=True, slots=True)
class Scopes:
    """Where variables are defined: `path` gives the scans around a definition, outermost first, as numbers.

    `axes[s]` is the axis of scan number s. What no scan defines has the empty path, and may be left out.
    """

    path: Mapping[str, tuple[int, ...]]
    axes: tuple[str, ...]

    def depth(self, name: str) -> int:
        """Return the number of scans around the definition of `name`."""
        return len(self.path.get(name, ()))


def find_scopes(body: tuple[Instruction, ...]) -> Scopes:
    """Return where every variable of a body is defined; scans are numbered in the order of `walk`."""
    path: dict[str, tuple[int, ...]] = {}
    axes: list[str] = []

    def visit(block: tuple[Instruction, ...], here: tuple[int, ...]) -> None:
        for instruction in block:
            if isinstance(instruction, Scan):
                inner = (*here, len(axes))
                axes.append(instruction.axis)
                path.update((carry.target, inner) for carry in instruction.carries)
                visit(instruction.body, inner)
            else:
                path[instruction.target] = here

    visit(body, ())
    return Scopes(path, tuple(axes))


def exported(core: Core) -> frozenset[str]:
    """Return the variables defined in scans that something outside one of those scans reads."""
    scopes = find_scopes(core.body)
    outer = set[str]()

    def note(name: str, here: tuple[int, ...]) -> None:
        there = scopes.path.get(name, ())
        if here[: len(there)] != there:
            outer.add(name)

    for instruction in walk(core.body):
        for name in reads(instruction):
            note(name, scopes.path[instruction.target])
    for scan in (i for i in walk(core.body) if isinstance(i, Scan)):
        for carry in scan.carries:
            if carry.initial is not None:
                note(carry.initial, scopes.path[carry.target][:-1])
    for output in core.outputs:
        note(output.source, ())
    return frozenset(outer)
