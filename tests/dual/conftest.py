"""How the tests of expectations look at them: values of sympy expressions, and an independent two-dimensional rule."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp

from tensorprog.dual.numeric import SPECIALS

Q1, Q2, C, M1, M2, Q, M = sp.symbols("q1 q2 c m1 m2 q m")


@pytest.fixture(scope="session")
def value() -> Callable[..., Any]:
    """Return a function that evaluates an expression for values of its symbols, given by name."""

    def evaluated(expr: sp.Expr, **values: Any) -> Any:
        modules = [{kind.__name__: function for kind, function in SPECIALS.items()}, "scipy", "numpy"]
        with np.errstate(over="ignore", under="ignore"):
            return sp.lambdify([sp.Symbol(name) for name in values], expr, modules)(*values.values())

    return evaluated


@pytest.fixture(scope="session")
def polar() -> Callable[..., float]:
    """Return E[φ(m1 + u) ψ(m2 + v)] in polar coordinates, cut where u or v changes sign: for moderate variances."""
    radial, radial_weight = _panels(np.linspace(0, 11, 12), 40)

    @functools.cache
    def integral(phi: Any, psi: Any, q1: float, q2: float, c: float, m1: float = 0, m2: float = 0) -> float:
        theta = float(np.arccos(np.clip(c / np.sqrt(q1 * q2), -1, 1)))
        cuts = np.mod([np.pi / 2, 3 * np.pi / 2, theta + np.pi / 2, theta - np.pi / 2], 2 * np.pi)
        angle, weight = _panels(np.unique([0, 2 * np.pi, *cuts, *np.linspace(0, 2 * np.pi, 7)]), 40)
        u = np.sqrt(q1) * radial[:, None] * np.cos(angle)
        v = np.sqrt(q2) * radial[:, None] * np.cos(angle - theta)
        density = radial_weight * radial * np.exp(-(radial**2) / 2) / (2 * np.pi)
        return float(density @ (phi(m1 + u) * psi(m2 + v)) @ weight)

    return integral


def _panels(cuts: Any, order: int) -> tuple[Any, Any]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half, middle = np.diff(cuts)[:, None] / 2, (cuts[1:] + cuts[:-1])[:, None] / 2
    return (middle + half * nodes).ravel(), (half * weights).ravel()
