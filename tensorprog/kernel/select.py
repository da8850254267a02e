"""Specialise a kernel program to the results that are asked for: what they do not need is not computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tensorprog.kernel.ir import (
    Contract,
    Copy,
    Definition,
    KernelIR,
    Let,
    Loop,
    Ref,
    Result,
    Scalar,
    Statement,
    definitions,
    expectations,
    expressions,
    references,
)

__all__ = ["select", "select_pair", "select_sample", "select_side"]


def select(ir: KernelIR, results: Iterable[tuple[str, str]]) -> KernelIR:
    """Return the program that computes `results`, keys (output, kind) in this order, and nothing else."""
    known = {(result.output, result.kind): result for result in ir.results}
    chosen = tuple(known[key] for key in results)
    pair = _live(ir.pair, (result.pair for result in chosen))
    sample = _live(ir.sample, [*_sample_roots(chosen, pair)])
    wanted = {ref.name for ref in _all_references(chosen, sample, pair)}
    functions = {name for _, expectation in expectations((*sample, *pair)) for name in expectation.functions}
    return replace(
        ir,
        grams={name: variables for name, variables in ir.grams.items() if name in wanted},
        data={name: variable for name, variable in ir.data.items() if name in wanted},
        functions={name: function for name, function in ir.functions.items() if name in functions},
        sample=sample,
        pair=pair,
        results=chosen,
        shapes={name: axes for name, axes in ir.shapes.items() if name in wanted},
        deviations=ir.deviations & wanted,
        versines=ir.versines & wanted,
    )


def select_side(ir: KernelIR, copy: Copy) -> KernelIR:
    """Return the program with that part of its sample program which the pair program reads of one side."""
    pair = [*(result.pair for result in ir.results), *_scalars(ir.pair)]
    roots = [Ref(ref.name) for scalar in pair for ref in references(scalar) if ref.copy is copy]
    return replace(ir, sample=_live(ir.sample, roots))


def select_sample(ir: KernelIR) -> KernelIR:
    """Return the program with that part of its sample program which the pair program reads of either side."""
    pair = [*(result.pair for result in ir.results), *_scalars(ir.pair)]
    roots = [Ref(ref.name) for scalar in pair for ref in references(scalar) if ref.copy is not Copy.OWN]
    return replace(ir, sample=_live(ir.sample, roots))


def select_pair(ir: KernelIR) -> KernelIR:
    """Return the program with those of its grams which the pair program reads of both sides."""
    pair = [*(result.pair for result in ir.results), *_scalars(ir.pair)]
    wanted = {ref.name for scalar in pair for ref in references(scalar) if ref.copy is Copy.OWN}
    return replace(ir, grams={name: variables for name, variables in ir.grams.items() if name in wanted})


def _sample_roots(results: tuple[Result, ...], pair: tuple[Statement, ...]) -> Iterable[Scalar]:
    """Yield what of the sample program is read: by the diagonals, and by the pair program for either sample."""
    yield from (result.diagonal for result in results)
    for scalar in (*(result.pair for result in results), *_scalars(pair)):
        yield from (Ref(ref.name) for ref in references(scalar) if ref.copy is not Copy.OWN)


def _all_references(
    results: tuple[Result, ...], sample: tuple[Statement, ...], pair: tuple[Statement, ...]
) -> Iterable[Ref]:
    scalars = [scalar for result in results for scalar in (result.diagonal, result.pair)]
    scalars += _scalars((*sample, *pair))
    return (ref for scalar in scalars for ref in references(scalar))


def _scalars(statements: tuple[Statement, ...]) -> Iterable[Scalar]:
    return (scalar for definition in definitions(statements) for scalar in expressions(definition))


def _live(statements: tuple[Statement, ...], roots: Iterable[Scalar]) -> tuple[Statement, ...]:
    """Return the statements without the definitions that no root needs."""
    needs: dict[str, list[str]] = {}
    for definition in definitions(statements):
        for scalar in expressions(definition):
            needs.setdefault(definition.name, []).extend(_own(scalar))
    alive: set[str] = set()
    waiting = [name for root in roots for name in _own(root)]
    while waiting:
        name = waiting.pop()
        if name not in alive:
            alive.add(name)
            waiting.extend(needs.get(name, ()))
    return _keep(statements, alive)


def _own(scalar: Scalar) -> list[str]:
    return [ref.name for ref in references(scalar) if ref.copy is Copy.OWN]


def _keep(statements: tuple[Statement, ...], alive: set[str]) -> tuple[Statement, ...]:
    kept: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Let | Contract):
            kept += [statement] if statement.name in alive else []
        elif isinstance(statement, Loop):
            body = _keep(statement.body, alive)
            kept += [replace(statement, initial=_kept(statement.initial, alive), body=body)] if body else []
        else:
            groups = tuple(_kept(group, alive) for group in statement.groups)
            kept += [replace(statement, groups=groups)] if any(groups) else []
    return tuple(kept)


def _kept(definitions: tuple[Definition, ...], alive: set[str]) -> tuple[Definition, ...]:
    return tuple(definition for definition in definitions if definition.name in alive)
