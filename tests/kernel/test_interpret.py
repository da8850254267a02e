"""The interpreter against textbook formulas and other quadrature rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tensorprog.dual.numeric import SPECIALS
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.interpret import Samples, interpret_diagonal, interpret_pair, interpret_sample
from tensorprog.kernel.ir import KernelIR
from tensorprog.kernel.lower import lower
from tensorprog.runtime.deviation import deviation_tile
from tests.kernel.systems import data, relu_deep, relu_kernels, relu_mlp, tanh_deep


def _samples(ir: KernelIR, x: Any) -> tuple[Samples, dict[str, float]]:
    parameters = {**ir.constants, "d": float(x.shape[1])}
    inputs = {name: np.sum(x * x, axis=1) for name in ir.grams}
    return interpret_sample(ir, inputs, len(x), parameters, Numerics(ir.functions, parameters)), parameters


def _kernels(ir: KernelIR, x1: Any, x2: Any) -> tuple[Any, Numerics]:
    left, parameters = _samples(ir, x1)
    right, _ = _samples(ir, x2)
    numerics, gram = Numerics(ir.functions, parameters), x1 @ x2.T
    squares = np.sum(x1 * x1, axis=1), np.sum(x2 * x2, axis=1)
    grams = {name: deviation_tile(gram, x1, x2, *squares) if name in ir.deviations else gram for name in ir.grams}
    return interpret_pair(ir, grams, left, right, parameters, numerics), numerics


@pytest.mark.parametrize(("system", "layers"), [(relu_mlp(), 2), (relu_deep(2), 2), (relu_deep(7), 7)])
def test_relu_networks_have_the_textbook_kernels(system: Any, layers: int) -> None:
    x1, x2 = data(6), data(5, seed=1)
    found, _ = _kernels(lower(system), x1, x2)
    np.testing.assert_allclose(found, relu_kernels(x1, x2, layers), rtol=1e-12)


def test_diagonals_come_from_the_one_sample_program() -> None:
    ir, x = lower(relu_deep(4)), data(6)
    samples, parameters = _samples(ir, x)
    for result, kernel in zip(ir.results, relu_kernels(x, x, 4), strict=True):
        diagonal = interpret_diagonal(ir, result, samples, parameters)
        np.testing.assert_allclose(diagonal, np.diag(kernel), rtol=1e-6)  # arccos near 1 limits the textbook formula


def test_a_zero_sample_gives_no_nan() -> None:
    x = np.concatenate([np.zeros((1, 5)), data(2)])
    found, _ = _kernels(lower(relu_deep(3, sb2=0.0)), x, x)
    assert np.isfinite(found).all()
    assert np.all(found[:, 0] == 0)


def _tanh_pair(q1: float, q2: float, c: float) -> float:
    """E[tanh u tanh v] by the trapezoidal rule, which converges like exp(−2π d/h), d > ½ the distance of the poles."""
    z = np.arange(-95, 96) * 0.1
    weight = np.exp(-(z**2) / 2) * 0.1 / np.sqrt(2 * np.pi)
    u, v = np.sqrt(q1) * z[:, None], c / np.sqrt(q1) * z[:, None] + np.sqrt(q2 - c * c / q1) * z
    return float(weight @ (np.tanh(u) * np.tanh(v)) @ weight)


def test_numerical_expectations_agree_with_another_rule() -> None:
    x1, x2 = data(5), data(4, seed=3)
    found, numerics = _kernels(lower(tanh_deep(1)), x1, x2)
    q1, q2 = (1.5 * np.sum(x * x, axis=1) / 5 for x in (x1, x2))
    for i in range(5):
        for j in range(4):
            expected = _tanh_pair(q1[i], q2[j], 1.5 * float(x1[i] @ x2[j]) / 5)
            assert found[0, i, j] == pytest.approx(expected, abs=1e-10)
    assert 0 < max(numerics.errors.values()) < 1e-9


def test_series_and_quadrature_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    x1, x2 = data(8), data(7, seed=1)
    by_series, _ = _kernels(lower(tanh_deep(2)), x1, x2)
    monkeypatch.setattr("tensorprog.kernel.expectation.TOLERANCE", -1.0)
    by_quadrature, _ = _kernels(lower(tanh_deep(2)), x1, x2)
    np.testing.assert_allclose(by_series, by_quadrature, rtol=0, atol=1e-9)


def test_the_special_functions_are_there() -> None:
    assert all(callable(value) for value in SPECIALS.values())
