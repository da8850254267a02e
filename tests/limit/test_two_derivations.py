"""Two witnesses of the NTK: tangents carried forwards, and the double sum over the backward pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.core.build import Loops, build
from tensorprog.core.ir import Core
from tensorprog.limit.backward import derive_backward
from tensorprog.limit.derive import derive
from tensorprog.limit.equations import LimitSystem
from tensorprog.runtime.gram import Kernel
from tests.references.samples import SHAPES

FOLDER = Path(__file__).resolve().parents[2] / "examples"
SHALLOW = {"deep_mlp": {"L": 3}, "tied_mlp": {"L": 3}, "residual_mlp": {"L": 3}, "norm_residual_mlp": {"L": 2}}
EXAMPLES = sorted({path.stem for path in FOLDER.glob("*.tp")} - set(SHAPES))  # those without axes

HEAD = """program small(s = 1.3)
width n
width m = 2 * n
input x : (d)
param U : (n, d) ~ N(0, s / d)
param b : (n)    ~ N(0, 0.2)
param V : (1, n) ~ N(0, 1 / n)
param W : (n, n) ~ N(0, s / n)
h = U @ x + b
"""

PROGRAMS = {
    "weight_shared_over_layers": "g = W @ erf(h) + b\nk = W @ erf(g) + b\noutput f = V @ erf(k)",
    "weight_used_twice_in_a_line": "output f = V @ erf(W @ relu(h) + W @ sin(h))",
    "residual": "g = h + W @ relu(h)\noutput f = V @ relu(g)",
    "product_of_independent_branches": "param A : (n, n) ~ N(0, 1 / n)\noutput f = V @ (relu(W @ h) * erf(A @ h))",
    "product_of_dependent_branches": "output f = V @ (relu(h) * erf(h))",
    "layer_norm_after_a_nonlinearity": (
        "r = relu(h)\nm1 = avg(r)\nv = avg((r - m1)^2)\ny = (r - m1) / sqrt(v + 1e-5)\noutput f = V @ relu(W @ y + b)"
    ),
    "trained_gain": (
        "param g : (n) ~ N(1, 0) lr 1\nparam c : (n) ~ N(0, 0) lr 1\n"
        "m1 = avg(h)\nv = avg((h - m1)^2)\ny = g * ((h - m1) / sqrt(v + 1e-5)) + c\noutput f = V @ relu(W @ y)"
    ),
    "bias_without_variance": "param c : (n) ~ N(0, 0) lr 0.7\noutput f = V @ relu(W @ relu(h) + c)",
    "standard_parametrization": (
        "param A : (n, n) ~ N(0, 2 / n) lr 1 / n\nparam R : (1, n) ~ N(0, 1 / n) lr 3 / n\n"
        "output f = R @ relu(A @ relu(h))"
    ),
    "several_outputs": (
        "param A : (1, n) ~ N(0, 0.5 / n)\nparam c : (1) ~ N(0, 0.3)\n"
        "output f = V @ relu(W @ h)\noutput g = A @ relu(h) + V @ h / 2 + c"
    ),
    "transpose_alone": (
        "param A : (n, m) ~ N(0, 1 / n)\nparam R : (1, m) ~ N(0, 1 / m)\noutput f = R @ relu(A.T @ relu(h))"
    ),
    "two_widths": (
        "param A : (m, n) ~ N(0, 1 / n)\nparam B : (n, m) ~ N(0, 1 / m)\noutput f = V @ relu(B @ erf(A @ relu(h)))"
    ),
    "factor_one_over_root_n": "param A : (n, n) ~ N(0, 1)\noutput f = V @ relu((1 / sqrt(n)) * (A @ relu(h)))",
    "factor_in_a_statement": "param A : (n, n) ~ N(0, 1)\ng = (1 / sqrt(n)) * (A @ relu(h))\noutput f = V @ relu(g)",
    "frozen_layer": "frozen A : (n, n) ~ N(0, 2 / n)\noutput f = V @ relu(A @ relu(h))",
    "random_vectors_with_means": "param c : (n) ~ N(0.7, 0.1)\noutput f = V @ relu(W @ (h + c) + c)",
    "random_matrix_with_a_mean": "param A : (n, n) ~ N(0.4 / n, 1 / n)\noutput f = V @ relu(A @ relu(h))",
    "scalars": "k = W @ relu(h)\ns1 = avg(relu(h)) ; s2 = dot(h, relu(h)) / n\noutput f = V @ (s2 * relu(k) + s1 * h)",
    "dependent_sum": "output f = V @ (h + relu(h))",
    "square": "output f = V @ (h * h)",
    "square_below": "output f = V @ relu(W @ (h * h - h))",
    "data_read_again": "g = W @ erf(h) + U @ x + b\noutput f = V @ (g + erf(h))",
    "polynomial": "output f = V @ (hermite(W @ cube(h), 2) + 2)",
    "surrogate": "fn spike(u) = step(u) derivative 1 / (1 + u^2)\noutput f = V @ relu(W @ spike(h) + h)",
    "loop": "for l in 1..3 {\nparam A : (n, n) ~ N(0, l / n)\nh = h / l + A @ erf(h)\n}\noutput f = V @ h",
}


def unrolled(net: tp.Program) -> Core:
    return build(net.tree, net.hyperparameters, loops=Loops.UNROLLED)


def assert_same_ntk(core: Core, forwards: LimitSystem, rows: Any) -> None:
    """Compare off the diagonal, and on it, where the one-sample equations speak."""
    for output in core.outputs:
        by_tangents = Kernel(core, forwards, "interpret")
        by_double_sum = Kernel(core, derive_backward(core, output), "interpret")
        for arguments in ((rows,), (rows[:2], rows[2:])):
            found, expected = (kernel(*arguments, output=output.name) for kernel in (by_tangents, by_double_sum))
            scale = np.sqrt(np.outer(*[by_double_sum.diag(arguments[i], output=output.name) for i in (0, -1)]))
            np.testing.assert_array_less(np.abs(found - expected), 1e-12 * scale + 1e-300)


@pytest.mark.parametrize("name", EXAMPLES)
def test_both_derivations_give_the_ntk_of_an_example(name: str) -> None:
    core = unrolled(tp.load(FOLDER / f"{name}.tp", **SHALLOW.get(name, {})))
    assert_same_ntk(core, derive(core), np.random.default_rng(0).standard_normal((4, 3)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_derivations_give_the_ntk_of_a_small_program(name: str) -> None:
    core = unrolled(tp.parse(HEAD + PROGRAMS[name]))
    assert_same_ntk(core, derive(core), np.random.default_rng(1).standard_normal((4, 3)))


@pytest.mark.parametrize("name", ["deep_mlp", "residual_mlp", "norm_residual_mlp"])
def test_a_recurrence_gives_what_its_unrolled_loop_gives(name: str) -> None:
    net = tp.load(FOLDER / f"{name}.tp", **SHALLOW[name])
    rows = np.random.default_rng(2).standard_normal((4, 3))
    rolled, by_steps = net.core(), unrolled(net)
    assert rolled != by_steps
    for kernel in ("nngp", "ntk"):
        found = Kernel(rolled, derive(rolled), "interpret")(rows, get=kernel)
        np.testing.assert_allclose(found, Kernel(by_steps, derive(by_steps), "interpret")(rows, get=kernel), rtol=1e-12)
