"""Functions of several Gaussians as expressions: exact, factored, by Stein's lemma, or left to cubature."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sympy as sp

from tensorprog.dual.expectation import Dual, Expectations
from tensorprog.dual.joint.isserlis import gaussian_moment
from tensorprog.dual.joint.several import joint
from tensorprog.dual.numeric import SPECIALS
from tensorprog.dual.special import JointExpectation, PairExpectation, PointExpectation
from tensorprog.dual.undefined import UndefinedExpectation
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Expr, Operand, apply

Array = npt.NDArray[np.float64]

U = [Operand(i) for i in range(8)]
SIZE = 4
MEANS = sp.symbols(f"m0:{SIZE}", real=True)
COVARIANCES = [[sp.Symbol(f"c{min(i, j)}{max(i, j)}", real=True) for j in range(SIZE)] for i in range(SIZE)]
CENTRED = [sp.Integer(0)] * SIZE


def relu(u: Expr) -> Expr:
    return apply("relu", u)


def step(u: Expr) -> Expr:
    return apply("step", u)


def no_name(function: Expr) -> sp.Symbol:
    raise AssertionError(f"{function} is not to be integrated numerically")


def name(function: Expr) -> sp.Symbol:
    return sp.Symbol("f")


def value(dual: Dual, means: Array, covariances: Array) -> float:
    """Evaluate an expression at numbers."""
    symbols = [*MEANS, *(COVARIANCES[i][j] for i, j in itertools.combinations_with_replacement(range(SIZE), 2))]
    numbers = [*means, *(covariances[i, j] for i, j in itertools.combinations_with_replacement(range(SIZE), 2))]
    functions = {special.__name__: function for special, function in SPECIALS.items()}
    return float(sp.lambdify(symbols, dual.expr, modules=[functions, "numpy"])(*numbers))


def random_law(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(SIZE, SIZE))
    return 0.5 * rng.normal(size=SIZE), root @ root.T / 2


def by_product_rule(function: Any, means: Array, covariances: Array, count: int) -> float:
    """Gauss–Hermite in all dimensions."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    grids = np.meshgrid(*[nodes] * len(means), indexing="ij")
    weight = np.prod(np.meshgrid(*[weights / math.sqrt(2 * math.pi)] * len(means), indexing="ij"), axis=0)
    root = np.linalg.cholesky(covariances)
    values = [means[i] + sum(root[i, j] * grids[j] for j in range(len(means))) for i in range(len(means))]
    return float(np.sum(weight * function(values)))


def by_sampling(function: Expr, means: Array, covariances: Array, count: int = 500_000) -> tuple[float, float]:
    """The mean over samples, and its standard error."""
    root = np.linalg.svd(covariances)
    factor = root[0] * np.sqrt(root[1])
    draws = means + np.random.default_rng(5).normal(size=(count, len(means))) @ factor.T
    values = np.asarray(evaluate(function, list(draws.T), {}))
    return float(values.mean()), float(values.std() / math.sqrt(count))


@pytest.mark.parametrize("powers", [(1, 1, 1, 1), (2, 2, 0, 0), (4, 0, 0, 0), (1, 2, 0, 3), (2, 2, 2, 2), (1, 1, 1, 0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_moments_against_an_exact_rule(powers: tuple[int, ...], seed: int) -> None:
    means, covariances = random_law(seed)
    found = value(Dual(gaussian_moment(powers, MEANS, COVARIANCES), ""), means, covariances)
    expected = by_product_rule(
        lambda u: np.prod([u[i] ** p for i, p in enumerate(powers)], axis=0), means, covariances, 6
    )
    assert found == pytest.approx(expected, rel=1e-11)


def test_moments_as_expressions() -> None:
    c = COVARIANCES
    assert gaussian_moment((1, 1, 1, 1), CENTRED, c) - (c[0][1] * c[2][3] + c[0][2] * c[1][3] + c[0][3] * c[1][2]) == 0
    assert gaussian_moment((2, 2, 0, 0), CENTRED, c) - (c[0][0] * c[1][1] + 2 * c[0][1] ** 2) == 0
    assert gaussian_moment((1, 1, 1, 0), CENTRED, c) == 0


def test_polynomials_are_exact() -> None:
    means, covariances = random_law(2)
    function = (U[0] * U[1] - 2) ** 2 * apply("square", U[2]) + apply("cube", U[3]) / 3 - U[1]
    dual = joint(function, MEANS, COVARIANCES, no_name)
    expected = by_product_rule(
        lambda u: (u[0] * u[1] - 2) ** 2 * u[2] ** 2 + u[3] ** 3 / 3 - u[1], means, covariances, 5
    )
    assert dual.error is None
    assert dual.rule == "Isserlis' theorem"
    assert value(dual, means, covariances) == pytest.approx(expected, rel=1e-11)


def test_blocks_of_independent_variables_factor() -> None:
    """E[relu(a) relu(b) · c d] = E[relu(a) relu(b)] E[c d], and no more than that is asked for."""
    blocks = [[COVARIANCES[i][j] if (i < 2) == (j < 2) else sp.Integer(0) for j in range(4)] for i in range(4)]
    dual = joint(relu(U[0]) * relu(U[1]) * U[2] * U[3], CENTRED, blocks, no_name)
    q1, q2, c = 1.3, 0.7, 0.4
    theta = math.acos(c / math.sqrt(q1 * q2))
    arc_cosine = math.sqrt(q1 * q2) * (math.sin(theta) + (math.pi - theta) * math.cos(theta)) / (2 * math.pi)
    covariances = np.array([[q1, c, 0, 0], [c, q2, 0, 0], [0, 0, 1.0, 0.3], [0, 0, 0.3, 2.0]])
    assert dual.error is None
    assert value(dual, np.zeros(4), covariances) == pytest.approx(0.3 * arc_cosine, rel=1e-13)


def test_independent_blocks_of_joint_functions_factor() -> None:
    """A product of two functions of two variables each, independent of each other, takes two small cubatures."""
    blocks = [[COVARIANCES[i][j] if (i < 2) == (j < 2) else sp.Integer(0) for j in range(4)] for i in range(4)]
    dual = joint(relu(U[0] + relu(U[1])) * relu(U[2] + relu(U[3])), CENTRED, blocks, name)
    sizes = sorted(JointExpectation.dimension(len(node.args) - 1) for node in dual.expr.atoms(JointExpectation))
    assert isinstance(dual.expr, sp.Mul)
    assert sizes == [2, 2]


def test_largest_of_two() -> None:
    """Clark (1961): E max(u, v) = m₁ Φ(α) + m₂ Φ(−α) + s φ(α), s² = Var(u − v), α = (m₁ − m₂)/s."""
    means, covariances = random_law(3)
    s = math.sqrt(covariances[0, 0] + covariances[1, 1] - 2 * covariances[0, 1])
    alpha = (means[0] - means[1]) / s
    normal = 0.5 * math.erfc(-alpha / math.sqrt(2))
    density = math.exp(-0.5 * alpha**2) / math.sqrt(2 * math.pi)
    expected = means[0] * normal + means[1] * (1 - normal) + s * density
    dual = joint(apply("max", U[0], U[1]), MEANS, COVARIANCES, no_name)
    assert value(dual, means, covariances) == pytest.approx(expected, rel=1e-12)
    least = joint(apply("min", U[0], U[1]), MEANS, COVARIANCES, no_name)
    assert value(least, means, covariances) == pytest.approx(means[0] + means[1] - expected, rel=1e-11)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_windows_of_two_have_a_closed_form(seed: int) -> None:
    means, covariances = random_law(seed)
    function = apply("max", U[0], U[1]) * apply("max", U[2], U[3])
    dual = joint(function, MEANS, COVARIANCES, no_name)
    expected, deviation = by_sampling(function, means, covariances)
    assert dual.error is None
    assert abs(value(dual, means, covariances) - expected) < 4.5 * deviation


def test_square_of_the_largest_of_two_independent_ones() -> None:
    """E max(u, v)² = 1 for independent standard u, v: max² + min² = u² + v², and both have one law of squares."""
    dual = joint(apply("max", U[0], U[1]) * apply("max", U[2], U[3]), CENTRED, COVARIANCES, no_name)
    twice = np.array([[1.0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]])
    assert value(dual, np.zeros(4), twice) == pytest.approx(1.0, rel=1e-14)


GATED = {
    "step step": step(U[0]) * step(U[2]) * U[1] * U[3],
    "relu relu": relu(U[0]) * relu(U[2]) * U[1] * U[3],
    "relu step": relu(U[0]) * step(U[2]) * U[1] ** 2 * U[3],
    "sign of a difference": apply("sign", U[0] - U[2]) * U[1] * U[3],
    "shifted steps": step(U[0] - 0.5) * step(-2 * U[2] + 0.25) * U[1] * U[3],
}


@pytest.mark.parametrize("function", GATED.values(), ids=GATED)
def test_gates_times_states(function: Expr) -> None:
    """Powers of further variables in front of gates: Stein's lemma with a density at every jump."""
    for seed in (0, 1):
        means, covariances = random_law(seed)
        dual = joint(function, MEANS, COVARIANCES, no_name)
        expected, deviation = by_sampling(function, means, covariances)
        assert dual.error is None
        assert abs(value(dual, means, covariances) - expected) < 4.5 * deviation


def test_gates_times_states_at_coincident_and_vanishing_samples() -> None:
    """E[step(u)² v²] = Var(v)/2 for a second copy that is the first, and 0 where all variances are zero."""
    dual = joint(GATED["step step"], CENTRED, COVARIANCES, no_name)
    block = np.array([[1.0, 0.5], [0.5, 2.0]])
    assert value(dual, np.zeros(4), np.block([[block, block], [block, block]])) == pytest.approx(1.0, rel=1e-14)
    assert value(dual, np.zeros(4), np.zeros((4, 4))) == 0


def test_what_does_not_come_apart_is_left_to_cubature() -> None:
    function = relu(U[0] + relu(U[1])) * relu(U[2] + relu(U[3]))
    dual = joint(function, CENTRED, COVARIANCES, name)
    assert isinstance(dual.expr, JointExpectation)
    assert dual.expr.args[1:5] == (0, 0, 0, 0)
    assert dual.expr.args[5:] == tuple(COVARIANCES[i][j] for i in range(4) for j in range(i, 4))
    assert dual.rule == "numerical expectation over 4 Gaussians"
    assert dual.error is not None


def test_variables_that_do_not_occur_are_dropped() -> None:
    named: list[Expr] = []

    def naming(function: Expr) -> sp.Symbol:
        named.append(function)
        return sp.Symbol("f")

    dual = joint(apply("tanh", U[1] * U[3]), MEANS, COVARIANCES, naming)
    assert dual.expr.args[1:] == (MEANS[1], MEANS[3], COVARIANCES[1][1], COVARIANCES[1][3], COVARIANCES[3][3])
    assert named == [apply("tanh", U[0] * U[1])]


def test_functions_of_one_line_take_one_dimension() -> None:
    dual = joint(apply("tanh", U[0] - 2 * U[1] + 1), MEANS, COVARIANCES, name)
    assert isinstance(dual.expr, PointExpectation)
    c = COVARIANCES
    assert sp.expand(dual.expr.args[2] - (c[0][0] - 4 * c[0][1] + 4 * c[1][1])) == 0


def test_numeric_mode_uses_no_closed_forms_of_functions() -> None:
    blocks = [[COVARIANCES[i][j] if (i < 2) == (j < 2) else sp.Integer(0) for j in range(4)] for i in range(4)]
    dual = joint(relu(U[0]) * relu(U[1]) * U[2] * U[3], CENTRED, blocks, name, Expectations.NUMERIC)
    assert dual.expr.atoms(PairExpectation)


@pytest.mark.parametrize(
    "function",
    [apply("log", U[0] + U[1]) * U[2], U[0] / (U[1] - U[2]), apply("sqrt", U[0] - U[3]), apply("delta", U[0] * U[1])],
)
def test_what_has_no_expectation_is_refused(function: Expr) -> None:
    with pytest.raises(UndefinedExpectation):
        joint(function, CENTRED, COVARIANCES, name)
