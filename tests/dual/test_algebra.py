"""Duals of random activations of the algebra, against quadrature with 30 digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import pytest
import sympy as sp
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tensorprog.dual.expectation import Dual, PairLaw, coincident, pair, point
from tensorprog.nonlin.expression import Expr
from activations import ACTIVATIONS, PLAIN
from exact import integral, line_integral, meaning

LETTERS = sp.symbols("m1 m2 q1 q2 c")
LAW = PairLaw(*LETTERS)
CENTRED = PairLaw(sp.Integer(0), sp.Integer(0), *LETTERS[2:])
LAWS = [(0.0, 0.0, 0.75, 1.5, 0.5), (0.0, 0.0, 1.0, 0.5, -0.6), (0.3, -0.7, 1.2, 0.6, 0.4)]


def nameless(expr: Expr) -> sp.Symbol:
    """Name every function alike."""
    return sp.Symbol("f")


def check(found: Dual, expected: Any, scale: Any, **values: float) -> None:
    """Compare a closed form with an integral, exactly and as it is computed with doubles."""
    assert abs(meaning(found.expr, **values) - expected) < mp.mpf(10) ** -17 * scale


def compare(phi: Expr, psi: Expr, law: tuple[float, ...], value: Callable[..., Any]) -> bool:
    """Compare E[φ(u) ψ(v)], if it has a closed form; return whether it has."""
    is_centred = law[0] == law[1] == 0
    found = pair(phi, psi, CENTRED if is_centred else LAW, nameless)
    if found.error is not None:
        return False
    names = dict(zip(("m1", "m2", "q1", "q2", "c"), law, strict=True))
    values = {name: number for name, number in names.items() if not (is_centred and name in ("m1", "m2"))}
    expected = integral(phi, psi, law)  # type: ignore[arg-type]
    scale = 1 + abs(expected)
    assert abs(meaning(found.expr, **values) - expected) < mp.mpf(10) ** -17 * scale
    assert abs(float(value(found.expr, **values)) - float(expected)) < 1e-11 * float(scale)
    return True


_SETTINGS = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


@settings(_SETTINGS, max_examples=120)
@given(PLAIN, PLAIN, st.sampled_from(LAWS))
def test_random_pairs(value: Callable[..., Any], phi: Expr, psi: Expr, law: tuple[float, ...]) -> None:
    compare(phi, psi, law, value)
