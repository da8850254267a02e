"""Where the time to the first entry of a kernel goes, stage by stage, in fresh processes.

Usage: python benchmarks/startup.py [--repeats 5] [PATTERN ...]

`cold` processes find an empty cache, `warm` ones what a process before them has kept; `stages` has the parts of the
compilation of a program that has not been derived before. Times are in seconds, medians over processes; `import` is
that of numpy and tensorprog, `first call` includes what is compiled for it. `whole` is the time of the process from
outside, with the start of Python; `loaded` says which of the heavy libraries were.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
STAGES = ("import", "parse", "derive", "lower", "emit", "compile", "first call")

MLP = """
program mlp
width n
input x : (d)
param W1 : (n, d) ~ N(0, 2 / d)
param W2 : (n, n) ~ N(0, 2 / n)
param W3 : (n, n) ~ N(0, 2 / n)
param V : (1, n) ~ N(0, 1 / n)
output f = V @ relu(W3 @ relu(W2 @ relu(W1 @ x)))
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A program, and the shape of one sample."""

    name: str
    text: str
    shape: tuple[int, ...]


def _example(name: str, *shape: int) -> Case:
    return Case(name, (EXAMPLES / f"{name}.tp").read_text(encoding="utf-8"), shape)


CASES = (
    Case("mlp of 3 layers", MLP, (16,)),
    _example("deep_mlp", 16),
    _example("cnn", 8, 8, 3),
    _example("residual_cnn", 8, 8, 3),
    _example("rnn", 8, 4),
    _example("transformer", 8, 4),
)

WHOLE = """
import json, sys, time
start = time.perf_counter()
import numpy as np
import tensorprog as tp
case, laps = json.load(sys.stdin), {}
def lap(name):
    global start
    laps[name], start = time.perf_counter() - start, time.perf_counter()
lap("import")
program = tp.parse(case["text"])
lap("parse")
kernel = program.compile()
lap("compile")
kernel(np.random.RandomState(0).normal(size=(4, *case["shape"])), get=("nngp", "ntk"))
lap("first call")
heavy = [name for name in ("sympy", "numba", "scipy") if name in sys.modules]
json.dump({"laps": laps, "loaded": heavy}, sys.stdout)
"""

STAGED = """
import json, sys, time
import tensorprog as tp
from tensorprog.kernel.lower import lower
from tensorprog.limit import derivation
from tensorprog.runtime import gram
from tensorprog.runtime.backends import source_text
case, laps = json.load(sys.stdin), {}
program = tp.parse(case["text"])
start = time.perf_counter()
def lap(name):
    global start
    laps[name], start = time.perf_counter() - start, time.perf_counter()
derived = program.derive()
lap("derive")
ir = lower(derived.system)
lap("lower")
source_text(ir, "cpu")
lap("emit")
json.dump({"laps": laps, "loaded": []}, sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One process: the times of its stages, from outside in all, and what it had loaded in the end."""

    laps: dict[str, float]
    whole: float
    loaded: tuple[str, ...]


def start_process(case: Case, script: str, cache: str) -> Start:
    """Run a script in a new process."""
    environment = {**os.environ, "TENSORPROG_CACHE": cache, "PYTHONPATH": str(EXAMPLES.parent)}
    given = json.dumps({"text": case.text, "shape": case.shape})
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script], input=given, capture_output=True, check=True, text=True, env=environment
    )
    found = json.loads(done.stdout)
    return Start(found["laps"], time.perf_counter() - begin, tuple(found["loaded"]))


def row(case: Case, label: str, starts: list[Start]) -> str:
    """Return a line of the table."""
    median = {name: statistics.median(start.laps[name] for start in starts) for name in starts[0].laps}
    cells = [f"{median[name]:>10.3f}" if name in median else f"{'–':>10}" for name in STAGES]
    whole = statistics.median(start.whole for start in starts)
    return f"{case.name:<16} {label:<8}{''.join(cells)}{whole:>10.3f}  {', '.join(starts[0].loaded) or 'nothing'}"


def measure(case: Case, repeats: int) -> None:
    """Print the lines of a program."""
    cold, warm, staged = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(start_process(case, WHOLE, cache))
            warm.append(start_process(case, WHOLE, cache))
            staged.append(start_process(case, STAGED, cache))
    for label, starts in (("cold", cold), ("warm", warm), ("stages", staged)):
        print(row(case, label, starts), flush=True)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("patterns", nargs="*", metavar="PATTERN", help="parts of the names of the programs to run")
    options = arguments.parse_args()
    print(f"{'program':<16} {'cache':<8}{''.join(f'{name:>10}' for name in STAGES)}{'whole':>10}  loaded")
    for case in CASES:
        if not options.patterns or any(pattern in case.name for pattern in options.patterns):
            measure(case, options.repeats)


if __name__ == "__main__":
    main()
