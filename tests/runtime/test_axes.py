"""Kernels of programs over axes: shapes, symmetry, tiles, data that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.errors import DataError
from tensorprog.runtime import parts

BACKENDS = ("interpret", "cpu")

CONVOLUTION = """program convolution(s = 2.0)
width n
axis i : T
axis o : T - 2
axis k : 0..2
axis l : -1..1
input x[i] : (c)
param W[k] : (n, c) ~ N(0, s / (3 * c))
param b    : (n)    ~ N(0, 0.1)
param V[l] : (1, n) ~ N(0, 1 / (3 * n))
param R    : (1, n) ~ N(0, 1 / n)
h[o] = sum[k](W[k] @ x[o + k]) + b
output f[o] = sum[l](V[l] @ relu(h[o + l]))
output pooled = R @ mean[o](relu(h[o]))
"""

RECURRENCE = """program recurrence
width n
axis t : T
input x[t] : (c)
param W : (n, n) ~ N(0, 1 / n)
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
scan t {
    s[t] = PHI(W @ s[t - 1] + U @ x[t])
}
output f = V @ mean[t](s[t])
"""


def _data(count: int, extent: int = 6, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, extent, 3))


def _kernel(text: str, backend: Any = "interpret") -> Any:
    return tp.parse(text).compile(backend=backend)


def _both_swapped(matrix: Any) -> Any:
    return matrix.transpose(1, 0, 3, 2) if matrix.ndim == 4 else matrix.T


@pytest.mark.parametrize("output", ["f", "pooled"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_data_set_gives_an_exactly_symmetric_matrix(backend: str, output: str) -> None:
    x, kernel = _data(7), _kernel(CONVOLUTION, backend)
    found, diagonal = kernel(x, output=output), kernel.diag(x, output=output)
    assert found.shape == ((7, 7, 4, 4) if output == "f" else (7, 7))
    assert np.array_equal(found, _both_swapped(found))
    assert np.array_equal(found[np.arange(7), np.arange(7)], diagonal)
    np.testing.assert_allclose(found, kernel(x, x.copy(), output=output), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_samples_have_the_value_on_the_diagonal(backend: str) -> None:
    x, kernel = _data(5), _kernel(CONVOLUTION, backend)
    x[3] = x[1]
    diagonal, found, crossed = kernel.diag(x), kernel(x), kernel(x[:2], x[1:])
    assert np.array_equal(found[1, 3], diagonal[1])
    assert np.array_equal(found[3, 1], diagonal[1])
    assert np.array_equal(found, _both_swapped(found))
    np.testing.assert_allclose(crossed[1, [0, 2]], diagonal[[1, 1]], rtol=1e-15)
    np.testing.assert_allclose(crossed[0], found[0, 1:], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("output", ["f", "pooled"])
@pytest.mark.parametrize("lengths", [(6, 6), (5, 8)])
def test_the_compiled_kernel_is_the_interpreted_one(output: str, lengths: tuple[int, int]) -> None:
    x1, x2 = _data(5, lengths[0]), _data(3, lengths[1], seed=1)
    first, second = (_kernel(CONVOLUTION, backend)(x1, x2, output=output) for backend in BACKENDS)
    assert first.shape[2:] == ((lengths[0] - 2, lengths[1] - 2) if output == "f" else ())
    np.testing.assert_allclose(first, second, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(_both_swapped(first), _kernel(CONVOLUTION)(x2, x1, output=output), rtol=1e-13)


@pytest.mark.parametrize("text", [CONVOLUTION, RECURRENCE.replace("PHI", "erf")], ids=["convolution", "recurrence"])
def test_tiles_do_not_matter(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, kernel = _data(9), _kernel(text)
    whole, diagonal = kernel(x), kernel.diag(x)
    monkeypatch.setattr(parts, "_ENTRIES", 1200)
    np.testing.assert_allclose(kernel(x), whole, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(kernel.diag(x), diagonal, rtol=1e-13)
    monkeypatch.setattr(parts, "_ENTRIES", 1)
    np.testing.assert_allclose(kernel(x), whole, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_written_where_they_are_wanted(backend: str) -> None:
    x, kernel = _data(4), _kernel(CONVOLUTION, backend)
    out = np.zeros((4, 4, 4, 4), np.float32)
    assert kernel(x, out=out) is out
    np.testing.assert_allclose(out, kernel(x), rtol=1e-6)
    with pytest.raises(DataError, match=r"the kernel matrix \(4, 4, 4, 4\)"):
        kernel(x, out=np.zeros((4, 4)))


def test_data_that_leave_no_positions_are_refused() -> None:
    kernel = _kernel(CONVOLUTION)
    with pytest.raises(DataError, match=r"axis `o` has extent 0 where T = 2") as caught:
        kernel(_data(3, 2))
    assert caught.value.code == "TP405"
    with pytest.raises(DataError, match=r"axis `o` has extent 0 where T = 2"):
        kernel(_data(3), _data(3, 2))
    with pytest.raises(DataError, match="vectors of 3 numbers in x1 and of 2 in x2"):
        kernel(_data(3), _data(3)[:, :, :2])
    with pytest.raises(DataError, match=r"is an array \(N, i, c\)"):
        kernel(_data(3)[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_finite_is_named(backend: str) -> None:
    x, kernel = _data(3), _kernel(CONVOLUTION, backend)
    x[1] *= 1e200
    for compute in (kernel, kernel.diag):
        with pytest.raises(DataError, match=r"K_h is not finite for sample 1 of x1 \(line 12\)"):
            compute(x)
    with pytest.raises(DataError, match=r"K_h is not finite for sample 1 of x2 \(line 12\)"):
        kernel(_data(2), x)


@pytest.mark.parametrize("backend", BACKENDS)
def test_missing_numbers_spread_to_their_samples(backend: str) -> None:
    x, kernel = _data(3), _kernel(CONVOLUTION, backend)
    x[1, 2, 0] = np.nan
    found = kernel(x, output="pooled", allow_nonfinite=True)
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[np.ix_([0, 2], [0, 2])]).all()


@pytest.mark.parametrize("text", [CONVOLUTION, RECURRENCE], ids=["convolution", "recurrence"])
def test_numerical_expectations(text: str) -> None:
    """A series and a closed form: erf is smooth, so the numbers of both must agree."""
    x1, x2 = _data(4, 5), _data(3, 6, seed=1)
    numeric = tp.parse(text.replace("relu", "erf").replace("PHI", "erf"))
    output = numeric.core().outputs[-1].name
    closed = numeric.compile(backend="interpret")
    kernel = numeric.compile(backend="interpret", expectations="numeric")
    np.testing.assert_allclose(kernel(x1, x2, output=output), closed(x1, x2, output=output), atol=1e-11)
    np.testing.assert_allclose(kernel(x1, output=output), closed(x1, output=output), atol=1e-10)
    assert 0 < kernel.report.error < 1e-10
