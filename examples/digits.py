"""The main job, end to end: formulas, the kernel of 1797 handwritten digits, what it predicts, and the check of it all.

Usage: python examples/digits.py [--rows 1797] [--out digits_ntk.npz]
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np

import tensorprog as tp

HERE = Path(__file__).resolve().parent


def load_digits(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 64), pixels scaled to [0, 1] and centred, and their labels (N,)."""
    with open(HERE.parent / "data" / "digits.csv", newline="") as file:
        header, *lines = csv.reader(file)
    table = np.array(lines[:rows], dtype=np.float64)
    label = header.index("digit")
    images = np.delete(table, label, axis=1) / 16
    return images - images.mean(axis=0), table[:, label].astype(int)


def predict(kernel: np.ndarray, labels: np.ndarray, known: int) -> np.ndarray:
    """Return the classes that a network trained to the end predicts: Θ(X', X) Θ(X, X)⁻¹ Y (Tensor Programs IIb)."""
    targets = np.eye(10)[labels[:known]] - 0.1
    seen = kernel[:known, :known]
    weights = np.linalg.solve(seen + 1e-6 * np.trace(seen) / known * np.eye(known), targets)
    return np.asarray((kernel[known:, :known] @ weights).argmax(axis=1))


def main() -> int:
    """Run the job; return 0 if the sampled networks confirm the limit."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1797)
    arguments.add_argument("--out", type=Path, default=Path("digits_ntk.npz"))
    options = arguments.parse_args()

    network = tp.load(HERE / "mlp.tp")
    print(network)
    print(network.derive())

    images, labels = load_digits(options.rows)
    start = time.perf_counter()
    kernels = network.compile()(images, get=("nngp", "ntk"))
    print(f"NNGP and NTK of {len(images)} digits in {time.perf_counter() - start:.2f} s, compilation included")
    with np.printoptions(precision=4, suppress=True):
        print(kernels.ntk)
    np.savez(options.out, nngp=kernels.nngp, ntk=kernels.ntk, label=labels)

    known = 3 * len(images) // 4
    share = np.mean(predict(kernels.ntk, labels, known) == labels[known:])
    print(f"trained on {known} digits to the end, the infinite network reads {100 * share:.1f} % of the others right\n")

    verification = network.verify(images[:3], widths=(128, 512), samples=64)
    print(verification)
    return 0 if verification.passed else 3


if __name__ == "__main__":
    sys.exit(main())
