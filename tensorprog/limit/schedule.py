"""From a ledger to an ordered system: dependencies first, loops gathered, only what the results need."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.limit.equations import Block, Equation, Recurrence
from tensorprog.limit.naming import Ledger, Record
from tensorprog.limit.sweeps import find_cycles, make_sweep, own_reads
from tensorprog.limit.variables import Loop

__all__ = ["schedule"]


@dataclass
class _Item:
    """A top-level unit of the schedule: an equation, equations that read each other, or a loop with its equations."""

    loop: Loop | None
    equations: list[Equation] = field(default_factory=list)
    initial: list[Equation] = field(default_factory=list)


def schedule(ledger: Ledger, wanted: Iterable[sp.Expr]) -> tuple[Block, ...]:
    """Return the equations that `wanted` needs, each after what it reads, those of a loop in one recurrence."""
    equations = {label: _equation(ledger, record) for label, record in ledger.records.items() if record.is_named}
    needed = _reachable(ledger, equations, wanted)
    items: dict[str, _Item] = {}
    home: dict[str, str] = {}
    outside = {
        label: own_reads(e.rhs, ledger.right) for label, e in equations.items() if ledger.records[label].loop is None
    }
    cycles = find_cycles({label: outside.keys() & read for label, read in outside.items() if label in needed})
    for label in equations:
        if label in needed:
            loop = ledger.records[label].loop
            key = f"loop {loop.scan.target}" if loop is not None else cycles[label]
            item = items.setdefault(key, _Item(loop))
            item.equations.append(equations[label])
            if label in ledger.initials:
                item.initial.append(ledger.initials[label])
            home[label] = key
    graph = {key: _outer_reads(item, home, ledger.right) - {key} for key, item in items.items()}
    return tuple(_block(items[key], ledger) for key in _sorted(graph))


def _equation(ledger: Ledger, record: Record) -> Equation:
    assert record.derived is not None
    index = None if record.loop is None else record.loop.index
    lhs = record.function(*ledger.arguments(record.subject.kind, index, record.refs))
    return Equation(
        str(record.function), lhs, record.derived.term.coefficient, record.derived.rule, record.subject, record.span
    )


@functools.lru_cache(8192)
def _reads(expr: sp.Expr) -> Mapping[str, AppliedUndef]:
    return {str(f.func): f for f in sp.preorder_traversal(expr) if isinstance(f, AppliedUndef)}


def _reachable(ledger: Ledger, equations: Mapping[str, Equation], wanted: Iterable[sp.Expr]) -> set[str]:
    found: set[str] = set()
    stack = [label for expr in wanted for label in _reads(expr) if label in equations]
    while stack:
        label = stack.pop()
        if label in found:
            continue
        found.add(label)
        sides = [equations[label].rhs] + ([ledger.initials[label].rhs] if label in ledger.initials else [])
        stack += [read for side in sides for read in _reads(side) if read in equations]
    return found


def _outer_reads(item: _Item, home: Mapping[str, str], right: sp.Symbol) -> set[str]:
    equations = (*item.equations, *item.initial)
    return {home[label] for equation in equations for label in own_reads(equation.rhs, right) if label in home}


def _sorted(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the keys in an order that respects the graph and else stays as it was."""
    place = {key: number for number, key in enumerate(graph)}
    sorter, order = TopologicalSorter(graph), list[str]()
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=place.__getitem__)
        key = ready.pop(0)
        order.append(key)
        sorter.done(key)
    return order


def _block(item: _Item, ledger: Ledger) -> Block:
    if item.loop is None:
        return make_sweep(item.equations, ledger)
    labels = {equation.name: equation for equation in item.equations}
    graph = {name: _same_step(equation, labels, item.loop) for name, equation in labels.items()}
    body = tuple(labels[name] for name in _sorted(graph))
    return Recurrence(item.loop.index, item.loop.first, item.loop.last, tuple(item.initial), body)


def _same_step(equation: Equation, labels: Mapping[str, Equation], loop: Loop) -> set[str]:
    applied = [f for f in sp.preorder_traversal(equation.rhs) if isinstance(f, AppliedUndef)]
    return {str(f.func) for f in applied if str(f.func) in labels and f.args[0] == loop.index}
