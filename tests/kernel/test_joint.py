"""Numerical expectations over several Gaussians in kernels: broadcasting, symmetry, errors, backends."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import sympy as sp

import tensorprog as tp
from tensorprog.dual.special import JointExpectation
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.ir import Expectation, Ref
from tensorprog.kernel.joint import joint_expectation
from tensorprog.kernel.scalars import Program, lower_scalar
from tensorprog.limit.equations import X, Y
from tensorprog.limit.formulas import formula
from tensorprog.nonlin.expression import Expr, Operand, apply

Array = npt.NDArray[np.float64]

U = [Operand(i) for i in range(4)]


def relu(u: Expr) -> Expr:
    return apply("relu", u)


BLOCK = relu(U[0] + relu(U[1])) * relu(U[2] + relu(U[3]))

POST_ACTIVATION = """
program post_activation(s = 1.0)
width n
input x : (d)
param U : (n, d) ~ N(0, 2 / d)
param W : (n, n) ~ N(0, s / n)
param V : (1, n) ~ N(0, 1 / n)
g = U @ x
r = relu(g)
h = W @ r
output f = V @ relu(h + r)
"""


def block_laws(rho: Array) -> list[Array]:
    """The laws of (h, g, h′, g′), all variances one, h and g independent, both correlations rho."""
    zero, one = np.zeros(()), np.ones(())
    return [zero, zero, zero, zero, one, zero, rho, zero, one, zero, rho, one, zero, one]


@pytest.mark.parametrize("size", range(1, 9))
def test_dimension_of_a_node(size: int) -> None:
    assert JointExpectation.dimension(size + size * (size + 1) // 2) == size


def test_lowering_and_printing() -> None:
    k = sp.Function("K_h")
    node = JointExpectation(sp.Symbol("phi1"), 0, 0, k(X, X), k(X, Y), k(Y, Y))
    lowered = lower_scalar(node, Program((X, Y)))
    assert isinstance(lowered, Expectation)
    assert (lowered.kind, lowered.functions) == ("JointExpectation", ("phi1",))
    assert [type(arg) for arg in lowered.args[2:]] == [Ref, Ref, Ref]
    assert formula(node) == "E[phi1(u1, u2) | K_h(x, x), K_h(x, x′); K_h(x′, x′)]"
    shifted = JointExpectation(sp.Symbol("phi1"), 1, 0, k(X, X), k(X, Y), k(Y, Y))
    assert formula(shifted) == "E[phi1(u1, u2) | 1, 0; K_h(x, x), K_h(x, x′); K_h(x′, x′)]"


def test_laws_broadcast_and_what_is_not_finite_stays() -> None:
    rho = np.array([[0.3, np.nan], [0.3, -0.9]])
    value, error, scale = joint_expectation(BLOCK, block_laws(rho), {})
    assert value.shape == error.shape == scale.shape == (2, 2)
    assert np.isnan(value[0, 1])
    assert value[0, 0] == value[1, 0]
    alone, _, _ = joint_expectation(BLOCK, block_laws(np.array(-0.9)), {})
    assert alone.shape == ()
    assert value[1, 1] == pytest.approx(float(alone), rel=1e-13)


def test_exchanged_copies_have_bitwise_the_same_expectation() -> None:
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(5, 4, 6))
    laws = roots @ roots.transpose(0, 2, 1)
    turned = laws[:, [2, 3, 0, 1]][:, :, [2, 3, 0, 1]]
    upper = np.triu_indices(4)
    zero = [np.zeros(5)] * 4
    one, _, _ = joint_expectation(BLOCK, [*zero, *(laws[:, i, j] for i, j in zip(*upper, strict=True))], {})
    other, _, _ = joint_expectation(BLOCK, [*zero, *(turned[:, i, j] for i, j in zip(*upper, strict=True))], {})
    assert (one == other).all()


def test_errors_are_remembered_relative_to_the_size() -> None:
    numerics = Numerics({"phi1": BLOCK}, {})
    node = Expectation("JointExpectation", ("phi1",), ())
    value = numerics.expectation("K", node, block_laws(np.array([0.1, 0.8])))
    assert np.isfinite(value).all()
    assert 0 < numerics.errors["K"] <= 1e-8


def arc_cosine(q1: float, q2: float, c: float) -> float:
    theta = math.acos(min(1.0, c / math.sqrt(q1 * q2)))
    return math.sqrt(q1 * q2) * (math.sin(theta) + (math.pi - theta) * math.cos(theta)) / (2 * math.pi)


def test_both_backends_run_joint_expectations() -> None:
    """At s = 0 the block is relu(relu(g)) = relu(g), whose kernel is known; every backend gives the same numbers."""
    x = np.random.default_rng(0).normal(size=(4, 6))
    program = tp.parse(POST_ACTIVATION)
    compiled, plain = program.compile(backend="cpu"), program.compile(backend="interpret")
    first = compiled(x, get="nngp")
    assert (first == compiled(x, get="nngp")).all()
    assert (first == first.T).all()
    assert np.allclose(first, plain(x, get="nngp"), rtol=1e-14, atol=0)
    assert np.allclose(first[:, :2], compiled(x, x[:2], get="nngp"), rtol=0, atol=1e-9)
    assert 0 < compiled.report.error <= 1e-8
    assert "numerical expectation over 4 Gaussians; numerical, error ≤" in str(compiled.report)
    trivial = tp.parse(POST_ACTIVATION, s=0.0).compile()(x, get="nngp")
    gram = 2 * x @ x.T / 6
    expected = [[arc_cosine(gram[i, i], gram[j, j], gram[i, j]) for j in range(4)] for i in range(4)]
    assert np.allclose(trivial, expected, rtol=0, atol=1e-8)
