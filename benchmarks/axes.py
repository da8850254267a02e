"""Programs with index axes: compile time, NTK by the generated code and by the interpreter, side by side.

Usage: python benchmarks/axes.py [--repeats 3] [PATTERN ...]

Results are compared first. Times are medians of whole calls on N₁ × N₂ pairs of different samples, per pair, with the
one-sample programs that they need; `sample ms` is the time of a diagonal, per sample. `first s` is the first call: it
compiles, unless an earlier process did.
"""

from __future__ import annotations

import argparse
import fnmatch
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tensorprog as tp

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

# The example, the shape of one sample, and how many pairs are timed: N₁ and N₂.
CASES = {
    "32x32 pooled": ("cnn", (32, 32, 3), (2, 2)),
    "32x32 flatten": ("cnn_flatten", (32, 32, 3), (8, 16)),
    "T=100 recurrence": ("rnn", (100, 8), (8, 16)),
    "T=64 attention": ("attention", (64, 8), (4, 8)),
    "T=64 transformer": ("transformer", (64, 8), (4, 8)),
}


def median_time(run: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of a call, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(name: str, repeats: int) -> str:
    """Return a line of the table."""
    example, shape, (rows, columns) = CASES[name]
    x, y = (np.random.default_rng(seed).standard_normal((count, *shape)) for seed, count in ((0, rows), (1, columns)))
    start = time.perf_counter()
    net = tp.load(EXAMPLES / f"{example}.tp")
    net.derive()
    derived = time.perf_counter() - start
    compiled, interpreted = net.compile(), net.compile(backend="interpret")
    start = time.perf_counter()
    found = compiled(x, y)
    first = time.perf_counter() - start
    expected = interpreted(x, y)
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    diagonal = median_time(lambda: compiled.diag(x), repeats) / rows
    ours = median_time(lambda: compiled(x, y), repeats) / (rows * columns)
    slow = median_time(lambda: interpreted(x, y), repeats) / (rows * columns)
    return (
        f"{name:>18} {derived:>9.2f} {first:>9.2f} {diagonal * 1e3:>10.2f} {ours * 1e3:>10.3f} {slow * 1e3:>10.3f} "
        f"{slow / ours:>7.1f} {difference:>10.1e}"
    )


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("patterns", nargs="*", default=["*"])
    arguments.add_argument("--repeats", type=int, default=3)
    options = arguments.parse_args()
    print(
        f"{'case':>18} {'derive s':>9} {'first s':>9} {'sample ms':>10} {'pair ms':>10} {'interp. ms':>10} "
        f"{'ratio':>7} {'difference':>10}"
    )
    for name in CASES:
        if any(fnmatch.fnmatch(name, pattern) for pattern in options.patterns):
            print(measure(name, options.repeats), flush=True)


if __name__ == "__main__":
    main()
