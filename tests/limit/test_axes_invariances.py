"""Programs with axes that must have the same kernels, each for a reason that needs no formula."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import tensorprog as tp

Array = npt.NDArray[np.float64]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BACKENDS = ["interpret", pytest.param("cpu", marks=pytest.mark.slow)]

SEQUENCE = """program sequence(sw2 = 1.6, sb2 = 0.1)
width n
axis i : T
axis r : T circular
axis j : T
axis k : -1..1
input x[i] : (c)
param A : (n, c) ~ N(0, 1 / c)
param a : (n) ~ N(0, sb2)
param W : (n, n) ~ N(0, sw2 / n)
param b : (n) ~ N(0, sb2)
param V : (1, n) ~ N(0, 1 / n)
"""
SHARED = "param C[k] : (n, c) ~ N(0, 1 / (3 * c))\nparam D[k] : (n, n) ~ N(0, sw2 / (3 * n))\n"
LOCAL = "param C[i, k] : (n, c) ~ N(0, 1 / (3 * c))\nparam D[i, k] : (n, n) ~ N(0, sw2 / (3 * n))\n"
EVERY = "param R[i] : (1, n) ~ N(0, 1 / n)\n"
IMAGE = """program image(sw2 = 1.6, sb2 = 0.1)
width n
axis i : H
axis j : W
axis k : -1..1
axis l : -1..1
input x[i, j] : (c)
param C[k, l] : (n, c) ~ N(0, sw2 / (9 * c))
param D[k, l] : (n, n) ~ N(0, sw2 / (9 * n))
param b : (n) ~ N(0, sb2)
param V : (1, n) ~ N(0, 1 / n)
h[i, j] = sum[k, l](C[k, l] @ x[i + k, j + l]) + b
"""
PERCEPTRON = """program perceptron(sw2 = 1.6, sb2 = 0.1)
width n
input x : (c)
param A : (n, c) ~ N(0, 1 / c)
param a : (n) ~ N(0, sb2)
param W : (n, n) ~ N(0, sw2 / n)
param b : (n) ~ N(0, sb2)
param V : (1, n) ~ N(0, 1 / n)
"""


@functools.cache
def compiled(text: str, backend: str):
    return tp.parse(text).compile(backend=backend)


def kernels(text: str, x1: object, x2: object = None, backend: str = "interpret") -> tuple[Array, Array]:
    return tuple(compiled(text, backend)(x1, x2, get=("nngp", "ntk")))


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def assert_equal(found: tuple[Array, ...], wanted: tuple[Array, ...]) -> None:
    for mine, other in zip(found, wanted, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-13 * np.abs(other).max())


SAME = {
    "a filter of width 1 is a dense layer at every position": (
        "axis o : 1\nparam E[o] : (n, n) ~ N(0, sw2 / n)\nh[i] = relu(A @ x[i] + a)\n"
        "g[i] = sum[o](E[o] @ h[i + o]) + b\noutput f = V @ mean[i](erf(g[i]))",
        "h[i] = relu(A @ x[i] + a)\noutput f = V @ mean[i](erf(W @ h[i] + b))",
    ),
    "weights of their own, read out at every position, are shared weights": (
        f"{LOCAL}{EVERY}h[i] = relu(sum[k](C[i, k] @ x[i + k]))\n"
        "output f = sum[i](R[i] @ relu(sum[k](D[i, k] @ h[i + k])))",
        f"{SHARED}{EVERY}h[i] = relu(sum[k](C[k] @ x[i + k]))\noutput f = sum[i](R[i] @ relu(sum[k](D[k] @ h[i + k])))",
    ),
    "a layer of stride 2 is every other position of one of stride 1": (
        f"{SHARED}axis o : (T + 1) // 2\nh[i] = relu(sum[k](C[k] @ x[i + k]) + a)\n"
        "g[o] = erf(sum[k](D[k] @ h[2 * o + k]) + b)\noutput f[o] = V @ g[o]",
        f"{SHARED}axis o : (T + 1) // 2\nh[i] = relu(sum[k](C[k] @ x[i + k]) + a)\n"
        "g[i] = erf(sum[k](D[k] @ h[i + k]) + b)\noutput f[o] = V @ g[2 * o]",
    ),
    "a filter that is written out": (
        f"{SHARED}h[i] = relu(sum[k](C[k] @ x[i + k]) + a)\noutput f = V @ mean[i](h[i])",
        "param B : (n, c) ~ N(0, 1 / (3 * c))\nparam D : (n, c) ~ N(0, 1 / (3 * c))\n"
        "param E : (n, c) ~ N(0, 1 / (3 * c))\nh[i] = relu(B @ x[i - 1] + D @ x[i] + E @ x[i + 1] + a)\n"
        "output f = V @ mean[i](h[i])",
    ),
    "zero scores attend to everything alike": (
        "param Q : (n, n) ~ N(0, 1 / n)\nparam K : (n, n) ~ N(0, 1 / n)\nh[i] = relu(A @ x[i] + a)\n"
        "s[i, j] = dot(Q @ h[i], K @ h[j]) / n\np[i, j] = softmax[j](s[i, j])\n"
        "y[i] = h[i] + sum[j](p[i, j] * (W @ h[j]))\noutput f = V @ mean[i](y[i])",
        "h[i] = relu(A @ x[i] + a)\ny[i] = h[i] + W @ mean[j](h[j])\noutput f = V @ mean[i](y[i])",
    ),
    "a matrix passes through a sum with coefficients": (
        "s[i, j] = avg((A @ x[i]) * (A @ x[j]))\np[i, j] = softmax[j](s[i, j])\nh[i] = relu(A @ x[i] + a)\n"
        "output f = V @ mean[i](relu(W @ sum[j](p[i, j] * h[j])))",
        "s[i, j] = avg((A @ x[i]) * (A @ x[j]))\np[i, j] = softmax[j](s[i, j])\nh[i] = relu(A @ x[i] + a)\n"
        "output f = V @ mean[i](relu(sum[j](p[i, j] * (W @ h[j]))))",
    ),
    "a mean of means is a mean over windows": (
        "axis o : T // 2\naxis q : 2\nh[i] = relu(A @ x[i] + a)\np[o] = mean[q](h[2 * o + q])\n"
        "output f = V @ mean[o](p[o])",
        "h[i] = relu(A @ x[i] + a)\noutput f = V @ mean[i](h[i])",
    ),
    "three blocks in a loop are three blocks": (
        f"{SHARED}h[i] = sum[k](C[k] @ x[i + k])\nfor m in 1..3 {{\nparam B[k] : (n, n) ~ N(0, sw2 / (3 * n))\n"
        "u[i] = relu(h[i])\nh[i] = h[i] + sum[k](B[k] @ u[i + k])\n}\noutput f = V @ mean[i](h[i])",
        f"{SHARED}h[i] = sum[k](C[k] @ x[i + k])\n"
        + "".join(
            f"param B{m}[k] : (n, n) ~ N(0, sw2 / (3 * n))\nu[i] = relu(h[i])\n"
            f"h[i] = h[i] + sum[k](B{m}[k] @ u[i + k])\n"
            for m in (1, 2, 3)
        )
        + "output f = V @ mean[i](h[i])",
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SAME)
def test_two_ways_to_write_a_network(name: str, backend: str) -> None:
    first, second = (SEQUENCE + body for body in SAME[name])
    x = normal(3, 6, 2)
    assert_equal(kernels(first, x, backend=backend), kernels(second, x, backend=backend))
    assert_equal(kernels(first, x, x[:2, ::-1], backend), kernels(second, x, x[:2, ::-1], backend))


ELMAN = """program elman
width n
axis t : T
input x[t] : (c)
param W : (n, n) ~ N(0, 1.2 / n)
param U : (n, c) ~ N(0, 1 / c)
param b : (n) ~ N(0, 0.1)
param V : (1, n) ~ N(0, 1 / n)
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("phi", ["erf", "relu"])
@pytest.mark.parametrize(("read", "written"), [("s[T - 1]", "s2"), ("mean[t](s[t])", "(s0 + s1 + s2) / 3")])
def test_a_recurrence_is_its_steps_written_out(read: str, written: str, phi: str, backend: str) -> None:
    x = normal(3, 3, 2)
    scan = f"{ELMAN}scan t {{ s[t] = {phi}(W @ s[t - 1] + U @ x[t] + b) }}\noutput f = V @ {read}"
    steps = f"s0 = {phi}(U @ x[0] + b)\ns1 = {phi}(W @ s0 + U @ x[1] + b)\ns2 = {phi}(W @ s1 + U @ x[2] + b)\n"
    unrolled = f"{ELMAN}{steps}output f = V @ ({written})"
    assert_equal(kernels(scan, x, backend=backend), kernels(unrolled, x, backend=backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recurrence_that_starts_elsewhere(backend: str) -> None:
    """`init` is the state before the first step: a step written out in front of a recurrence over the others."""
    x = normal(3, 3, 2)
    start = "init s = start"
    scan = f"scan t {{ {start} ; s[t] = erf(W @ s[t - 1] + U @ x[t] + b) }}\noutput f = V @ s[T - 1]"
    s0 = "start = erf(U @ x[2])\n"
    steps = "s0 = erf(W @ start + U @ x[0] + b)\ns1 = erf(W @ s0 + U @ x[1] + b)\ns2 = erf(W @ s1 + U @ x[2] + b)\n"
    written = f"{ELMAN}{s0}{steps}output f = V @ s2"
    assert_equal(kernels(f"{ELMAN}{s0}{scan}", x, backend=backend), kernels(written, x, backend=backend))


ONE_POSITION = {
    "a sequence of one": (
        SEQUENCE + "h[i] = relu(A @ x[i] + a)\noutput f = V @ mean[i](erf(W @ h[i] + b))",
        "output f = V @ erf(W @ relu(A @ x + a) + b)",
        (1, 2),
    ),
    "a recurrence over one step": (
        SEQUENCE + "scan i { s[i] = erf(W @ s[i - 1] + A @ x[i] + a) }\noutput f = V @ s[T - 1]",
        "output f = V @ erf(A @ x + a)",
        (1, 2),
    ),
    "attention to nothing but itself": (
        SEQUENCE + "h[i] = A @ x[i] + a\ns[i, j] = dot(h[i], h[j]) / n\np[i, j] = softmax[j](s[i, j])\n"
        "output f = V @ mean[i](relu(h[i] + sum[j](p[i, j] * (W @ h[j]))))",
        "h = A @ x + a\noutput f = V @ relu(h + W @ h)",
        (1, 2),
    ),
    "an image of one pixel": (
        IMAGE + "g[i, j] = relu(h[i, j])\noutput f = V @ mean[i, j](erf(sum[k, l](D[k, l] @ g[i + k, j + l]) + b))",
        "param A' : (n, c) ~ N(0, sw2 / (9 * c))\nparam W' : (n, n) ~ N(0, sw2 / (9 * n))\n"
        "output f = V @ erf(W' @ relu(A' @ x + b) + b)",
        (1, 1, 2),
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ONE_POSITION)
def test_one_position_is_a_perceptron(name: str, backend: str) -> None:
    text, body, shape = ONE_POSITION[name]
    x = normal(4, *shape)
    assert_equal(kernels(text, x, backend=backend), kernels(PERCEPTRON + body, x.reshape(4, 2), backend=backend))


RING = (
    f"{SEQUENCE}{SHARED}z[r] = x[r]\nh[r] = relu(sum[k](C[k] @ z[r + k]) + a)\n"
    "g[r] = erf(sum[k](D[k] @ h[r + k]) + b)\n"
)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_circular_convolution_moves_with_its_data(backend: str) -> None:
    """K(S x, S^2 x')[p, q] = K(x, x')[p - 1, q - 2], S a shift of the ring."""
    x, y = normal(2, 5, 2), normal(3, 5, 2, seed=1)
    text = RING + "output f[r] = V @ g[r]"
    moved = kernels(text, np.roll(x, 1, axis=1), np.roll(y, 2, axis=1), backend)
    assert_equal(moved, tuple(np.roll(k, (1, 2), axis=(2, 3)) for k in kernels(text, x, y, backend)))
    pooled = RING + "output f = V @ mean[r](g[r])"
    assert_equal(kernels(pooled, np.roll(x, 2, axis=1), y, backend), kernels(pooled, x, y, backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_and_columns_of_an_image_are_alike(backend: str) -> None:
    text = IMAGE + "g[i, j] = relu(h[i, j])\noutput f[i, j] = V @ erf(sum[k, l](D[k, l] @ g[i + k, j + l]) + b)"
    x, y = normal(2, 3, 4, 2), normal(1, 2, 5, 2, seed=1)
    swapped = kernels(text, x.swapaxes(1, 2), y.swapaxes(1, 2), backend)
    assert_equal(tuple(k.transpose(0, 1, 3, 2, 5, 4) for k in swapped), kernels(text, x, y, backend))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["deep_sets", "graph", "attention", "transformer"])
def test_the_order_of_elements_does_not_matter(name: str, backend: str) -> None:
    kernel = tp.load(EXAMPLES / f"{name}.tp").compile(backend=backend)
    (x, y), order = normal(2, 3, 4, 2), [2, 0, 3, 1]
    edges = np.random.default_rng(1).random((2, 3, 4, 4))
    drawn: list[object] = [{"A": a, "x": v} if name == "graph" else v for a, v in zip(edges, (x, y), strict=True)]
    moved: object = {"A": edges[0][:, order][:, :, order], "x": x[:, order]} if name == "graph" else x[:, order]
    for get in ("nngp", "ntk"):
        np.testing.assert_allclose(kernel(moved, drawn[1], get=get), kernel(*drawn, get=get), rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_positional_encoding_tells_the_order(backend: str) -> None:
    x = normal(2, 4, 2)
    for variance, told in ((0.0, False), (0.5, True)):
        kernel = tp.load(EXAMPLES / "positional.tp", sp2=variance).compile(backend=backend)
        same = np.allclose(kernel(x[:, ::-1], x), kernel(x, x), rtol=1e-9)
        assert same != told


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["rnn", "deep_rnn", "cnn1d", "attention"])
def test_one_pair_is_an_entry_of_the_matrix(name: str, backend: str) -> None:
    """An entry depends on its own two samples, whatever stands beside them, and swaps with its arguments."""
    kernel = tp.load(EXAMPLES / f"{name}.tp").compile(backend=backend)
    x, y = normal(3, 5, 2), normal(2, 8, 2, seed=1)
    whole, back = kernel(x, y), kernel(y, x)
    swapped = back.transpose(1, 0, *range(2, back.ndim)).swapaxes(-1, -2) if back.ndim == 4 else back.T
    np.testing.assert_allclose(whole, swapped, rtol=1e-12)
    for i in range(3):
        for j in range(2):
            np.testing.assert_allclose(kernel(x[i : i + 1], y[j : j + 1])[0, 0], whole[i, j], rtol=1e-12)


def test_two_sequences_whose_beginnings_agree_have_the_same_beginning() -> None:
    """Causality: the outputs of a recurrence at t depend on what was read up to t."""
    kernel = tp.load(EXAMPLES / "deep_rnn.tp").compile(backend="interpret")
    long = normal(2, 6, 2)
    for get in ("nngp", "ntk"):
        np.testing.assert_allclose(
            kernel(long[:, :4], long, get=get), kernel(long, long, get=get)[:, :, :4], rtol=1e-12
        )
