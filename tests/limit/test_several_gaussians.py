"""Limits of programs whose variables are functions of several Gaussians, against integrals written down by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import special, stats

import tensorprog as tp
from tensorprog.core.build import Loops, build
from tensorprog.limit.backward import derive_backward
from tensorprog.runtime.gram import Kernel

Array = npt.NDArray[np.float64]

HEAD = """program several
width n
input x : (d)
param U : (n, d) ~ N(0, 1 / d)
param B : (n, d) ~ N(0, 1 / d)
param C : (n, d) ~ N(0, 1 / d)
param W : (n, n) ~ N(0, 1 / n)
param A : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
h = U @ x
b = B @ x
c = C @ x
g = W @ relu(h)
"""

ROWS = np.random.default_rng(5).standard_normal((3, 4))
REACH = 9.0


def kernels(body: str, rows: Array = ROWS) -> tuple[Array, Array]:
    """NNGP and NTK."""
    found = tp.parse(HEAD + body).compile(backend="interpret")(rows, get=("nngp", "ntk"))
    return found[0], found[1]


def gauss(count: int, low: float = -REACH, high: float = REACH) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


def pairs() -> list[tuple[int, int]]:
    """Different rows: their laws are not singular."""
    return list(itertools.combinations(range(len(ROWS)), 2))


def arc_cosine(q1: float, q2: float, c: float) -> tuple[float, float]:
    theta = np.arccos(c / np.sqrt(q1 * q2))
    return (np.sqrt(q1 * q2) * np.sin(theta) + (np.pi - theta) * c) / (2 * np.pi), (np.pi - theta) / (2 * np.pi)


# --- a block with its activation last ---------------------------------------------------------------------------------


def above(law: tuple[float, float, float], shift1: Array, shift2: Array) -> tuple[Array, Array]:
    """E[relu(u + a) relu(v + b)] and E[step(u + a) step(v + b)], integrated over u, in closed form over v given u."""
    q1, q2, c = law
    deviation = np.sqrt(q2 - c * c / q1)
    nodes, weights = gauss(80, 0.0, 1.0)
    low = np.maximum(-shift1, -REACH * np.sqrt(q1))[..., None]
    u = low + (REACH * np.sqrt(q1) - low) * nodes
    weight = weights * (REACH * np.sqrt(q1) - low) * stats.norm.pdf(u, scale=np.sqrt(q1))
    mean = shift2[..., None] + c / q1 * u
    beyond = special.ndtr(mean / deviation)
    ramp = mean * beyond + deviation * stats.norm.pdf(mean / deviation)
    return (weight * (u + shift1[..., None]) * ramp).sum(-1), (weight * beyond).sum(-1)


def block(outer: tuple[float, float, float], inner: tuple[float, float, float]) -> tuple[float, float, float]:
    """E[relu(h + relu(g)) relu(h′ + relu(g′))] and the factors of T_h and of T_g, by quadrants of (g, g′)."""
    q1, q2, c = inner
    nodes, weights = gauss(60, 0.0, REACH)
    ahead = np.zeros(1)
    both = above(outer, ahead, ahead)
    orthant = arc_cosine(q1, q2, c)[1]
    second, slope, through = both[0][0] * orthant, both[1][0] * orthant, 0.0
    for p, r, swap in ((q1, q2, False), (q2, q1, True)):
        g = nodes * np.sqrt(p)
        weight = weights * stats.norm.pdf(nodes) * special.ndtr(-c / p * g / np.sqrt(r - c * c / p))
        shifts = (np.zeros_like(g), g) if swap else (g, np.zeros_like(g))
        ramps, steps = above(outer, *shifts)
        second, slope = second + weight @ ramps, slope + weight @ steps
    g1, g2 = np.meshgrid(nodes * np.sqrt(q1), nodes * np.sqrt(q2), indexing="ij")
    density = stats.multivariate_normal([0, 0], [[q1, c], [c, q2]]).pdf(np.stack([g1, g2], -1)) * np.sqrt(q1 * q2)
    weight2 = np.outer(weights, weights) * density
    ramps, steps = above(outer, g1, g2)
    through = float((weight2 * steps).sum())
    return float(second + (weight2 * ramps).sum()), float(slope + through), through


@pytest.mark.slow
def test_a_block_with_its_activation_last_has_its_integrals() -> None:
    found = kernels("output f = V @ relu(h + relu(g))")
    k = ROWS @ ROWS.T / 4
    for i, j in pairs():
        outer = k[i, i], k[j, j], k[i, j]
        second, slope = arc_cosine(*outer)
        inner = k[i, i] / 2, k[j, j] / 2, second
        value, by_h, by_g = block(outer, inner)
        tangent = by_h * k[i, j] + by_g * (second + slope * k[i, j])
        assert found[0][i, j] == pytest.approx(value, abs=2e-8)
        assert found[1][i, j] == pytest.approx(value + tangent, abs=1e-7)


def test_the_diagonal_of_such_a_block_is_an_integral_over_one_sample() -> None:
    k = float(ROWS[0] @ ROWS[0]) / 4
    h, first = gauss(400, -REACH, REACH)
    g, second = gauss(400, 0.0, REACH)
    h1, g1 = h[:, None] * np.sqrt(k), g * np.sqrt(k / 2)
    kinked = np.maximum(h1 + g1, 0.0)
    weight = first[:, None] * second * stats.norm.pdf(h)[:, None] * stats.norm.pdf(g)
    expected = (weight * kinked**2).sum() + k / 4  # g < 0: half of E relu(h)²
    assert kernels("output f = V @ relu(h + relu(g))", ROWS[:1])[0][0, 0] == pytest.approx(expected, rel=1e-4)


# --- products of three and four Gaussians -----------------------------------------------------------------------------

Function = Callable[..., Array]


def independent(function: Function, slopes: tuple[Function, ...], i: int, j: int) -> tuple[float, float]:
    """NNGP and NTK of a polynomial in h, b, c, by Gauss–Hermite products over the six variables (exact)."""
    k = ROWS @ ROWS.T / 4
    root = np.linalg.cholesky(k[np.ix_([i, j], [i, j])])
    nodes, weights = np.polynomial.hermite_e.hermegauss(6)
    grid = np.meshgrid(*[nodes] * 6, indexing="ij")
    weight = np.prod(np.meshgrid(*[weights / weights.sum()] * 6, indexing="ij"), axis=0)
    left = [root[0, 0] * grid[2 * v] for v in range(3)]
    right = [root[1, 0] * grid[2 * v] + root[1, 1] * grid[2 * v + 1] for v in range(3)]
    second = float((weight * function(*left) * function(*right)).sum())
    tangent = sum(float((weight * slope(*left) * slope(*right)).sum()) for slope in slopes) * k[i, j]
    return second, second + tangent


POLYNOMIALS: dict[str, tuple[str, Function, tuple[Function, ...]]] = {
    "three dependent": (
        "u = h + b\nv = b - 2 * c\noutput f = V @ (h * u * v)",
        lambda h, b, c: h * (h + b) * (b - 2 * c),
        (
            lambda h, b, c: (2 * h + b) * (b - 2 * c),
            lambda h, b, c: h * (b - 2 * c) + h * (h + b),
            lambda h, b, c: -2 * h * (h + b),
        ),
    ),
    "four dependent": (
        "u = h + b\nv = b + c\nw = h - c\noutput f = V @ (u * v * w * h + square(v) * w)",
        lambda h, b, c: (h + b) * (b + c) * (h - c) * h + (b + c) ** 2 * (h - c),
        (
            lambda h, b, c: (b + c) * ((h - c) * h + (h + b) * h + (h + b) * (h - c)) + (b + c) ** 2,
            lambda h, b, c: (h - c) * h * ((b + c) + (h + b)) + 2 * (b + c) * (h - c),
            lambda h, b, c: (h + b) * h * ((h - c) - (b + c)) + 2 * (b + c) * (h - c) - (b + c) ** 2,
        ),
    ),
}


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials_of_dependent_gaussians_are_exact(name: str) -> None:
    body, function, slopes = POLYNOMIALS[name]
    found = kernels(body)
    for i, j in pairs():
        expected = independent(function, slopes, i, j)
        assert found[0][i, j] == pytest.approx(expected[0], rel=1e-11)
        assert found[1][i, j] == pytest.approx(expected[1], rel=1e-11)


def test_a_rectified_factor_among_polynomials() -> None:
    """E[relu(h) relu(h′) p p′] for p = (h + b)(b − c): the polynomial is integrated out, the quadrant by panels."""
    found = kernels("u = h + b\nv = b - c\noutput f = V @ (relu(h) * u * v)")[0]
    k = ROWS @ ROWS.T / 4
    nodes, weights = gauss(100, 0.0, REACH)
    for i, j in pairs():
        q1, q2, c = k[i, i], k[j, j], k[i, j]
        x, y = np.meshgrid(nodes * np.sqrt(q1), nodes * np.sqrt(q2), indexing="ij")
        density = stats.multivariate_normal([0, 0], [[q1, c], [c, q2]]).pdf(np.stack([x, y], -1)) * np.sqrt(q1 * q2)
        # E over b, c of (x + b)(b − c)(y + b′)(b′ − c′), with Cov(b, b′) = Cov(c, c′) = k
        inner = x * y * 2 * c + q1 * q2 + c * c + c * c + c * c
        expected = float((np.outer(weights, weights) * density * x * y * inner).sum())
        assert found[i, j] == pytest.approx(expected, rel=1e-8)


# --- maxima -----------------------------------------------------------------------------------------------------------


def orthant(a: Array, b: Array, rho: float) -> Array:
    """P(u < a, v < b) of standard normal u, v of correlation rho (Owen 1956)."""
    rest = np.sqrt(1 - rho * rho)
    owen = special.owens_t(a, (b - rho * a) / (a * rest)) + special.owens_t(b, (a - rho * b) / (b * rest))
    return np.asarray((special.ndtr(a) + special.ndtr(b)) / 2 - owen - np.where(a * b < 0, 0.5, 0.0))


def largest(count: int, rho: float) -> tuple[float, float]:
    """E[max max′] and P(one index is the largest in both) for `count` pairs, independent, of correlation rho.

    Cov(max, max′) = ∫∫ P(max < a, max′ < b) − P(max < a) P(max′ < b) (Hoeffding).
    """
    x, first = gauss(140, -8.0, 8.0)
    y, second = gauss(142, -8.0, 8.0)
    a, b = np.meshgrid(x, y, indexing="ij")
    weight = np.outer(first, second)
    joint = orthant(a, b, rho)
    mean = float(first @ (x * count * special.ndtr(x) ** (count - 1) * stats.norm.pdf(x)))
    apart = np.outer(special.ndtr(x) ** count, special.ndtr(y) ** count)
    covariance = float((weight * (joint**count - apart)).sum())
    density = np.exp(-(a * a - 2 * rho * a * b + b * b) / (2 * (1 - rho**2))) / (2 * np.pi * np.sqrt(1 - rho**2))
    return covariance + mean**2, float((weight * count * density * joint ** (count - 1)).sum())


@pytest.mark.parametrize(("count", "tolerance"), [(2, 1e-9), (3, 1e-6), pytest.param(4, 1e-2, marks=pytest.mark.slow)])
def test_the_largest_of_independent_vectors(count: int, tolerance: float) -> None:
    body = f"axis k : {count}\nparam Q[k] : (n, d) ~ N(0, 1 / d)\nq[k] = Q[k] @ x\noutput f = V @ max[k](q[k])"
    rows = np.array([[1.0, 0.4, -0.3, 0.2], [0.3, 0.9, 0.1, -0.5]])
    rows *= 2 / np.linalg.norm(rows, axis=1, keepdims=True)  # variances of one
    found = kernels(body, rows)
    rho = float(rows[0] @ rows[1]) / 4
    second, same = largest(count, rho)
    assert found[0][0, 1] == pytest.approx(second, abs=tolerance)
    assert found[1][0, 1] == pytest.approx(second + same * rho, abs=2 * tolerance)


def test_the_larger_of_two_has_a_closed_form() -> None:
    body = "output f = V @ max(h, b)"
    assert "numerical" not in str(tp.parse(HEAD + body).derive())
    found, ntk = kernels(body)
    k = ROWS @ ROWS.T / 4
    for i, j in pairs():
        rho = k[i, j] / np.sqrt(k[i, i] * k[j, j])
        moved = np.sqrt(1 - rho**2) + rho * np.arcsin(rho)  # E|d d′| of d = (h − b)/2, over its scale 2/π
        expected = k[i, j] / 2 + np.sqrt(k[i, i] * k[j, j]) / 2 * 2 / np.pi * moved
        assert found[i, j] == pytest.approx(expected, rel=1e-11)
        assert ntk[i, j] == pytest.approx(expected + k[i, j] * (0.5 + np.arcsin(rho) / np.pi), rel=1e-11)


# --- the second witness -----------------------------------------------------------------------------------------------

WITNESSED = {
    "an activation of a sum": "output f = V @ relu(h + relu(g))",
    "a maximum of two": "output f = V @ max(g, A @ relu(h))",
    "a maximum below a layer": "y = max(h, b)\noutput f = V @ relu(W @ y)",
    "a gate": "y = tanh(h + tanh(g))\noutput f = V @ (Phi(A @ erf(h)) * y)",
    "numbers inside": "m = avg(relu(h))\nv = avg(h * h)\noutput f = V @ erf((relu(g) - m) / sqrt(v + 0.1) + h)",
    "a window": "axis k : 2\nparam Q[k] : (n, n) ~ N(0, 1 / n)\nq[k] = Q[k] @ relu(h)\noutput f = V @ max[k](q[k])",
}


@pytest.mark.parametrize("name", WITNESSED)
def test_both_derivations_give_the_ntk(name: str) -> None:
    net = tp.parse(HEAD + WITNESSED[name])
    core = build(net.tree, net.hyperparameters, loops=Loops.UNROLLED)
    forwards = net.compile(backend="interpret")(ROWS)
    backwards = Kernel(core, derive_backward(core, core.outputs[0]), "interpret")(ROWS)
    np.testing.assert_allclose(forwards, backwards, rtol=0, atol=1e-6 * np.abs(backwards).max())


# --- sampled networks -------------------------------------------------------------------------------------------------

SAMPLED = {
    **{name: WITNESSED[name] for name in ("a maximum of two", "a maximum below a layer", "a gate")},
    "two blocks": "y = relu(h + relu(g))\nz = relu(y + A @ y)\noutput f = V @ z",
    "a quotient": "output f = V @ (h / sqrt(h * h + g * g + 1))",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLED)
def test_limit_agrees_with_sampled_networks(name: str) -> None:
    verification = tp.parse(HEAD + SAMPLED[name]).verify(ROWS[:2], widths=(32, 128), samples=24, seed=0)
    assert verification.passed, str(verification)
