"""Numerical pair expectations for generated code: which Hermite series replace them, over which tables.

E[φ(u) ψ(v)] = Σ_k a_k b_k ρᵏ (Mehler): a_k belongs to φ and the law of u, a law of one sample, b_k to ψ and that of v,
and ρ to the pair. So the coefficients are tables, one row per sample, filled before the kernel runs; in generated code
the expectation is a sum over the two tables at the covariance of the pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tensorprog.codegen.laws import IrregularLawError, find_sides
from tensorprog.codegen.source import Series, SeriesPlan, Side, Tables, lay_out
from tensorprog.kernel.ir import (
    Copy,
    Definition,
    Expectation,
    Index,
    KernelIR,
    Let,
    Loop,
    Op,
    Ref,
    Scalar,
    Statement,
    Sweep,
    expectations,
    lets,
)

__all__ = ["IrregularLawError", "plan_series"]


def plan_series(ir: KernelIR) -> tuple[KernelIR, SeriesPlan | None]:
    """Return the program with the arguments of every pair expectation reduced to its covariance, and the tables for it.

    The covariance is a quantity of its own.

    Raises:
        IrregularLawError: an expectation has no such series.
    """
    if not any(True for _ in expectations(ir.pair)):
        return ir, None
    planner = _Planner(ir)
    pair = tuple(planner.rewrite(ir.pair, ()))
    return replace(ir, pair=pair), SeriesPlan(planner.left.tables(), planner.right.tables(), planner.series)


@dataclass(slots=True)
class _Register:
    """Collects the distinct sides of one of the two samples."""

    sides: dict[Side, str] = field(default_factory=dict)
    bounds: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def add(self, side: Side, around: tuple[Loop, ...]) -> tuple[str, tuple[Index, ...]]:
        """Return the table of a side, and its indices."""
        name = self.sides.setdefault(side, f"series{len(self.sides)}")
        ranges = {loop.index: (loop.first, loop.last) for loop in around}
        if side.symbols:
            new = tuple(ranges[symbol] for symbol in side.symbols)
            old = self.bounds.get(name, new)
            self.bounds[name] = tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(old, new, strict=True))
        return name, tuple(Index(symbol, 0) for symbol in side.symbols)

    def tables(self) -> Tables:
        """Return all tables."""
        return Tables(lay_out(self.sides.values(), self.bounds), {name: side for side, name in self.sides.items()})


class _Planner:
    def __init__(self, ir: KernelIR) -> None:
        self.ir = ir
        self.left, self.right = _Register(), _Register()
        self.series: dict[tuple[str, tuple[Index, ...]], Series] = {}
        self.temporaries = {(let.name, let.indices): let.value for let in lets(ir.pair) if let.name.startswith("%")}

    def rewrite(self, statements: tuple[Statement, ...], around: tuple[Loop, ...]) -> Iterator[Statement]:
        """Yield the statements of a body, before an expectation the definition of its covariance."""
        yield from _gathered(self._rewrite(statements, around))

    def _rewrite(self, statements: tuple[Statement, ...], around: tuple[Loop, ...]) -> Iterator[Statement]:
        known: dict[Scalar, Ref] = {}
        for statement in statements:
            if isinstance(statement, Loop):
                starts: dict[Scalar, Ref] = {}
                initial = tuple(let for first in statement.initial for let in self._rewrite_let(first, around, starts))
                body = tuple(self.rewrite(statement.body, (*around, statement)))
                yield replace(statement, initial=initial, body=body)
            elif isinstance(statement, Sweep):
                yield statement
            else:
                yield from self._rewrite_let(statement, around, known)

    def _rewrite_let(self, let: Definition, around: tuple[Loop, ...], known: dict[Scalar, Ref]) -> Iterator[Definition]:
        node = let.value if isinstance(let, Let) else None
        if not isinstance(let, Let) or not isinstance(node, Expectation):
            yield let
            return
        left, right = find_sides(let.name, node, around, self._inline)
        covariance = node.args[-1]
        names = self.ir.merged.get(let.name, (let.name,))
        tables = self.left.add(left, around), self.right.add(right, around)
        self.series[let.name, let.indices] = Series(len(self.series), *tables, names)
        if not self._is_kept(covariance) and covariance not in known:
            known[covariance] = Ref(f"%covariance.{let.name}", let.indices)
            yield Let(f"%covariance.{let.name}", let.indices, covariance)
        yield replace(let, value=replace(node, args=(known.get(covariance, covariance),)))

    def _is_kept(self, scalar: Scalar) -> bool:
        """Return whether a scalar is a quantity of the pair that was defined before."""
        return isinstance(scalar, Ref) and scalar.copy is Copy.OWN and scalar.name not in self.ir.grams

    def _inline(self, scalar: Scalar) -> Scalar:
        """Return a law with the temporaries that it reads written out."""
        if isinstance(scalar, Op):
            return replace(scalar, args=tuple(map(self._inline, scalar.args)))
        if isinstance(scalar, Ref) and scalar.copy is Copy.OWN and (scalar.name, scalar.indices) in self.temporaries:
            return self._inline(self.temporaries[scalar.name, scalar.indices])
        return scalar


def _gathered(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Yield a body with the expectations over one covariance together, where the first was: they need nothing else."""
    groups: list[list[Statement]] = []
    places: dict[tuple[Scalar, ...], list[Statement]] = {}
    for statement in statements:
        value = statement.value if isinstance(statement, Let) else None
        group = places.get(value.args) if isinstance(value, Expectation) else None
        if group is not None:
            group.append(statement)
            continue
        groups.append([statement])
        if isinstance(value, Expectation):
            places[value.args] = groups[-1]
    yield from (statement for group in groups for statement in group)
