"""Versines put into a system: equations added beside others, angles and determinants that take small versines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.dual.special import Angle, Det, NearAngle, NearDet
from tensorprog.kernel.homogeneous import Law
from tensorprog.limit.equations import Block, Equation, Recurrence, Sweep, X, Y, equations

__all__ = ["VERSINE", "Shape", "Turner", "inserted", "is_own_law", "label_of", "named", "versine_of"]

VERSINE = ":versine"
"""The name of 1 − cos θ, after that of a moment or a gram."""

Shape = tuple[tuple[str, sp.Symbol], ...]
"""The axis and the copy of every position argument of a quantity."""


@dataclass(frozen=True, slots=True)
class Turner:
    """Puts the versines of some moments into angles and determinants."""

    carried: frozenset[str]
    shapes: Mapping[str, Shape]

    def expr(self, expr: sp.Expr) -> sp.Expr:
        """Return an expression with small angles from versines."""
        found: dict[sp.Expr, sp.Expr] = {}
        for node in expr.atoms(Angle, Det):
            law = Law(*node.args)
            if is_own_law(law, self.shapes) and label_of(law.c) in self.carried:
                found[node] = (NearAngle if isinstance(node, Angle) else NearDet)(*node.args, versine_of(law.c))
        return expr.xreplace(found) if found else expr

    def block(self, block: Block) -> Block:
        """Return a block with small angles from versines."""
        match block:
            case Recurrence():
                initial = tuple(map(self._equation, block.initial))
                return replace(block, initial=initial, body=tuple(map(self.block, block.body)))
            case Sweep():
                return replace(block, groups=tuple(tuple(map(self._equation, group)) for group in block.groups))
        return self._equation(block)

    def _equation(self, equation: Equation) -> Equation:
        return replace(equation, rhs=self.expr(equation.rhs))


def inserted(block: Block, added: Mapping[str, list[Equation]]) -> Iterator[Block]:
    """Yield a block with the added equations after those that they are about; quantities of one sample after scans."""
    match block:
        case Recurrence():
            initial = tuple(part for equation in block.initial for part in _with(equation, added))
            yield replace(block, initial=initial, body=tuple(p for part in block.body for p in inserted(part, added)))
        case Sweep():
            groups = tuple(
                tuple(part for equation in group for part in _with(equation, added) if _is_of_pair(part, equation))
                for group in block.groups
            )
            yield replace(block, groups=groups)
            for equation in equations((block,)):
                yield from (part for part in added.get(str(equation.lhs), ()) if not _is_of_pair(part, equation))
        case _:
            yield from _with(block, added)


def _with(equation: Equation, added: Mapping[str, list[Equation]]) -> Iterator[Equation]:
    yield equation
    yield from added.get(str(equation.lhs), ())


def _is_of_pair(equation: Equation, moment: Equation) -> bool:
    """Tell whether an equation is about both copies, as the moment is beside which it stands."""
    return equation is moment or equation.lhs.args[-2:] == moment.lhs.args[-2:]


def label_of(applied: sp.Expr) -> str:
    """Return the name of a quantity."""
    return str(applied.func.__name__)


def named(name: str) -> sp.Function:
    """Return the function of a name."""
    return sp.Function(name)


def versine_of(applied: sp.Expr) -> sp.Expr:
    """Return the versine beside a moment or a gram."""
    return named(label_of(applied) + VERSINE)(*applied.args)


def is_own_law(law: Law, shapes: Mapping[str, Shape]) -> bool:
    """Tell whether a law is that of a variable at (p, p′) as its second moments have it."""
    if not isinstance(law.c, AppliedUndef) or law.c.args[-2:] not in ((X, Y), (X, X)):
        return False
    args, rank = law.c.args, len(shapes.get(label_of(law.c), ()))
    steps, places, half = args[: len(args) - 2 - rank], args[len(args) - 2 - rank : -2], rank // 2
    left, right = places[:half], places[half:]
    ends = law.c.func(*steps, *left, *left, X, X), law.c.func(*steps, *right, *right, args[-1], args[-1])
    return rank % 2 == 0 and (law.q1, law.q2) == ends
