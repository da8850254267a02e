"""Closed forms against published formulas at 60 digits fed with the same doubles, and against an independent rule."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

from tensorprog.dual.expectation import (
    Dual,
    Expectations,
    InfiniteExpectation,
    PairLaw,
    UndefinedExpectation,
    coincident,
    pair,
    point,
)
from tensorprog.dual.pairs.quadrature import pair_quadrature, point_quadrature
from tensorprog.dual.special import Angle, Det, PairExpectation, PointExpectation, Support
from tensorprog.nonlin.derivative import derivative, true_derivative
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Call, Expr, Fn, Number, Operand, Symbol, apply

U, PI = Operand(0), Symbol("pi")
ZERO = sp.Integer(0)
Q1, Q2, C, M1, M2, Q, M = sp.symbols("q1 q2 c m1 m2 q m")
CENTRED = PairLaw(ZERO, ZERO, Q1, Q2, C)

Formula = Callable[[mp.mpf, mp.mpf, mp.mpf], mp.mpf]


@functools.cache
def numpy_function(f: Expr) -> Callable[[Any], Any]:
    """Return f as a function of arrays, the same one every time."""
    return lambda u: evaluate(f, [u], {}) + 0 * u


def name(expr: Expr) -> sp.Symbol:
    """Name every function alike."""
    return sp.Symbol("f")


def closed(phi: Expr, psi: Expr, law: PairLaw = CENTRED) -> sp.Expr:
    """Return the pair expectation, which must be a closed form."""
    found = pair(phi, psi, law, name)
    assert found.error is None
    assert not found.expr.has(PairExpectation, PointExpectation)
    assert found.rule
    return found.expr


def theta(q1: mp.mpf, q2: mp.mpf, c: mp.mpf) -> mp.mpf:
    """Return the angle between u and v."""
    return mp.acos(max(-1, min(1, c / mp.sqrt(q1 * q2))))


def arc_cosine(k: int) -> Formula:
    """Return E[relu(u)ᵏ relu(v)ᵏ] from J_k of Cho & Saul 2009."""

    def formula(q1: mp.mpf, q2: mp.mpf, c: mp.mpf) -> mp.mpf:
        t = theta(q1, q2, c)
        s, o, w = mp.sin(t), mp.cos(t), mp.pi - t
        j = {
            0: w,
            1: s + w * o,
            2: 3 * s * o + w * (1 + 2 * o**2),
            3: w * (9 * s**2 * o + 15 * o**3) + 4 * s**3 + 15 * s * o**2,
        }[k]
        return mp.sqrt(q1 * q2) ** k * j / (2 * mp.pi)

    return formula


def leaky(a: str) -> Formula:
    """Return the kernel of leaky relu as linear plus relu."""
    return lambda q1, q2, c: mp.mpf(float(a)) * c + (1 - mp.mpf(float(a))) ** 2 * arc_cosine(1)(q1, q2, c)


def big_phi(q1: mp.mpf, q2: mp.mpf, c: mp.mpf) -> mp.mpf:
    """Return the kernel of the normal distribution function."""
    return mp.mpf(1) / 4 + mp.asin(c / mp.sqrt((1 + q1) * (1 + q2))) / (2 * mp.pi)


def gelu(q1: mp.mpf, q2: mp.mpf, c: mp.mpf) -> mp.mpf:
    """Return the kernel of gelu (Tsuchida et al. 2021)."""
    p = 1 / (2 * mp.pi * mp.sqrt((1 + q1) * (1 + q2) - c**2))
    return c * big_phi(q1, q2, c) + p * (q1 * q2 + c**2 * (1 - q1 * q2) / ((1 + q1) * (1 + q2)))


def gelu_slope(q1: mp.mpf, q2: mp.mpf, c: mp.mpf) -> mp.mpf:
    """Return E[gelu′ gelu′]."""
    d = (1 + q1) * (1 + q2) - c**2
    return big_phi(q1, q2, c) + c * (1 / (1 + q1) + 1 / (1 + q2) + 1 / d) / (2 * mp.pi * mp.sqrt(d))


def hermite(k: int) -> Formula:
    """Return the kernel of He_k/√k! for any variances (Mehler)."""

    def formula(q1: mp.mpf, q2: mp.mpf, c: mp.mpf) -> mp.mpf:
        terms = (
            mp.factorial(k)
            / (2**i * mp.factorial(i)) ** 2
            / mp.factorial(k - 2 * i)
            * ((q1 - 1) * (q2 - 1)) ** i
            * c ** (k - 2 * i)
            for i in range(k // 2 + 1)
        )
        return mp.fsum(terms)

    return formula


def sine(phase: Formula) -> Formula:
    """Return exp(−(q1 + q2)/2) times a function of c."""
    return lambda q1, q2, c: mp.exp(-(q1 + q2) / 2) * phase(q1, q2, c)


def big(q1: mp.mpf, q2: mp.mpf, c: mp.mpf) -> mp.mpf:
    """Return G of Williams 1997 for exp(−u²)."""
    return (1 + 2 * q1) * (1 + 2 * q2) - 4 * c**2


def slope(name: str, *parameters: float) -> Expr:
    """Return the derivative that backpropagation uses."""
    return derivative(apply(name, U, *parameters), 0)


CASES: dict[str, tuple[Expr, Formula]] = {
    "step": (apply("step", U), arc_cosine(0)),
    "relu": (apply("relu", U), arc_cosine(1)),
    "relu'": (slope("relu"), arc_cosine(0)),
    "max": (apply("max", U, 0), arc_cosine(1)),
    "relu_k 2": (apply("relu_k", U, 2), arc_cosine(2)),
    "relu_k 2'": (slope("relu_k", 2), lambda *law: 4 * arc_cosine(1)(*law)),
    "relu_k 3": (apply("relu_k", U, 3), arc_cosine(3)),
    "relu_k 3'": (slope("relu_k", 3), lambda *law: 9 * arc_cosine(2)(*law)),
    "leaky_relu": (apply("leaky_relu", U, 0.3), leaky("0.3")),
    "leaky_relu'": (
        slope("leaky_relu", 0.3),
        lambda *law: mp.mpf(0.3) + (1 - mp.mpf(0.3)) ** 2 * arc_cosine(0)(*law),
    ),
    "abs": (apply("abs", U), lambda q1, q2, c: 4 * arc_cosine(1)(q1, q2, c) - c),
    "sign": (apply("sign", U), lambda *law: 1 - 2 * theta(*law) / mp.pi),
    "erf": (
        apply("erf", U),
        lambda q1, q2, c: 2 / mp.pi * mp.asin(max(-1, min(1, 2 * c / mp.sqrt((1 + 2 * q1) * (1 + 2 * q2))))),
    ),
    "erf'": (slope("erf"), lambda *law: 4 / mp.pi / mp.sqrt(big(*law))),
    "Phi": (apply("Phi", U), big_phi),
    "gelu": (apply("gelu", U), gelu),
    "gelu'": (slope("gelu"), gelu_slope),
    "sin": (apply("sin", U), sine(lambda q1, q2, c: mp.sinh(c))),
    "sin'": (slope("sin"), sine(lambda q1, q2, c: mp.cosh(c))),
    "rbf": (apply("sqrt", 2) * apply("sin", U + PI / 4), lambda q1, q2, c: mp.exp(-(q1 + q2 - 2 * c) / 2)),
    "gauss": (apply("gauss", U), lambda *law: 1 / mp.sqrt(big(*law))),
    "gauss'": (slope("gauss"), lambda q1, q2, c: 4 * c / big(q1, q2, c) ** mp.mpf(1.5)),
    "hermite 3": (apply("hermite", U, 3), hermite(3)),
    "hermite 6": (apply("hermite", U, 6), hermite(6)),
    "hermite 6'": (slope("hermite", 6), lambda *law: 6 * hermite(5)(*law)),
    "cube": (apply("cube", U), lambda q1, q2, c: 6 * c**3 + 9 * q1 * q2 * c),
    "affine erf": (
        Symbol("a") * apply("erf", Symbol("b") * U) + Symbol("d"),
        lambda q1, q2, c: mp.mpf(9) / 4 * 2 / mp.pi * mp.asin(c / 2 / mp.sqrt((1 + q1 / 2) * (1 + q2 / 2))) + 1,
    ),
}
VARIANCES = [1e-8, 3e-3, 0.9, 1.0, 6.5, 2e4, 1e8]
CORRELATIONS = [-1.0, -(1 - 1e-12), -0.6, 0.0, 1e-9, 0.35, 1 - 1e-12, 1.0]


@pytest.mark.parametrize("case", CASES)
def test_closed_form_to_twelve_digits(case: str, value: Callable[..., Any]) -> None:
    phi, formula = CASES[case]
    variances = list(itertools.product(VARIANCES, repeat=2))
    grid = [(q1, q2, rho * math.sqrt(q1) * math.sqrt(q2)) for q1, q2 in variances for rho in CORRELATIONS]
    q1, q2, c = np.array(grid).T
    actual = value(closed(phi, phi), q1=q1, q2=q2, c=c, a=1.5, b=0.5, d=1.0) + 0 * q1
    mirrored = value(closed(phi, phi), q1=q2, q2=q1, c=c, a=1.5, b=0.5, d=1.0) + 0 * q1
    with mp.workdps(60):
        norms = {q: formula(mp.mpf(q), mp.mpf(q), mp.mpf(q)) for q in VARIANCES}
        for row, found, other in zip(grid, actual, mirrored, strict=True):
            norm = mp.sqrt(norms[row[0]] * norms[row[1]])
            error = abs(mp.mpf(float(found)) - formula(*(mp.mpf(entry) for entry in row))) / norm
            assert error < 1e-12, (row, float(error))
            assert abs(found - other) <= 1e-13 * float(norm)


@pytest.mark.parametrize("case", CASES)
def test_coincident_is_the_pair_at_correlation_one(case: str, value: Callable[..., Any]) -> None:
    phi, formula = CASES[case]
    found = coincident(phi, phi, ZERO, Q, name)
    assert found.error is None
    q = np.array(VARIANCES)
    actual = value(found.expr, q=q, a=1.5, b=0.5, d=1.0) + 0 * q
    with mp.workdps(60):
        expected = [float(formula(*[mp.mpf(entry)] * 3)) for entry in VARIANCES]
    np.testing.assert_allclose(actual, expected, rtol=2e-13)


@pytest.mark.parametrize("case", CASES)
def test_zero_variance_is_a_point(case: str, value: Callable[..., Any]) -> None:
    phi, _ = CASES[case]
    symbols = {"a": 1.5, "b": 0.5, "d": 1.0}
    at_zero = float(evaluate(phi, [0.0], symbols))
    zero, one = np.zeros(()), np.ones(())
    assert value(coincident(phi, phi, ZERO, Q, name).expr, q=zero, **symbols) == pytest.approx(at_zero**2, abs=1e-15)
    assert value(point(phi, ZERO, Q, name).expr, q=zero, **symbols) == pytest.approx(at_zero, abs=1e-15)
    both = value(closed(phi, phi), q1=zero, q2=zero, c=zero, **symbols)
    assert both == pytest.approx(at_zero**2, abs=1e-15)
    mean = value(point(phi, ZERO, Q, name).expr, q=one, **symbols)
    single = value(closed(phi, phi), q1=zero, q2=one, c=zero, **symbols)
    assert single == pytest.approx(float(at_zero * mean), abs=1e-15)


FAMILIES = [
    apply("step", U),
    apply("relu", U),
    apply("relu", -U),
    apply("abs", 2 * U),
    apply("relu_k", U, 2),
    apply("relu_k", U, 5),
    apply("min", U, 0),
    U,
    U**2 - 3 * U + 1,
    apply("hermite", U, 4),
    apply("erf", 0.7 * U),
    apply("gelu", U),
    slope("gelu"),
    apply("gauss", 0.8 * U),
    U * apply("gauss", U),
    apply("step", U) * U**2 - 0.3 * U,
]


@pytest.mark.parametrize(("i", "j"), list(itertools.combinations_with_replacement(range(len(FAMILIES)), 2)))
def test_cross_pairs(i: int, j: int, value: Callable[..., Any], polar: Callable[..., float]) -> None:
    phi, psi = FAMILIES[i], FAMILIES[j]
    expr = closed(phi, psi)
    functions = [numpy_function(f) for f in (phi, psi)]
    for q1, q2, rho in [(0.7, 1.9, 0.4), (1.9, 0.7, -0.85), (0.7, 0.7, 1.0), (1.9, 1.9, -1.0), (1.9, 0.7, 0.0)]:
        c = rho * math.sqrt(q1 * q2)
        norm = math.sqrt(polar(functions[0], functions[0], q1, q1, q1) * polar(functions[1], functions[1], q2, q2, q2))
        expected = polar(*functions, q1, q2, c)
        assert float(value(expr, q1=q1, q2=q2, c=c)) == pytest.approx(expected, abs=2e-12 * norm)


SMOOTH = [
    apply("exp", 0.5 * U),
    apply("exp", -U),
    apply("sin", 1.3 * U + 0.4),
    apply("cos", 2 * U),
    U * apply("sin", U),
    U**2 * apply("exp", U) + 1,
    apply("gauss", 0.8 * U + 0.3),
    slope("gauss"),
    U**3 - U,
    apply("sin", U) * apply("cos", 2 * U),
    apply("exp", -(U**2) / 2 + U),
]


@pytest.mark.parametrize(("i", "j"), list(itertools.combinations_with_replacement(range(len(SMOOTH)), 2)))
def test_smooth_pairs_with_means(i: int, j: int, value: Callable[..., Any], polar: Callable[..., float]) -> None:
    phi, psi = SMOOTH[i], SMOOTH[j]
    expr = closed(phi, psi, PairLaw(M1, M2, Q1, Q2, C))
    functions = [numpy_function(f) for f in (phi, psi)]
    for q1, q2, c, m1, m2 in [(0.7, 1.1, 0.4, 0.3, -0.8), (1.0, 1.0, -1.0, 0.5, 0.2), (0.3, 0.9, -0.2, 0.0, 1.0)]:
        first = polar(functions[0], functions[0], q1, q1, q1, m1, m1)
        norm = math.sqrt(first * polar(functions[1], functions[1], q2, q2, q2, m2, m2))
        expected = polar(*functions, q1, q2, c, m1, m2)
        actual = float(value(expr, q1=q1, q2=q2, c=c, m1=m1, m2=m2))
        assert actual == pytest.approx(expected, abs=1e-12 * norm)


@pytest.mark.parametrize(
    "phi", [*SMOOTH, apply("erf", U), apply("erf", 2 * U - 1), U * apply("erf", U), apply("gelu", U)]
)
def test_means(phi: Expr, value: Callable[..., Any]) -> None:
    found = point(phi, M, Q, name)
    assert found.error is None
    for m, q in [(0.0, 0.5), (0.7, 1.4), (-1.2, 0.2)]:
        nodes, weights = np.polynomial.hermite_e.hermegauss(150)
        expected = weights @ evaluate(phi, [m + math.sqrt(q) * nodes], {}) / math.sqrt(2 * math.pi)
        assert float(value(found.expr, m=m, q=q)) == pytest.approx(expected, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize(
    ("phi", "expected"),
    [
        (apply("relu", U), lambda q: mp.sqrt(q / (2 * mp.pi))),
        (apply("abs", U), lambda q: mp.sqrt(2 * q / mp.pi)),
        (apply("relu_k", U, 4), lambda q: 2 * mp.gamma(2.5) * q**2 / mp.sqrt(mp.pi)),
        (apply("gelu", U), lambda q: q / mp.sqrt(2 * mp.pi * (1 + q))),
        (apply("sign", U), lambda q: mp.mpf(0)),
        (apply("cos", U), lambda q: mp.exp(-q / 2)),
    ],
)
def test_means_of_centred_variables(phi: Expr, expected: Callable[..., Any], value: Callable[..., Any]) -> None:
    for q in (1e-8, 0.4, 30.0, 1e8):
        actual = float(value(point(phi, ZERO, Q, name).expr, q=np.array(q)))
        assert actual == pytest.approx(float(expected(mp.mpf(q))), rel=1e-13, abs=1e-300)


def test_jumps_at_zero_variance() -> None:
    step, sign = apply("step", U), apply("sign", U)
    assert sp.simplify(coincident(step, step, ZERO, Q, name).expr - (1 + Support(Q)) / 4) == 0
    assert coincident(sign, sign, ZERO, Q, name).expr == Support(Q)


def test_formulas_are_the_published_ones() -> None:
    relu = closed(apply("relu", U), apply("relu", U))
    published = (sp.sqrt(Det(Q1, Q2, C)) + C * (sp.pi - Angle(Q1, Q2, C))) / (2 * sp.pi)
    assert sp.expand(relu - published) == 0
    leaky_relu = apply("leaky_relu", U, Symbol("a"))
    expected = sp.Symbol("a") * C + (1 - sp.Symbol("a")) ** 2 * published
    assert sp.expand(closed(leaky_relu, leaky_relu) - expected) == 0


SPIKE = Fn("spike", ("u",), apply("sign", U), 1 / (1 + apply("abs", U)) ** 2)


def test_surrogate_gradient_of_erf(value: Callable[..., Any]) -> None:
    """E[2δ(u) erf′(v)] = (2√2/π)/√(q1 + 2Δ): Eilers, Memmesheimer & Goedeke 2024."""
    truth = true_derivative(Call(SPIKE, (U,)), 0)
    expr = closed(truth, slope("erf"))
    for q1, q2, c in [(1.0, 2.0, 0.3), (0.4, 0.4, 0.4), (3.0, 0.2, -0.5)]:
        delta = max(q1 * q2 - c * c, 0.0)
        expected = 2 * math.sqrt(2) / math.pi / math.sqrt(q1 + 2 * delta)
        assert float(value(expr, q1=q1, q2=q2, c=c)) == pytest.approx(expected, rel=1e-13)
    other = pair(slope("erf"), truth, PairLaw(ZERO, ZERO, Q2, Q1, C), name).expr
    assert float(value(other, q1=1.0, q2=2.0, c=0.3)) == pytest.approx(float(value(expr, q1=1.0, q2=2.0, c=0.3)))


def test_surrogate_gradient_without_closed_form() -> None:
    truth, surrogate = (rule(Call(SPIKE, (U,)), 0) for rule in (true_derivative, derivative))
    found = pair(truth, surrogate, CENTRED, name)
    assert found.error is not None
    inner = next(iter(found.expr.atoms(PointExpectation)))
    assert inner.args[1] == 0
    same = coincident(truth, surrogate, ZERO, Q, name)
    assert same.expr == sp.sqrt(2) / sp.sqrt(sp.pi) / sp.sqrt(Q)


def test_delta_against_delta_is_infinite() -> None:
    truth = true_derivative(Call(SPIKE, (U,)), 0)
    with pytest.raises(InfiniteExpectation):
        pair(truth, truth, CENTRED, name)
    with pytest.raises(InfiniteExpectation):
        coincident(truth, truth, ZERO, Q, name)


@pytest.mark.parametrize("phi", [apply("log", U), apply("sqrt", U - 1), U**0.5, 1 / U, U**-2, apply("exp", U**2)])
def test_expectations_that_do_not_exist(phi: Expr) -> None:
    with pytest.raises(UndefinedExpectation, match=r"Gaussian|infinite"):
        pair(phi, phi, CENTRED, name)
    with pytest.raises(UndefinedExpectation):
        point(phi, ZERO, Q, name)


@pytest.mark.parametrize("phi", [apply("tanh", U), apply("softplus", U - 1), apply("relu_k", U, Symbol("k"))])
def test_other_functions_are_numerical(phi: Expr) -> None:
    found: Dual = pair(phi, apply("relu", U), CENTRED, name)
    assert found.expr == PairExpectation(sp.Symbol("f"), sp.Symbol("f"), 0, 0, Q1, Q2, C)
    assert found.error and found.rule == "closed conditional expectation inside a one-dimensional integral"
    assert pair(phi, apply("silu", U), CENTRED, name).rule == "quadrature"
    assert isinstance(coincident(phi, phi, ZERO, Q, name).expr, PointExpectation)


@pytest.mark.parametrize("psi", [apply("tanh", U), apply("relu", U), apply("sign", U - 1), apply("elu", U)])
def test_affine_functions_need_one_dimension(psi: Expr, value: Callable[..., Any]) -> None:
    """Stein's lemma, against the two-dimensional integral of the same."""
    functions: dict[Expr, sp.Symbol] = {}

    def naming(expr: Expr) -> sp.Symbol:
        return functions.setdefault(expr, sp.Symbol(f"f{len(functions)}"))

    phi = 2 * U - 0.5
    found = pair(phi, psi, PairLaw(M1, M2, Q1, Q2, C), naming)
    assert not found.expr.has(PairExpectation)
    names = {symbol: expr for expr, symbol in functions.items()}
    law = {"m1": 0.3, "m2": -0.2, "q1": 0.8, "q2": 1.4, "c": 0.6}

    def integrated(f: sp.Symbol, m: sp.Expr, q: sp.Expr) -> sp.Expr:
        return sp.Float(float(point_quadrature(names[f], float(m.subs(law)), float(q.subs(law)), {})[0]))

    actual = float(value(found.expr.replace(PointExpectation, integrated), **law))
    expected = pair_quadrature(phi, psi, *law.values(), {})[0]
    assert actual == pytest.approx(float(expected), abs=1e-12)


def test_numeric_mode_integrates_what_has_a_closed_form() -> None:
    relu = apply("relu", U)
    assert pair(relu, relu, CENTRED, name, Expectations.NUMERIC).expr.has(PairExpectation)
    assert point(relu, M, Q, name, Expectations.NUMERIC).expr.has(PointExpectation)


def test_constants_and_independence_need_one_dimension() -> None:
    tanh = apply("tanh", U)
    assert not pair(tanh, Number(2), CENTRED, name).expr.has(PairExpectation)
    independent = pair(tanh, tanh, PairLaw(M1, M2, Q1, Q2, ZERO), name)
    assert not independent.expr.has(PairExpectation)
    assert pair(Number(0), tanh, CENTRED, name).expr == 0
