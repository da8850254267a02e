"""Which quantities of loops need all their values kept, and which only the last two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tensorprog.kernel.ir import (
    Copy,
    Definition,
    Loop,
    Ref,
    Scalar,
    Statement,
    definitions,
    expressions,
    references,
)

__all__ = ["find_histories"]


def find_histories(statements: tuple[Statement, ...], roots: Iterable[Scalar] = ()) -> frozenset[str]:
    """Return the indexed quantities of which more is read than the current, the previous and the very last value.

    These are the quantities of nested loops, those that another loop reads, and those read at an index other than the
    last after their loop. `roots` are expressions evaluated after all statements.
    """
    owners: dict[str, Loop] = {}
    _collect_owners(statements, owners)
    found = {definition.name for definition in definitions(statements) if len(definition.indices) > 1}
    after = (_Read(ref, (), None) for root in roots for ref in references(root))
    for read in (*_reads(statements, ()), *after):
        ref = read.ref
        if ref.copy is Copy.OWN and ref.indices and not _is_near(read, owners[ref.name]):
            found.add(ref.name)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Read:
    """A read inside some loops, or by the initial values of the loop `starting`."""

    ref: Ref
    inside: tuple[Loop, ...]
    starting: Loop | None


def _collect_owners(statements: tuple[Statement, ...], owners: dict[str, Loop]) -> None:
    for statement in statements:
        if isinstance(statement, Loop):
            owners.update((part.name, statement) for part in statement.initial)
            owners.update(
                (part.name, statement)
                for inner in statement.body
                if not isinstance(inner, Loop)
                for part in definitions((inner,))
            )
            _collect_owners(statement.body, owners)


def _reads(statements: tuple[Statement, ...], inside: tuple[Loop, ...]) -> Iterator[_Read]:
    for statement in statements:
        if isinstance(statement, Loop):
            yield from (_Read(ref, inside, statement) for ref in _references(statement.initial))
            yield from _reads(statement.body, (*inside, statement))
        else:
            yield from (_Read(ref, inside, None) for ref in _references(definitions((statement,))))


def _references(parts: Iterable[Definition]) -> Iterator[Ref]:
    return (ref for part in parts for scalar in expressions(part) for ref in references(scalar))


def _is_near(read: _Read, owner: Loop) -> bool:
    """Tell whether a read is of the current or previous value in its own loop, or of the last value after it."""
    index = read.ref.indices[-1]
    if any(loop is owner for loop in read.inside):
        return index.symbol == owner.index and index.offset in (0, -1)
    at_end = owner.first - 1 if read.starting is owner else owner.last
    return index.symbol is None and index.offset == at_end
