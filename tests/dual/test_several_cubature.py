"""Cubature over several Gaussians against closed forms, published values and independent rules."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest
from scipy import special

from tensorprog.dual.cubature.cubature import Estimate, joint_cubature
from tensorprog.dual.cubature.gates import find_pieces, pair_moment
from tensorprog.dual.cubature.law import Gaussians, by_rank
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Number, Operand, Symbol, apply

Array = npt.NDArray[np.float64]

U = [Operand(i) for i in range(8)]


def relu(u: Expr) -> Expr:
    return apply("relu", u)


def step(u: Expr) -> Expr:
    return apply("step", u)


def tanh(u: Expr) -> Expr:
    return apply("tanh", u)


def largest(*values: Expr) -> Expr:
    result = values[0]
    for value in values[1:]:
        result = apply("max", result, value)
    return result


def centred(function: Expr, covariances: Array) -> Estimate:
    return joint_cubature(function, np.zeros(covariances.shape[:2]), covariances, {})


def two_layers(h: tuple[float, float, float], g: tuple[float, float, float]) -> Array:
    """The covariances of (h, g, h′, g′), h independent of g, from (q1, q2, c) of each."""
    result = np.zeros((4, 4))
    for place, (q1, q2, c) in enumerate((h, g)):
        result[place, place], result[place + 2, place + 2] = q1, q2
        result[place, place + 2] = result[place + 2, place] = c
    return result


def random_layers(count: int, seed: int, low: float, high: float) -> Array:
    rng = np.random.default_rng(seed)
    laws = []
    for _ in range(count):
        entries = []
        for _ in range(2):
            q1, q2 = np.exp(rng.uniform(math.log(low), math.log(high), size=2))
            entries.append((q1, q2, math.tanh(1.5 * rng.normal()) * math.sqrt(q1 * q2)))
        laws.append(two_layers(*entries))
    return np.array(laws)


RELU_BLOCK = relu(U[0] + relu(U[1])) * relu(U[2] + relu(U[3]))
STEP_BLOCK = step(U[0] + relu(U[1])) * step(U[2] + relu(U[3]))
GATED_BLOCK = step(U[1]) * step(U[3]) * STEP_BLOCK
TANH_BLOCK = tanh(U[0] + tanh(U[1])) * tanh(U[2] + tanh(U[3]))


def line(kink: Array, count: int = 40, reach: float = 9.0) -> tuple[Array, Array]:
    """Gauss–Legendre for the standard normal law on both sides of a kink: nodes and weights (…, 2 · 3 · count)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    kink = np.clip(kink, -reach, reach)[..., None]
    z, w = [], []
    for start, end in ((-reach + 0 * kink, kink), (kink, reach + 0 * kink)):
        cuts = [start + (end - start) * part for part in (0, 1 / 3, 2 / 3, 1)]
        for low, high in itertools.pairwise(cuts):
            z.append(0.5 * (low + high) + 0.5 * (high - low) * nodes)
            w.append(0.5 * (high - low) * weights * np.exp(-0.5 * z[-1] ** 2) / math.sqrt(2 * math.pi))
    return np.concatenate(z, axis=-1), np.concatenate(w, axis=-1)


def block_reference(outer: Callable[[Array], Array], inner: str, law: Array) -> float:
    """E[w(g) w(g′) φ(h + relu(g)) φ(h′ + relu(g′))] in three dimensions, φ = relu or step, w = `outer`.

    The last dimension is E[φ(h′ + m′) | h], in closed form.
    """
    (q1, q2, c), (p1, p2, d) = ((law[i, i], law[i + 2, i + 2], law[i, i + 2]) for i in (0, 1))
    z, weight = line(np.zeros(()))
    g = math.sqrt(p1) * z
    slope, left = d / math.sqrt(p1), math.sqrt(max(p2 - d * d / p1, 0.0))
    y, inner_weight = line(-slope * z / left)
    second = slope * z[:, None] + left * y
    m1, m2 = np.maximum(g, 0)[:, None] + 0 * second, np.maximum(second, 0)
    total = np.zeros_like(second)
    s1, rest = math.sqrt(q1), math.sqrt(max(q2 - c * c / q1, 0.0))
    for i in range(len(z)):
        x, v = line(-m1[i] / s1)
        h = m1[i][:, None] + s1 * x
        mean = m2[i][:, None] + c / s1 * x
        k = mean / rest
        if inner == "relu":
            below = mean * special.ndtr(k) + rest * np.exp(-0.5 * k * k) / math.sqrt(2 * math.pi)
            total[i] = np.sum(v * np.maximum(h, 0) * below, axis=1)
        else:
            total[i] = np.sum(v * (h > 0) * special.ndtr(k), axis=1)
    return float(np.sum(weight[:, None] * inner_weight * outer(g)[:, None] * outer(second) * total))


def ones(g: Array) -> Array:
    return np.ones_like(g)


def open_gate(g: Array) -> Array:
    return (g > 0).astype(np.float64)


BLOCKS = {
    "relu": (RELU_BLOCK, ones, "relu"),
    "step": (STEP_BLOCK, ones, "step"),
    "gated": (GATED_BLOCK, open_gate, "step"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("function", "outer", "inner"), BLOCKS.values(), ids=BLOCKS)
def test_residual_blocks_against_an_independent_rule(
    function: Expr, outer: Callable[[Array], Array], inner: str
) -> None:
    laws = random_layers(3, 0, 0.1, 5.0)
    found = centred(function, laws)
    expected = np.array([block_reference(outer, inner, law) for law in laws])
    assert (found.error <= 1e-8 * found.scale).all()
    assert (np.abs(found.value - expected) <= found.error + 1e-10 * found.scale).all()


@pytest.mark.slow
def test_residual_block_where_the_copies_share_one_layer() -> None:
    """With h, h′ independent it is E[a(g) a(g′)], a(g) = E relu(h + relu(g)): two dimensions for mpmath."""
    with mp.workdps(15):
        q, p, d = mp.mpf("0.8"), mp.mpf("1.2"), mp.mpf("0.5")
        s = mp.sqrt(q)
        rule = {"method": "gauss-legendre", "maxdegree": 4}

        def a(m: mp.mpf) -> mp.mpf:
            return m * mp.ncdf(m / s) + s * mp.npdf(m / s)

        def inner(g: mp.mpf) -> mp.mpf:
            mean, left = d / p * g, mp.sqrt(p - d * d / p)
            points = [mean - 9 * left, min(max(mp.mpf(0), mean - 9 * left), mean + 9 * left), mean + 9 * left]
            return a(max(g, 0)) * mp.quad(lambda v: a(max(v, 0)) * mp.npdf(v, mean, left), points, **rule)

        expected = mp.quad(lambda g: inner(g) * mp.npdf(g, 0, mp.sqrt(p)), [-9, 0, 9], **rule)
    law = two_layers((0.8, 0.8, 0.0), (1.2, 1.2, 0.5))
    found = centred(RELU_BLOCK, law[None])
    assert abs(found.value[0] - float(expected)) <= found.error[0] + 1e-11
    assert found.error[0] <= 1e-8 * found.scale[0]


@pytest.mark.parametrize("function", [RELU_BLOCK, STEP_BLOCK, GATED_BLOCK])
def test_diagonal_is_the_pair_at_equal_samples(function: Expr) -> None:
    """At x′ = x the copies coincide, the rank is two, and the value that of the function of one copy."""
    layers = [two_layers((q, q, q), (p, p, p)) for q, p in ((1.0, 1.0), (0.3, 2.0), (2.0, 0.1))]
    pair = centred(function, np.array(layers))
    body = relu(U[0] + relu(U[1])) ** 2 if function is RELU_BLOCK else step(U[0] + relu(U[1]))
    own = body * step(U[1]) if function is GATED_BLOCK else body
    single = centred(own, np.array([layer[:2, :2] for layer in layers]))
    assert (np.abs(pair.value - single.value) <= pair.error + single.error).all()
    assert (pair.error <= 1e-8 * pair.scale).all()
    assert (single.error <= 1e-8 * single.scale).all()


@pytest.mark.parametrize("distance", [1e-9, 1e-6, 1e-3])
def test_near_duplicates_are_near_the_diagonal(distance: float) -> None:
    """The expectation is Lipschitz in the covariance for continuous functions, Hölder of order ½ for jumps."""
    c = 1 - distance**2 / 2
    near = np.array([two_layers((1, 1, c), (1, 1, c)), two_layers((1, 1, 1), (1, 1, 1))])
    for function, order in ((RELU_BLOCK, 2), (TANH_BLOCK, 2), (STEP_BLOCK, 1)):
        found = centred(function, near)
        assert abs(found.value[0] - found.value[1]) <= found.error.sum() + 2 * distance**order


def lattice_reference(function: Callable[..., Array], law: Array, spacing: float = 0.4, reach: float = 6.4) -> float:
    """The trapezoidal rule in all four dimensions."""
    nodes = np.arange(-reach, reach + spacing / 2, spacing)
    z = np.meshgrid(*[nodes] * 4, indexing="ij")
    weight = np.exp(-0.5 * sum(axis**2 for axis in z)) * (spacing / math.sqrt(2 * math.pi)) ** 4
    root = np.linalg.cholesky(law)
    u = [sum(root[i, j] * z[j] for j in range(i + 1)) for i in range(4)]
    return float(np.sum(weight * function(*u)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_smooth_blocks(seed: int) -> None:
    laws = random_layers(4, seed, 0.1, 0.5)
    found = centred(TANH_BLOCK, laws)
    for law, value, error, scale in zip(laws, found.value, found.error, found.scale, strict=True):
        expected = lattice_reference(lambda a, b, c, d: np.tanh(a + np.tanh(b)) * np.tanh(c + np.tanh(d)), law)
        assert error <= 1e-8 * scale
        assert abs(value - expected) <= error + 2e-9 * scale


@pytest.mark.slow
def test_two_smooth_rules_agree() -> None:
    """A function of two halves has a Hermite series; the same plus a product of all variables has the lattice."""
    laws = random_layers(5, 7, 0.05, 0.4)
    series = centred(TANH_BLOCK, laws)
    lattice = centred(TANH_BLOCK + U[0] * U[1] * U[2] * U[3], laws)
    extra = laws[:, 0, 2] * laws[:, 1, 3]
    assert (np.abs(series.value + extra - lattice.value) <= series.error + lattice.error).all()
    assert (series.error <= 1e-9 * series.scale).all()
    assert (lattice.error <= 1e-5 * lattice.scale).all()


@pytest.mark.parametrize("rho", [(0.5, 0.2, -0.3), (0.9, 0.9, 0.9), (0.0, 0.0, 0.0), (-0.4, 0.6, 0.1)])
def test_orthant_of_three(rho: tuple[float, float, float]) -> None:
    """P(all positive) = 1/8 + (asin ρ₁₂ + asin ρ₁₃ + asin ρ₂₃)/4π."""
    law = np.eye(3)
    for (i, j), value in zip(((0, 1), (0, 2), (1, 2)), rho, strict=True):
        law[i, j] = law[j, i] = value
    found = centred(step(U[0]) * step(U[1]) * step(U[2]), law[None])
    expected = 0.125 + sum(map(math.asin, rho)) / (4 * math.pi)
    assert abs(found.value[0] - expected) <= found.error[0]
    assert found.error[0] <= 1e-8


@pytest.mark.parametrize(("size", "accuracy"), [(4, 1e-8), (6, 1e-3), (8, 2e-3)])
def test_orthants_of_equally_correlated_variables(size: int, accuracy: float) -> None:
    """P(all positive) = 1/(k + 1) at correlation ½."""
    function: Expr = Number(1)
    for i in range(size):
        function = function * step(U[i])
    found = centred(function, (0.5 * np.eye(size) + 0.5)[None])
    assert abs(found.value[0] - 1 / (size + 1)) <= found.error[0]
    assert found.error[0] <= accuracy


EXPECTED_LARGEST = {
    3: 3 / (2 * math.sqrt(math.pi)),
    4: 1.0293753730039641,
    6: 1.2672063606114712,
    8: 1.4236003060469870,
}
"""Order statistics of the normal law (Harter 1961)."""


@pytest.mark.parametrize("size", EXPECTED_LARGEST)
def test_largest_of_several(size: int) -> None:
    found = centred(largest(*U[:size]), np.eye(size)[None])
    assert abs(found.value[0] - EXPECTED_LARGEST[size]) <= found.error[0]
    assert found.error[0] <= 1e-3 * found.scale[0]


@pytest.mark.parametrize("size", [3, 4])
def test_two_windows(size: int) -> None:
    """Two independent windows have the product of their means; a window with itself E max² = 1 + √3/2π of three."""
    function = largest(*U[:size]) * largest(*U[size : 2 * size])
    one = np.eye(size)
    laws = np.array([np.eye(2 * size), np.block([[one, one], [one, one]])])
    found = centred(function, laws)
    square = {3: 1 + math.sqrt(3) / (2 * math.pi), 4: 1 + math.sqrt(3) / math.pi}[size]
    expected = np.array([EXPECTED_LARGEST[size] ** 2, square])
    assert (np.abs(found.value - expected) <= found.error).all()
    assert (found.error <= 1.5e-3 * found.scale).all()


@pytest.mark.slow
def test_standard_errors_are_true() -> None:
    """Orthants of u_i = m_i + b_i t + d_i z_i: P = ∫ φ(t) Π Φ((m_i + b_i t)/d_i) dt, with three standard errors."""
    rng = np.random.default_rng(0)
    means, loads, deviations = (
        0.5 * rng.normal(size=(40, 6)),
        rng.normal(size=(40, 6)),
        np.exp(rng.normal(size=(40, 6))),
    )
    laws = loads[:, :, None] * loads[:, None, :] + np.array([np.diag(d**2) for d in deviations])
    t = np.linspace(-9, 9, 4001)
    density = np.exp(-0.5 * t * t) / math.sqrt(2 * math.pi) * (t[1] - t[0])
    tails = special.ndtr((means[:, :, None] + loads[:, :, None] * t) / deviations[:, :, None])
    expected = np.sum(density * np.prod(tails, axis=1), axis=1)
    function: Expr = Number(1)
    for i in range(6):
        function = function * step(U[i])
    found = joint_cubature(function, means, laws, {})
    relative = np.abs(found.value - expected) / found.error
    assert (relative <= 1).mean() >= 0.95
    assert relative.max() <= 2
    assert (found.error <= 5e-4).all()
    assert np.sqrt(np.mean(relative**2)) >= 0.1


def test_variables_without_variance_are_numbers() -> None:
    law = two_layers((1.0, 1.0, 0.4), (0.0, 0.0, 0.0))
    means = np.array([[0.0, 0.7, 0.0, -0.2]])
    found = joint_cubature(RELU_BLOCK, means, law[None], {})
    linear = find_pieces(relu(U[0]))
    assert linear is not None
    shifted = pair_moment(linear, linear, *(np.array([x]) for x in (0.7, 0.0, 1.0, 1.0, 0.4)))
    assert found.value[0] == pytest.approx(shifted[0], rel=1e-14)
    nothing = joint_cubature(TANH_BLOCK, means, np.zeros((1, 4, 4)), {})
    assert nothing.value[0] == pytest.approx(math.tanh(math.tanh(0.7)) * math.tanh(math.tanh(-0.2)), rel=1e-15)


def test_hyperparameters_have_values() -> None:
    slope = Symbol("slope")
    leaky = apply("leaky_relu", U[0] + relu(U[1]), slope)
    law = np.array([[[1.0, 0.0], [0.0, 2.0]]])
    found = joint_cubature(leaky, np.zeros((1, 2)), law, {"slope": 0.25})
    open_part = joint_cubature(relu(U[0] + relu(U[1])), np.zeros((1, 2)), law, {})
    mean = math.sqrt(2.0 / (2 * math.pi))
    assert found.value[0] == pytest.approx(0.25 * mean + 0.75 * open_part.value[0], rel=1e-9)


def test_laws_do_not_depend_on_their_neighbours() -> None:
    laws = random_layers(8, 3, 0.1, 3.0)
    together = centred(RELU_BLOCK, laws)
    for number in (0, 5):
        alone = centred(RELU_BLOCK, laws[number : number + 1])
        assert alone.value[0] == pytest.approx(together.value[number], rel=1e-13)


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_normal_forms_of_singular_covariances(rank: int) -> None:
    root = np.random.default_rng(rank).normal(size=(5, 4, rank))
    laws = Gaussians(np.zeros((5, 4)), root @ root.transpose(0, 2, 1))
    for where, form in by_rank(laws, 4):
        assert form.roots.shape[2] == rank
        assert np.allclose(form.roots @ form.roots.transpose(0, 2, 1), laws.covariances[where], atol=1e-7)


@pytest.mark.parametrize("first", ["relu", "step"])
@pytest.mark.parametrize("second", ["relu", "step"])
def test_pieces_with_means_against_mpmath(first: str, second: str) -> None:
    rng = np.random.default_rng(0)
    one, other = (find_pieces(apply(name, U[0])) for name in (first, second))
    assert one is not None
    assert other is not None
    for _ in range(3):
        m1, m2 = 1.5 * rng.normal(size=2)
        q1, q2 = np.exp(rng.normal(size=2))
        c = math.tanh(1.5 * rng.normal()) * math.sqrt(q1 * q2)
        with mp.workdps(20):
            s, left = mp.sqrt(q1), mp.sqrt(mp.mpf(q2) - mp.mpf(c) ** 2 / mp.mpf(q1))

            def integrand(
                z: mp.mpf, s: mp.mpf = s, left: mp.mpf = left, law: tuple[float, ...] = (m1, m2, q1, c)
            ) -> mp.mpf:
                x = law[0] + s * z
                mean = law[1] + law[3] / mp.mpf(law[2]) * s * z
                below = (
                    mp.ncdf(mean / left)
                    if second == "step"
                    else mean * mp.ncdf(mean / left) + left * mp.npdf(mean / left)
                )
                return (x if first == "relu" else 1) * below * mp.npdf(z)

            start = -m1 / s
            expected = mp.quad(
                integrand, [start, start + 1, start + 2, start + 4, start + 8, max(start + 9, mp.mpf(13))]
            )
        found = pair_moment(one, other, *(np.array([x]) for x in (m1, m2, q1, q2, c)))
        assert found[0] == pytest.approx(float(expected), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    "function",
    [
        apply("abs", U[0]),
        apply("leaky_relu", U[0], Number(0.1)),
        apply("min", apply("max", U[0], Number(-1)), Number(0.5)),
        relu(U[0] - 1) ** 2 - step(U[0]) * U[0],
        step(U[0]) * step(1 - U[0]),
    ],
)
def test_functions_made_of_pieces(function: Expr) -> None:
    pieces = find_pieces(function)
    assert pieces is not None
    x = np.linspace(-3, 3, 41)
    total = np.zeros_like(x)
    for weight, place, power in pieces.terms:
        beyond = x if place == -math.inf else np.maximum(x - place, 0)
        open_ = np.ones_like(x) if place == -math.inf else np.heaviside(x - place, 0.5)
        total += weight * (open_ if power == 0 else beyond**power)
    assert np.allclose(total, evaluate(function, [x], {}), atol=1e-12)
    assert find_pieces(tanh(U[0])) is None
