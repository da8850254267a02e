"""The ranges of axes and of the steps of a sweep, as text: t = 0 … T − 1."""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from tensorprog.core.ir import Axis
from tensorprog.limit.equations import Equation, LimitSystem, Sweep, Within, Y
from tensorprog.limit.sizes import PRIME
from tensorprog.nonlin.expression import ONE, Expr, Symbol, substitute, symbols
from tensorprog.nonlin.simplify import simplify
from tensorprog.nonlin.text import text

__all__ = ["axes_in", "ends", "range_of", "right_sizes", "sweep_ends", "sweep_ranges"]


def axes_in(system: LimitSystem, equations: Iterable[Equation]) -> tuple[str, ...]:
    """Return the axes over which indices of the equations run, in the order of the program."""
    sides = [side for equation in equations for side in (equation.lhs, equation.rhs)]
    found = {system.indices[symbol][0] for side in sides for symbol in side.atoms(sp.Symbol) & system.indices.keys()}
    found |= {str(within.args[1].name) for side in sides for within in side.atoms(Within)}
    return tuple(axis for axis in system.axes if axis in found)


def ends(axis: Axis) -> tuple[Expr, Expr]:
    """Return the first and the last position of an axis."""
    return simplify(axis.start), simplify(axis.extent + (axis.start - ONE))


def range_of(system: LimitSystem, axis: str) -> str:
    """Return the range of an axis: i = 0 … H − 1."""
    first, last = (text(end, ()) for end in ends(system.axes[axis]))
    return f"{axis} = {first} … {last}" + (" circular" if system.axes[axis].circular else "")


def sweep_ends(system: LimitSystem, sweep: Sweep, right: sp.Symbol) -> list[tuple[sp.Symbol, str, str]]:
    """Return for every index of a sweep its first and last value; `right` is the second copy, X or Y."""
    rows = []
    for index in (sweep.left, sweep.right):
        if index is not None:
            axis, copy = system.indices[index]
            first, last = (_of_copy(system, end, right if copy == Y else copy) for end in ends(system.axes[axis]))
            rows.append((index, text(first, ()), text(last, ())))
    return rows


def right_sizes(system: LimitSystem, axes: Iterable[str]) -> list[str]:
    """Return the sizes in the ranges of some axes that the data bind, and may bind otherwise for x'."""
    known = {str(symbol.name) for symbol in system.constants} | {"pi"}
    found = (name for axis in axes for end in ends(system.axes[axis]) for name in symbols(end))
    return [name for name in dict.fromkeys(found) if name not in known]


def _of_copy(system: LimitSystem, end: Expr, copy: sp.Symbol) -> Expr:
    """Return an end of a range in the sizes of one copy of the data: T′ for T in the second."""
    if copy != Y:
        return end
    renamed = {name: Symbol(name + PRIME) for name in right_sizes(system, system.axes)}
    return substitute(end, lambda node: renamed.get(node.name) if isinstance(node, Symbol) else None)


def sweep_ranges(system: LimitSystem, sweep: Sweep, right: sp.Symbol) -> str:
    """Return the ranges of a sweep's indices: t, t′ = 0 … T − 1, or each for itself where they differ."""
    groups: dict[tuple[str, str], list[str]] = {}
    for index, first, last in sweep_ends(system, sweep, right):
        groups.setdefault((first, last), []).append(str(index.name))
    return ", ".join(f"{', '.join(names)} = {first} … {last}" for (first, last), names in groups.items())
