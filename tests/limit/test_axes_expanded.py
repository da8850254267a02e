"""Programs with index axes have the kernels of the same programs written out, one variable per position."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp
from tensorprog.core.build import Loops, build
from tensorprog.core.ir import Core
from tensorprog.core.wellformed import check_wellformed
from tensorprog.nonlin.evaluate import evaluate_integer
from tensorprog.runtime.gram import Kernel
from tests.limit.expand import Place, expand, name_at, pair_system, slice_inputs

Array = npt.NDArray[np.float64]

HEAD = """program small
width n
axis i : 3
axis j : 3
axis r : 3 circular
axis k : -1..1
axis o : 2
axis q : 2
axis t : 3
input x[i] : (c)
param U : (n, c) ~ N(0, 1 / c)
param W : (n, n) ~ N(0, 1.3 / n)
param A : (n, n) ~ N(0, 0.8 / n)
param D[k] : (n, n) ~ N(0, 0.7 / n)
param P[i] : (n, n) ~ N(0, 1 / ((i + 1) * n))
param R[i] : (1, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
param b : (n) ~ N(0, 0.3)
param B[i] : (n) ~ N(0, 0.4)
h[i] = U @ x[i] + b
a[i] = relu(h[i])
"""

WEIGHTS = {
    "a_convolution_of_stride_2": "g[o] = sum[k](D[k] @ a[2 * o + k]) + b\noutput f[o] = V @ erf(g[o])",
    "padding_before_a_nonlinearity": "g[o] = sum[k](D[k] @ cos(h[o + k])) + b\noutput f = V @ mean[o](erf(g[o]))",
    "padding_after_a_nonlinearity": (
        "u[i] = cos(h[i])\ng[i] = sum[k](D[k] @ u[i + k]) + b\noutput f = V @ mean[i](erf(g[i]))"
    ),
    "one_weight_at_two_places": (
        "g[i] = sum[k](D[k] @ a[i + k]) + sum[k](D[-k] @ a[i])\noutput f = V @ mean[i](relu(g[i]))"
    ),
    "one_weight_in_two_layers": (
        "g[i] = relu(sum[k](D[k] @ a[i + k]))\nu[i] = sum[k](D[k] @ g[i + k])\n"
        "output f = V @ mean[o](relu(u[o] + h[o + 2]) + g[o])"
    ),
    "ties_on_a_diagonal": (
        "axis e : -2..2\nparam T[e] : (n, n) ~ N(0, 1 / n)\ng[j] = sum[i](T[j - i] @ a[i])\n"
        "output f = V @ sum[j](relu(g[j]))"
    ),
    "ties_on_an_antidiagonal": (
        "axis e : 0..4\nparam T[e] : (n, n) ~ N(0, 1 / ((e + 2) * n))\ng[j] = sum[i](T[j + i] @ a[i])\n"
        "output f[j] = V @ relu(g[j])"
    ),
    "ties_on_a_ring": (
        "param T[r] : (n, n) ~ N(0, 1 / n)\ng[i] = sum[j](T[i - j] @ a[j])\noutput f[i] = V @ relu(g[i])"
    ),
    "weights_beyond_their_axis": "g[i] = P[i] @ a[i] + P[i + 1] @ a[i]\noutput f = V @ sum[i](relu(g[i]))",
    "ties_beyond_their_axis": (
        "axis w : -2..0\nparam T[w] : (n, n) ~ N(0, 1 / n)\ng[o] = sum[i](T[o - i] @ a[i])\n"
        "output f = V @ mean[o](relu(g[o]))"
    ),
    "a_variance_that_is_infinite_beyond_the_axis": (
        "axis e : 0..4\nparam T[e] : (n, n) ~ N(0, 1 / ((e + 2) * n))\ng[j] = sum[i](T[2 * j - i] @ a[i])\n"
        "output f[j] = V @ relu(g[j])"
    ),
    "a_variance_that_is_infinite_beyond_another_use": (
        "g[i] = sum[j](P[j] @ a[j]) + P[i - 1] @ a[i]\noutput f[i] = V @ relu(g[i])"
    ),
    "ties_of_a_transposed_convolution": (
        "axis e : 0..4\nparam T[e] : (n, n) ~ N(0, 1 / n)\ng[e] = sum[o](T[e - 2 * o + 1] @ a[o])\n"
        "output f = V @ mean[e](relu(g[e]))"
    ),
    "biases_beyond_their_axis": "output f = V @ mean[i](relu(h[i] + B[i] + B[i - 1]))",
    "biases_on_a_ring": (
        "param T[r] : (n) ~ N(0.5, 1)\nz[r] = h[r]\ng[r] = z[r] + T[r + 1] + T[r - 1]\noutput f[r] = V @ relu(g[r + 5])"
    ),
    "biases_backwards": "output f = V @ mean[i](relu(h[i] + B[2 - i]))",
    "a_mean_at_every_position": (
        "param m[i] : (n, n) ~ N((i + 1) / n, 1 / n)\noutput f = V @ mean[i](relu(m[i] @ a[i]))"
    ),
    "gains": "param g[k] : (n) ~ N(1, 0) lr 1\ny[i] = sum[k](g[k] * a[i + k])\noutput f = V @ mean[o](relu(W @ y[o]))",
    "a_frozen_layer": "frozen F[i] : (n, n) ~ N(0, 1 / n)\noutput f = V @ mean[i](relu(F[i] @ a[i]))",
    "a_readout_per_position": "output f[j] = sum[i](R[i] @ a[i + j])",
}

INDICES = {
    "a_ring": "z[r] = h[r]\ng[r] = sum[k](D[k] @ relu(z[r + 2 * k]))\noutput f[r] = V @ relu(g[r + 5])",
    "axes_exchanged": (
        "g[o, q] = P[o] @ a[q]\ny[o, q] = g[o, q] - g[q, o] + h[o]\noutput f = V @ mean[o, q](relu(y[o, q]))"
    ),
    "a_sum_over_one_axis": (
        "g[i, o] = relu(P[i] @ a[o])\nu[i] = sum[o](g[i, o])\noutput f = V @ mean[i](relu(W @ u[i] + b))"
    ),
    "a_diagonal": "g[i, j] = P[i] @ a[j]\noutput f = V @ mean[i](relu(g[i, i]))",
    "overlapping_windows": "y[o] = mean[q](a[o + q])\noutput f[o] = V @ relu(W @ y[o])",
    "back_and_forth": "u[i] = h[i - 1] + B[i]\nv[i] = u[i + 1] + B[i]\noutput f = V @ sum[i](relu(v[i]))",
    "a_function_of_padding": "u[i] = a[i + 2]\nv[i] = cos(u[i])\noutput f = V @ sum[i](v[i + 1])",
    "positions_as_numbers": "y[i] = relu(i * h[i] + 1)\noutput f = V @ sum[i](y[i])",
    "positions_beside_a_function": "output f = V @ sum[i]((i + 1) * relu(h[i]) + i^2 * h[i])",
    "a_product_of_two_positions": "y[i] = h[i] * (W @ a[i + 1])\noutput f = V @ sum[i](relu(A @ y[i]))",
}

SCALARS = {
    "layer_norm_over_a_window": (
        "m[i] = mean[k](avg(a[i + k])) ; v[i] = mean[k](avg((a[i + k] - m[i])^2))\n"
        "y[i] = (a[i] - m[i]) / sqrt(v[i] + 0.01)\noutput f = V @ mean[i](relu(W @ y[i]))"
    ),
    "attention_to_a_second_network": (
        "s[i, j] = dot(W @ h[i], A @ a[j]) / n\np[i, j] = softmax[j](s[i, j])\n"
        "output f = V @ mean[i](relu(sum[j](p[i, j] * (U @ x[j]))))"
    ),
    "heads_with_tied_matrices": (
        "param Q[q] : (n, n) ~ N(0, 1 / ((q + 1) * n))\nparam O[q] : (n, n) ~ N(0, 1 / n)\n"
        "s[q, o, j] = dot(Q[q] @ h[o], Q[q] @ h[j]) / n\np[q, o, j] = softmax[j](s[q, o, j])\n"
        "y[o] = sum[q](sum[j](p[q, o, j] * (O[q] @ a[j])))\noutput f = V @ mean[o](relu(y[o]))"
    ),
    "scores_of_two_positions": (
        "s[o, q] = avg(h[o] * a[q])\np[o, q] = softmax[q](s[o, q])\n"
        "output f = V @ mean[o](relu(sum[q](p[o, q] * (W @ a[q + 1]))))"
    ),
    "the_largest_score": "s[i] = max[j](avg(h[i] * h[j]))\noutput f = V @ sum[i](s[i] * relu(W @ a[i]))",
    "a_graph": ("input E[i, j] : ()\ng[i] = W @ sum[j](E[i + 1, j - 1] * a[j])\noutput f = V @ mean[i](relu(g[i]))"),
}

LOOPS = {
    "a_residual_stack": (
        "for l in 1..2 {\nparam Q[k] : (n, n) ~ N(0, l / n)\nu[i] = relu(h[i])\n"
        "h[i] = h[i] / l + sum[k](Q[k] @ u[i + k])\n}\noutput f = V @ mean[i](relu(h[i]))"
    ),
    "a_loop_that_looks_at_two_positions": (
        "for l in 1..3 {\nparam Q : (n, n) ~ N(0, 1 / n)\nv = avg(h[0] * h[1])\nh[i] = h[i] + v * (Q @ relu(h[i]))\n}\n"
        "output f[i] = V @ relu(h[i])"
    ),
    "a_ring_after_a_loop": (
        "z[r] = h[r]\nfor l in 1..2 {\nparam Q : (n, n) ~ N(0, l / n)\nz[r] = Q @ relu(z[r])\n}\n"
        "output f = V @ sum[i](z[i + 1])"
    ),
    "a_loop_after_a_scan": (
        "scan t { s[t] = U @ x[t] + W @ erf(s[t - 1]) }\nfor l in 1..3 {\nparam Q : (n, n) ~ N(0, 1 / n)\n"
        "s[t] = Q @ relu(s[t])\n}\noutput f[t] = V @ s[t]"
    ),
}

SCANS = {
    "a_residual_state": "scan t { s[t] = s[t - 1] + W @ relu(s[t - 1]) + U @ x[t] + b }\noutput f[t] = V @ relu(s[t])",
    "a_leaky_state": (
        "scan t { g[t] = erf(W @ s[t - 1] + U @ x[t]) ; s[t] = 0.5 * s[t - 1] + g[t] }\noutput f[t] = V @ s[t]"
    ),
    "a_first_state": (
        "z = relu(W @ h[2])\nscan t { init s = z ; s[t] = relu(W @ s[t - 1] + U @ x[t]) }\noutput f[t] = V @ s[t]"
    ),
    "two_states": (
        "scan t { s[t] = erf(W @ u[t - 1] + U @ x[t]) ; u[t] = erf(A @ s[t - 1] + W @ s[t] + b) }\n"
        "output f[t] = V @ (u[t] + s[t])"
    ),
    "two_directions": (
        "scan t { s[t] = erf(W @ s[t - 1] + U @ x[t]) }\nscan t { u[t] = erf(A @ u[t - 1] + U @ x[2 - t]) }\n"
        "output f = V @ mean[t](s[t] + u[2 - t])"
    ),
    "two_scans_with_one_matrix": (
        "scan t { s[t] = erf(W @ s[t - 1] + U @ x[t]) }\nscan t { u[t] = erf(W @ u[t - 1] + W @ s[t]) }\n"
        "output f[t] = V @ u[t]"
    ),
    "two_scans_over_two_axes": (
        "scan t { s[t] = erf(W @ s[t - 1] + U @ x[t]) }\nscan o { z[o, t] = erf(W @ z[o - 1, t] + W @ s[t]) }\n"
        "output f[o, t] = V @ z[o, t]"
    ),
    "a_scan_of_the_mean_of_another": (
        "scan t { s[t] = erf(W @ s[t - 1] + U @ x[t]) }\nscan o { z[o] = erf(W @ z[o - 1] + W @ mean[t](s[t])) }\n"
        "output f[o] = V @ z[o]"
    ),
    "two_scans_with_leaky_states": (
        "scan t { g[t] = erf(W @ s[t - 1] + U @ x[t]) ; s[t] = 0.5 * s[t - 1] + g[t] }\n"
        "scan o { y[o] = erf(W @ z[o - 1] + W @ s[o]) ; z[o] = z[o - 1] * 0.3 + y[o] }\n"
        "output f[o] = V @ (z[o] + s[o + 1])"
    ),
    "two_scans_with_residual_states": (
        "scan t { s[t] = s[t - 1] + W @ relu(s[t - 1]) + U @ x[t] + b }\n"
        "scan o { z[o] = z[o - 1] + W @ relu(z[o - 1]) + W @ s[o] + s[o + 1] }\noutput f[o] = V @ relu(z[o])"
    ),
    "a_scan_that_reads_later_steps_of_another": (
        "scan t { s[t] = erf(W @ s[t - 1] + U @ x[t]) }\n"
        "scan t { u[t] = erf(W @ u[t - 1] + W @ s[t + 1] + A @ s[2 - t]) }\noutput f[t] = V @ u[t]"
    ),
    "later_steps_of_leaky_states": (
        "scan t { g[t] = erf(W @ s[t - 1] + U @ x[t]) ; s[t] = 0.5 * s[t - 1] + g[t] }\n"
        "scan t { y[t] = W @ u[t - 1] + W @ s[2 - t] ; u[t] = 0.2 * u[t - 1] + erf(y[t]) }\n"
        "output f[t] = V @ u[t]"
    ),
    "three_scans_with_one_matrix": (
        "scan t { s[t] = erf(W @ s[t - 1] + U @ x[t]) }\nscan o { z[o] = erf(W @ z[o - 1] + W @ s[2 - o]) }\n"
        "scan i { y[i] = erf(W @ y[i - 1] + W @ s[i] + A @ z[1]) }\noutput f[i] = V @ y[i]"
    ),
    "two_scans_crossed": (
        "scan t { s[t, o] = erf(W @ s[t - 1, o] + U @ x[o]) }\n"
        "scan o { z[o, t] = erf(W @ z[o - 1, t] + W @ s[t, 1 - o]) }\noutput f = V @ mean[o, t](z[o, t])"
    ),
    "a_scan_and_a_layer_with_one_matrix": (
        "scan t { s[t] = erf(W @ s[t - 1] + W @ a[t] + U @ x[t]) }\noutput f[t] = V @ s[t]"
    ),
    "weights_of_every_step": "scan t { s[t] = erf(P[t] @ s[t - 1] + U @ x[t] + B[2 - t]) }\noutput f[t] = V @ s[t]",
    "a_convolution_in_a_scan": (
        "scan t { s[t, i] = erf(sum[k](D[k] @ s[t - 1, i + k]) + U @ x[t] + h[i]) }\noutput f = V @ mean[i](s[2, i])"
    ),
    "a_normalized_state": (
        "scan t { g[t] = W @ y[t - 1] + U @ x[t] ; v[t] = avg(g[t]^2) ; y[t] = relu(g[t] / sqrt(v[t] + 0.1)) }\n"
        "output f[t] = V @ y[t]"
    ),
    "a_state_beyond_an_axis": (
        "scan t { s[t, o] = relu(W @ s[t - 1, -1] + A @ s[t - 1, o + 1] + U @ x[t]) }\n"
        "output f = V @ mean[t, o](s[t, o])"
    ),
    "a_first_state_over_an_axis": (
        "z[o] = U @ x[o]\nscan t { init s[o] = z[o] ; s[t, o] = W @ relu(s[t - 1, o + 1]) + U @ x[t] }\n"
        "output f[o] = V @ s[2, o]"
    ),
    "attention_in_a_scan": (
        "scan t {\ng[t] = W @ relu(g[t - 1]) + U @ x[t] + sum[i](p[t - 1, i] * (A @ a[i]))\n"
        "s[t, i] = i * avg(g[t]^2)\np[t, i] = softmax[i](s[t, i])\n}\noutput f[t] = V @ g[t]"
    ),
    "a_constant_position_in_a_scan": "scan t { s[t] = A @ relu(s[t - 1]) + B[2] + h[1] }\noutput f[t] = V @ s[t]",
}

PROGRAMS = WEIGHTS | INDICES | SCALARS | LOOPS | SCANS


def draw(core: Core, seed: int) -> dict[str, Array]:
    """Return two samples of data in two dimensions."""
    generator, found = np.random.default_rng(seed), dict[str, Array]()
    for entry in core.inputs:
        extents = [evaluate_integer(core.axes[axis].extent, core.symbols) for axis in entry.type.axes]
        found[entry.name] = generator.standard_normal((2, *extents, *([] if entry.type.dimension is None else [2])))
    return found


def places(core: Core) -> list[tuple[Place, str]]:
    """Return the positions of the output of a program as offsets, each with the name of its output written out."""
    axes = [core.axes[axis] for axis in core.types[core.outputs[0].source].axes]
    starts = [evaluate_integer(axis.start, core.symbols) for axis in axes]
    offsets = np.ndindex(*(evaluate_integer(axis.extent, core.symbols) for axis in axes))
    return [(k, name_at("f", tuple(a + s for a, s in zip(k, starts, strict=True)))) for k in offsets]


def by_positions(core: Core, x1: Mapping[str, Array], x2: Mapping[str, Array], shape: tuple[int, ...]) -> list[Array]:
    """Return NNGP and NTK of the program that is written out, for every two positions of its output."""
    written = expand(core)
    check_wellformed(written)
    kernel, found = Kernel(*pair_system(written), "interpret"), [np.zeros(shape), np.zeros(shape)]
    known = {output.name for output in written.outputs}
    for (p, left), (q, right) in itertools.product(places(core), repeat=2):
        if {left, right} <= known:
            data = slice_inputs(core, x1), slice_inputs(core, x2)
            for k, values in enumerate(kernel(*data, get=("nngp", "ntk"), output=f"{left}|{right}")):
                where: tuple[int | slice, ...] = (slice(None), slice(None), *p, *q)
                found[k][where] = values
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_its_positions_written_out(name: str) -> None:
    net = tp.parse(HEAD + PROGRAMS[name])
    core = build(net.tree, net.hyperparameters, loops=Loops.UNROLLED)
    x1, x2 = draw(core, 0), draw(core, 1)
    found = net.compile(backend="interpret")(x1, x2, get=("nngp", "ntk"))
    for mine, other in zip(found, by_positions(core, x1, x2, found[0].shape), strict=True):
        assert np.abs(other).max() > 0
        np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-11 * np.abs(other).max())


SLOW = pytest.mark.slow  # their compilation takes long


@pytest.mark.parametrize(
    ("name", "get"),
    [
        ("two_scans_over_two_axes", "nngp"),
        pytest.param("two_scans_over_two_axes", "ntk", marks=SLOW),
        pytest.param("two_scans_with_leaky_states", "ntk", marks=SLOW),
    ],
)
def test_compiled_scans_have_the_values_of_the_interpreted_ones(name: str, get: str) -> None:
    net = tp.parse(HEAD + PROGRAMS[name])
    core = build(net.tree, net.hyperparameters, loops=Loops.UNROLLED)
    kernels = (net.compile(backend=backend) for backend in ("cpu", "interpret"))
    compiled, plain = (kernel(draw(core, 0), draw(core, 1), get=get) for kernel in kernels)
    np.testing.assert_allclose(compiled, plain, rtol=1e-12, atol=1e-12 * np.abs(plain).max())
