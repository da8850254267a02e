"""The order of definitions: sums as soon as they can be, then as many pointwise definitions together as possible."""

from __future__ import annotations

from collections.abc import Iterator

from tensorprog.codegen.arrays.pointwise import can_join, is_pointwise
from tensorprog.kernel.ir import (
    Contract,
    Copy,
    Definition,
    Expectation,
    Index,
    Let,
    Loop,
    Ref,
    Statement,
    Sweep,
    expressions,
    walk,
)

__all__ = ["schedule"]

Key = tuple[str, tuple[Index, ...]]


def schedule(statements: tuple[Statement, ...]) -> Iterator[list[Let] | Contract | Let | Loop | Sweep]:
    """Yield what to compute: groups of pointwise definitions over the same axes, and everything else one by one."""
    run: list[Definition] = []
    for statement in statements:
        if isinstance(statement, Let | Contract):
            run.append(statement)
            continue
        yield from _schedule_run(run)
        run = []
        yield statement
    yield from _schedule_run(run)


def _schedule_run(definitions: list[Definition]) -> Iterator[list[Let] | Contract | Let]:
    waiting = list(definitions)
    while waiting:
        blocked = {_key(definition) for definition in waiting}
        sums = [entry for entry in waiting if not _is_joinable(entry) and not _reads(entry) & blocked]
        for entry in sums:
            waiting.remove(entry)
            yield entry
        if not sums:
            group = _group(waiting, blocked)
            waiting = [entry for entry in waiting if not any(entry is other for other in group)]
            yield group


def _is_joinable(definition: Definition) -> bool:
    return isinstance(definition, Let) and is_pointwise(definition) and not isinstance(definition.value, Expectation)


def _group(waiting: list[Definition], blocked: set[Key]) -> list[Let]:
    """Return the largest group that begins with the first definition that can be computed now."""
    group: list[Let] = []
    done: set[Key] = set()
    for entry in waiting:
        if not isinstance(entry, Let) or not _is_joinable(entry) or _reads(entry) & (blocked - done):
            continue
        if not group or can_join(entry, group):
            group.append(entry)
            done.add(_key(entry))
    assert group, "definitions wait for each other"
    return group


def _key(definition: Definition) -> Key:
    return definition.name, definition.indices


def _reads(definition: Definition) -> set[Key]:
    """Return the quantities of the pair that a definition reads."""
    return {
        (node.name, node.indices)
        for scalar in expressions(definition)
        for node in walk(scalar)
        if isinstance(node, Ref) and node.copy is Copy.OWN
    }
