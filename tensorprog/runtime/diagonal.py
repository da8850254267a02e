"""The diagonal of a kernel of a program over axes, and the symmetry of its matrix: in samples and positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.core.evaluate import Binding
from tensorprog.core.ir import Core
from tensorprog.kernel.demand import find_domains
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.interpret import interpret_diagonal
from tensorprog.kernel.ir import KernelIR
from tensorprog.runtime.features import find_vectors, sample_parts, values_of_parameters
from tensorprog.runtime.overflow import Nonfinite, describe_sample
from tensorprog.runtime.parts import diagonal_part

__all__ = ["find_diagonals", "swap_copies", "symmetric"]

Array = npt.NDArray[np.float64]


def find_diagonals(
    core: Core, ir: KernelIR, binding: Binding, numerics: Numerics, *, allow_nonfinite: bool
) -> list[Array]:
    """Return the diagonals of the results of a program over axes, arrays (N, *axes), from its sample program.

    Raises:
        DataError: TP454, a diagonal is not finite.
    """
    ir = diagonal_part(ir)
    vectors, domains = find_vectors(core, ir, binding), find_domains(ir, binding.sizes, binding.sizes).sample_left
    parameters, blocks = values_of_parameters(ir, binding), []
    for samples, space in sample_parts(ir, vectors, binding, numerics, domains):
        blocks.append([interpret_diagonal(ir, result, samples, parameters, space) for result in ir.results])
    arrays = [np.concatenate(column) for column in zip(*blocks, strict=True)]
    for array in () if allow_nonfinite else arrays:
        rows = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        if rows.size:
            seen, only = Nonfinite(), slice(int(rows[0]), int(rows[0]) + 1)
            list(sample_parts(ir, vectors, binding, numerics, domains, seen, only))
            raise describe_sample(seen, ir.sample, only.start)
    return arrays


def swap_copies(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a matrix (N1, N2, *axes, *axes′) as (N2, N1, *axes′, *axes)."""
    axes = range(2, array.ndim)
    middle = len(axes) // 2
    return array.transpose(1, 0, *axes[middle:], *axes[:middle])


def symmetric(diagonal: Array) -> Array:
    """Return a diagonal (N, *axes, *axes′) with what is above the diagonal in the positions mirrored."""
    if diagonal.ndim == 1:
        return diagonal
    size = int(np.prod(diagonal.shape[1 : 1 + diagonal.ndim // 2]))
    square = diagonal.reshape(len(diagonal), size, size)
    upper = np.triu(np.ones((size, size), dtype=np.bool_))
    return np.where(upper, square, square.swapaxes(1, 2)).reshape(diagonal.shape)
