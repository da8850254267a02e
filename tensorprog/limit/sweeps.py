"""Equations that read each other along the axes of a `scan`, as one sweep over the steps of both copies.

At (t, t′) an equation reads values at (t − 1, t′), (t, t′ − 1), (t − 1, t′ − 1) or (t, t′), of one copy also the laws
at (t, t) and (t′, t′). What reads which at one step max(t, t′) orders the equations; those that read each other there
only step back in one index, and stay together in a group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.utilities.iterables import strongly_connected_components

from tensorprog.limit.equations import Equation, Sweep
from tensorprog.limit.naming import Ledger

__all__ = ["find_cycles", "make_sweep"]

Graph = Mapping[str, Iterable[str]]


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of both sides of an equation, None where a side is not made in a scan; and which arguments they are."""

    left: sp.Symbol | None
    right: sp.Symbol | None
    places: tuple[int, ...]


def find_cycles(reads: Graph) -> dict[str, str]:
    """Return for every equation the first of those that read each other with it, itself if there is none."""
    return {label: group[0] for group in _components(reads) for label in group}


def _components(reads: Graph) -> list[list[str]]:
    """Return the strongly connected components, those that are read before those that read them, in program order."""
    place = {label: number for number, label in enumerate(reads)}
    edges = [(label, other) for label, others in reads.items() for other in others if other in place]
    found = strongly_connected_components((list(reads), edges))
    return [sorted(group, key=place.__getitem__) for group in found]


def make_sweep(equations: list[Equation], ledger: Ledger) -> Equation | Sweep:
    """Return equations that read each other as a sweep, a single one that does not read itself as it stands."""
    names = {equation.name: equation for equation in equations}
    if len(equations) == 1 and not any(str(read.func) in names for read in _applied(equations[0])):
        return equations[0]
    steps = {name: _steps(equation, ledger) for name, equation in names.items()}
    same = {name: _same_steps(equation, steps) for name, equation in names.items()}
    groups = tuple(tuple(names[name] for name in _in_order(group, names, steps)) for group in _components(same))
    left = next((found.left for found in steps.values() if found.left is not None), None)
    right = next((found.right for found in steps.values() if found.right is not None), None)
    return Sweep(left, right, groups)


def _applied(equation: Equation) -> list[AppliedUndef]:
    return [node for node in sp.preorder_traversal(equation.rhs) if isinstance(node, AppliedUndef)]


def _steps(equation: Equation, ledger: Ledger) -> _Steps:
    refs, scans = ledger.records[equation.name].refs, ledger.variables.scans
    starts = (0, len(refs[0].index))
    found = [ref.index[0] if ref.name in scans else None for ref in refs]
    places = tuple(start for start, step in zip(starts, found, strict=False) if step is not None)
    return _Steps(found[0], found[1] if len(found) > 1 else None, places)


def _same_steps(equation: Equation, steps: Mapping[str, _Steps]) -> set[str]:
    """Return what is read of the other equations at the same max(t, t′)."""
    return {str(read.func) for read in _applied(equation) if str(read.func) in steps and min(_back(read, steps)) == 0}


def _in_order(group: list[str], names: Mapping[str, Equation], steps: Mapping[str, _Steps]) -> list[str]:
    """Return the equations of a group in an order in which those read at the same steps come first."""
    reads = {
        name: {
            str(read.func) for read in _applied(names[name]) if str(read.func) in group and max(_back(read, steps)) == 0
        }
        for name in group
    }
    return [name for part in _components(reads) for name in part]


def _back(read: AppliedUndef, steps: Mapping[str, _Steps]) -> list[int]:
    """Return by how many steps a read looks back, for each of its step arguments."""
    return [max(0, -int(read.args[place].as_coeff_Add()[0])) for place in steps[str(read.func)].places]
