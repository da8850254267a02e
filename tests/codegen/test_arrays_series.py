"""Numerical expectations over axes: Hermite series in compiled code, position by position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.kernel.expectation import DEGREES, TOLERANCE
from tensorprog.runtime.gram import Kernel
from tensorprog.runtime.interpreted import Interpreter
from tensorprog.runtime.laws import fill_series
from tests.codegen.array_programs import data

LINE = """
program line
width n
axis i : T
axis k : -1..1
input x[i] : (c)
param C[k] : (n, c) ~ N(0, 2 / c)
param D[k] : (n, n) ~ N(0, 1 / (2 * n))
param b    : (n) ~ N(0, 0.1)
g[i] = sum[k](C[k] @ x[i + k]) + b
h[i] = sum[k](D[k] @ ACT(g[i + k])) + b
"""
LINE_READOUTS = {
    "mean": "param V : (1, n) ~ N(0, 1 / n)\noutput f = V @ mean[i](ACT(h[i]))",
    "flatten": "param V[i] : (1, n) ~ N(0, 1 / n)\noutput f = sum[i](V[i] @ ACT(h[i]))",
    "strided": """
axis o : (T + 1) // 2
param W : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
p = W @ mean[o](ACT(h[2 * o] + g[o]))
output f = V @ ACT(p)
""",
}
DEEP = """
program deep
width n
axis i : T
axis k : -1..1
input x[i] : (c)
param C[k] : (n, c) ~ N(0, 2 / c)
param V : (1, n) ~ N(0, 1 / n)
h[i] = sum[k](C[k] @ x[i + k])
for m in 1..3 {
    param F[k] : (n, n) ~ N(0, 1 / (2 * n))
    a[i] = tanh(h[i])
    h[i] = sum[k](F[k] @ a[i + k])
}
output f = V @ mean[i](h[i])
"""
RECURRENT = """
program recurrent
width n
axis t : T
input x[t] : (c)
param W : (n, n) ~ N(0, 1 / n)
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
scan t {
    s[t] = tanh(W @ s[t - 1] + U @ x[t])
}
output f = V @ mean[t](s[t])
"""
PLANE = """
program plane
width n
axis i : H
axis j : W
axis k : -1..1
axis l : -1..1
input x[i, j] : (c)
param C[k, l] : (n, c) ~ N(0, 1 / (4 * c))
param D[k, l] : (n, n) ~ N(0, 1 / (6 * n))
g[i, j] = sum[k, l](C[k, l] @ x[i + k, j + l])
h[i, j] = sum[k, l](D[k, l] @ ACT(g[i + k, j + l]))
"""
PLANE_READOUTS = {
    "mean": "param V : (1, n) ~ N(0, 1 / n)\noutput f = V @ mean[i, j](ACT(h[i, j]))",
    "flatten": "param V[i, j] : (1, n) ~ N(0, 1 / n)\noutput f = sum[i, j](V[i, j] @ ACT(h[i, j]))",
}


def _kernels(text: str, activation: str) -> tuple[Kernel, Kernel]:
    net = tp.parse(text.replace("ACT", activation))
    compiled, plain = (net.compile(backend=backend) for backend in ("cpu", "interpret"))
    assert "fill_series(" in compiled.source
    return compiled, plain


def _agree(text: str, activation: str, x1: Any, x2: Any) -> None:
    compiled, plain = _kernels(text, activation)
    for arguments in ((x1, x2), (x1,)):
        found, expected = compiled(*arguments), plain(*arguments)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    assert np.array_equal(found, found.T)
    assert 0 < compiled.report.error <= 1e-8


@pytest.mark.parametrize(
    ("readout", "activation"),
    [
        ("mean", "tanh"),
        pytest.param("mean", "softplus", marks=pytest.mark.slow),
        pytest.param("flatten", "tanh", marks=pytest.mark.slow),
        ("flatten", "softplus"),
        ("strided", "tanh"),
    ],
)
def test_sequences(readout: str, activation: str) -> None:
    x1 = data(4, 7, 2)
    x2 = data(3, 7 if readout == "flatten" else 5, 2, seed=1)
    x2[0], x2[1] = x1[0, : x2.shape[1]], 0
    _agree(LINE + LINE_READOUTS[readout], activation, x1, x2)


@pytest.mark.parametrize(
    ("readout", "activation"),
    [
        ("mean", "softplus"),
        ("flatten", "tanh"),
        pytest.param("mean", "tanh", marks=pytest.mark.slow),
        pytest.param("flatten", "softplus", marks=pytest.mark.slow),
    ],
)
def test_images(readout: str, activation: str) -> None:
    _agree(PLANE + PLANE_READOUTS[readout], activation, data(3, 5, 4, 2), data(2, 5, 4, 2, seed=1))


@pytest.mark.parametrize("text", [DEEP, RECURRENT])
def test_layers_of_a_loop_and_recurrences_along_axes(text: str) -> None:
    _agree(text, "", data(3, 6, 2), data(4, 5, 2, seed=1))


DIRECT = """
program direct
width n
axis i : T
axis k : 0..1
input x[i] : (c)
param C[k] : (n, c) ~ N(0, 0.3 / c)
param V[i] : (1, n) ~ N(0, 1 / n)
output f = sum[i](V[i] @ tanh(sum[k](C[k] @ x[i + k])))
"""


def test_a_sum_over_positions_is_that_of_direct_quadrature() -> None:
    """K = Σ_i E[tanh(u) tanh(v)] under N(0, [[q₁, c], [c, q₂]]), integrated with 150 × 150 Gauss–Hermite nodes."""
    x1, x2 = data(3, 4, 2), data(2, 4, 2, seed=1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(150)
    weights = weights / weights.sum()
    padded = [np.concatenate([x, np.zeros((len(x), 1, 2))], axis=1) for x in (x1, x2)]
    features = [np.concatenate([x[:, :-1], x[:, 1:]], axis=2) for x in padded]
    expected = np.zeros((3, 2))
    for p, q in np.ndindex(3, 2):
        for u, v in zip(features[0][p], features[1][q], strict=True):
            q1, q2, c = 0.15 * (u @ u), 0.15 * (v @ v), 0.15 * (u @ v)
            first = np.sqrt(q1) * nodes[:, None]
            second = c / np.sqrt(q1) * nodes[:, None] + np.sqrt(q2 - c * c / q1) * nodes[None, :]
            expected[p, q] += weights @ (np.tanh(first) * np.tanh(second)) @ weights
    np.testing.assert_allclose(_kernels(DIRECT, "")[0](x1, x2, get="nngp"), expected, rtol=0, atol=1e-11)


def test_pairs_that_no_degree_is_exact_enough_for_are_left_to_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, plain = _kernels(DIRECT, "")
    x1 = 20 * data(4, 3, 2)
    x2 = 20 * data(3, 3, 2, seed=1)
    x2[1] = x1[2] * 1.001
    expected, marked, correct = plain(x1, x2, get="nngp"), [], Interpreter.correct

    def note(self: Interpreter, tile: Any, out: Any, missed: Any) -> None:
        marked.append(missed.copy())
        correct(self, tile, out, missed)

    monkeypatch.setattr(Interpreter, "correct", note)
    found = compiled(x1, x2, get="nngp")
    assert marked[0][2, 1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    np.testing.assert_allclose(compiled(x1, get="nngp"), plain(x1, get="nngp"), rtol=1e-11)


def test_what_is_not_a_number_stays_in_its_own_row() -> None:
    x1, x2 = data(4, 7, 2), data(3, 7, 2, seed=1)
    kernel, _ = _kernels(LINE + LINE_READOUTS["mean"], "tanh")
    clean = kernel(x1, x2)
    x1[1, 3, 0] = np.nan
    found = kernel(x1, x2, allow_nonfinite=True)
    assert np.array_equal(np.isnan(found).all(axis=1), [False, True, False, False])
    assert np.array_equal(found[[0, 2, 3]], clean[[0, 2, 3]])


def test_the_numbers_do_not_depend_on_threads_and_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorprog.runtime.parts._ENTRIES", 1 << 12)
    x1, x2, found = data(9, 7, 2), data(8, 7, 2, seed=1), []
    for threads in (1, 3):
        kernel, _ = _kernels(LINE + LINE_READOUTS["mean"], "tanh")
        kernel.threads = threads
        found.append((kernel(x1, x2).tobytes(), kernel(x1).tobytes()))
    assert found[0] == found[1]


def _sums(ratio: float, covariance: Any) -> tuple[Any, bool, float]:
    """Return the values with a_k = b_k = ratio^k and variances 4, whether they are marked, and the bound."""
    count = len(covariance)
    a = ratio ** np.arange(4000.0)
    rests = [np.sqrt(np.sum(a[degree:] ** 2) / np.sum(a**2)) for degree in DEGREES]
    table = np.concatenate([np.zeros(9), *[a[:192], rests, [2.0, 0.0]] * 3])
    work, missed, worst = np.concatenate([[7.0], covariance]), np.zeros((2, 2), np.uint8), np.zeros(2)
    laws = np.concatenate([[5], np.arange(2 * count) % 3])
    fill_series(work, laws, 1, count, table, 9, 1, table, 9, 1 + count, missed, worst, 1, 0, 1, TOLERANCE)
    assert work[0] == 7.0
    assert worst[0] == 0.0
    assert missed.sum() == missed[0, 1]
    return work[1:], bool(missed[0, 1]), worst[1]


@pytest.mark.parametrize("count", [1, 7, 32, 77])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.9])
def test_sums_are_those_of_geometric_series(ratio: float, count: int) -> None:
    rho = np.linspace(-0.97, 0.97, count)
    value, missed, worst = _sums(ratio, 4 * rho)
    assert not missed
    assert 0 <= worst <= TOLERANCE
    np.testing.assert_allclose(value, 1 / (1 - ratio**2 * rho), rtol=0, atol=2 * TOLERANCE / (1 - ratio**2))


def test_pairs_are_marked_by_their_worst_entry() -> None:
    assert _sums(0.98, np.array([0.1, 3.99, 0.2]))[1]
    assert not _sums(0.98, np.array([0.1, 0.3, 0.2]))[1]


def test_entries_that_are_not_numbers_stay_alone() -> None:
    value, missed, _ = _sums(0.5, np.array([0.5, np.nan, 0.2]))
    assert np.array_equal(np.isnan(value), [False, True, False])
    assert not missed
