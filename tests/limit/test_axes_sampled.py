"""Limits of programs with axes against sampled networks: one small program for every way in which indices can meet.

Between two data sets of different lengths, so that every extent has to be that of its own copy.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp

Array = npt.NDArray[np.float64]
Data = Array | Mapping[str, Array]

HEAD = """program small(sw2 = 1.4)
width n
axis i : T
axis j : T
axis r : T circular
axis k : -1..1
axis q : 2
axis o : (T + 1) // 2
input x[i] : (c)
param E : (n, c) ~ N(0, 1 / c)
param e : (n) ~ N(0, 0.2)
param W : (n, n) ~ N(0, sw2 / n)
param U : (n, n) ~ N(0, sw2 / n)
param b : (n) ~ N(0, 0.1)
param C[k] : (n, n) ~ N(0, sw2 / (3 * n))
param V : (1, n) ~ N(0, 1 / n)
h[i] = E @ x[i] + e
"""
ROWS = "param R[i] : (1, n) ~ N(0, 1 / n)\n"
EDGES = "input A[i, j] : ()\n"

PROGRAMS = {
    # where a variable is read
    "reversed": "g[i] = W @ relu(h[T - 1 - i]) + U @ relu(h[i])\noutput f[i] = V @ erf(g[i])",
    "difference": "d[i] = h[i] - h[i - 1]\noutput f[i] = V @ relu(d[i])",
    "shift_and_stein": "y[i] = h[i] + relu(h[i - 1])\noutput f = V @ mean[i](relu(W @ y[i]))",
    "shift_and_cross": "y[i] = relu(h[i]) + erf(h[i + 1])\noutput f[i] = V @ (W @ y[i])",
    "one_matrix_two_positions": "g[i] = W @ relu(h[i]) + W @ relu(h[i - 1])\noutput f[i] = V @ relu(g[i])",
    "sum_of_indices": "g[i, q] = relu(W @ relu(h[i + q]) + b)\noutput f = V @ mean[i, q](g[i, q])",
    "two_axes": "g[i, j] = relu(W @ relu(h[i]) + U @ erf(h[j]))\noutput f = V @ mean[i, j](g[i, j])",
    "two_axes_one_matrix": "g[i, j] = relu(W @ relu(h[i]) + W @ erf(h[j]))\noutput f[i] = V @ mean[j](g[i, j])",
    "circular": (
        "z[r] = E @ x[r] + e\ny[r] = relu(z[r])\ng[r] = sum[k](C[k] @ y[r + k]) + y[r + 2]\n"
        "output f[r] = V @ relu(W @ g[r])"
    ),
    "stride": "y[i] = relu(h[i])\np[o] = sum[k](y[2 * o + k]) / 3\noutput f[o] = V @ relu(W @ p[o])",
    "square": "y[i] = h[i]^2\noutput f[i] = V @ (W @ (y[i] + h[i - 1]))",
    "products_of_independents": "g[i] = relu(h[i])\nz[i] = Phi(W @ g[i]) * (U @ g[i - 1])\noutput f[i] = V @ z[i]",
    "product_with_a_filter": (
        "g[i] = relu(h[i])\nz[i] = Phi(W @ g[i]) * sum[k](C[k] @ g[i + k])\noutput f = V @ mean[i](z[i])"
    ),
    "larger_of_two": "y[i] = max[q](h[i + q])\noutput f[i] = V @ (W @ y[i])",
    "larger_of_two_far_apart": "y[o] = max[q](h[2 * o + q])\noutput f = V @ mean[o](relu(W @ y[o] + b))",
    # which parameter is read
    "differences_of_indices": (
        "param D[j] : (n, n) ~ N(0, 1 / n)\ny[i] = relu(h[i])\ng[i] = sum[j](D[i - j] @ y[j])\n"
        "output f[i] = V @ relu(g[i])"
    ),
    "differences_of_both_signs": (
        "axis m : -3..3\nparam D[m] : (n, n) ~ N(0, 1 / n)\ny[i] = relu(h[i])\ng[i] = sum[j](D[i - j] @ y[j])\n"
        "output f[i] = V @ relu(g[i])"
    ),
    "beyond_the_parameter": (
        "param D[q] : (n, n) ~ N(0, 1 / n)\ny[i] = relu(h[i])\ng[i] = D[i] @ y[i]\noutput f[i] = V @ relu(g[i] + b)"
    ),
    "variance_by_position": "param D[i] : (n) ~ N(0, 1 / (i + 1))\noutput f[i] = V @ relu(h[i] + D[i])",
    "mean_by_position": "param D[i] : (n) ~ N(i / 4, 0.2)\noutput f[i] = V @ relu(W @ relu(h[i] + D[i]))",
    "bias_from_the_end": (
        "param B[j] : (n) ~ N(0, 0.4)\ng[i] = W @ relu(h[i]) + B[T - 1 - i]\noutput f = V @ mean[i](relu(g[i]))"
    ),
    "gain_by_position": (
        "param g[i] : (n) ~ N(1, 0) lr 1\nz[i] = relu(W @ (g[i] * relu(h[i])))\noutput f = V @ mean[i](z[i])"
    ),
    "readout_of_a_window": (
        "param R[k] : (1, n) ~ N(0, 1 / n)\ny[i] = relu(h[i])\noutput f[i] = sum[k](R[k] @ y[i + k])"
    ),
    "readout_by_position": f"{ROWS}y[i] = relu(h[i])\noutput f[i] = R[i] @ y[i]",
    "readouts_of_two_kinds": f"{ROWS}y[i] = relu(h[i])\noutput f[j] = sum[i](R[i] @ y[i - j]) + V @ y[j]",
    # scalars
    "position_as_a_number": "output f[i] = V @ relu((i + 1) * h[i] / T)",
    "norm_over_positions": ("m = mean[i](avg(h[i]^2))\ny[i] = h[i] / sqrt(m + 0.1)\noutput f[i] = V @ relu(W @ y[i])"),
    "norm_of_a_neighbour": (
        "m[i] = avg(h[i]^2)\ny[i] = h[i] * sqrt(m[i - 1] + 0.3)\noutput f = V @ mean[i](relu(y[i]))"
    ),
    "mean_of_a_neighbour": (
        "y[i] = relu(h[i])\nm[i] = avg(y[i])\nz[i] = relu(W @ (y[i] - m[i - 1]) + b)\noutput f[i] = V @ z[i]"
    ),
    "largest_score": (
        "s[i, j] = dot(W @ h[i], W @ h[j]) / n\nm[i] = max[j](s[i, j])\noutput f[i] = V @ (m[i] * relu(h[i]))"
    ),
    "attention_in_a_window": (
        "g[i] = relu(h[i])\ns[i, k] = avg(g[i] * g[i + k])\na[i, k] = softmax[k](s[i, k])\n"
        "y[i] = sum[k](a[i, k] * g[i + k])\noutput f[i] = V @ relu(W @ y[i])"
    ),
    "causal_attention": (
        "s[i, j] = dot(W @ h[i], W @ h[j]) / n\na[i, j] = exp(s[i, j] / 4)\n"
        "y[i] = sum[j](a[i, j] * (U @ h[i - j])) / T\noutput f[i] = V @ relu(y[i])"
    ),
    "largest_edge": (
        f"{EDGES}m = max[i, j](A[i, j])\ny[i] = sum[j](A[i, j] * h[j]) / m\noutput f[i] = V @ relu(W @ y[i])"
    ),
    "edges_and_their_transpose": (
        f"{EDGES}a[i, j] = softmax[j](A[i, j])\ny[i] = relu(sum[j](a[i, j] * h[j]))\n"
        "g[i] = W @ sum[j](a[j, i] * y[j])\noutput f = V @ sum[i](erf(g[i]))"
    ),
    # recurrences
    "start": "scan i { init s = 0.3 * h[1]\n s[i] = erf(W @ s[i - 1] + h[i]) }\noutput f[i] = V @ s[i]",
    "two_states": (
        "scan i { s[i] = erf(W @ u[i - 1] + h[i])\n u[i] = relu(U @ s[i] + W @ s[i - 1] + b) }\noutput f[i] = V @ u[i]"
    ),
    "normalized_states": (
        "scan i { g[i] = W @ relu(s[i - 1]) + h[i]\n m[i] = avg(g[i]^2)\n s[i] = g[i] / sqrt(m[i] + 0.1) }\n"
        "output f[i] = V @ relu(s[i])"
    ),
    "first_and_last_but_one": "scan i { s[i] = relu(W @ s[i - 1] + h[i]) }\noutput f = V @ s[T - 2] + V @ s[0]",
    "filter_of_states": (
        "scan i { s[i] = relu(W @ s[i - 1] + h[i]) }\ng[i] = sum[k](C[k] @ s[i + k])\noutput f[i] = V @ erf(g[i])"
    ),
    "states_of_a_filter": (
        "y[i] = relu(h[i])\nz[i] = sum[k](C[k] @ y[i + k])\nscan i { s[i] = erf(U @ s[i - 1] + z[i]) }\n"
        "output f = V @ mean[i](s[i])"
    ),
    "matrix_of_the_recurrence_outside": (
        "scan i { s[i] = erf(W @ s[i - 1] + h[i]) }\ng[i] = W @ s[i]\noutput f[i] = V @ relu(g[i])"
    ),
    "both_directions": (
        "z[i] = h[T - 1 - i]\nscan i { s[i] = erf(W @ s[i - 1] + z[i])\n u[i] = erf(U @ u[i - 1] + h[i]) }\n"
        "output f[i] = V @ (u[i] + s[T - 1 - i])"
    ),
    "states_with_an_axis": (
        "axis t : 3\nscan t { s[t, i] = erf(sum[k](C[k] @ s[t - 1, i + k]) + h[i]) }\noutput f[i] = V @ s[2, i]"
    ),
    "data_ahead": "scan i { s[i] = erf(W @ s[i - 1] + h[i] + h[i + 1]) }\noutput f[i] = V @ s[i]",
    # loops over depth
    "one_matrix_in_all_layers": "for l in 1..3 { h[i] = W @ relu(h[i]) + h[i - 1] }\noutput f[i] = V @ h[i]",
    "residual_filters": (
        "for l in 1..3 { param D[k] : (n, n) ~ N(0, 1 / (3 * n))\n y[i] = relu(h[i])\n"
        " h[i] = h[i] / 2 + sum[k](D[k] @ y[i + k]) }\noutput f[i] = V @ h[i]"
    ),
    "pooling_in_every_layer": (
        "for l in 1..2 { param D : (n, n) ~ N(0, 1 / n)\n y = mean[i](relu(h[i]))\n h[i] = h[i] + D @ y }\n"
        "output f[i] = V @ relu(h[i])"
    ),
}

DRAWS, WIDTH = 64, 64


def data(text: str, count: int, length: int, seed: int) -> Data:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, length, 2))
    return {"x": x, "A": rng.random((count, length, length))} if EDGES in text else x


def gram(network, x: Data, y: Data, width: int) -> Array:
    """Σ over the readouts, of variance 1/n, of ⟨∂f/∂V, ∂f′/∂V⟩ / n: the NNGP of given hidden layers."""
    left, right = network.gradients(x), network.gradients(y)
    total: Array | float = 0.0
    for name in {"V", "R"} & left.keys():
        rank, axes = left[name].ndim, len(network.core.parameters[name].axes)
        lead = rank - axes - 2
        both = [min(sizes) for sizes in zip(left[name].shape[lead:], right[name].shape[lead:], strict=True)]
        cut = (..., *(slice(size) for size in both))
        product = np.tensordot(left[name][cut], right[name][cut], axes=(range(lead, rank), range(lead, rank)))
        total = total + np.moveaxis(product, lead, 1) / width
    return np.asarray(total)


def sampled(net: tp.Program, x: Data, y: Data, width: int) -> tuple[Array, Array]:
    networks = [net.sample(width=width, seed=1000 * width + draw) for draw in range(DRAWS)]
    return (
        np.array([gram(network, x, y, width) for network in networks]),
        np.array([network.ntk(x, y) for network in networks]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_limit_is_that_of_sampled_networks(name: str) -> None:
    """2 m(2 n) - m(n) has a bias of order 1/n². |z| < 5.5 for every entry and for their average."""
    text = HEAD + PROGRAMS[name]
    net = tp.parse(text)
    x, y = data(text, 2, 4, 1), data(text, 2, 5, 2)
    limits = net.compile(backend="interpret")(x, y, get=("nngp", "ntk"))
    narrow, wide = sampled(net, x, y, WIDTH), sampled(net, x, y, 2 * WIDTH)
    for less, more, exact in zip(narrow, wide, limits, strict=True):
        errors = 2 * more - less - exact
        for error in (errors, errors.reshape(DRAWS, -1).mean(axis=1)):
            deviation = error.std(axis=0, ddof=1) / np.sqrt(DRAWS)
            assert (np.abs(error.mean(axis=0)) <= 5.5 * deviation + 1e-9 * np.abs(exact).max()).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_backends_agree(name: str) -> None:
    text = HEAD + PROGRAMS[name]
    x, y = data(text, 2, 4, 1), data(text, 2, 5, 2)
    net = tp.parse(text)
    for first, second in zip(
        *(net.compile(backend=b)(x, y, get=("nngp", "ntk")) for b in ("interpret", "cpu")), strict=True
    ):
        np.testing.assert_allclose(first, second, rtol=1e-10, atol=1e-12 * np.abs(first).max())


@pytest.mark.parametrize("name", PROGRAMS)
def test_two_data_sets_may_change_places(name: str) -> None:
    text = HEAD + PROGRAMS[name]
    x, y = data(text, 2, 4, 1), data(text, 2, 5, 2)
    kernel = tp.parse(text).compile(backend="interpret")
    for first, second in zip(kernel(x, y, get=("nngp", "ntk")), kernel(y, x, get=("nngp", "ntk")), strict=True):
        half = first.ndim // 2 + 1
        order = [1, 0, *range(half, first.ndim), *range(2, half)]
        np.testing.assert_allclose(first, second.transpose(order), rtol=1e-10, atol=1e-12 * np.abs(first).max())
