"""The kernel of two data sets of different extents: each side runs the instance of the program that is its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tensorprog.core.evaluate import Binding
from tensorprog.kernel.domain import Domain
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.ir import Copy, KernelIR
from tensorprog.kernel.select import select_pair, select_side
from tensorprog.limit.across import Across
from tensorprog.runtime.features import Features, prepare_features
from tensorprog.runtime.gram import Kernel
from tensorprog.runtime.profile import ProfileFinder

__all__ = ["KernelAcross"]


class KernelAcross(Kernel):
    """The kernels between two instances of a program: the left data set is one of the first, the right of the second.

    There are no diagonals.
    """

    def __init__(self, across: Across, backend: str, dtype: str) -> None:
        super().__init__(across.core, across.system, backend, dtype)
        self._inputs, self._axes = across.inputs, across.axes

    def of_the_second(self, binding: Binding) -> Binding:
        """Return data that are bound to the program, bound to its second instance."""
        starts, extents = (
            {self._axes.get(axis, axis): value for axis, value in values.items()}
            for values in (binding.starts, binding.extents)
        )
        data = {self._inputs[name]: array for name, array in binding.data.items()}
        return replace(binding, starts=starts, extents=extents, data=data)

    def _features(
        self, ir: KernelIR, side: Copy, binding: Binding, numerics: Numerics, domains: Mapping[str, Domain] | None
    ) -> Features:
        return prepare_features(self.core, select_side(ir, side), binding, numerics, domains)

    def _of_pairs(self, ir: KernelIR) -> KernelIR:
        return select_pair(ir)

    def _finder(self, ir: KernelIR) -> ProfileFinder | None:
        return None
