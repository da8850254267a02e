"""Maxima over windows are written out: the network stays the same at any width, and its limit exists."""

from __future__ import annotations

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.core.ir import Max, walk
from tensorprog.core.wellformed import check_wellformed
from tensorprog.finite.network import FiniteNetwork
from tensorprog.limit.windows import LARGEST_WINDOW, write_out_maxima

HEAD = """program windows
width n
axis t : T
axis o : T // 2
axis r : T circular
axis j : 2
axis k : -1..1
input x[t] : (c)
param U : (n, c) ~ N(0, 1 / c)
param W : (n, n) ~ N(0, 1 / n)
param b : (n) ~ N(0, 0.3)
param V : (1, n) ~ N(0, 1 / n)
h[t] = U @ x[t] + b
"""

WRITTEN = {
    "neighbours": "y[o] = max[j](h[2 * o + j])\noutput f = V @ mean[o](y[o])",
    "beyond the axis": "y[t] = max[k](h[t + k])\noutput f = V @ mean[t](y[t])",
    "two axes": "y[o] = max[j, k](h[2 * o + j + k])\noutput f = V @ mean[o](y[o])",
    "of a function": "y[o] = max[j](relu(h[2 * o + j]))\noutput f = V @ mean[o](y[o])",
    "of a named function": "a[t] = relu(h[t])\ny[t] = max[k](a[t + k])\noutput f = V @ mean[t](y[t])",
    "not zero at zero": "a[t] = sigmoid(h[t])\ny[t] = max[k](a[t + k])\noutput f = V @ mean[t](y[t])",
    "of a function that decreases": "y[t] = max[k](cos(h[t + k]))\noutput f = V @ mean[t](y[t])",
    "on a ring": "g[r] = U @ x[r]\ny[r] = max[k](g[r + k])\noutput f = V @ mean[r](y[r])",
    "in a recurrence": "scan t { s[t] = erf(W @ s[t - 1] + max[k](h[t + k])) }\noutput f = V @ mean[t](s[t])",
}

X = np.random.default_rng(3).standard_normal((3, 6, 2))


@pytest.mark.parametrize("name", WRITTEN)
def test_the_network_computes_the_same(name: str) -> None:
    net = tp.parse(HEAD + WRITTEN[name])
    core = write_out_maxima(net.core())
    check_wellformed(core)
    assert not any(isinstance(instruction, Max) for instruction in walk(core.body))
    plain, written = net.sample(width=16, seed=1), FiniteNetwork(core, 16, seed=1)
    np.testing.assert_allclose(written(X), plain(X), rtol=1e-12)
    np.testing.assert_allclose(written.ntk(X), plain.ntk(X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("extent", ["T", str(LARGEST_WINDOW + 1)])
def test_long_windows_stay(extent: str) -> None:
    net = tp.parse(HEAD + f"axis m : {extent}\ny = max[m](h[m])\noutput f = V @ y")
    assert write_out_maxima(net.core()) == net.core()


def test_maxima_of_numbers_stay() -> None:
    net = tp.parse(HEAD + "m[t] = avg(h[t]^2)\ns[o] = max[j](m[2 * o + j])\noutput f = V @ mean[o](s[o] * h[o])")
    assert write_out_maxima(net.core()) == net.core()


def test_a_function_is_taken_after_the_maximum() -> None:
    text = str(write_out_maxima(tp.parse(HEAD + WRITTEN["of a named function"]).core()))
    (line,) = [line for line in text.splitlines() if line.startswith("y :")]
    assert "relu(y." in line and line.count("relu(") == 3  # relu(u + relu(d + relu(d′)))
