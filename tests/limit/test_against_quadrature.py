"""Kernels against numbers from outside: recursions written here, their expectations integrated by other rules."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import integrate, special, stats

import tensorprog as tp

Function = Callable[[Any], Any]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(200)
WEIGHTS = WEIGHTS / WEIGHTS.sum()

X = np.array([[1.0, -0.4, 0.3], [0.2, 0.9, -1.1]])
HEAD = """program net
width n
input x : (d)
param U : (n, d) ~ N(0, 1.3 / d)
param b : (n)    ~ N(0, 0.2)
param V : (1, n) ~ N(0, 1 / n)
param W : (n, n) ~ N(0, 1.7 / n)
param A : (n, n) ~ N(0, 0.6 / n)
h = U @ x + b
"""
Q = 1.3 * X @ X.T / 3 + 0.2
"""The covariance of h."""


def kernels(body: str, expectations: Any = "auto", **hyperparameters: float) -> Any:
    net = tp.parse(HEAD + body, **hyperparameters)
    kernel = net.compile(backend="interpret", expectations=expectations)
    return kernel(X[:1], X[1:], get=("nngp", "ntk")), kernel.diag(X, get=("nngp", "ntk"))


def gauss(f: Function, g: Function, q: Any) -> float:
    """E[f(u) g(v)], (u, v) ~ N(0, q), by 200 × 200 Gauss–Hermite nodes: for smooth f and g."""
    root = np.linalg.cholesky(q)
    u, v = root[0, 0] * NODES[:, None], root[1, 0] * NODES[:, None] + root[1, 1] * NODES[None, :]
    return float(WEIGHTS @ (f(u) * g(v)) @ WEIGHTS)


def kinked(f: Function, g: Function, q: Any) -> float:
    """E[f(u) g(v)] for f and g with a jump or a kink at 0: polar coordinates, cut along the kinks."""
    root = np.linalg.cholesky(q)
    tilt = float(np.arctan2(-root[1, 0], root[1, 1]))
    cuts = sorted({a % (2 * np.pi) for a in (np.pi / 2, 3 * np.pi / 2, tilt, tilt + np.pi)} | {0.0, 2 * np.pi})

    def along(angle: float) -> float:
        u, v = root[0, 0] * np.cos(angle), root[1, 0] * np.cos(angle) + root[1, 1] * np.sin(angle)
        ray = integrate.quad(lambda r: f(r * u) * g(r * v) * r * np.exp(-r * r / 2), 0, 12, epsabs=1e-13, epsrel=1e-12)
        return float(ray[0])

    parts = [integrate.quad(along, a, b, epsabs=1e-12, epsrel=1e-11)[0] for a, b in itertools.pairwise(cuts)]
    return float(sum(parts) / (2 * np.pi))


def relu(u: Any) -> Any:
    return np.maximum(u, 0)


def step(u: Any) -> Any:
    return np.heaviside(u, 0.5)


def both(f: Function, g: Function, q: Any, rule: Callable[[Function, Function, Any], float]) -> Any:
    """The 2 × 2 matrix E[f(h_i) g(h_j)]; its diagonal by one dimension."""
    points = [
        integrate.quad(
            lambda z, s=s: f(s * z) * g(s * z) * stats.norm.pdf(z), -12, 12, points=[0.0], limit=200, epsabs=1e-13
        )[0]
        for s in np.sqrt(np.diag(q))
    ]
    cross, back = rule(f, g, q), rule(g, f, q)
    return np.array([[points[0], cross], [back, points[1]]])


def assert_kernels(found: Any, nngp: Any, ntk: Any, rtol: float = 1e-9) -> None:
    pair, diagonal = found
    for mine, reference, own in zip(pair, (nngp, ntk), diagonal, strict=True):
        assert mine[0, 0] == pytest.approx(reference[0, 1], rel=rtol)
        np.testing.assert_allclose(own, np.diag(reference), rtol=rtol)


ACTIVATIONS = {
    "tanh": (np.tanh, lambda u: 1 / np.cosh(u) ** 2, gauss),
    "erf": (special.erf, lambda u: 2 / np.sqrt(np.pi) * np.exp(-(u**2)), gauss),
    "relu": (relu, step, kinked),
    "sin": (np.sin, np.cos, gauss),
    "gelu": (lambda u: u * special.ndtr(u), lambda u: special.ndtr(u) + u * stats.norm.pdf(u), gauss),
    "square": (lambda u: u**2, lambda u: 2 * u, gauss),
    "cube": (lambda u: u**3, lambda u: 3 * u**2, gauss),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_perceptron(name: str) -> None:
    f, slope, rule = ACTIVATIONS[name]
    k = 1.7 * both(f, f, Q, rule) + 0.2
    t = 1.7 * both(slope, slope, Q, rule) * Q + k
    nngp = both(f, f, k, rule)
    ntk = both(slope, slope, k, rule) * t + nngp
    body = f"param c : (n) ~ N(0, 0.2)\noutput f = V @ {name}(W @ {name}(h) + c)"
    assert_kernels(kernels(body), nngp, ntk, rtol=1e-8 if name == "tanh" else 1e-9)


def test_dependent_branches_do_not_add() -> None:
    y, slope = lambda u: u + relu(u), lambda u: 1 + step(u)
    nngp = both(y, y, Q, kinked)
    assert_kernels(kernels("output f = V @ (h + relu(h))"), nngp, nngp + Q * both(slope, slope, Q, kinked))


def test_dependent_branches_through_two_layers() -> None:
    y, slope = lambda u: u + relu(u), lambda u: 1 + step(u)
    k = 0.6 * both(y, y, Q, kinked)
    t = 0.6 * Q * both(slope, slope, Q, kinked) + k
    nngp = both(y, y, k, kinked)
    found = kernels("y = h + relu(h)\ng = A @ y\noutput f = V @ (g + relu(g))")
    assert_kernels(found, nngp, nngp + t * both(slope, slope, k, kinked))


def test_square_by_isserlis() -> None:
    d = np.diag(Q)
    nngp = np.outer(d, d) + 2 * Q**2
    assert_kernels(kernels("output f = V @ (h * h)"), nngp, nngp + 4 * Q * Q, rtol=1e-13)


def test_gated_product() -> None:
    k1, k2 = 1.7 * both(relu, relu, Q, kinked), 0.6 * both(relu, relu, Q, kinked)
    s, ds = special.expit, lambda u: special.expit(u) * special.expit(-u)
    t0 = Q * both(step, step, Q, kinked)
    t1, t2 = k1 + 1.7 * t0, k2 + 0.6 * t0
    gate, gate_slope = both(s, s, k2, gauss), both(ds, ds, k2, gauss)
    nngp = k1 * gate
    found = kernels("a = relu(h)\noutput f = V @ ((W @ a) * sigmoid(A @ a))")
    assert_kernels(found, nngp, nngp + t1 * gate + t2 * k1 * gate_slope, rtol=1e-8)


def test_layer_norm_after_relu_subtracts_the_mean() -> None:
    m, second = np.sqrt(np.diag(Q) / (2 * np.pi)), both(relu, relu, Q, kinked)
    v = np.diag(Q) / 2 - m**2  # Var relu(u), u ~ N(0, q)
    c = 1 / np.sqrt(v + 1e-3)
    nngp = (second - np.outer(m, m)) * np.outer(c, c)
    ntk = nngp + Q * both(step, step, Q, kinked) * np.outer(c, c)
    body = "r = relu(h)\nm = avg(r) ; v = avg((r - m)^2)\noutput f = V @ ((r - m) / sqrt(v + 1e-3))"
    assert_kernels(kernels(body), nngp, ntk)


def test_standard_parametrization_and_frozen_layers() -> None:
    k = both(relu, relu, Q, kinked)
    body = "frozen F : (n, n) ~ N(0, 2 / n)\nparam R : (1, n) ~ N(0, 1 / n) lr 3 / n\noutput f = R @ relu(F @ relu(h))"
    nngp = both(relu, relu, 2 * k, kinked)
    slope = both(step, step, 2 * k, kinked) * 2 * both(step, step, Q, kinked)
    assert_kernels(kernels(body), nngp, 3 * nngp + slope * Q)


def test_a_bias_without_variance_trains_at_its_rate() -> None:
    body = "param c : (n) ~ N(0, 0) lr 0.7\noutput f = V @ relu(h + c)"
    nngp = both(relu, relu, Q, kinked)
    assert_kernels(kernels(body), nngp, nngp + (Q + 0.7) * both(step, step, Q, kinked))


def test_a_nonzero_mean() -> None:
    body = "param c : (n) ~ N(0.7, 0)\noutput f = V @ tanh(h + c)"
    f, slope = lambda u: np.tanh(u + 0.7), lambda u: 1 / np.cosh(u + 0.7) ** 2
    nngp = both(f, f, Q, gauss)
    assert_kernels(kernels(body), nngp, nngp + Q * both(slope, slope, Q, gauss), rtol=1e-8)


def test_one_width_twice_the_other() -> None:
    body = "width m = 2 * n\nparam B : (m, n) ~ N(0, 1 / n)\nparam R : (1, m) ~ N(0, 1 / n)\noutput f = R @ relu(B @ h)"
    second, slope = both(relu, relu, Q, kinked), both(step, step, Q, kinked)
    assert_kernels(kernels(body), 2 * second, 2 * second + 2 * slope * (Q + Q))


def test_scalars_of_the_sample() -> None:
    second = both(relu, relu, Q, kinked)
    s1, s2 = np.sqrt(np.diag(Q) / (2 * np.pi)), np.diag(Q) / 2  # E relu(u), E[u relu(u)]
    factor = np.outer(s1 * s2, s1 * s2)
    body = "r = relu(h)\ns1 = avg(r) ; s2 = dot(h, r) / n\noutput f = V @ (s1 * s2 * r)"
    assert_kernels(kernels(body), factor * second, factor * (second + Q * both(step, step, Q, kinked)))


def test_attention_scores_of_independent_queries_and_keys_vanish() -> None:
    body = "s = dot(W @ h, A @ h) / n\noutput f = V @ (exp(s) * h)"
    assert_kernels(kernels(body), Q, 2 * Q, rtol=1e-13)


def test_numerical_expectations_agree_with_closed_forms() -> None:
    body = "output f = V @ gelu(W @ relu(h))"
    auto, numeric = kernels(body), kernels(body, expectations="numeric")
    for mine, other in zip((*auto[0], *auto[1]), (*numeric[0], *numeric[1]), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-7)


def _gaussian_at_zero(q: Any) -> Any:
    return mpmath.mpf(1) / mpmath.sqrt(2 * mpmath.pi * q)


def test_surrogate_kernel_of_a_step() -> None:
    # The true derivative of step is δ at x, the surrogate σ(v) = 1 / (1 + |v|)² at x':
    # E[δ(u) σ(v)] = p(u = 0) E[σ(v) | u = 0], v | u = 0 ~ N(0, q2 − c² / q1).
    (q1, c), (_, q2) = Q.tolist()
    rest = mpmath.sqrt(q2 - c * c / q1)
    given = 2 * mpmath.quad(lambda v: mpmath.npdf(v, 0, rest) / (1 + v) ** 2, [0, rest, 3 * rest, 12 * rest])
    second = mpmath.acos(-c / mpmath.sqrt(q1 * q2)) / (2 * mpmath.pi)  # E[step(u) step(v)] (Sheppard 1899)
    expected = float(second + c * _gaussian_at_zero(q1) * given)
    net = tp.parse(HEAD + "fn spike(u) = step(u) derivative 1 / (1 + abs(u))^2\noutput f = V @ spike(h)")
    kernel = net.compile(backend="interpret")
    assert kernel(X[:1], X[1:], get="sg_ntk")[0, 0] == pytest.approx(expected, rel=1e-9)
    assert kernel(X[:1], X[1:], get="sg_ntk")[0, 0] != pytest.approx(kernel(X[1:], X[:1], get="sg_ntk")[0, 0], rel=1e-5)


def test_surrogate_kernel_of_a_sign_on_one_sample() -> None:
    # E[2 δ(u) σ(u)] = 2 σ(0) / √(2 π q), σ(u) = exp(−u²).
    q = float(Q[0, 0])
    net = tp.parse(HEAD + "fn fire(u) = sign(u) derivative gauss(u)\noutput f = V @ fire(h)")
    found = net.compile(backend="interpret").diag(X[:1], get="sg_ntk")
    assert found[0] == pytest.approx(float(1 + 2 * q * _gaussian_at_zero(q)), rel=1e-12)


def test_surrogate_ntk_pairs_the_surrogate_with_itself() -> None:
    net = tp.parse(HEAD + "fn fire(u) = sign(u) derivative gauss(u)\noutput f = V @ fire(h)")
    second = 2 / np.pi * np.arcsin(Q[0, 1] / np.sqrt(Q[0, 0] * Q[1, 1]))
    found = net.compile(backend="interpret")(X[:1], X[1:], get="ntk")[0, 0]
    assert found == pytest.approx(
        second + Q[0, 1] * gauss(lambda u: np.exp(-(u**2)), lambda u: np.exp(-(u**2)), Q), rel=1e-9
    )


def test_first_program_of_the_language() -> None:
    text = """program mlp(sw2 = 2.0, sb2 = 0.1)
width n
input x : (d)
param W1 : (n, d) ~ N(0, sw2 / d)
param b1 : (n)    ~ N(0, sb2)
param W2 : (n, n) ~ N(0, sw2 / n)
param b2 : (n)    ~ N(0, sb2)
param V  : (1, n) ~ N(0, 1 / n)
h1 = W1 @ x + b1
h2 = W2 @ relu(h1) + b2
output f = V @ relu(h2)
"""
    k1 = 2.0 * X @ X.T / 3 + 0.1
    k2 = 2.0 * both(relu, relu, k1, kinked) + 0.1
    t2 = k2 + 2.0 * both(step, step, k1, kinked) * k1
    nngp = both(relu, relu, k2, kinked)
    ntk = nngp + both(step, step, k2, kinked) * t2
    kernel = tp.parse(text).compile(backend="interpret")
    found = kernel(X[:1], X[1:], get=("nngp", "ntk")), kernel.diag(X, get=("nngp", "ntk"))
    assert_kernels(found, nngp, ntk)


@pytest.mark.parametrize(
    "body", ["output f = V @ relu(W @ relu(h))", "output f = V @ (h + relu(h))", "output f = V @ (h * h)"]
)
def test_one_copy_is_the_limit_of_two(body: str) -> None:
    kernel = tp.parse(HEAD + body).compile(backend="interpret")
    for get in ("nngp", "ntk"):
        pair = np.diag(kernel(X, X.copy(), get=get))
        np.testing.assert_allclose(pair, kernel.diag(X, get=get), rtol=1e-7)
        assert (np.diag(kernel(X, get=get)) == kernel.diag(X, get=get)).all()
