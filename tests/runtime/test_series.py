"""Numerical expectations in compiled code against the interpreter, and against formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

from tensorprog.dual.special import PairExpectation, PointExpectation
from tensorprog.kernel.expectation import TOLERANCE
from tensorprog.limit.equations import LimitSystem, X, Y
from tensorprog.nonlin.expression import Operand, apply
from tensorprog.runtime.gram import Kernel
from tensorprog.runtime.series import add_series
from tensorprog.runtime.series_layout import HALF, LANES, LEVELS, STEP
from tests.codegen.test_series import K, one_expectation
from tests.kernel.systems import GRAM, SW, D, core, data, equation, system, tanh_deep

U = Operand(0)


def written_out(layers: int) -> LimitSystem:
    """Return a deep tanh network, each layer with equations of its own."""
    phi, sample, pair = sp.Symbol("phi"), [], []
    for out, x, y in ((sample, X, X), (pair, X, Y)):
        k = SW * GRAM(x, y) / D
        for layer in range(layers):
            h, a = sp.Function(f"h{layer}"), sp.Function(f"a{layer}")
            out.append(equation(h(x, y), k))
            law = h(x, x), h(y, y), h(x, y)
            second = (
                PointExpectation(sp.Symbol("phi^2"), 0, law[0]) if x == y else PairExpectation(phi, phi, 0, 0, *law)
            )
            out.append(equation(a(x, y), second))
            k = SW * a(x, y) + sp.Rational(1, 10)
        out.append(equation(sp.Function("f")(x, y), k))
    tanh = apply("tanh", U)
    f = sp.Function("f")
    return system(tuple(sample), tuple(pair), {"nngp": (f(X, X), f(X, Y))}, {SW: 1.5}, {"phi": tanh, "phi^2": tanh**2})


def clustered(count: int = 60) -> Any:
    """Return samples of three coordinates, hence close ones, among them 0, equal, opposite, parallel, small ones."""
    x = data(count, 3)
    x[7], x[9], x[10], x[11], x[12] = 0, x[8], -x[8], 30 * x[8], 1e-3 * x[13]
    return x


def _both(made: LimitSystem, *args: Any, **options: Any) -> tuple[Any, Any]:
    compiled, plain = (Kernel(core(), made, backend) for backend in ("cpu", "interpret"))
    assert "def tile" in compiled.source
    return compiled(*args, **options), plain(*args, **options)


@pytest.mark.parametrize("made", [tanh_deep(1), tanh_deep(2), tanh_deep(5), written_out(28)])
def test_close_samples_get_the_values_of_the_interpreter(made: LimitSystem) -> None:
    kinds = tuple(kind for _, kind in made.results)
    for found, expected in zip(*_both(made, clustered(), get=kinds), strict=True):
        scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
        assert np.all(np.abs(found - expected) <= 1e-11 * scale)
        assert np.array_equal(found, found.T)


def test_a_rolled_program_states_the_errors_of_all_layers() -> None:
    kernel = Kernel(core(), written_out(28))
    kernel(data(10, 3), get="nngp")
    assert "for layer in" in kernel.source
    found = [choice.error for choice in kernel.report.choices if choice.numerical]
    assert None not in found
    assert 0 < kernel.report.error < 1e-8


def test_the_functions_of_swapped_samples() -> None:
    """E[tanh(u) cos(v)] under the law of (x', x) is not that of (x, x')."""
    x1, x2 = data(9), data(8, seed=1)
    found, expected = _both(one_expectation((1, 0, K(Y, Y), K(X, X), K(X, Y))), x1, x2, get="nngp")
    straight, _ = _both(one_expectation((1, 0, K(X, X), K(Y, Y), K(X, Y))), x2, x1, get="nngp")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found, straight.T, rtol=0, atol=1e-11)


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    x, kernel = np.concatenate([data(300, 12), data(300, 12, seed=2), clustered(3 * 20).repeat(4, axis=1)]), None
    results = []
    for threads in (1, 2, 5):
        kernel = Kernel(core(), tanh_deep(2))
        kernel.threads = threads
        results.append(kernel(x).tobytes())
    assert len(set(results)) == 1


def test_a_function_of_one_number_that_vanishes() -> None:
    x = np.zeros((4, 3))
    assert np.array_equal(Kernel(core(), tanh_deep(2))(x, x), np.zeros((4, 4)))


def _row(ratio: float) -> tuple[Any, Any]:
    """Return the coefficients ratio^k as compiled code reads them, and their remainders."""
    a = ratio ** np.arange(4000.0)
    norm = np.sum(a**2)
    levels = STEP * np.arange(LEVELS)
    rests = [np.sqrt(np.sum(a[2 * level + parity :: 2] ** 2) / norm) for parity in (0, 1) for level in levels]
    last = np.sqrt(np.sum(a[2 * HALF :] ** 2) / norm)
    return np.array([*a[: 2 * HALF : 2], *a[1 : 2 * HALF : 2], 1.0, last]), np.array(rests)


def _sum(ratio: float, rho: Any) -> tuple[Any, Any, float]:
    """Return the sums with a_k = b_k = ratio^k, which are those of a geometric series, the marks, and the bound."""
    (row, rests), before = _row(ratio), 64
    blocks = -(-(before + len(rho)) // LANES)
    a, rest_a = row.reshape(1, 1, -1), rests.reshape(1, 1, -1)
    b, rest_b = np.tile(row[None, None, :, None], (blocks, 1, 1, LANES)), np.tile(rests, (blocks, 1, 1))
    work, missed, worst = np.zeros((2, 32 * blocks)), np.zeros((1, before + len(rho)), np.uint8), np.zeros(1)
    work[0, : len(rho)] = rho
    add_series(a, rest_a, b, rest_b, work, missed, worst, 0, 0, 0, 1, 0, 0, before, len(rho), TOLERANCE)
    assert not missed[0, :before].any()
    return work[1, : len(rho)], missed[0, before:], worst[0]


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.9, 0.98])
def test_sums_are_those_of_geometric_series_unless_they_are_marked(ratio: float) -> None:
    rho = np.concatenate([np.linspace(-1, 1, 77), np.zeros(40), [0.999] * 30])
    value, missed, worst = _sum(ratio, rho)
    exact, norm = 1 / (1 - ratio**2 * rho), 1 / (1 - ratio**2)
    good = missed == 0
    assert np.all(np.abs(value - exact)[good] <= 2 * TOLERANCE * norm)
    assert 0 <= worst <= TOLERANCE
    assert np.array_equal(missed == 1, np.abs(rho) ** 192 * ratio**384 > TOLERANCE)


def test_what_is_not_a_number_stays_alone() -> None:
    value, missed, _ = _sum(0.5, np.array([0.5, np.nan, 0.2]))
    assert np.array_equal(np.isnan(value), [False, True, False])
    assert not missed.any()


def test_an_argument_that_is_not_a_number_is_not_lost_where_no_term_is_needed() -> None:
    value, _, _ = _sum(0.0, np.array([0.5, np.nan, 0.0]))
    assert np.array_equal(value[[0, 2]], [1.0, 1.0])
    assert np.isnan(value[1])


def test_covariances_beyond_the_variances_are_cut() -> None:
    value, missed, _ = _sum(0.5, np.array([1.0, 1 + 1e-15, 1.1, -1.0, -1 - 1e-15]))
    np.testing.assert_allclose(value, [4 / 3] * 3 + [4 / 5] * 2, rtol=1e-12)
    assert not missed.any()
