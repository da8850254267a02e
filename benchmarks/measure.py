"""A case, measured: results are compared first, then the two programs take turns."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import reference
from benchmarks.cases import Case, inputs
from benchmarks.processes import Child, Failure, Limits, Side

__all__ = ["Effort", "Missing", "Outcome", "Timing", "measure"]

Array = npt.NDArray[np.float64]

WITNESSED, WITNESSED_IMAGES = 4, 2
"""How many samples the reference algorithm computes: of vectors and sequences, of images."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one side took.

    Attributes:
        imports: seconds of imports, which are not part of the others.
        compilation: seconds from the network to its first result, less those of a call: in a new process that finds
            nothing compiled.
        restart: the same where an earlier process has compiled it, None if the side keeps nothing.
        call: the median of the times of a call, in seconds.
        calls: how many there were.
        memory: megabytes that a call takes at most, its result included; None where that is unknown.
        error: the largest difference from the reference algorithm on a few samples, relative to the largest entry.
        profile: the shares of the time of a call in one thread, by module, the largest first; empty where unknown.
    """

    imports: float
    compilation: float
    restart: float | None
    call: float
    calls: int
    memory: float | None
    error: float
    profile: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Missing:
    """A side that has no result, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case came to. `difference` is the largest one of the results, relative to the largest entry."""

    case: Case
    ours: Timing | Missing
    theirs: Timing | Missing
    difference: float | None

    @property
    def ratio(self) -> float | None:
        """Their time over ours."""
        if isinstance(self.ours, Timing) and isinstance(self.theirs, Timing):
            return self.theirs.call / self.ours.call
        return None


@dataclass(frozen=True, slots=True)
class Effort:
    """How often calls are repeated: at most so many times, and about so many seconds for both sides together."""

    repeats: int
    seconds: float

    def count(self, first: float) -> int:
        """Return how many rounds there are, if the first one took so many seconds."""
        return max(1, min(self.repeats, int(self.seconds / max(first, 1e-9))))


@dataclass
class _Run:
    """A side on its way: its process, and the answers so far."""

    child: Child
    imports: float
    cold: float
    warm: float | None
    calls: list[float]

    def again(self) -> float:
        """Measure one more call."""
        self.calls.append(self.child.ask("again"))
        return self.calls[-1]

    def timing(self, error: float) -> Timing:
        """Return the medians."""
        call = statistics.median(self.calls)
        restart = None if self.warm is None else max(self.warm - call, 0.0)
        compilation = max(self.cold - call, 0.0)
        memory, profile = self.child.ask("memory"), self.child.ask("profile")
        return Timing(self.imports, compilation, restart, call, len(self.calls), memory, error, profile)


def measure(case: Case, ours: Side, theirs: Side | Missing, limits: Limits, effort: Effort) -> Outcome:
    """Return the outcome of a case; `theirs` may be missing."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        np.save(folder / "x.npy", inputs(case))
        mine = _attempt(case, ours, folder, limits, stack, restarts=True)
        other = _attempt(case, theirs, folder, limits, stack, restarts=False)
        difference = None
        if isinstance(mine, _Run) and isinstance(other, _Run):
            difference = _difference(mine.child.result(), other.child.result())
        sides = _take_turns([mine, other], effort)
        witness = _witness(case)
        found = [side if isinstance(side, Missing) else _finish(side, witness) for side in sides]
        return Outcome(case, found[0], found[1], difference)


def _attempt(
    case: Case, side: Side | Missing, folder: Path, limits: Limits, stack: ExitStack, *, restarts: bool
) -> _Run | Missing:
    if isinstance(side, Missing):
        return side
    try:
        return _started(case, side, folder, limits, stack, restarts=restarts)
    except Failure as failure:
        return Missing(str(failure))


def _started(case: Case, side: Side, folder: Path, limits: Limits, stack: ExitStack, *, restarts: bool) -> _Run:
    """Start a process, let it import and compute once; if it `restarts`, a second one is kept, and the first ends."""
    cold = None
    if restarts:
        with Child(side, case.network, folder, limits) as child:
            child.ask("import")
            cold = child.ask("first")
    child = stack.enter_context(Child(side, case.network, folder, limits))
    imports = child.ask("import")
    first = child.ask("first")
    return _Run(child, imports, first if cold is None else cold, None if cold is None else first, [])


def _take_turns(sides: list[_Run | Missing], effort: Effort) -> list[_Run | Missing]:
    """Let the sides compute in turn, ours, theirs, ours, …; a side that fails is out."""
    rounds, done = 1, 0
    while done < rounds:
        spent = 0.0
        for number, side in enumerate(sides):
            if isinstance(side, _Run):
                try:
                    spent += side.again()
                except Failure as failure:
                    sides[number] = Missing(str(failure))
        done += 1
        if done == 1:
            rounds = effort.count(spent)
    return sides


def _finish(side: _Run, witness: Array) -> Timing | Missing:
    few = witness.shape[1]
    try:
        return side.timing(_difference(side.child.result()[:, :few, :few], witness))
    except Failure as failure:
        return Missing(str(failure))


def _witness(case: Case) -> Array:
    """Return NNGP and NTK of the first samples by the reference algorithm."""
    few = WITNESSED_IMAGES if len(case.shape) == 3 else WITNESSED
    return np.stack(reference.kernels(case.network, inputs(case)[:few]))


def _difference(found: Array, expected: Array) -> float:
    """Return the largest difference of NNGP or NTK, relative to the largest entry of each."""
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, expected, strict=True))
