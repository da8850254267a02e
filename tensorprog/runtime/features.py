"""From data to what kernel programs read: feature vectors for the grams, per-sample quantities, Gram tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.codegen.source import Layout
from tensorprog.core.dependence import determined
from tensorprog.core.evaluate import Binding, run_data
from tensorprog.core.ir import Core
from tensorprog.core.values import as_matrix, broadcast_samples
from tensorprog.kernel.diagonal import for_diagonal
from tensorprog.kernel.domain import Domain
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.grid import Space, sample_space
from tensorprog.kernel.interpret import Observer, Samples, interpret_sample, needed
from tensorprog.kernel.ir import Copy, KernelIR
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.runtime.deviation import unit_vectors
from tensorprog.runtime.parts import sample_blocks
from tensorprog.runtime.positions import data_entries, gram_diagonal, versine_diagonal

__all__ = [
    "Features",
    "Vectors",
    "find_vectors",
    "gram_tile",
    "pack",
    "prepare_features",
    "sample_parts",
    "values_of_parameters",
]

Array = npt.NDArray[np.float64]

_DEPTH = 256
"""How many features one matrix product sums over: few, so that no BLAS splits the sum among its threads."""


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of one data set of N samples.

    For every gram ⟨u, v⟩ `left` is the matrix (N, d) of u, which is read if this is the left data set, and `right` that
    of v, (N, *axes, d) if they have axes; `samples` is what the sample program computed.
    """

    count: int
    left: Mapping[str, Array]
    right: Mapping[str, Array]
    samples: Samples


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of the grams, as in `Features`, and scalar data (N,) or (N, *axes), by name.

    Those of grams in `versines` are unit vectors.
    """

    left: Mapping[str, Array]
    right: Mapping[str, Array]
    data: Mapping[str, Array]
    versines: frozenset[str]


def values_of_parameters(ir: KernelIR, binding: Binding, right: Binding | None = None) -> dict[str, float]:
    """Return the values of all constants and sizes of a program, for data of one copy or of two."""
    sizes = {name: float(evaluate(size, (), binding.sizes)) for name, size in ir.sizes.items()}
    known = binding.sizes if right is None else right.sizes
    sizes |= {name: float(evaluate(size, (), known)) for name, size in ir.right_sizes.items()}
    return {**ir.constants, **sizes}


def find_vectors(core: Core, ir: KernelIR, binding: Binding) -> Vectors:
    """Run what of the core depends on the data alone, and on no other inputs than those that are bound."""
    known = determined(core, binding.data)
    everything = [*(variable for pair in ir.grams.values() for variable in pair), *ir.data.values()]
    wanted = dict.fromkeys(variable for variable in everything if variable in known)
    values = run_data(core, binding, wanted)
    count = binding.samples
    arrays = {variable: _spread(values[variable], count, core.types[variable].axes) for variable in wanted}
    unit = {
        first: unit_vectors(arrays[first])
        for name, (first, _) in ir.grams.items()
        if name in ir.versines and first in arrays
    }
    left, right = (
        {
            name: (unit if name in ir.versines else arrays)[pair[side]]
            for name, pair in ir.grams.items()
            if pair[side] in arrays
        }
        for side in (0, 1)
    )
    scalars = {name: arrays[variable][..., 0] for name, variable in ir.data.items() if variable in arrays}
    return Vectors(left, right, scalars, ir.versines)


def _spread(array: npt.NDArray[Any], count: int, axes: tuple[str, ...]) -> Array:
    """Return the value of a variable for every sample, (N, *axes, d), d = 1 for scalars."""
    if not axes:
        return as_matrix(array, count)
    shape = array.shape[1 : 1 + len(axes)]
    flat = np.asarray(array, dtype=np.float64).reshape(len(array), *shape, -1)
    return np.ascontiguousarray(broadcast_samples(flat, count), dtype=np.float64)


def prepare_features(
    core: Core, ir: KernelIR, binding: Binding, numerics: Numerics, domains: Mapping[str, Domain] | None = None
) -> Features:
    """Run what of the core depends on the data alone, and the sample program on it; `domains` are those of its arrays.

    Of programs over axes no more is kept than the pair program reads.
    """
    vectors, count = find_vectors(core, ir, binding), binding.samples
    if domains is None:
        inputs = _inputs(vectors, slice(None), {})
        samples = interpret_sample(ir, inputs, count, values_of_parameters(ir, binding), numerics)
        return Features(count, vectors.left, vectors.right, samples)
    kept = needed(ir, Copy.LEFT) | needed(ir, Copy.RIGHT)
    plain = for_diagonal(ir, domains)
    parts = [part.block(slice(None), kept) for part, _ in sample_parts(plain, vectors, binding, numerics, domains)]
    keys = parts[0].values if parts else ()
    values = {key: np.concatenate([part.values[key] for part in parts]) for key in keys}
    return Features(count, vectors.left, vectors.right, Samples(count, values))


def sample_parts(
    ir: KernelIR,
    vectors: Vectors,
    binding: Binding,
    numerics: Numerics,
    domains: Mapping[str, Domain],
    observer: Observer | None = None,
    only: slice | None = None,
) -> Iterator[tuple[Samples, Space]]:
    """Yield what the sample program of a program over axes computes, for some samples at a time.

    Args:
        ir: the program.
        vectors: the data.
        binding: says what the sizes are.
        numerics: computes numerical expectations.
        domains: those of the arrays of the sample program.
        observer: is told of every definition.
        only: the samples to take, all by default.
    """
    parameters, space = values_of_parameters(ir, binding), sample_space(ir, domains, binding.sizes)
    for rows in sample_blocks(ir, domains, binding.samples) if only is None else (only,):
        count = len(range(*rows.indices(binding.samples)))
        inputs = _inputs(vectors, rows, domains)
        yield interpret_sample(ir, inputs, count, parameters, numerics, observer, space), space


def _inputs(vectors: Vectors, rows: slice, domains: Mapping[str, Domain]) -> dict[str, Array]:
    """Return what the sample program starts from, for some samples."""
    inputs = {}
    for name in (name for name in vectors.left if name in vectors.right):
        first, second = vectors.left[name][rows], vectors.right[name][rows]
        domain = domains.get(name)
        if domain is None or not domain.axes:
            inputs[name] = np.zeros(len(first)) if name in vectors.versines else np.einsum("ij,ij->i", first, second)
        else:
            inputs[name] = (versine_diagonal if name in vectors.versines else gram_diagonal)(first, second, domain)
    for name, values in vectors.data.items():
        domain = domains.get(name)
        inputs[name] = values[rows] if domain is None or not domain.axes else data_entries(values[rows], domain)
    return inputs


def gram_tile(left: Array, right: Array, out: Array | None = None) -> Array:
    """Return left · rightᵀ, in `out` if it is given."""
    total = np.dot(left[:, :_DEPTH], right[:, :_DEPTH].T, out=out)
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
