"""Formulas around the normal distribution as their reader sees them."""

from __future__ import annotations

import pytest
import sympy as sp

from tensorprog.dual.special import Angle, Bump, Opening, Orthant, Standard, Tail, WaveTailIm, WaveTailRe
from tensorprog.limit.equations import Equation, Kind, LimitSystem, Result, Subject, X, Y
from tensorprog.limit.latex import limit_latex
from tensorprog.limit.text import formula, limit_text
from tests.kernel.systems import SPAN

K, M = sp.Function("K_h"), sp.Function("M_h")
Q, R, C = K(X, X), K(Y, Y), K(X, Y)
H = Standard(M(X), Q)
THETA = Angle(Q, R, C)

TEXTS = [
    (H, "M_h(x)/√(K_h(x, x))"),
    (H**2, "(M_h(x)/√(K_h(x, x)))^2"),
    (Bump(0, M(X), R), "exp(-M_h(x)^2/(2 K_h(x′, x′)))"),
    (2 * Tail(0, H), "2 Φ(M_h(x)/√(K_h(x, x)))"),
    (Tail(Q / 2, -sp.sqrt(Q)), "exp(K_h(x, x)/2) Φ(-√(K_h(x, x)))"),
    (Tail(Q, C) ** 2, "(exp(K_h(x, x)) Φ(K_h(x, x′)))^2"),
    (Orthant(0, Q, C, THETA) ** 2, "Φ₂(K_h(x, x), K_h(x, x′); θ[K_h])^2"),
    (3 * Orthant(C, Q, R, THETA), "3 exp(K_h(x, x′)) Φ₂(K_h(x, x), K_h(x′, x′); θ[K_h])"),
    (WaveTailRe(-Q, C, R, C), "Re[exp(-K_h(x, x) + ⅈ K_h(x, x′)) Φ(K_h(x′, x′) + ⅈ K_h(x, x′))]"),
    (WaveTailIm(0, 0, R, C), "Im[Φ(K_h(x′, x′) + ⅈ K_h(x, x′))]"),
    (C * Opening(THETA), "K_h(x, x′) opening(θ[K_h])"),
]


@pytest.mark.parametrize(("expr", "expected"), TEXTS)
def test_text(expr: sp.Expr, expected: str) -> None:
    assert _sorted(formula(expr)) == _sorted(expected)


def _sorted(text: str) -> list[str]:
    """The letters of a formula: the order of terms is that of sympy."""
    return sorted(text)


def _system(value: sp.Expr) -> LimitSystem:
    f = sp.Function("K_f")
    equations = (Equation("f", f(X, Y), value, "by hand", Subject(Kind.SECOND, "f"), SPAN),)
    results = {("f", "nngp"): Result(f(X, X), f(X, Y))}
    return LimitSystem("hand", {}, {}, {}, {}, {}, (), equations, results, ())


def test_the_legend_explains_them() -> None:
    text = limit_text(_system(Tail(Q, H) + Orthant(0, Q, R, THETA) + WaveTailRe(0, Q, H, C) + Opening(THETA)))
    notation = text.split("notation")[1].split("two samples")[0]
    for symbol in ("Φ(h)", "Φ₂(h, k; θ)", "Φ(z)", "opening(θ) = sin θ - θ cos θ", "θ[K]"):
        assert symbol in notation


def test_latex() -> None:
    text = limit_latex(_system(Tail(Q, C) ** 2 + Orthant(0, Q, R, THETA) + WaveTailIm(Q, C, R, C) + Opening(THETA) * H))
    assert r"{\left(e^{K_{\mathrm{h}}(x, x)} \, \Phi\left(K_{\mathrm{h}}(x, x')\right)\right)}^{2}" in text
    assert r"\Phi_2\left(K_{\mathrm{h}}(x, x), K_{\mathrm{h}}(x', x'); \theta" in text
    assert r"\operatorname{Im}\left[e^{" in text
    assert r"\frac{M_{\mathrm{h}}(x)}{\sqrt{K_{\mathrm{h}}(x, x)}}" in text
    assert r"\left(\sin \theta" in text
    assert text.count("{") == text.count("}")
