"""Time tensorprog beside neural-tangents and beside plain numpy, in one run and on the same inputs.

Results are compared first. Both programs have processes of their own; they take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import os
import sys

from benchmarks.cases import CASES, NEURAL_TANGENTS, NUMPY, Case, select
from benchmarks.machine import describe, memory_megabytes, rival_versions
from benchmarks.measure import Effort, Missing, Outcome, measure
from benchmarks.page import PAGE, page, tables
from benchmarks.peak import measure_peak
from benchmarks.processes import Limits, Side
from benchmarks.table import line
from tensorprog.runtime.tiles import count_threads

VARIABLE = "NEURAL_TANGENTS_PYTHON"

OURS = Side("tensorprog", "ours")


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], metavar="PATTERN", help="names of cases, with * and ?")
    parser.add_argument(
        "--neural-tangents",
        metavar="PYTHON",
        default=os.environ.get(VARIABLE),
        help=f"an interpreter with neural-tangents (default: ${VARIABLE}); without it that side is left out",
    )
    parser.add_argument("--cores", type=int, default=count_threads(), help="processors used (all)")
    parser.add_argument("--repeats", type=int, default=7, help="calls of each side, at most (7)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the calls of a case, about (20)")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds that one answer may take (300)")
    parser.add_argument("--memory", type=float, default=0.8, help="share of the memory that a process may have (0.8)")
    parser.add_argument("--large", action="store_true", help="also the cases of 10 000 samples")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}")
    return parser.parse_args(words)


def rivals(interpreter: str | None) -> tuple[dict[str, Side | Missing], str]:
    """Return what stands beside, by name, and the versions of neural-tangents and what it needs."""
    found: dict[str, Side | Missing] = {NUMPY: Side(NUMPY, "reference")}
    versions = None if interpreter is None else rival_versions(interpreter)
    if versions is None:
        reason = f"no --neural-tangents and no ${VARIABLE}" if interpreter is None else "not in that interpreter"
        found[NEURAL_TANGENTS] = Missing(f"skipped: {reason}")
    else:
        assert interpreter is not None
        found[NEURAL_TANGENTS] = Side(NEURAL_TANGENTS, "theirs", os.path.abspath(interpreter))
    return found, versions or "not there"


def run(cases: tuple[Case, ...], options: argparse.Namespace) -> list[Outcome]:
    """Measure the cases, print them, and write the page after each of them if that is wanted."""
    sides, versions = rivals(options.neural_tangents)
    limits = Limits(options.cores, int(options.memory * memory_megabytes()), options.limit)
    effort = Effort(options.repeats, options.seconds)
    machine, peak = describe(options.cores, versions), measure_peak(options.cores)
    command = " ".join(["python -m benchmarks --neural-tangents PYTHON", *_shown(options)])
    outcomes: list[Outcome] = []
    for case in cases:
        outcomes.append(measure(case, OURS, sides[case.rival], limits, effort))
        print(line(outcomes[-1]), file=sys.stderr, flush=True)
        if options.write:
            PAGE.write_text(page(outcomes, machine, peak, command), encoding="utf-8")
    for heading, _, table in tables(outcomes, peak):
        print(f"\n{heading}\n\n{table}")
    return outcomes


def _shown(options: argparse.Namespace) -> list[str]:
    """Return the options that change what is measured, as they are written."""
    numbers = [f"--{name} {getattr(options, name):g}" for name in ("cores", "repeats", "seconds", "limit")]
    flags = [f"--{name}" for name in ("large", "write") if getattr(options, name)]
    return [*numbers, *flags, *(repr(pattern) for pattern in options.patterns if options.patterns != ["*"])]


def main() -> None:
    """Measure what the command line says."""
    options = parse_arguments()
    if options.list:
        print("\n".join(case.name for case in CASES))
        return
    cases = select(options.patterns, large=options.large)
    if not cases:
        sys.exit("no case has such a name; --list prints them")
    run(cases, options)


if __name__ == "__main__":
    main()
