"""Common subexpressions: what a straight stretch of definitions computes twice gets a temporary of its own.

A stretch is a maximal run of definitions without a loop between them, in one body. Temporaries never leave their
stretch, so no loop carries one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count, groupby

from tensorprog.kernel.ir import Const, Expectation, Let, Loop, Op, Ref, Scalar, Statement, children

__all__ = ["share_subexpressions", "stretches"]


def stretches(statements: tuple[Statement, ...]) -> Iterator[tuple[Let, ...] | Loop]:
    """Yield the loops of a body and, between them, the stretches of definitions."""
    for loop, run in groupby(statements, key=lambda statement: isinstance(statement, Loop)):
        if loop:
            yield from (statement for statement in run if isinstance(statement, Loop))
        else:
            yield tuple(statement for statement in run if isinstance(statement, Let))


def share_subexpressions(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Return the statements with every operation that a stretch repeats computed once."""
    return _share(statements, (f"%{number}" for number in count(1)))


def _share(statements: tuple[Statement, ...], names: Iterator[str]) -> tuple[Statement, ...]:
    shared: list[Statement] = []
    for part in stretches(statements):
        if isinstance(part, Loop):
            initial = _share(part.initial, names)
            lets = tuple(let for let in initial if isinstance(let, Let))
            shared.append(Loop(part.index, part.first, part.last, lets, _share(part.body, names)))
        else:
            shared.extend(_Stretch(part, names).rewrite())
    return tuple(shared)


class _Stretch:
    """Value numbering over one stretch: every distinct subexpression has a number, and a count of its uses."""

    def __init__(self, lets: tuple[Let, ...], names: Iterator[str]) -> None:
        self.lets, self.names = lets, names
        self.numbers: dict[object, int] = {}
        self.nodes: list[tuple[Scalar, tuple[int, ...]]] = []
        self.uses: Counter[int] = Counter()
        self.done: dict[int, Scalar] = {}
        self.roots = [self._number(let.value) for let in lets]
        self.uses.update(self.roots)

    def _number(self, scalar: Scalar) -> int:
        below = tuple(self._number(child) for child in children(scalar))
        key = _head(scalar), below
        if key not in self.numbers:
            self.numbers[key] = len(self.nodes)
            self.nodes.append((scalar, below))
            self.uses.update(below)
        return self.numbers[key]

    def rewrite(self) -> Iterator[Let]:
        """Yield the definitions, each preceded by the temporaries that it is the first to need."""
        for let, root in zip(self.lets, self.roots, strict=True):
            fresh: list[Let] = []
            value = self._value(root, fresh, named=False)
            yield from fresh
            yield Let(let.name, let.indices, value, let.note)
            if isinstance(self.nodes[root][0], Op | Expectation):
                self.done[root] = Ref(let.name, let.indices)

    def _value(self, number: int, fresh: list[Let], *, named: bool = True) -> Scalar:
        if number in self.done:
            return self.done[number]
        scalar, below = self.nodes[number]
        value = _with_children(scalar, (self._value(child, fresh) for child in below))
        if named and isinstance(scalar, Op) and self.uses[number] > 1:
            name = next(self.names)
            fresh.append(Let(name, (), value))
            value = self.done[number] = Ref(name)
        return value


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
