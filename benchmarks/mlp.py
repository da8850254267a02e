"""ReLU networks: NNGP and NTK by the generated code and by the same recursion in numpy, side by side.

Usage: python benchmarks/mlp.py [--rows 1000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import tensorprog as tp

DEPTHS = (1, 3, 10)
SW2, SB2 = 2.0, 0.1


def program(depth: int) -> str:
    """Return a ReLU network with `depth` hidden layers, written out."""
    lines = ["program relu_mlp", "width n", "input x : (d)", "param W0 : (n, d) ~ N(0, 2 / d)"]
    lines += ["param b0 : (n) ~ N(0, 0.1)", "h0 = W0 @ x + b0"]
    for layer in range(1, depth):
        lines += [f"param W{layer} : (n, n) ~ N(0, 2 / n)", f"param b{layer} : (n) ~ N(0, 0.1)"]
        lines += [f"h{layer} = W{layer} @ relu(h{layer - 1}) + b{layer}"]
    return "\n".join([*lines, "param V : (1, n) ~ N(0, 1 / n)", f"output f = V @ relu(h{depth - 1})"])


def recursion(x: np.ndarray, depth: int) -> np.ndarray:
    """Return the NTK by the arc-cosine recursion (Cho & Saul 2009; Jacot et al. 2018) over whole matrices."""
    nngp = SW2 * x @ x.T / x.shape[1] + SB2
    ntk = nngp.copy()
    for layer in range(depth):
        norms = np.sqrt(np.outer(np.diag(nngp), np.diag(nngp)))
        angle = np.arccos(np.clip(nngp / norms, -1, 1))
        activated = norms * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        tangent = ntk * (np.pi - angle) / (2 * np.pi)
        scale, bias = (1.0, 0.0) if layer == depth - 1 else (SW2, SB2)
        nngp, ntk = scale * activated + bias, scale * (activated + tangent) + bias
    return ntk


def median_time(run: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of a call, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1000)
    arguments.add_argument("--repeats", type=int, default=5)
    options = arguments.parse_args()
    x = np.random.default_rng(0).standard_normal((options.rows, 16))
    print(f"{'depth':>5} {'compile s':>10} {'ours ns':>9} {'numpy ns':>9} {'ratio':>6} {'difference':>11}")
    for depth in DEPTHS:
        start = time.perf_counter()
        kernel = tp.parse(program(depth)).compile()
        ours = kernel(x)
        compiled = time.perf_counter() - start
        difference = np.abs(ours - recursion(x, depth)).max() / np.abs(ours).max()
        mine = median_time(lambda kernel=kernel: kernel(x), options.repeats) / x.shape[0] ** 2 * 1e9
        theirs = median_time(lambda depth=depth: recursion(x, depth), options.repeats) / x.shape[0] ** 2 * 1e9
        print(f"{depth:>5} {compiled:>10.2f} {mine:>9.1f} {theirs:>9.1f} {theirs / mine:>6.1f} {difference:>11.1e}")


if __name__ == "__main__":
    main()
