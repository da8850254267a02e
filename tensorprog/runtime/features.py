"""From data to what kernel programs read: feature vectors for the grams, per-sample quantities, Gram tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.source import Layout
from tensorprog.core.evaluate import Binding, run_data
from tensorprog.core.ir import Core
from tensorprog.core.values import as_matrix
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.interpret import Samples, interpret_sample
from tensorprog.kernel.ir import KernelIR
from tensorprog.nonlin.evaluate import evaluate

__all__ = ["Features", "gram_tile", "pack", "prepare_features", "values_of_parameters"]

Array = npt.NDArray[np.float64]

_DEPTH = 256
"""How many features one matrix product sums over: few, so that no BLAS splits the sum among its threads."""


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of one data set of N samples.

    For every gram ⟨u, v⟩ `left` is the matrix (N, d) of u, which is read if this is the left data set, and `right` that
    of v; `samples` is what the sample program computed.
    """

    count: int
    left: Mapping[str, Array]
    right: Mapping[str, Array]
    samples: Samples


def values_of_parameters(ir: KernelIR, binding: Binding) -> dict[str, float]:
    """Return the values of all constants and sizes of a program."""
    sizes = {name: float(evaluate(size, (), binding.sizes)) for name, size in ir.sizes.items()}
    return {**ir.constants, **sizes}


def prepare_features(
    core: Core, ir: KernelIR, binding: Binding, parameters: Mapping[str, float], numerics: Numerics
) -> Features:
    """Run what of the core depends on the data alone, and the sample program on it."""
    wanted = dict.fromkeys([*(variable for pair in ir.grams.values() for variable in pair), *ir.data.values()])
    values = run_data(core, binding, wanted)
    count = binding.samples
    matrices = {variable: as_matrix(values[variable], count) for variable in wanted}
    left = {name: matrices[first] for name, (first, _) in ir.grams.items()}
    right = {name: matrices[second] for name, (_, second) in ir.grams.items()}
    inputs = {name: np.einsum("ij,ij->i", left[name], right[name]) for name in ir.grams}
    inputs.update((name, matrices[variable][:, 0]) for name, variable in ir.data.items())
    return Features(count, left, right, interpret_sample(ir, inputs, count, parameters, numerics))


def gram_tile(left: Array, right: Array) -> Array:
    """Return left · rightᵀ."""
    total = np.dot(left[:, :_DEPTH], right[:, :_DEPTH].T)
    for start in range(_DEPTH, left.shape[1], _DEPTH):
        total += np.dot(left[:, start : start + _DEPTH], right[:, start : start + _DEPTH].T)
    return total


def pack(layout: Layout, samples: Samples) -> Array:
    """Return the quantities of one side as the array (rows, N) that compiled code reads, one zero row if empty."""
    packed = np.zeros((max(layout.count, 1), samples.count))
    for row, name, indices in layout.rows():
        if (name, indices) in samples.values:
            packed[row] = samples.values[name, indices]
    return packed
