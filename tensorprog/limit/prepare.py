"""What is done to a program before its derivation: equivalent programs that the rules apply to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tensorprog.core.ir import Core
from tensorprog.errors import LimitError
from tensorprog.limit.gains import linearize_gains
from tensorprog.limit.shift import shift_results
from tensorprog.limit.split import split_sums
from tensorprog.limit.unroll import GATED, gated_axes, unroll
from tensorprog.limit.windows import write_out_maxima

__all__ = ["prepare", "write_out_gates"]

T = TypeVar("T")


def prepare(core: Core) -> Core:
    """Return an equivalent program without windows, gains inside nonlinearities and functions of shifted reads."""
    return split_sums(shift_results(linearize_gains(write_out_maxima(core))))


def write_out_gates(core: Core, solve: Callable[[Core], T], axes: frozenset[str] = frozenset()) -> T:
    """Return what `solve` gives for a program, its recurrences written out step by step where they do not close.

    Args:
        core: the program, without loops.
        solve: derives the limit of a prepared program.
        axes: those of recurrences that are known not to close.

    Raises:
        NeedsExtents: the data bind the extent of such a recurrence.
        LimitError: as `solve`, for other reasons than a recurrence with gates.
    """
    while True:
        try:
            return solve(prepare(unroll(core, axes)))
        except LimitError as error:
            if not any(diagnostic.code == GATED for diagnostic in error.diagnostics):
                raise
            more = gated_axes(core, error) - axes
            if not more:
                raise
        axes |= more
