"""Programs over axes written by hand, run in compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorprog.codegen.arrays.emit import emit_arrays
from tensorprog.kernel.demand import find_domains
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.grid import pair_space, sample_space
from tensorprog.kernel.interpret import Samples, interpret_pair, interpret_sample
from tensorprog.kernel.ir import AxisRange, Const, KernelIR, Parameter
from tensorprog.runtime.arrays import ArrayBlock
from tensorprog.runtime.backends import Run
from tensorprog.runtime.features import Features
from tensorprog.runtime.load import load
from tensorprog.runtime.positions import data_entries, gram_diagonal
from tensorprog.runtime.tiles import Tile
from tests.kernel.handmade import Program, assemble

__all__ = ["bias", "constant", "data", "image_program", "prepare_run", "run_compiled", "run_interpreted"]


def data(count: int, *shape: int, seed: int = 0) -> Any:
    """Return standard normal samples."""
    return np.random.default_rng(seed).standard_normal((count, *shape))


def prepare_run(ir: KernelIR, x1: Any, x2: Any, scalar: str = "") -> Run:
    """Return the run of a program on data (N, *axes, d), with the sizes T, H, W of what the axes are."""
    sizes = [dict(zip("THW", (x.shape[1], *x.shape[1:3]), strict=False)) for x in (x1, x2)]
    domains = find_domains(ir, *sizes)
    parameters = {**ir.constants, **{name: float(size) for name, size in sizes[0].items()}}
    parameters |= {f"{name}′": float(size) for name, size in sizes[1].items()}
    numerics = Numerics(ir.functions, parameters)
    features = []
    for x, held, size in zip((x1, x2), (domains.sample_left, domains.sample_right), sizes, strict=True):
        inputs = {name: gram_diagonal(x, x, held[name]) for name in ir.grams}
        if scalar:
            inputs[scalar] = data_entries(x[..., 0], held[scalar])
        own = {**ir.constants, **{name: float(value) for name, value in size.items()}}
        samples = interpret_sample(ir, inputs, len(x), own, numerics, space=sample_space(ir, held, size))
        vectors = dict.fromkeys(ir.grams, x)
        features.append(Features(len(x), vectors, vectors, Samples(len(x), samples.values)))
    left, right = features
    return Run(ir, left, right, parameters, numerics, domains, pair_space(ir, domains, *sizes))


def run_compiled(ir: KernelIR, x1: Any, x2: Any, scalar: str = "") -> Any:
    """Return the result of a program on data, by compiled code."""
    run = prepare_run(ir, x1, x2, scalar)
    block = ArrayBlock(run, load(emit_arrays(ir)))
    return block(Tile(slice(0, len(x1)), slice(0, len(x2))))[0]


def run_interpreted(ir: KernelIR, x1: Any, x2: Any, scalar: str = "") -> Any:
    """Return the same by the interpreter."""
    run = prepare_run(ir, x1, x2, scalar)
    grams = run.grams(slice(None), slice(None))
    found = interpret_pair(
        ir, grams, run.left.samples, run.right.samples, run.parameters, run.numerics, space=run.space
    )
    return found[0]


def image_program(
    axes: dict[str, AxisRange],
    shapes: dict[str, str],
    write: Callable[[Program], str],
    *,
    output_axes: str = "",
    sample: Callable[[Program], None] | None = None,
    scalars: tuple[str, ...] = (),
) -> KernelIR:
    """Return the program that `write` writes for one sample and for a pair, after `sample` for one sample."""
    programs = [Program(axes, {"sw": 1.7, "sb": 0.1}, is_pair=is_pair) for is_pair in (False, True)]
    if sample is not None:
        sample(programs[0])
    (output, _) = (write(program) for program in programs)
    return assemble(programs, output, shapes, axes=output_axes, data=scalars)


def constant(value: float) -> tuple[str, tuple[Const]]:
    """Return the term of a sum that is a number."""
    return "", (Const(value),)


def bias() -> tuple[str, tuple[Parameter]]:
    """Return the term of a sum that is the variance of a bias."""
    return "", (Parameter("sb"),)
