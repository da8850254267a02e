"""Sums that are part of others are computed once: a contraction whose terms another has too is read there.

That is the rule for tangents: T = Σ_k K(s p + k, s q + k) + Σ_k T(s p + k, s q + k), and the first sum is the second
moment of the same layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tensorprog.kernel.hoist import plain_places
from tensorprog.kernel.ir import (
    Contract,
    Contraction,
    Definition,
    Let,
    Loop,
    Ref,
    Statement,
    Sweep,
    map_references,
)

__all__ = ["share_sums"]


def share_sums(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Return the statements with every sum computed once, in each body."""
    body = _Body()
    shared: list[Statement] = []
    for statement in statements:
        match statement:
            case Loop():
                initial = tuple(_Body().rewrite(statement.initial))
                shared.append(replace(statement, initial=initial, body=share_sums(statement.body)))
            case Sweep():
                inside = _Body()
                groups = tuple(tuple(inside.rewrite(group)) for group in statement.groups)
                shared.append(replace(statement, groups=groups))
            case _:
                shared.extend(body.rewrite((statement,)))
    return tuple(shared)


@dataclass(slots=True)
class _Body:
    """The contractions so far, as they were; temporaries that are equal to an earlier one have its name."""

    seen: list[Contract] = field(default_factory=list)
    temporaries: dict[Definition, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def rewrite(self, definitions: Iterable[Definition]) -> Iterator[Definition]:
        """Yield definitions that read the sums before them."""
        for definition in map(self._renamed, definitions):
            if definition.name.startswith("%") and definition.axes and self._is_known(definition):
                continue
            if isinstance(definition, Let):
                yield definition
                continue
            parts = [earlier for earlier in self.seen if _fits(earlier, definition)]
            self.seen.append(definition)
            yield _reading(definition, max(parts, key=lambda part: len(part.terms))) if parts else definition

    def _is_known(self, temporary: Definition) -> bool:
        """Tell whether there is an equal temporary, whose name this one gets then."""
        name = self.temporaries.setdefault(replace(temporary, name="", note=None), temporary.name)
        if name != temporary.name:
            self.names[temporary.name] = name
        return name != temporary.name

    def _renamed(self, definition: Definition) -> Definition:
        if not self.names:
            return definition
        if isinstance(definition, Let):
            return replace(definition, value=map_references(definition.value, self._other))
        return replace(definition, terms=tuple(map(self._term, definition.terms)))

    def _term(self, term: Contraction) -> Contraction:
        return replace(term, factors=tuple(map_references(factor, self._other) for factor in term.factors))

    def _other(self, ref: Ref) -> Ref:
        return replace(ref, name=self.names[ref.name]) if ref.name in self.names else ref


def _fits(part: Contract, whole: Contract) -> bool:
    """Tell whether the terms of one contraction are some of another, and contain a sum."""
    if (part.axes, part.indices) != (whole.axes, whole.indices) or not any(term.bound for term in part.terms):
        return False
    return Counter(part.terms) <= Counter(whole.terms)


def _reading(contract: Contract, part: Contract) -> Contract:
    """Return a contraction that reads another for some of its terms."""
    rest = Counter(contract.terms) - Counter(part.terms)
    ref = Ref(part.name, part.indices, places=plain_places(part.axes))
    return replace(contract, terms=(Contraction((ref,)), *rest.elements()))
