"""The parts of a program over axes that run apart: what pairs of samples need, and what the diagonal needs.

One sample has as many positions as it has for itself; two samples have all pairs of positions, of both copies. What the
pair program reads of one sample is mostly little and is kept for all samples; the diagonal of a kernel needs the pairs
of positions of one sample, which are dropped after a few samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from tensorprog.kernel.domain import Domain
from tensorprog.kernel.ir import Const, Contract, Copy, KernelIR, Statement, definitions, expectations, ranges
from tensorprog.kernel.select import select
from tensorprog.runtime.tiles import ROWS

__all__ = ["choose_edge", "diagonal_part", "has_arrays", "pair_part", "sample_blocks"]

_ENTRIES = 1 << 22
"""How many entries of arrays are computed at once."""

_LAWS = 1 << 17
"""How many laws the samples of one side of a tile may have, 1.6 KB each."""


def has_arrays(ir: KernelIR) -> bool:
    """Tell whether anything in a program is over axes."""
    return bool(ir.shapes) or any(
        definition.axes or isinstance(definition, Contract) for definition in definitions((*ir.sample, *ir.pair))
    )


def pair_part(ir: KernelIR) -> KernelIR:
    """Return a program over axes without the diagonals of its results."""
    return _pruned(replace(ir, results=tuple(replace(result, diagonal=Const(0.0)) for result in ir.results)))


def diagonal_part(ir: KernelIR) -> KernelIR:
    """Return a program over axes without its pair program."""
    results = tuple(replace(result, pair=Const(0.0)) for result in ir.results)
    return _pruned(replace(ir, pair=(), results=results))


def _pruned(ir: KernelIR) -> KernelIR:
    return select(ir, [(result.output, result.kind) for result in ir.results])


def choose_edge(ir: KernelIR, domains: Mapping[str, Domain]) -> int:
    """Return the number of rows and columns of the tiles of a pair program over axes."""
    edge = math.isqrt(_ENTRIES // _count_entries(ir.pair, domains))
    return max(1, min(ROWS, edge, _LAWS // max(1, _count_laws(ir, domains))))


def _count_laws(ir: KernelIR, domains: Mapping[str, Domain]) -> int:
    """Return how many laws of one sample the numerical expectations of the pair program may have."""
    bounds = ranges(ir.pair)
    total = 0
    for let, _ in expectations(ir.pair):
        extents = [1, 1]
        domain = domains.get(let.name)
        for index, (_, extent) in () if domain is None else zip(domain.axes, domain.ranges, strict=True):
            extents[index.copy is Copy.RIGHT] *= extent
        total += max(extents) * math.prod(last - first + 1 for first, last in bounds.get(let.name, ()))
    return total


def sample_blocks(ir: KernelIR, domains: Mapping[str, Domain], count: int) -> Iterator[slice]:
    """Yield the samples that the sample program takes together."""
    step = max(1, _ENTRIES // _count_entries(ir.sample, domains))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _count_entries(statements: tuple[Statement, ...], domains: Mapping[str, Domain]) -> int:
    """Return how many entries all quantities have together, at least 1; in loops those of one iteration."""
    return max(1, sum(_sizes({definition.name for definition in definitions(statements)}, domains)))


def _sizes(names: Iterable[str], domains: Mapping[str, Domain]) -> Iterator[int]:
    return (domains[name].count if name in domains else 1 for name in names)
