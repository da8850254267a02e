"""Specialise a kernel program to the results that are asked for: what they do not need is not computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tensorprog.kernel.ir import Copy, KernelIR, Let, Loop, Ref, Result, Scalar, Statement, lets, references

__all__ = ["select"]


def select(ir: KernelIR, results: Iterable[tuple[str, str]]) -> KernelIR:
    """Return the program that computes `results`, keys (output, kind) in this order, and nothing else."""
    known = {(result.output, result.kind): result for result in ir.results}
    chosen = tuple(known[key] for key in results)
    pair = _live(ir.pair, (result.pair for result in chosen))
    sample = _live(ir.sample, [*_sample_roots(chosen, pair)])
    wanted = {ref.name for ref in _all_references(chosen, sample, pair)}
    functions = {name for let in (*lets(sample), *lets(pair)) for name in getattr(let.value, "functions", ())}
    return replace(
        ir,
        grams={name: variables for name, variables in ir.grams.items() if name in wanted},
        data={name: variable for name, variable in ir.data.items() if name in wanted},
        functions={name: function for name, function in ir.functions.items() if name in functions},
        sample=sample,
        pair=pair,
        results=chosen,
    )


def _sample_roots(results: tuple[Result, ...], pair: tuple[Statement, ...]) -> Iterable[Scalar]:
    """Yield what of the sample program is read: by the diagonals, and by the pair program for either sample."""
    yield from (result.diagonal for result in results)
    for scalar in (*(result.pair for result in results), *(let.value for let in lets(pair))):
        yield from (Ref(ref.name) for ref in references(scalar) if ref.copy is not Copy.OWN)


def _all_references(
    results: tuple[Result, ...], sample: tuple[Statement, ...], pair: tuple[Statement, ...]
) -> Iterable[Ref]:
    scalars = [scalar for result in results for scalar in (result.diagonal, result.pair)]
    scalars += [let.value for let in (*lets(sample), *lets(pair))]
    return (ref for scalar in scalars for ref in references(scalar))


def _live(statements: tuple[Statement, ...], roots: Iterable[Scalar]) -> tuple[Statement, ...]:
    """Return the statements without the definitions that no root needs."""
    needs: dict[str, list[str]] = {}
    for let in lets(statements):
        needs.setdefault(let.name, []).extend(_own(let.value))
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
        if isinstance(statement, Let):
            kept += [statement] if statement.name in alive else []
            continue
        body = _keep(statement.body, alive)
        initial = tuple(let for let in statement.initial if let.name in alive)
        kept += [Loop(statement.index, statement.first, statement.last, initial, body)] if body else []
    return tuple(kept)
