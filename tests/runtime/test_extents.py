"""Kernels of programs that are derived for every extent by itself: equal extents, and others in x1 than in x2."""

from __future__ import annotations

import functools
from typing import Literal

import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import erf, ndtr

import tensorprog as tp
from tensorprog.runtime.per_extent import KernelPerExtent

Array = npt.NDArray[np.float64]

MAXIMUM = """program maximum
width n
axis b : B
input x[b] : (c)
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
output f = V @ max[b](U @ x[b])
"""
GATES = """program gates
width n
axis b : B
input x[b] : (c)
param W : (n, n) ~ N(0, 1 / n)
param R : (n, n) ~ N(0, 1 / n)
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
scan b {
    z[b] = Phi(R @ h[b - 1] + U @ x[b])
    h[b] = (1 - z[b]) * h[b - 1] + z[b] * erf(W @ h[b - 1] + U @ x[b])
}
output f[b] = V @ h[b]
"""
NORMALIZED = """program normalized
width n
axis b : B
input x[b] : (c)
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
g[b] = U @ x[b]
m = mean[b](g[b])
v = mean[b]((g[b] - m)^2)
output f[b] = V @ relu((g[b] - m) / sqrt(v + 0.1))
"""
PROGRAMS = {"maximum": MAXIMUM, "gates": GATES, "normalized": NORMALIZED}

inexact = pytest.mark.filterwarnings("ignore::tensorprog.PrecisionWarning")


def normal(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape)


@functools.cache
def kernel(name: str) -> KernelPerExtent:
    found = tp.parse(PROGRAMS[name]).compile(backend="interpret")
    assert isinstance(found, KernelPerExtent)
    return found


def swapped(array: Array) -> Array:
    """A matrix (N1, N2, *axes, *axes′) as (N2, N1, *axes′, *axes)."""
    return array.transpose(1, 0) if array.ndim == 2 else array.transpose(1, 0, 3, 2)


# Equal extents: the program with the number written in.


@inexact
@pytest.mark.parametrize(
    ("name", "extent"),
    [
        ("maximum", 2),
        ("gates", 1),
        *(pytest.param(name, 2, marks=pytest.mark.slow) for name in ("gates", "normalized")),
    ],
)
def test_equal_extents_are_numbers_in_the_program(name: str, extent: int) -> None:
    fixed = tp.parse(PROGRAMS[name].replace("axis b : B", f"axis b : {extent}")).compile(backend="interpret")
    x1, x2 = normal(3, extent, 2), normal(2, extent, 2)
    for kind in ("nngp", "ntk"):
        np.testing.assert_allclose(kernel(name)(x1, x2, get=kind), fixed(x1, x2, get=kind), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(kernel(name)(x1, get=kind), fixed(x1, get=kind), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(kernel(name).diag(x1, get=kind), fixed.diag(x1, get=kind), rtol=1e-12, atol=1e-15)


# Extents that differ.


def largest_of_two_and_three() -> tuple[float, float]:
    """NNGP and NTK for the largest of u1, u2 and that of u1, u2, u3, independent standard normal.

    M = max(u1, u2) has the density 2 φ(m) Φ(m), and E max(m, u3) = m Φ(m) + φ(m). The largest of both copies is the
    same variable unless u3 exceeds both others, with probability 1/3.
    """
    with mpmath.workdps(30):

        def density(m: mpmath.mpf) -> mpmath.mpf:
            return 2 * mpmath.npdf(m) * mpmath.ncdf(m) * m * (m * mpmath.ncdf(m) + mpmath.npdf(m))

        moment = mpmath.quad(density, [-mpmath.inf, -2, 0, 2, mpmath.inf])
        return float(moment), float(moment + mpmath.mpf(2) / 3)


@pytest.mark.parametrize("backend", ["cpu", "interpret"])
def test_the_largest_of_two_and_of_three(backend: Literal["cpu", "interpret"]) -> None:
    c = 3
    x = np.sqrt(c) * np.eye(c)[None]
    nngp, ntk = largest_of_two_and_three()
    found = tp.parse(MAXIMUM).compile(backend)(x[:, :2], x, get=("nngp", "ntk"))
    assert found.nngp == pytest.approx(nngp, rel=1e-9)
    assert found.ntk == pytest.approx(ntk, rel=1e-9)


def one_and_two_steps(x: Array, y: Array) -> float:
    """E[h₀(x) h₁(y)] for the gated recurrence: Gauss–Hermite over (u, v₀, v₁) = (U x₀, U y₀, U y₁).

    The gate R h₀ + v₁ and the candidate W h₀ + v₁ have independent first terms of variance q = E h₀(y)², so that
    E Φ(R h₀ + v₁) = Φ(v₁ / √(1 + q)) and E erf(W h₀ + v₁) = erf(v₁ / √(1 + 2 q)).
    """
    data = np.stack([x[0], y[0], y[1]])
    root = np.linalg.cholesky(data @ data.T / data.shape[1])
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    e = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"))
    w = np.einsum("i,j,k->ijk", weights, weights, weights)
    u, v0, v1 = np.einsum("ij,j...->i...", root, e)
    h0, g0 = ndtr(u) * erf(u), ndtr(v0) * erf(v0)
    q = float(np.sum(w * g0**2))
    gate = ndtr(v1 / np.sqrt(1 + q))
    h1 = (1 - gate) * g0 + gate * erf(v1 / np.sqrt(1 + 2 * q))
    return float(np.sum(w * h0 * h1))


def test_one_step_and_two() -> None:
    x, y = normal(2, 1, 3) / 2, normal(2, 2, 3) / 2
    found = kernel("gates")(x, y, get="nngp")
    assert found.shape == (2, 2, 1, 2)
    wanted = [[one_and_two_steps(a, b) for b in y] for a in x]
    assert found[:, :, 0, 1] == pytest.approx(np.array(wanted), rel=1e-9)


@inexact
@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_what_comes_later_does_not_count(kind: str) -> None:
    """A state knows nothing of the steps after it, so that the longer sequence says what the kernel of both is."""
    fixed = tp.parse(GATES.replace("axis b : B", "axis b : 2")).compile(backend="interpret")
    x, y = normal(3, 2, 2), normal(2, 2, 2)
    found, whole = kernel("gates")(x[:, :1], y, get=kind), fixed(x, y, get=kind)
    np.testing.assert_allclose(found, whole[:, :, :1], rtol=1e-9, atol=1e-12)


@inexact
@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("maximum", 2, 3), ("gates", 1, 2), pytest.param("normalized", 3, 2, marks=pytest.mark.slow)],
)
def test_the_two_data_sets_may_change_places(name: str, first: int, second: int) -> None:
    x1, x2 = normal(3, first, 3), normal(2, second, 3)
    for kind in ("nngp", "ntk"):
        here, there = kernel(name)(x1, x2, get=kind), kernel(name)(x2, x1, get=kind)
        np.testing.assert_allclose(swapped(there), here, rtol=1e-9, atol=1e-12)


TWICE = """program twice
width n
axis b : B
axis t : T
input x[b, t] : (c)
param U : (n, c) ~ N(0, 1 / c)
param W : (n, n) ~ N(0, 1 / n)
param Q : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
scan t { s[b, t] = erf(W @ s[b, t - 1] + U @ x[b, t]) }
output f[t] = V @ max[b](Q @ s[b, t])
"""


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_the_largest_of_one_is_that_of_one_twice(kind: str, steps: int) -> None:
    """The second extent is one that the data bind and the derivation need not know; it may differ as well."""
    fixed = tp.parse(TWICE.replace("axis b : B", "axis b : 2")).compile(backend="interpret")
    x, y = normal(2, 1, steps, 2), normal(3, 2, 2, 2)
    found = tp.parse(TWICE).compile(backend="interpret")(x, y, get=kind)
    assert found.shape == (2, 3, steps, 2)
    wanted = fixed(np.concatenate([x, x], axis=1), y, get=kind)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


COUNTED = """program counted
width n
axis b : B
input x : (c)
input y[b] : ()
param U : (n, c) ~ N(0, 1 / c)
param W : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
h[b] = relu(U @ x)
output f = V @ (W @ h[0] + relu(sum[b](h[b])))
"""
PARTS = """program parts
width n
input x : (c)
param U : (n, c) ~ N(0, 1 / c)
param W : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
h = relu(U @ x)
output f = V @ (W @ h)
output g = V @ h
"""


@pytest.mark.parametrize("kind", ["nngp", "ntk"])
def test_extents_count_where_no_data_stand_along_the_axis(kind: str) -> None:
    """relu(B h) = B h, so that the kernel is that of W h and B B′ times that of h."""
    x1, x2 = normal(2, 3), normal(4, 3)
    found = tp.parse(COUNTED).compile()({"x": x1, "y": normal(2, 2)}, {"x": x2, "y": normal(4, 3)}, get=kind)
    parts = tp.parse(PARTS).compile(backend="interpret")
    wanted = parts(x1, x2, get=kind, output="f") + 2 * 3 * parts(x1, x2, get=kind, output="g")
    np.testing.assert_allclose(found, wanted, rtol=1e-11)


def test_a_refusal_speaks_of_the_program_as_it_is_written() -> None:
    with pytest.raises(tp.LimitError) as caught:
        kernel("maximum")(normal(2, 2, 3), normal(2, 17, 3))
    assert "17 positions of `b`" in caught.value.message
    assert "₂" not in str(caught.value)


# Sizes that vary beside such that stay, and parameters over axes of either length.

HEAD = """program several
width n
axis b : B
axis t : T
input x[b, t] : (c)
param U : (n, c) ~ N(0, 1 / c)
param W : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
"""
SAMPLED = {
    "a maximum in a recurrence": "scan t { s[t] = erf(W @ s[t - 1] + max[b](U @ x[b, t])) }\noutput f[t] = V @ s[t]\n",
    "vectors of positions": "param P[b] : (n) ~ N(0, (1 + b) / 4)\n"
    "output f = V @ erf(W @ max[b](U @ x[b, 0] + P[b]))\n",
    "readouts of positions": "param Z[b] : (1, n) ~ N(0, 1 / n)\ng[b] = U @ x[b, 0]\nm = max[b](g[b])\n"
    "output f = V @ m + sum[b](Z[b] @ erf(W @ (2 * g[b] - m)))\n",
    "places in expressions": "g[b] = (1 + b) * (U @ x[b, 0]) / B\n"
    "output f[b] = V @ (W @ relu(max[b](g[b]) - g[b] / 2))\n",
    "layers": "h = max[b](U @ x[b, 0] + W @ mean[t](erf(U @ x[0, t])))\nfor l in 1..2 {\n"
    "param A : (n, n) ~ N(0, 1 / n)\nh = erf(A @ h)\n}\noutput f = V @ h\n",
}
NETWORKS, WIDTH = 300, 400


@inexact
@pytest.mark.slow
@pytest.mark.parametrize("name", [*SAMPLED, "normalized"])
@pytest.mark.parametrize("lengths", [(2, 2), (1, 3)])
def test_sampled_networks_agree(name: str, lengths: tuple[int, int]) -> None:
    """The same draws of the parameters on both data sets: |z| of the mean over networks, for every entry."""
    net = tp.parse(HEAD + SAMPLED[name] if name in SAMPLED else NORMALIZED)
    x1, x2 = (normal(2, extent, length, 2) for extent, length in zip((2, 3), lengths, strict=True))
    if name not in SAMPLED:
        x1, x2 = x1[:, :, 0], x2[:, :, 0]
    found = net.compile()(x1, x2, get=("nngp", "ntk"))
    moments, tangents = [], []
    for seed in range(NETWORKS):
        network = net.sample(width=WIDTH, seed=seed)
        outer = np.multiply.outer(network(x1), network(x2))
        moments.append(outer if outer.ndim == 2 else outer.transpose(0, 2, 1, 3))
        if seed % 5 == 0:
            tangents.append(network.ntk(x1, x2))
    for kind, values in (("nngp", moments), ("ntk", tangents)):
        array, limit = np.array(values), getattr(found, kind)
        error = array.std(axis=0, ddof=1) / np.sqrt(len(array)) + 2 * np.abs(limit).max() / WIDTH
        assert array.shape[1:] == limit.shape
        assert np.all(np.abs(array.mean(axis=0) - limit) < 4 * error), kind


# What else a kernel does.


def test_a_derivation_is_made_once_for_some_extents() -> None:
    found = tp.parse(MAXIMUM).compile(backend="interpret")
    assert isinstance(found, KernelPerExtent)
    assert "none so far" in repr(found)
    for _ in range(2):
        found(normal(2, 1, 3), get="nngp")
        found(normal(2, 1, 3), normal(2, 2, 3), get="nngp")
    assert "B = 1; B = 1 and 2; interpret" in repr(found)


def test_the_report_says_for_which_extents() -> None:
    found = tp.parse(MAXIMUM).compile()
    assert found.report.choices == ()
    found(normal(2, 1, 3), normal(2, 2, 3), get="nngp")
    found(normal(2, 2, 3), get="nngp")
    assert {choice.program for choice in found.report.choices} >= {"pair, B = 1 and 2", "sample, B = 2", "pair, B = 2"}
    assert found.report.files
    assert "pair, B = 1 and 2, line 7" in str(found.report)


def test_source_is_there_after_a_call() -> None:
    found = tp.parse(MAXIMUM).compile()
    with pytest.raises(tp.LimitError) as caught:
        _ = found.source
    assert caught.value.code == "TP310"
    found(normal(2, 1, 3), normal(2, 2, 3))
    assert "def " in found.source


def test_results_go_where_they_are_wanted() -> None:
    found = tp.parse(MAXIMUM).compile(dtype="float32")
    done: list[tuple[int, int]] = []
    found.progress = lambda number, total: done.append((number, total))
    x1, x2 = normal(3, 1, 3), normal(2, 2, 3)
    out = np.empty((3, 2), np.float32)
    assert found(x1, x2, get="nngp", out=out) is out
    np.testing.assert_array_equal(out, found(x1, x2, get="nngp"))
    assert done == [(1, 1), (1, 1)]


def test_requests_are_checked_as_ever() -> None:
    found = kernel("maximum")
    x = normal(2, 2, 3)
    for arguments, options, code in (
        ((x,), {"get": "kernel"}, "TP450"),
        ((x,), {"output": "g"}, "TP451"),
        ((x, normal(2, 3, 4)), {}, "TP406"),
        ((x[0],), {}, "TP403"),
    ):
        with pytest.raises(tp.DataError) as caught:
            found(*arguments, **options)
        assert caught.value.code == code


def test_a_law_that_depends_on_an_extent_that_differs_is_refused() -> None:
    net = tp.parse(MAXIMUM.replace("(1, n) ~ N(0, 1 / n)", "(1, n) ~ N(0, 1 / (n * B))"))
    with pytest.raises(tp.DataError) as caught:
        net.compile()(normal(2, 2, 3), normal(2, 3, 3))
    assert caught.value.code == "TP406"


def test_data_of_too_many_positions_are_refused_by_axis() -> None:
    with pytest.raises(tp.LimitError) as caught:
        kernel("maximum")(normal(2, 17, 3))
    assert caught.value.code == "TP310"
    assert "17 positions of `b`" in caught.value.message


@inexact
def test_verification_takes_the_extents_of_its_data() -> None:
    found = tp.parse(MAXIMUM).verify(normal(2, 2, 3), widths=(32, 64), samples=16)
    assert found.passed
    assert tp.parse(MAXIMUM).verify(widths=(32, 64), samples=16, sizes={"B": 2}).passed
