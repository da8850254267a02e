"""Common subexpressions: what a straight stretch of definitions computes twice gets a temporary of its own.

A stretch is a maximal run of definitions without a loop or a sweep between them, in one body or in one group of a
sweep. Temporaries never leave their stretch, so no loop carries one. Arrays share with arrays over the same indices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, groupby

from tensorprog.kernel.hoist import plain_places
from tensorprog.kernel.ir import (
    AxisIndex,
    Const,
    Contract,
    Definition,
    Expectation,
    Let,
    Loop,
    Op,
    Ref,
    Scalar,
    Statement,
    Sweep,
    children,
)

__all__ = ["share_subexpressions", "stretches"]


def stretches(statements: tuple[Statement, ...]) -> Iterator[tuple[Definition, ...] | Loop | Sweep]:
    """Yield the loops and sweeps of a body and, between them, the stretches of definitions."""
    for straight, run in groupby(statements, key=lambda statement: isinstance(statement, Let | Contract)):
        if straight:
            yield tuple(statement for statement in run if isinstance(statement, Let | Contract))
        else:
            yield from (statement for statement in run if isinstance(statement, Loop | Sweep))


def share_subexpressions(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Return the statements with every operation that a stretch repeats computed once."""
    return _share(statements, (f"%{number}" for number in count(1)))


def _share(statements: tuple[Statement, ...], names: Iterator[str]) -> tuple[Statement, ...]:
    shared: list[Statement] = []
    for part in stretches(statements):
        if isinstance(part, Loop):
            initial = tuple(_Stretch(part.initial, names).rewrite())
            shared.append(replace(part, initial=initial, body=_share(part.body, names)))
        elif isinstance(part, Sweep):
            shared.append(replace(part, groups=tuple(tuple(_Stretch(group, names).rewrite()) for group in part.groups)))
        else:
            shared.extend(_Stretch(part, names).rewrite())
    return tuple(shared)


class _Stretch:
    """Value numbering over one stretch: every distinct subexpression has a number, and a count of its uses.

    Expressions of arrays over other indices are distinct. Contractions and what has bound indices are left alone.
    """

    def __init__(self, definitions: tuple[Definition, ...], names: Iterator[str]) -> None:
        self.definitions, self.names = definitions, names
        self.numbers: dict[object, int] = {}
        self.nodes: list[tuple[Scalar, tuple[int, ...]]] = []
        self.uses: Counter[int] = Counter()
        self.done: dict[int, Scalar] = {}
        lets = (let for let in definitions if isinstance(let, Let))
        self.roots = [self._number(let.value, let.axes) for let in lets]
        self.uses.update(self.roots)

    def _number(self, scalar: Scalar, axes: tuple[AxisIndex, ...]) -> int:
        below = tuple(self._number(child, axes) for child in _shared_children(scalar))
        key = _head(scalar), below, axes
        if key not in self.numbers:
            self.numbers[key] = len(self.nodes)
            self.nodes.append((scalar, below))
            self.uses.update(below)
        return self.numbers[key]

    def rewrite(self) -> Iterator[Definition]:
        """Yield the definitions, each preceded by the temporaries that it is the first to need."""
        roots = iter(self.roots)
        for definition in self.definitions:
            if isinstance(definition, Contract):
                yield definition
                continue
            root, axes = next(roots), definition.axes
            fresh: list[Let] = []
            value = self._value(root, fresh, axes, named=False)
            yield from fresh
            yield replace(definition, value=value)
            if isinstance(self.nodes[root][0], Op | Expectation):
                self.done.setdefault(root, Ref(definition.name, definition.indices, places=plain_places(axes)))

    def _value(self, number: int, fresh: list[Let], axes: tuple[AxisIndex, ...], *, named: bool = True) -> Scalar:
        if number in self.done:
            return self.done[number]
        scalar, below = self.nodes[number]
        value = _with_children(scalar, (self._value(child, fresh, axes) for child in below))
        if named and isinstance(scalar, Op) and self.uses[number] > 1:
            name = next(self.names)
            fresh.append(Let(name, (), value, axes=axes))
            value = self.done[number] = Ref(name, places=plain_places(axes))
        return value


def _shared_children(scalar: Scalar) -> tuple[Scalar, ...]:
    """Return the subexpressions in which no index is bound."""
    return children(scalar) if isinstance(scalar, Op | Expectation) else ()


def _head(scalar: Scalar) -> object:
    """Return what tells an expression from others with the same subexpressions."""
    if isinstance(scalar, Op):
        return ("op", scalar.operator)
    if isinstance(scalar, Expectation):
        return ("expectation", scalar.kind, scalar.functions)
    return (scalar, str(scalar.value)) if isinstance(scalar, Const) else scalar


def _with_children(scalar: Scalar, values: Iterable[Scalar]) -> Scalar:
    if isinstance(scalar, Op):
        return Op(scalar.operator, tuple(values))
    if isinstance(scalar, Expectation):
        return Expectation(scalar.kind, scalar.functions, tuple(values))
    return scalar
