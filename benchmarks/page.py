"""The page of the documentation: machine, tables, and what their columns mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import Machine
from benchmarks.measure import Outcome
from benchmarks.peak import Peak
from benchmarks.table import compilations, growths, profiles, resources, speeds
from benchmarks.work import FUSED

__all__ = ["PAGE", "page", "tables"]

ROOT = Path(__file__).resolve().parent
PAGE = ROOT.parent / "docs" / "benchmarks.md"
REMARKS = ROOT / "remarks.md"
"""What is to be said about the figures, by hand: the end of the page, if the file is there."""

INTRODUCTION = """# Benchmarks

This page was written by `python -m benchmarks --write`, run with the interpreter of an environment in which
neural-tangents is installed; [benchmarks/README.md](../benchmarks/README.md) says how. Every case is the NNGP and the
NTK of N samples with themselves, together, in float64. Both programs run in processes of their own, on the same
processors and the same inputs. Their results are compared first; then they take turns, and the medians of the calls are
compared. These matrices are symmetric: we compute one half of them. Times of shared machines vary: read the ratios.
"""

SPEED = """A case is named by its network (in `benchmarks/networks.py`), its depth, and N or the shape of a sample. The
perceptrons `relu-mlp` have no biases, the others have.
*difference*: the largest difference of the two results, relative to the largest entry. *ratio*: their time over ours.
*aim*: what is wanted of it. `numpy` is the textbook recursion over whole arrays, for networks that neural-tangents does
not cover.
"""

COMPILATION = """From the network to the first result, less one call, imports apart. *new*: in a new process, nothing
compiled before; *again*: in a new process that finds the files of an earlier one.
"""

RESOURCES = f"""*error*: the largest difference from the textbook recursion in numpy (expectations without a closed form
by the trapezoidal rule in two dimensions), on the first samples, relative to the largest entry. *memory*: by how much
the process grows during a call, its result included. *of triad*: the time that writing the result takes at the measured
bandwidth, over the time of a call. *of FMA*: the work of the recursion over what the processors could do in the time of
a call, counted as {FUSED} fused multiply-adds for every dual activation with its derivative, and one for every product
of data; above 100 % the recursion was replaced by something cheaper.
"""

PROFILES = """Of the cases that miss their aim: the shares of the time of a call in one thread, by module of
tensorprog. What a module calls outside, numpy say, counts for it.
"""

GROWTH = """The time of a call where one number grows. The exponent is that of the last two times.
"""


def tables(outcomes: Sequence[Outcome], peak: Peak) -> tuple[tuple[str, str, str], ...]:
    """Return the headings, explanations and tables of the outcomes, those that are not empty."""
    found = (
        ("Speed", SPEED, speeds(outcomes)),
        ("Compilation", COMPILATION, compilations(outcomes)),
        ("Errors, memory, and the machine's peak", RESOURCES, resources(outcomes, peak)),
        ("Growth", GROWTH, growths(outcomes)),
        ("Where the time goes", PROFILES, profiles(outcomes)),
    )
    return tuple(part for part in found if part[2])


def page(outcomes: Sequence[Outcome], machine: Machine, peak: Peak, command: str) -> str:
    """Return the text of the page."""
    parts = [INTRODUCTION, "## Machine\n", _machine(machine, peak, command)]
    for heading, explanation, table in tables(outcomes, peak):
        parts += [f"## {heading}\n", explanation, table + "\n"]
    if REMARKS.exists():
        parts.append(REMARKS.read_text(encoding="utf-8"))
    return "\n".join(parts)


def _machine(machine: Machine, peak: Peak, command: str) -> str:
    return f"""| | |
| --- | --- |
| processor | {machine.processor}; {machine.caches} |
| processors used | {machine.cores} |
| memory | {machine.memory:.0f} GB |
| system | {machine.system} |
| ours | {machine.ours} |
| theirs | {machine.theirs} |
| triad bandwidth | {peak.triad / 1e9:.1f} GB/s |
| fused multiply-adds | {peak.blas / 1e9:.0f} · 10⁹/s (BLAS), {peak.polynomial / 1e9:.0f} · 10⁹/s (polynomials, numba) |
| command | `{command}` |
"""
