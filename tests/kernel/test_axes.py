"""Lowered systems with axes against their equations, evaluated entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest

from tensorprog.kernel.demand import find_domains
from tensorprog.kernel.domain import Domain
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.grid import pair_space, sample_space
from tensorprog.kernel.interpret import interpret_diagonal, interpret_pair, interpret_sample
from tensorprog.kernel.ir import AxisIndex, KernelIR
from tensorprog.kernel.lower import lower
from tensorprog.kernel.select import select
from tensorprog.limit.equations import LimitSystem
from tensorprog.nonlin.evaluate import evaluate
from tests.kernel.axes_systems import attention, conv, deep_conv, elman, graph, maxima, products, symbol, transposed
from tests.kernel.meaning import Meaning, Sample

SYSTEMS: Mapping[str, tuple[Callable[[], LimitSystem], int, int]] = {
    "flatten": (conv, 4, 4),
    "flatten, unequal": (conv, 3, 5),
    "circular": (lambda: conv("mean", circular=True), 4, 4),
    "circular, unequal": (lambda: conv("flatten", circular=True), 3, 4),
    "strided and pooled": (lambda: conv("pool", 2), 8, 8),
    "pooled in two steps": (lambda: conv("two steps"), 6, 6),
    "valid": (lambda: conv("all", window=(0, 2)), 3, 3),
    "all, unequal": (lambda: conv("all"), 3, 2),
    "deep": (deep_conv, 4, 4),
    "recurrence, last": (elman, 4, 4),
    "recurrence, last, unequal": (elman, 3, 5),
    "recurrence, all": (lambda: elman("sum"), 3, 4),
    "attention": (attention, 3, 3),
    "attention, unequal": (attention, 3, 4),
    "graph": (graph, 3, 3),
    "maxima": (maxima, 4, 4),
    "products": (products, 3, 3),
    "transposed": (transposed, 3, 4),
}


def _sample(extent: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, extent, 2))
    arrays = {"x": x, "z": z, "A": rng.uniform(size=(extent, extent))}
    return Sample(arrays, {"H": extent, "T": extent})


def _gram(ir: KernelIR, name: str, domain: Domain, left: Sample, right: Sample) -> Any:
    (first, second), positions = ir.grams[name], domain.positions()
    half = len(positions) // 2
    return np.sum(left.arrays[first][positions[:half]] * right.arrays[second][positions[half:]], axis=-1)


def _data(ir: KernelIR, name: str, domain: Domain, sample: Sample) -> Any:
    return sample.arrays[ir.data[name]][domain.positions()]


def run(ir: KernelIR, left: Sample, right: Sample) -> tuple[Any, Any]:
    """The diagonal of the left sample and the kernel of both, of the first result."""
    domains = find_domains(ir, left.sizes, right.sizes)
    values = {name: float(evaluate(size, (), left.sizes)) for name, size in ir.sizes.items()}
    others = {name: float(evaluate(size, (), right.sizes)) for name, size in ir.right_sizes.items()}
    samples, spaces = [], []
    for sample, found in ((left, domains.sample_left), (right, domains.sample_right)):
        own = {name: float(evaluate(size, (), sample.sizes)) for name, size in ir.sizes.items()}
        parameters = {**ir.constants, **own}
        inputs = {name: _gram(ir, name, found[name], sample, sample)[None] for name in ir.grams}
        inputs |= {name: _data(ir, name, found[name], sample)[None] for name in ir.data}
        spaces.append(sample_space(ir, found, sample.sizes))
        numerics = Numerics(ir.functions, parameters)
        samples.append(interpret_sample(ir, inputs, 1, parameters, numerics, space=spaces[-1]))
    space = pair_space(ir, domains, left.sizes, right.sizes)
    parameters = {**ir.constants, **values, **others}
    grams = {name: _gram(ir, name, domains.pair[name], left, right)[None, None] for name in ir.grams}
    pair = interpret_pair(ir, grams, *samples, parameters, Numerics(ir.functions, parameters), space=space)
    diagonal = interpret_diagonal(ir, ir.results[0], samples[0], {**ir.constants, **values}, spaces[0])
    return diagonal[0], pair[0, 0, 0]


def _positions(meaning: Meaning, axes: tuple[AxisIndex, ...], left: Sample, right: Sample) -> Any:
    samples = [right if "′" in index.symbol else left for index in axes]
    return product(*(meaning.extents(index.axis, sample) for index, sample in zip(axes, samples, strict=True)))


@pytest.mark.parametrize("name", SYSTEMS)
def test_programs_mean_what_the_equations_say(name: str) -> None:
    make, first, second = SYSTEMS[name]
    system = make()
    ir = select(lower(system), [("f", "nngp")])
    left, right = _sample(first, 1), _sample(second, 2)
    meaning = Meaning(system, left, right)
    axes = ir.results[0].axes
    symbols = [symbol(index.symbol) for index in axes]
    ours = run(ir, left, right)
    for found, result, other in zip(
        ours, (system.results["f", "nngp"].diagonal, system.results["f", "nngp"].pair), (left, right), strict=True
    ):
        points = list(_positions(meaning, axes, left, other))
        want = [meaning.result(result, dict(zip(symbols, point, strict=True)), pair=other is right) for point in points]
        np.testing.assert_allclose(np.ravel(found), want, rtol=1e-12, atol=1e-13)
