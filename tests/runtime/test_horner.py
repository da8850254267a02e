"""Polynomials of 32 entries at once, against numpy, and the machine code that they become."""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding
import numpy as np
import pytest
from numba import njit

from tensorprog.runtime.horner import correlate, sum_parities

COUNT = 5


@njit("void(float64[::1], float64[:, ::1], int64, int64, float64[::1])", error_model="numpy")
def sums(a: Any, b: Any, even: int, odd: int, value: Any) -> None:
    sum_parities(a, b, COUNT, even, odd, value, 8)


@njit("float64(float64[::1], float64, float64[::1], float64[::1])", error_model="numpy")
def correlations(c: Any, scale: float, scales: Any, rho: Any) -> float:
    return correlate(c, 8, scale, scales, rho)


@pytest.mark.parametrize(("even", "odd"), [(0, 0), (0, 1), (1, 0), (3, 2), (5, 5)])
def test_sums_of_both_parities(even: int, odd: int) -> None:
    rng = np.random.default_rng(0)
    a, b, rho = rng.standard_normal(2 * COUNT), rng.standard_normal((2 * COUNT, 32)), rng.uniform(-1, 1, 48)
    value = rho.copy()
    sums(a, b, even, odd, value)
    x = rho[8:40]
    expected = sum((a[n] * b[n] * x ** (2 * n) for n in range(even)), np.zeros(32))
    expected += sum((a[COUNT + n] * b[COUNT + n] * x ** (2 * n + 1) for n in range(odd)), np.zeros(32))
    np.testing.assert_allclose(value[8:40], expected, rtol=0, atol=1e-14)
    assert np.array_equal(np.delete(value, slice(8, 40)), np.delete(rho, slice(8, 40)))


def test_what_is_not_a_number_stays_so_without_any_term() -> None:
    value = np.full(48, np.nan)
    sums(np.ones(2 * COUNT), np.ones((2 * COUNT, 32)), 0, 0, value)
    assert np.isnan(value).all()


def test_correlations_are_cut_and_the_largest_is_returned() -> None:
    c, scales, rho = np.full(48, 0.25), np.full(32, 2.0), np.zeros(48)
    c[8:13] = [-0.5, np.nan, 0.0, 0.3, 7.0]
    assert correlations(c, 1.0, scales, rho) == 1.0
    np.testing.assert_array_equal(rho[8:13], [-1.0, np.nan, 0.0, 0.6, 1.0])
    assert np.array_equal(rho[13:40], np.full(27, 0.5))
    assert not rho[:8].any() and not rho[40:].any()
    assert correlations(np.full(48, -0.25), 1.0, scales, rho) == 0.5
    assert correlations(np.full(48, np.nan), 1.0, scales, rho) == 0.0


def test_terms_are_products_and_fused_operations_in_registers() -> None:
    """The innermost loops hold nothing else, whatever vectors the processor has."""
    features = llvmlite.binding.get_host_cpu_features()
    if not features.get("fma", False):
        pytest.skip("this processor has no fused multiply-add")
    register = "zmm" if features.get("avx512f", False) else "ymm"
    (assembly,) = sums.inspect_asm().values()
    fused = re.findall(rf"vfmadd\w+pd\s.*%{register}\d+", assembly)
    assert len(fused) >= 2 * 32 // (8 if register == "zmm" else 4)
    assert "vfmadd213sd" not in assembly and "vfmadd231sd" not in assembly
