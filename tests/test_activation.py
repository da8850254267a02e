"""Duals of functions given as text: values, derivations whose lines are true, refusals, the command."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import sympy as sp
from click.testing import CliRunner

import tensorprog as tp
from tensorprog.cli import main
from tensorprog.dual.closed.derivation import Mean, U, V
from tests.dual.exact import meaning

POINT = {"q1": 0.75, "q2": 1.5, "c": 0.5}


def integral(expr: sp.Expr, q1: float, q2: float, c: float) -> float:
    """Return the expectation of an expression in u and v, by the trapezoidal rule in two dimensions."""
    z = np.linspace(-8.5, 8.5, 1401)  # an even number of panels: a jump at 0 falls on a node, where step is ½
    weight = np.exp(-z * z / 2) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    u = math.sqrt(q1) * z[:, None] + 0 * z
    v = (c / math.sqrt(q1)) * z[:, None] + math.sqrt(q2 - c * c / q1) * z
    function = sp.lambdify((U, V), expr, [{"step": lambda x: np.heaviside(x, 0.5)}, "scipy", "numpy"])
    return float(weight @ (function(u, v) + 0 * u) @ weight)


def numbers(expr: sp.Expr) -> sp.Expr:
    """Put numbers for the letters of a derivation."""
    det = POINT["q1"] * POINT["q2"] - POINT["c"] ** 2
    return expr.subs({**{s: POINT[s.name] for s in expr.free_symbols if s.name in POINT}}).subs(
        {s: det for s in expr.free_symbols if s.name == "Δ"}
    )


@pytest.mark.parametrize(("phi", "psi"), [("gelu(u)", "gelu(u)"), ("u * sin(u)", "u * sin(u)"), ("Phi(u)", "cos(u)")])
def test_every_line_of_a_derivation_is_true(phi: str, psi: str) -> None:
    proof = tp.dual_activation(phi, psi).proof
    assert proof is not None and len(proof.lines) > 2
    for line in proof.lines:
        left, right = (side.replace(Mean, integrated) for side in (line.left, line.right))
        sides = [float(meaning(sp.sympify(numbers(side)))) for side in (left, right)]
        assert sides[0] == pytest.approx(sides[1], abs=1e-9), str(line)


def integrated(body: sp.Expr, *law: sp.Expr) -> sp.Expr:
    """Return the value of an expectation that a derivation speaks of."""
    q1, q2, c = (float(numbers(entry)) for entry in law)
    return sp.Float(integral(body, q1, max(q2, c * c / q1), c))


def test_text_names_the_functions_the_rules_and_the_laws() -> None:
    text = str(tp.dual_activation("gelu(u)"))
    assert "φ(u) = gelu(u),  ψ(v) = gelu(v)" in text
    assert (
        "# Stein's lemma" in text and "# completing the square" in text and "# arcsine kernel (Williams 1997)" in text
    )
    assert "in E1, u has the variance (q1 + Δ)/(1 + q2)" in text


def test_values_of_closed_and_numerical_duals() -> None:
    erf = tp.dual_activation("erf(u)")
    expected = 2 / math.pi * math.asin(2 * 0.5 / math.sqrt((1 + 2 * 0.75) * (1 + 2 * 1.5)))
    assert float(erf(0.75, 1.5, 0.5)) == pytest.approx(expected, rel=1e-14)
    assert erf.error is None
    tanh = tp.dual_activation("tanh(u)")
    assert tanh.error is not None and tanh.proof is None and "no closed form" in str(tanh)
    assert float(tanh(1.0, 1.0, 1.0)) == pytest.approx(0.394294, abs=1e-6)  # E tanh² of a standard normal variable
    assert tp.dual_activation("2")(1.0, [1.0, 2.0], 0.5).tolist() == [4.0, 4.0]


def test_means_are_refused_where_the_formula_has_none() -> None:
    with pytest.raises(ValueError, match="mean=True"):
        tp.dual_activation("relu(u)")(1.0, 1.0, 0.5, m1=1.0)


@pytest.mark.parametrize(
    ("text", "error"), [("nope(u)", tp.CheckError), ("u +", tp.ParseError), ("log(u)", tp.LimitError)]
)
def test_bad_functions_are_errors(text: str, error: type[tp.TensorProgramError]) -> None:
    with pytest.raises(error):
        tp.dual_activation(text)


def test_command() -> None:
    result = CliRunner().invoke(main, ["dual", "relu(u)", "--derivative", "--json"])
    assert result.exit_code == 0
    record = json.loads(result.output)
    assert record["error"] is None and "Angle" in record["formula"] and record["rule"].startswith("arc-cosine")
    assert CliRunner().invoke(main, ["dual", "u *"]).exit_code == 1
    assert r"\mathbb{E}" in CliRunner().invoke(main, ["dual", "sin(u)", "--latex"]).output
