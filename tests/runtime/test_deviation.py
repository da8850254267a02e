"""1 − |cos θ| of data vectors against 60 digits: near-parallel, parallel, opposite, of any scale, and zero."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from tensorprog.runtime.deviation import deviation_tile


def _deviations(u: Any, v: Any) -> Any:
    return deviation_tile(u @ v.T, u, v, np.einsum("ij,ij->i", u, u), np.einsum("ij,ij->i", v, v))


def _exact(u: Any, v: Any) -> Any:
    a, b = ([mpmath.mpf(float(entry)) for entry in side] for side in (u, v))
    c, p, q = (mpmath.fsum(x * y for x, y in zip(*sides, strict=True)) for sides in ((a, b), (a, a), (b, b)))
    return 1 - abs(c) / mpmath.sqrt(p * q)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("scale", [1.0, 0.7, 1e-120, 1e120])
@pytest.mark.parametrize("length", [1, 2, 50, 3000])
def test_relative_accuracy_near_parallel(length: int, scale: float, sign: float) -> None:
    random = np.random.default_rng(length)
    u = random.standard_normal((1, length))
    steps = np.array([1e-16, 1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2])[:, None]
    v = sign * scale * (u + steps * random.standard_normal((len(steps), length)))
    with mpmath.workdps(60):
        expected = [float(_exact(u[0], row)) for row in v]
    np.testing.assert_allclose(_deviations(u, v)[0], expected, rtol=1e-10, atol=1e-60)


def test_multiples_are_parallel() -> None:
    u = np.random.default_rng(0).standard_normal((3, 17))
    for factor in (1.0, -1.0, 2.0, -0.25):
        assert np.all(np.diag(_deviations(u, factor * u)) == 0.0)


def test_zero_vectors_are_orthogonal_to_all() -> None:
    u = np.array([[0.0, 0.0], [1.0, 2.0]])
    np.testing.assert_array_equal(_deviations(u, u), [[1.0, 1.0], [1.0, 0.0]])
