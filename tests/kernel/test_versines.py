"""Versines in pair programs: where they are carried, by which rules, and where angles stay as they were."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp

import tensorprog as tp
from tensorprog.dual.numeric import SPECIALS
from tensorprog.dual.special import Angle, Det
from tensorprog.kernel.homogeneous import Law, homogeneous
from tensorprog.kernel.ir import KernelIR, lets
from tensorprog.kernel.pieces import Piece, Pieces
from tensorprog.kernel.text import ir_text
from tensorprog.limit.equations import X, Y

A, B, Q = (sp.Function(name) for name in "ABQ")
HEAD = "program p\nwidth n\ninput x : (d)\nparam W : (n, d) ~ N(0, 1 / d)\nparam U : (n, n) ~ N(0, 1 / n)\n"
TAIL = "param V : (1, n) ~ N(0, 1 / n)\noutput f = V @ {}\n"


def _ir(body: str, output: str) -> KernelIR:
    return tp.parse(HEAD + body + TAIL.format(output)).compile(backend="interpret").ir


def _carried(ir: KernelIR) -> set[str]:
    return {let.name for let in lets(ir.pair) if let.name.endswith((":versine", ":deviation"))}


def test_programs_without_angles_carry_none() -> None:
    ir = _ir("h = W @ x\ng = U @ erf(h)\n", "gelu(g)")
    assert not ir.deviations
    assert ":" not in ir_text(ir).split("sample x:")[1].replace("pair x, x':", "").replace("ntk of f:", "").replace(
        "nngp of f:", ""
    ).replace("sg_", "")


def test_odd_functions_of_data_know_both_ends() -> None:
    ir = _ir("h = W @ x\ng = U @ sign(h)\n", "sign(g)")
    assert "K_h:deviation" in _carried(ir)
    assert "K_g:deviation" in _carried(ir)
    assert "K_g:versine" in _carried(_ir("h = W @ x\ng = U @ relu(h)\n", "relu(g)"))


def test_two_variables_in_one_law_keep_their_determinant() -> None:
    ir = _ir("param b : (n) ~ N(0, 1)\nh = W @ x\n", "(relu(h + b) * relu(b))")
    assert "Angle" in ir_text(ir)


@pytest.mark.parametrize("form", ["relu(h)", "abs(h)", "leaky_relu(h, 0.3)", "relu(h)^3", "step(h)", "sign(h)"])
def test_arc_cosine_kernels_of_all_orders_are_homogeneous(form: str) -> None:
    ir = _ir("h = W @ x\n" + f"g = U @ ({form})\n", "relu(g)")
    assert "Angle" not in ir_text(ir)
    assert "slope" not in ir_text(ir)


def test_what_is_not_homogeneous_is_expanded() -> None:
    ir = _ir("h = W @ x\ng = U @ (relu(h) + erf(h))\n", "relu(g)")
    assert any(let.name.endswith(":slope") for let in lets(ir.sample))
    assert "Angle" not in ir_text(ir).partition("K_g")[2].partition("pair x")[2].partition("K_g")[2]


def _pieces() -> Pieces:
    """Kernels A and B with versines a and b; shares of sums stay where they are."""
    known = {A: Piece(A(X, Y), sp.Symbol("a")), B: Piece(B(X, Y), sp.Symbol("b"))}
    return Pieces(lambda f: known[f.func], lambda value, name: value, lambda expr: None, {sp.Symbol("k"): -2.0})


def _value(expr: sp.Expr, values: dict[sp.Expr, float]) -> Any:
    evaluate = sp.lambdify(list(values), expr, modules=[{f.__name__: g for f, g in SPECIALS.items()}, "numpy"])
    return evaluate(*values.values())


@pytest.mark.parametrize(
    "expr",
    [
        A(X, Y) + B(X, Y),
        3 * A(X, Y) + sp.Rational(1, 4),
        A(X, Y) * B(X, Y),
        A(X, Y) ** 2 + 2 * B(X, Y) + 1,
        A(X, Y) / (sp.sqrt(Q(X)) * sp.sqrt(Q(Y))),
        sp.Symbol("d") * (A(X, Y) + B(X, Y)) * sp.Symbol("k") ** 2,
        A(X, Y) - Q(X) * Q(Y) / 9,
    ],
)
def test_rules_give_the_versine(expr: sp.Expr) -> None:
    first, second, cosines = (1.3, 0.8), (0.5, 2.1), (0.9, -0.4)
    values: dict[sp.Expr, float] = {sp.Symbol("k"): -2.0, sp.Symbol("d"): 5.0, Q(X): 1.1, Q(Y): 0.7}
    for f, left, right, cosine in zip((A, B), first, second, cosines, strict=True):
        values |= {f(X, X): left, f(Y, Y): right, f(X, Y): cosine * np.sqrt(left * right)}
    values |= {sp.Symbol("a"): 1 - cosines[0], sp.Symbol("b"): 1 - cosines[1]}
    piece = _pieces().find(expr)
    assert piece is not None
    variances = [_value(expr.xreplace({Y: X} if side is X else {X: Y}), _at(values, side)) for side in (X, Y)]
    expected = 1 - _value(expr, values) / np.sqrt(variances[0] * variances[1])
    assert _value(piece.versine, values) == pytest.approx(expected, rel=1e-13)


def _at(values: dict[sp.Expr, float], side: sp.Symbol) -> dict[sp.Expr, float]:
    """Return the values with those of one copy only, which are those of pairs (x, x) or (x', x')."""
    return {key: value for key, value in values.items() if not key.has(X, Y) or not key.has(Y if side is X else X)}


@pytest.mark.parametrize("expr", [A(X, Y) * sp.Symbol("k"), A(X, Y) * Q(X), sp.sqrt(A(X, Y)), sp.exp(A(X, Y))])
def test_what_is_no_kernel_has_none(expr: sp.Expr) -> None:
    assert _pieces().find(expr) is None


def test_the_relu_rule_against_mpmath() -> None:
    law = Law(Q(X), Q(Y), A(X, Y))
    relu = (sp.sqrt(Det(law.q1, law.q2, law.c)) + (sp.pi - Angle(law.q1, law.q2, law.c)) * law.c) / (2 * sp.pi)
    dual = homogeneous(relu, law)
    assert dual is not None
    assert (dual.degree, dual.is_odd) == (1, False)
    theta = sp.Symbol("theta")
    with mpmath.workdps(40):
        for angle in (1e-12, 1e-6, 0.3, 2.0, mpmath.pi):
            t = mpmath.mpf(angle)
            value = dual.versine(theta, sp.sin(theta), 1 - sp.cos(theta)).subs(theta, sp.Float(t, 40)).evalf(40)
            exact = 1 - (mpmath.sin(t) + (mpmath.pi - t) * mpmath.cos(t)) / mpmath.pi
            assert abs(mpmath.mpf(str(value)) - exact) < 1e-35
