"""The kernel of a program whose limit is derived for every extent of its axes by itself, once the data say which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tensorprog.core.evaluate import Binding, bind, check_pair
from tensorprog.core.ir import Core
from tensorprog.errors import LimitError
from tensorprog.limit.across import Across
from tensorprog.limit.derivation import Derivation
from tensorprog.limit.extents import NeedsExtents, settle
from tensorprog.runtime.across import KernelAcross
from tensorprog.runtime.backends import check_backend
from tensorprog.runtime.gram import Kernel, check_dtype
from tensorprog.runtime.report import Choice, Report
from tensorprog.runtime.tiles import ROWS, count_threads

__all__ = ["KernelPerExtent"]

Data = Any
Sizes = Mapping[str, int]
Key = tuple[tuple[str, int, int], ...]
"""The sizes that must be known, with their values for x1 and for x2."""


class KernelPerExtent:
    """The kernels of a program, as functions of data, with a derivation for every pair of extents that occurs.

    What is said of `Kernel` holds for it. The first call for some extents takes the time of a derivation and of a
    compilation, further ones do not.

    Attributes:
        core: the program.
        backend: "cpu" or "interpret".
        dtype: the type of the results.
        threads: how many tiles are computed at a time.
        progress: if set, called with the numbers of tiles that are done and that there are.
    """

    def __init__(
        self,
        core: Core,
        reason: NeedsExtents,
        derive: Callable[[Sizes], Derivation],
        derive_across: Callable[[Sizes, Sizes], Across],
        backend: str = "cpu",
        dtype: str = "float64",
    ) -> None:
        check_backend(backend)
        self.core, self.backend, self.dtype = core, backend, check_dtype(dtype)
        self.threads = count_threads()
        self.progress: Callable[[int, int], None] | None = None
        self._reason, self._derive, self._derive_across = reason, derive, derive_across
        self._names = reason.names
        self._kernels: dict[Key, Kernel] = {}

    def __repr__(self) -> str:
        known = "; ".join(map(_spell, self._kernels)) or "none so far"
        return f"<Kernel of {self.core.name} for every extent by itself: {known}; {self.backend}, {self.dtype}>"

    def __call__(
        self,
        x1: Data,
        x2: Data | None = None,
        get: str | Sequence[str] = "ntk",
        *,
        output: str | None = None,
        out: Any = None,
        allow_nonfinite: bool = False,
    ) -> Any:
        """Return kernel matrices, as `Kernel` does; extents of axes may differ between x1 and x2.

        Raises:
            DataError: as `Kernel`.
            LimitError: as `Program.derive`, for the extents of the data; also, the kernel that is asked for was
                refused.

        Warns:
            PrecisionWarning: as `Kernel`.
        """
        first = bind(self.core, x1, dtype=np.float64, allow_nonfinite=allow_nonfinite)
        second = None if x2 is None else bind(self.core, x2, dtype=np.float64, allow_nonfinite=allow_nonfinite)
        if second is not None:
            check_pair(first, second, self.core)
        kernel = self._kernel(first, first if second is None else second)
        request = kernel.request(get, output)
        if second is not None and isinstance(kernel, KernelAcross):
            second = kernel.of_the_second(second)
        answer = kernel.evaluate(request, first, second, out, allow_nonfinite=allow_nonfinite)
        kernel.warn_if_imprecise(stacklevel=3)
        return answer

    def diag(
        self, x: Data, get: str | Sequence[str] = "ntk", *, output: str | None = None, allow_nonfinite: bool = False
    ) -> Any:
        """Return the diagonals k(x, x), as `Kernel` does.

        Raises:
            DataError: as `Kernel`.
            LimitError: as a call.
        """
        binding = bind(self.core, x, dtype=np.float64, allow_nonfinite=allow_nonfinite)
        kernel = self._kernel(binding, binding)
        return kernel.diag(x, get, output=output, allow_nonfinite=allow_nonfinite)

    @property
    def source(self) -> str:
        """The text of the generated code, for all extents that have occurred.

        Raises:
            LimitError: none has.
        """
        if not self._kernels:
            raise self._reason
        return "\n".join(kernel.source for kernel in self._kernels.values())

    @property
    def report(self) -> Report:
        """What was chosen for every equation, for all extents that have occurred, and the errors seen so far."""
        reports = {_spell(key): kernel.report for key, kernel in self._kernels.items()}
        choices = [_at(choice, place) for place, report in reports.items() for choice in report.choices]
        files = dict.fromkeys(file for report in reports.values() for file in report.files)
        tile, shown = (ROWS, ROWS), str(self.dtype)
        return Report(self.core.name, self.backend, shown, tile, self.threads, tuple(files), tuple(choices))

    def _kernel(self, first: Binding, second: Binding) -> Kernel:
        """Return the kernel for the extents of two data sets, derived if these are new."""
        kernel = settle(lambda names: self._at(names, first, second), self._names, first.sizes)
        kernel.threads, kernel.progress = self.threads, self.progress
        return kernel

    def _at(self, names: frozenset[str], first: Binding, second: Binding) -> Kernel:
        """Return the kernel for the values that two data sets give to some sizes."""
        self._names = names
        left, right = ({name: int(side.sizes[name]) for name in sorted(names)} for side in (first, second))
        key = tuple((name, left[name], right[name]) for name in left)
        if key not in self._kernels:
            self._kernels[key] = self._made(left, right)
        return self._kernels[key]

    def _made(self, left: Sizes, right: Sizes) -> Kernel:
        if left == right:
            found = self._derive(left)
            return Kernel(found.core, found.system, self.backend, str(self.dtype))
        try:
            across = self._derive_across(left, right)
        except NeedsExtents:
            raise
        except LimitError:
            for sizes in (left, right):
                self._derive(sizes)  # which may be refused by itself, in the program's own names
            raise
        return KernelAcross(across, self.backend, str(self.dtype))


def _spell(key: Key) -> str:
    """Return the sizes of a kernel as text: T = 3, or T = 2 and 3 where x1 and x2 differ."""
    return ", ".join(f"{name} = {left}" + ("" if left == right else f" and {right}") for name, left, right in key)


def _at(choice: Choice, place: str) -> Choice:
    return replace(choice, program=f"{choice.program}, {place}")
