"""What axes and sizes are once the data are bound, for either copy of the input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tensorprog.kernel.ir import AxisIndex, Copy, KernelIR
from tensorprog.nonlin.evaluate import evaluate, evaluate_integer

__all__ = ["Extents", "Sizes", "find_extents"]

Sizes = Mapping[str, int | float]
"""The values of what the data of one copy bind, and of hyperparameters."""


@dataclass(frozen=True, slots=True)
class Extents:
    """Start and extent of every axis for the left and for the right copy, and the integers that places may name.

    An extent is at least 0 here. `values` holds the sizes of the left copy, and of the right one by their own names.
    """

    left: Mapping[str, tuple[int, int]]
    right: Mapping[str, tuple[int, int]]
    circular: Mapping[str, bool]
    values: Mapping[str, int]

    def of(self, index: AxisIndex) -> tuple[int, int]:
        """Return the start and the extent that an index runs over; OWN is the left copy."""
        return (self.right if index.copy is Copy.RIGHT else self.left)[index.axis]


def find_extents(ir: KernelIR, left: Sizes, right: Sizes) -> Extents:
    """Return the extents of the axes of a program for data of two copies."""
    values = {name: evaluate(size, (), left) for name, size in ir.sizes.items()}
    values |= {name: evaluate(size, (), right) for name, size in ir.right_sizes.items()}
    integers = {name: int(value) for name, value in {**ir.constants, **values}.items() if float(value).is_integer()}
    circular = {name: axis.circular for name, axis in ir.axes.items()}
    return Extents(_axes(ir, left), _axes(ir, right), circular, integers)


def _axes(ir: KernelIR, sizes: Sizes) -> dict[str, tuple[int, int]]:
    return {
        name: (evaluate_integer(axis.start, sizes), max(evaluate_integer(axis.extent, sizes), 0))
        for name, axis in ir.axes.items()
    }
