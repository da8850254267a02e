"""Expectations of ratios of Gaussians, as in batch normalization, against integrals over spheres and sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest

from tensorprog.dual.cubature.cubature import joint_cubature
from tensorprog.dual.joint.quotients import quotient_estimate
from tensorprog.dual.joint.wedges import wedge_moment
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Number, Operand, Symbol, apply

Array = npt.NDArray[np.float64]
Estimate = tuple[float, float, float]


def deviation(first: int, size: int, eps: float) -> Expr:
    """√(mean of squares + eps) of some operands."""
    total: Expr = Operand(first) ** Number(2)
    for index in range(first + 1, first + size):
        total = total + Operand(index) ** Number(2)
    return apply("sqrt", total / Number(size) + Number(eps) if eps else total / Number(size))


def relu(x: Expr) -> Expr:
    return apply("relu", x)


def step(x: Expr) -> Expr:
    return apply("step", x)


def normalized(a: int, first: int, size: int, eps: float = 0.0) -> Expr:
    return relu(Operand(a) / deviation(first, size, eps))


def slope(a: int, first: int, size: int, eps: float = 0.0) -> Expr:
    """∂ relu(u_a/σ)/∂u_a, σ fixed."""
    sigma = deviation(first, size, eps)
    return step(Operand(a) / sigma) / sigma


def turn(a: int, c: int, first: int, size: int, eps: float = 0.0) -> Expr:
    """∂ relu(u_a/σ)/∂u_c through σ, up to the sign, as the chain rule writes it."""
    sigma = deviation(first, size, eps)
    return Operand(a) * Operand(c) * step(Operand(a) / sigma) / sigma ** Number(2) / (2 * sigma)


def estimate(function: Expr, covariance: Array) -> Estimate:
    found = quotient_estimate(function, np.zeros((1, len(covariance))), covariance[None])
    assert found is not None
    value, error, scale = (float(part[0]) for part in found)
    return value, error, scale


def centred(count: int, size: int, rng: np.random.Generator, spread: float = 1.0) -> Array:
    """Return the covariance of `count` batches of `size` Gaussians, minus the means of their batches."""
    root = rng.standard_normal((count * size, count * size + 1)) * spread ** rng.uniform(-1, 1, (count * size, 1))
    centring = np.kron(np.eye(count), np.eye(size) - 1 / size)
    return np.asarray(centring @ root @ root.T @ centring / root.shape[1])


def plane(size: int) -> Array:
    """Return an orthonormal basis (size, size − 1) of the vectors of mean zero."""
    return np.asarray(np.linalg.qr(np.column_stack([np.ones(size), np.eye(size)[:, : size - 1]]))[0][:, 1:])


def gauss_legendre(low: float, high: float, count: int = 120) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return 0.5 * (high - low) * nodes + 0.5 * (high + low), 0.5 * (high - low) * weights


# --- batches of three: a circle, mpmath -------------------------------------------------------------------------------


def on_circle(order: int, f: Callable[[Sequence[Any]], Any], lines: Sequence[int], covariance: Array) -> float:
    """Return E f(u) for f homogeneous of degree −order, u of mean zero in three coordinates, at 30 digits."""
    with mp.workdps(30):
        basis = mp.matrix([[1 / mp.sqrt(2), 1 / mp.sqrt(6)], [-1 / mp.sqrt(2), 1 / mp.sqrt(6)], [0, -2 / mp.sqrt(6)]])
        inner = basis.T * mp.matrix(covariance.tolist()) * basis
        precision, root = inner**-1, mp.sqrt(mp.det(inner))
        k = mp.mpf(2 - order) / 2

        def integrand(angle: Any) -> Any:
            w = mp.matrix([mp.cos(angle), mp.sin(angle)])
            a = (w.T * precision * w)[0]
            return f(basis * w) * (2 / a) ** k * mp.gamma(k) / 2

        edges = [mp.atan2(basis[i, 0], -basis[i, 1]) % mp.pi for i in lines]
        places = sorted({mp.mpf(0), 2 * mp.pi, *edges, *(edge + mp.pi for edge in edges)})
        return float(mp.quad(integrand, places) / (2 * mp.pi * root))


def mp_sigma(u: Sequence[Any]) -> Any:
    return mp.sqrt((u[0] ** 2 + u[1] ** 2 + u[2] ** 2) / 3)


def mp_relu(x: Any) -> Any:
    return x if x > 0 else mp.mpf(0)


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_batches_of_three_against_an_integral_over_a_circle(spread: float) -> None:
    covariance = centred(1, 3, np.random.default_rng(3), spread)
    cases = [
        (0, normalized(0, 0, 3) * normalized(1, 0, 3), lambda u: mp_relu(u[0]) * mp_relu(u[1]) / mp_sigma(u) ** 2),
        (0, normalized(2, 0, 3) * normalized(2, 0, 3), lambda u: mp_relu(u[2]) ** 2 / mp_sigma(u) ** 2),
        (1, slope(0, 0, 3) * normalized(2, 0, 3), lambda u: (u[0] > 0) * mp_relu(u[2]) / mp_sigma(u) ** 2),
        (1, turn(0, 2, 0, 3), lambda u: (u[0] > 0) * u[0] * u[2] / 2 / mp_sigma(u) ** 3),
        (-1, deviation(0, 3, 0.0) * step(Operand(1)), lambda u: (u[1] > 0) * mp_sigma(u)),
    ]
    for order, function, f in cases:
        value, error, scale = estimate(function, covariance)
        exact = on_circle(order, f, (0, 1, 2), covariance)
        assert abs(value - exact) <= error + 1e-14 * scale
        assert error <= 1e-10 * scale
        assert abs(value - exact) <= 1e-11 * scale


# --- batches of four: a sphere, in lunes ------------------------------------------------------------------------------


def on_sphere(order: int, f: Callable[[Array], Array], a: int, b: int, covariance: Array) -> float:
    """Return E f(u) step(u_a) step(u_b) for smooth f, homogeneous of degree −order, u of mean zero in four coordinates.

    The directions with u_a, u_b > 0 are a lune; in spherical coordinates about its axis it is a rectangle.
    """
    basis = plane(4)
    inner = basis.T @ covariance @ basis
    precision = np.linalg.inv(inner)
    first, second = basis[a] / np.linalg.norm(basis[a]), basis[b] / np.linalg.norm(basis[b])
    axis = np.cross(first, second)
    axis = axis / np.linalg.norm(axis)
    across = np.cross(axis, first)
    angle = math.atan2(float(second @ across), float(second @ first))  # between the normals, in (0, π)
    height, height_weights = gauss_legendre(-1.0, 1.0)
    azimuth, azimuth_weights = gauss_legendre(angle - math.pi / 2, math.pi / 2)
    flat = np.sqrt(1 - height**2)[:, None]
    w = flat[..., None] * (np.cos(azimuth)[:, None] * first + np.sin(azimuth)[:, None] * across)
    w = w + height[:, None, None] * axis
    k = (3 - order) / 2
    radial = 0.5 * (2 / np.einsum("...i,ij,...j->...", w, precision, w)) ** k * math.gamma(k)
    total = height_weights @ (f(np.moveaxis(w @ basis.T, -1, 0)) * radial) @ azimuth_weights
    return float(total / math.sqrt((2 * math.pi) ** 3 * np.linalg.det(inner)))


def test_batches_of_four_against_an_integral_over_a_sphere() -> None:
    covariance = centred(1, 4, np.random.default_rng(4))

    def sigma(u: Array) -> Array:
        return np.sqrt(np.mean(u * u, axis=0))

    cases = [
        (0, normalized(0, 0, 4) * normalized(1, 0, 4), lambda u: u[0] * u[1] / sigma(u) ** 2),
        (2, slope(0, 0, 4) * slope(1, 0, 4), lambda u: 1 / sigma(u) ** 2),
        (2, slope(0, 0, 4) * turn(1, 3, 0, 4), lambda u: u[1] * u[3] / 2 / sigma(u) ** 4),
        (2, turn(0, 2, 0, 4) * turn(1, 3, 0, 4), lambda u: u[0] * u[1] * u[2] * u[3] / 4 / sigma(u) ** 6),
    ]
    for order, function, f in cases:
        value, error, scale = estimate(function, covariance)
        exact = on_sphere(order, f, 0, 1, covariance)
        assert abs(value - exact) <= error + 1e-13 * scale
        assert error <= 1e-10 * scale


# --- two batches of three: two circles --------------------------------------------------------------------------------


def on_two_circles(order: int, f: Callable[[Array, Array], Array], a: int, b: int, covariance: Array) -> float:
    """Return E f(u, u′) step(u_a) step(u′_b), f of degree −order in both, of mean zero in three coordinates each.

    The radii are integrated in closed form: ∫∫ e^{−(x² + 2cxy + y²)/2} dx dy over x, y > 0 is θ/sin θ, c = cos θ,
    and with the factor xy it is (1 − θ cot θ)/sin² θ.
    """
    basis = plane(3)
    both = np.kron(np.eye(2), basis)
    inner = both.T @ covariance @ both
    precision = np.linalg.inv(inner)
    angles, weights = gauss_legendre(-math.pi / 2, math.pi / 2, 160)
    rows = [basis[i] / np.linalg.norm(basis[i]) for i in (a, b)]
    u, v = (np.cos(angles)[:, None] * e + np.sin(angles)[:, None] * np.array([-e[1], e[0]]) for e in rows)
    alpha, gamma = (
        np.einsum("ni,ij,nj->n", w, precision[2 * i : 2 * i + 2, 2 * i : 2 * i + 2], w) for i, w in enumerate((u, v))
    )
    product = np.sqrt(alpha[:, None] * gamma)
    theta = np.arccos(u @ precision[:2, 2:] @ v.T / product)
    radial = theta / np.sin(theta) / product if order else (1 - theta / np.tan(theta)) / np.sin(theta) ** 2 / product**2
    values = f(np.moveaxis((u @ basis.T)[:, None, :], -1, 0), np.moveaxis((v @ basis.T)[None], -1, 0))
    return float(weights @ (values * radial) @ weights / ((2 * math.pi) ** 2 * math.sqrt(np.linalg.det(inner))))


@pytest.mark.parametrize("seed", range(4))
def test_two_batches_of_three_against_an_integral_over_circles(seed: int) -> None:
    covariance = centred(2, 3, np.random.default_rng(seed), 1 + 2 * seed)

    def sigma(u: Array) -> Array:
        return np.sqrt(np.mean(u * u, axis=0))

    cases = [
        (0, normalized(0, 0, 3) * normalized(4, 3, 3), lambda u, v: u[0] * v[1] / sigma(u) / sigma(v)),
        (1, slope(0, 0, 3) * slope(4, 3, 3), lambda u, v: 1 / sigma(u) / sigma(v)),
        (1, slope(0, 0, 3) * turn(4, 5, 3, 3), lambda u, v: v[1] * v[2] / 2 / sigma(u) / sigma(v) ** 3),
        (
            1,
            turn(0, 2, 0, 3) * turn(4, 3, 3, 3),
            lambda u, v: u[0] * u[2] * v[1] * v[0] / 4 / (sigma(u) * sigma(v)) ** 3,
        ),
    ]
    for order, function, f in cases:
        value, error, scale = estimate(function, covariance)
        exact = on_two_circles(order, f, 0, 1, covariance)
        assert abs(value - exact) <= error + 1e-12 * scale
        assert error <= 1e-10 * scale


# --- a constant in the denominator ------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-8, 1e-5, 0.3, 1e3])
def test_two_variables_with_a_constant_against_quadrature(eps: float) -> None:
    q1, q2, c = 0.7, 1.9, -0.6
    function = relu(Operand(0) / apply("sqrt", Operand(0) * Operand(0) + Number(eps)))
    function = function * slope(1, 1, 1, eps)
    value, error, scale = estimate(function, np.array([[q1, c], [c, q2]]))

    steps = np.arange(-40.0, 3.0, 1 / 32)
    x = np.exp(steps)
    ratio = x / np.sqrt(x * x + eps)
    det = q1 * q2 - c * c
    density = np.exp(-(q2 * x[:, None] ** 2 - 2 * c * np.outer(x, x) + q1 * x**2) / (2 * det)) / (
        2 * math.pi * det**0.5
    )
    exact = float((ratio * x) @ density @ ratio) / 32**2
    assert abs(value - exact) <= error + 1e-12 * scale
    assert error <= 1e-10 * scale


def test_a_constant_moves_the_value_continuously() -> None:
    covariance = centred(2, 4, np.random.default_rng(8))
    values = [estimate(normalized(0, 0, 4, eps) * normalized(5, 4, 4, eps), covariance)[0] for eps in (0.0, 1e-12)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)
    assert values[0] != values[1]


# --- samples that coincide --------------------------------------------------------------------------------------------


def test_two_equal_batches_are_one_batch() -> None:
    size = 5
    one = centred(1, size, np.random.default_rng(5))
    twice = np.kron(np.ones((2, 2)), one)
    pairs = [
        (normalized(1, 0, size), normalized(1, 0, size), normalized(size + 1, size, size)),
        (slope(1, 0, size), slope(1, 0, size), slope(size + 1, size, size)),
        (turn(1, 2, 0, size), turn(3, 2, 0, size), turn(size + 3, size + 2, size, size)),
        (turn(1, 2, 0, size), turn(1, 4, 0, size), turn(size + 1, size + 4, size, size)),
    ]
    for left, same, other in pairs:
        diagonal, pair = estimate(left * same, one), estimate(left * other, twice)
        assert abs(diagonal[0] - pair[0]) <= 1e-11 * diagonal[2]


def test_two_nearly_equal_batches() -> None:
    """A small change of one batch changes the expectation by its square, up to a factor that is not large."""
    size = 4
    rng = np.random.default_rng(6)
    root = rng.standard_normal((size, 6))
    change = rng.standard_normal((size, 6))
    centring = np.eye(size) - 1 / size
    function = normalized(1, 0, size) * normalized(size + 1, size, size)
    found = []
    for distance in (0.0, 1e-6, 1e-5, 1e-4):
        both = np.concatenate([centring @ root, centring @ (root + distance * change)])
        found.append(estimate(function, both @ both.T))
    for distance, (value, _, _) in zip((1e-6, 1e-5, 1e-4), found[1:], strict=True):
        assert abs(value - found[0][0]) <= 3 * distance


def test_equal_samples_in_a_batch_leave_fewer_degrees_of_freedom() -> None:
    """With two equal samples among four the rank is two: E σ⁻² is infinite, products without it are not."""
    root = np.random.default_rng(7).standard_normal((4, 6))
    root[3] = root[2]
    centring = np.eye(4) - 1 / 4
    covariance = centring @ root @ root.T @ centring
    value, error, _ = estimate(slope(0, 0, 4) * slope(1, 0, 4), covariance)
    assert math.isnan(value)
    assert math.isinf(error)
    value, error, scale = estimate(normalized(0, 0, 4) * normalized(2, 0, 4), covariance)
    assert error <= 1e-10 * scale


@pytest.mark.parametrize("noise", [1e-10, 1e-7, 1e-4])
def test_rounding_errors_of_covariances_are_in_the_stated_error(noise: float) -> None:
    """As of samples with a large common mean, which the normalization subtracts."""
    rng = np.random.default_rng(9)
    for size, count in ((4, 1), (4, 2), (6, 2)):
        covariance = centred(count, size, rng)
        change = noise * rng.standard_normal(covariance.shape)
        for function in (
            normalized(0, 0, size) * normalized(count * size - 1, (count - 1) * size, size),
            slope(0, 0, size) * slope(count * size - 1, (count - 1) * size, size),
        ):
            exact, (value, error, _) = (
                estimate(function, covariance)[0],
                estimate(function, covariance + change + change.T),
            )
            assert abs(value - exact) <= error


def test_a_batch_without_variance_has_no_normalized_values() -> None:
    value, _, _ = estimate(normalized(0, 0, 3) * normalized(1, 0, 3), np.zeros((3, 3)))
    assert math.isnan(value)
    value, _, _ = estimate(normalized(0, 0, 3, 0.1) * normalized(1, 0, 3, 0.1), np.zeros((3, 3)))
    assert value == 0


# --- larger batches, by sampling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "eps"), [(6, 0.0), (8, 1e-2)])
def test_larger_batches_against_sampling(size: int, eps: float) -> None:
    rng = np.random.default_rng(size)
    covariance = centred(2, size, rng)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    draws = root @ rng.standard_normal((2 * size, 400_000))
    functions = [
        normalized(0, 0, size, eps) * normalized(size + 1, size, size, eps),
        slope(0, 0, size, eps) * slope(size, size, size, eps),
        slope(0, 0, size, eps) * turn(size + 2, size + 1, size, size, eps),
        turn(0, 3, 0, size, eps) * turn(size + 2, size + 4, size, size, eps),
        turn(0, 3, 0, size, eps) * turn(2, 4, 0, size, eps),
    ]
    for function in functions:
        value, error, scale = estimate(function, covariance)
        sample = np.asarray(evaluate(function, list(draws), {}), np.float64)
        assert abs(value - sample.mean()) <= 4 * sample.std() / math.sqrt(sample.size)
        assert np.abs(sample).mean() <= scale * (1 + 4 / math.sqrt(sample.size) * 20)
        assert error <= 1e-10 * scale


# --- which functions --------------------------------------------------------------------------------------------------


COVERED: dict[str, Expr] = {
    "leaky relu": apply("leaky_relu", Operand(0) / deviation(0, 3, 0.0), 0.2) * slope(1, 0, 3),
    "absolute value": apply("abs", Operand(0) / deviation(0, 3, 0.0)) * normalized(1, 0, 3),
    "sign": apply("sign", Operand(2) / deviation(0, 3, 0.5)) * Operand(1) / deviation(0, 3, 0.5),
    "a larger power": apply("relu_k", Operand(0) / deviation(0, 3, 0.0), 3) * normalized(1, 0, 3),
    "a polynomial": (Operand(0) / deviation(0, 3, 1.0)) ** Number(2) * (1 + Operand(1) / deviation(0, 3, 1.0)),
    "a norm in the numerator": deviation(0, 3, 0.1) * normalized(1, 0, 3),
    "a difference in the numerator": relu((Operand(0) - 2 * Operand(1)) / deviation(0, 3, 0.0)),
    "the larger of two": apply("max", Operand(0) / deviation(0, 3, 0.0), Operand(1) / deviation(0, 3, 0.0)),
    "a reciprocal power": relu(Operand(0)) * (deviation(0, 3, 0.0) ** Number(2)) ** Number(-0.75),
    "another form": relu(Operand(0)) / apply("sqrt", (Operand(0) - Operand(1)) ** Number(2) + Operand(2) * Operand(2)),
}


@pytest.mark.parametrize("name", COVERED)
def test_functions_that_are_ratios(name: str) -> None:
    rng = np.random.default_rng(11)
    root = rng.standard_normal((3, 3))
    value, error, scale = estimate(COVERED[name], root @ root.T)
    sample = np.asarray(evaluate(COVERED[name], list(root @ rng.standard_normal((3, 400_000))), {}), np.float64)
    assert abs(value - sample.mean()) <= 4 * sample.std() / math.sqrt(sample.size)
    assert error <= 1e-10 * scale


NOT_COVERED: dict[str, Expr] = {
    "tanh": apply("tanh", Operand(0) / deviation(0, 3, 1.0)),
    "a shift": relu(Operand(0) / deviation(0, 3, 1.0) + 1),
    "a root of what may be negative": apply("sqrt", Operand(0) * Operand(1)),
    "a denominator that is no form": Operand(0) / (1 + Operand(1)),
    "a step of a product": step(Operand(0) * Operand(1)) / deviation(0, 3, 1.0),
    "no quotient": relu(Operand(0)) * relu(Operand(1)),
    "a hyperparameter without a value": Operand(0) / apply("sqrt", Operand(1) * Operand(1) + Symbol("eps")),
}


@pytest.mark.parametrize("name", NOT_COVERED)
def test_functions_that_are_not_covered(name: str) -> None:
    assert quotient_estimate(NOT_COVERED[name], np.zeros((1, 3)), np.eye(3)[None]) is None


def test_means_are_not_covered() -> None:
    assert quotient_estimate(normalized(0, 0, 3), np.ones((1, 3)), np.eye(3)[None]) is None


def test_cubature_takes_ratios_and_hyperparameters() -> None:
    sigma = apply("sqrt", (Operand(0) * Operand(0) + Operand(1) * Operand(1)) / 2 + Symbol("eps"))
    covariance = np.array([[[1.0, 0.3], [0.3, 2.0]]])
    found = joint_cubature(relu(Operand(0) / sigma), np.zeros((1, 2)), covariance, {"eps": 0.25})
    expected = quotient_estimate(normalized(0, 0, 2, 0.25), np.zeros((1, 2)), covariance)
    assert expected is not None
    assert found.value[0] == expected[0][0]


def test_moments_in_a_wedge() -> None:
    """Half of a Gaussian moment is beyond an edge; the four sectors of two edges make up the whole."""
    rng = np.random.default_rng(12)
    lines, a, b = list(rng.standard_normal((6, 4))), rng.standard_normal(4), rng.standard_normal(4)
    for count in range(7):
        whole = wedge_moment(lines[:count], [])
        halves = wedge_moment(lines[:count], [a]) + wedge_moment(lines[:count], [-a])
        quarters = sum(wedge_moment(lines[:count], [p * a, q * b]) for p in (1.0, -1.0) for q in (1.0, -1.0))
        assert halves == pytest.approx(whole, rel=1e-12, abs=1e-12)
        assert quarters == pytest.approx(whole, rel=1e-12, abs=1e-12)
