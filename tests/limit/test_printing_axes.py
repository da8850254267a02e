"""Formulas with axes as their reader sees them: places, sums, sweeps, ranges; hand-built systems."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import sympy as sp

from tensorprog.core.ir import Axis
from tensorprog.dual.special import Angle
from tensorprog.errors import Span
from tensorprog.limit.equations import (
    AxisSum,
    Block,
    Equation,
    Kind,
    Largest,
    LimitSystem,
    Ranks,
    Result,
    SoftmaxOver,
    Subject,
    Sweep,
    Within,
    X,
    Y,
)
from tensorprog.limit.latex import limit_latex
from tensorprog.limit.text import formula, limit_text
from tensorprog.nonlin.expression import Expr, Number, Symbol

SPAN = Span(1, 1, 1, 1, 1)
NAMES = "i i′ j j′ k k₁′ o o′ t t′ p p′"
i, i_, j, j_, k, k1_, o, o_, t, t_, p, p_ = sp.symbols(NAMES, integer=True)
sw2, sb2, T, T_, H, H_ = sp.symbols("sw2 sb2 T T′ H H′")
K_a, K_g, K_h, K_s, K_y, a, G = sp.symbols("K_a K_g K_h K_s K_y c_a <x>", cls=sp.Function)


def equation(lhs: sp.Expr, rhs: sp.Expr) -> Equation:
    name = lhs.func.__name__
    return Equation(name, lhs, rhs, "linear combination", Subject(Kind.SECOND, name[2:]), SPAN)


def axis(name: str, start: int, extent: Expr, circular: bool = False) -> Axis:
    return Axis(name, Number(start), extent, circular, SPAN)


def system(*pair: Block, result: sp.Expr = sp.S.Zero, sample: tuple[Block, ...] = ()) -> LimitSystem:
    axes = [
        axis("i", 0, Symbol("H")),
        axis("j", 0, Symbol("H"), circular=True),
        axis("k", -1, Number(3)),
        axis("o", 0, Symbol("H")),
        axis("p", 1, Symbol("H")),
        axis("t", 0, Symbol("T")),
    ]
    return LimitSystem(
        name="p",
        constants={},
        sizes={T: Symbol("T"), H: Symbol("H")},
        right_sizes={T_: Symbol("T"), H_: Symbol("H")},
        grams={G: ("x", "x")},
        data={},
        functions={},
        sample=sample,
        pair=pair,
        results={("f", "nngp"): Result(result, result)},
        assumptions=(),
        axes={each.name: each for each in axes},
        shapes={name: (("i", X), ("i", Y)) for name in ("K_a", "K_g", "K_h", "K_s", "K_y", "<x>")}
        | {"c_a": (("i", X),)},
        indices={
            symbol: (symbol.name[0], Y if "′" in symbol.name else X)
            for symbol in (i, i_, j, j_, k, k1_, o, o_, t, t_, p, p_)
        },
    )


FORMULAS = {
    "K_g(o, o′, x, x′) = sw2/9 Σ_k K_a(2 o + k, 2 o′ + k, x, x′) + sb2": (
        K_g(o, o_, X, Y),
        sw2 / 9 * AxisSum(K_a(2 * o + k, 2 * o_ + k, X, Y), k) + sb2,
    ),
    "K_y(x, x′) = 1/(H H′) Σ_o,o′ K_a(o, o′, x, x′)": (K_y(X, Y), AxisSum(K_a(o, o_, X, Y), o, o_) / (H * H_)),
    "K_y(i, i′, x, x′) = K_h(i, i′, x, x′) + Σ_j,j′ K_h(j, j′, x, x′) a(i, j, x) a(i′, j′, x′)": (
        K_y(i, i_, X, Y),
        AxisSum(a(i, j, X) * a(i_, j_, Y) * K_h(j, j_, X, Y), j, j_) + K_h(i, i_, X, Y),
    ),
    "a(i, j, x) = softmax_j(K_h(i, j, x, x)/2)": (a(i, j, X), SoftmaxOver(K_h(i, j, X, X) / 2, j)),
    "a(i, x) = max_k (-1 + a(i + k, x))": (a(i, X), Largest(a(i + k, X) - 1, k)),
    "K_g(t, t′, x, x′) = [t = 0] [t′ = 0] K_a(x, x′) + sw2 K_s(t - 1, t′ - 1, x, x′)": (
        K_g(t, t_, X, Y),
        sp.Add(
            sp.KroneckerDelta(t, 0) * sp.KroneckerDelta(t_, 0) * K_a(X, Y),
            sw2 * K_s(t - 1, t_ - 1, X, Y),
            evaluate=False,
        ),
    ),
    "K_g(t, t′, x, x′) = [t - 1 ∈ i] [t′ - 1 ∈ i′]": (
        K_g(t, t_, X, Y),
        sp.Mul(Within(t - 1, sp.Symbol("i"), X), Within(t_ - 1, sp.Symbol("i"), Y), evaluate=False),
    ),
    "K_y(x, x′) = K_s(T - 1, T′ - 1, x, x′)": (K_y(X, Y), K_s(T - 1, T_ - 1, X, Y)),
    "K_s(o, o′, x, x′) = θ[K_g(o, o′)]": (
        K_s(o, o_, X, Y),
        Angle(K_g(o, o, X, X), K_g(o_, o_, Y, Y), K_g(o, o_, X, Y)),
    ),
    "K_s(o, x, x′) = θ[K_g(o, o, x, x), K_g(o′, o′, x′, x′), K_g(o, o, x, x′)]": (
        K_s(o, X, Y),
        Angle(K_g(o, o, X, X), K_g(o_, o_, Y, Y), K_g(o, o, X, Y)),
    ),
    "K_h(i, i′, x, x′) = ⟨x[i - k₁′ + 1], x′[-2 i′]⟩": (K_h(i, i_, X, Y), G(i - k1_ + 1, -2 * i_, X, Y)),
    "K_y(x, x′) = sw2 (Σ_i K_a(i, i, x, x′)) Σ_j K_a(j, j, x, x′)": (
        K_y(X, Y),
        sw2 * AxisSum(K_a(i, i, X, Y), i) * AxisSum(K_a(j, j, X, Y), j),
    ),
    "K_y(x, x′) = (Σ_i K_a(i, i, x, x′))^2 - Σ_j (1 + K_a(j, j, x, x′))": (
        K_y(X, Y),
        AxisSum(K_a(i, i, X, Y), i) ** 2 - AxisSum(K_a(j, j, X, Y) + 1, j),
    ),
    "K_y(x, x′) = Σ_i Σ_j K_a(i, i, x, x′) K_h(i + j, j, x, x′)": (
        K_y(X, Y),
        AxisSum(AxisSum(K_a(i, i, X, Y) * K_h(i + j, j, X, Y), j), i),
    ),
}


@pytest.mark.parametrize("words", FORMULAS)
def test_formulas(words: str) -> None:
    lhs, rhs = FORMULAS[words]
    assert f"{formula(lhs)} = {formula(rhs)}" == words


def recurrence() -> LimitSystem:
    def step(left: sp.Symbol, right: sp.Symbol) -> Equation:
        return equation(K_g(t, t_, left, right), sw2 * K_g(t - 1, t_ - 1, left, right) + G(t, t_, left, right))

    return system(
        Sweep(t, t_, ((step(X, Y),),), (Ranks(0, 0),)),
        equation(K_y(X, Y), AxisSum(K_g(t, t_, X, Y), t, t_) / (T * T_)),
        sample=(Sweep(t, t_, ((step(X, X),),), (Ranks(0, 0),)),),
        result=K_g(p, p_, X, Y),
    )


def test_a_sweep_says_its_ranges() -> None:
    lines = limit_text(recurrence()).splitlines()
    assert "  for t, t′ = 0 … T - 1:" in lines
    assert "  for t = 0 … T - 1, t′ = 0 … T′ - 1:" in lines
    inside = next(line for line in lines if line.startswith("    K_g(t, t′, x, x′)"))
    assert inside.startswith("    K_g(t, t′, x, x′) = sw2 K_g(t - 1, t′ - 1, x, x′) + ⟨x[t], x′[t′]⟩ ")
    assert "  NNGP of f: K_g(p, p′, x, x′)" in lines


def test_the_notation_says_what_places_mean() -> None:
    text = limit_text(recurrence())
    assert "axes: t = 0 … T - 1;" in text
    assert "  what is read beyond its axis is 0\n" in text
    assert "T′ is T of x′" in text
    assert "H′" not in text
    assert "[i ∈ j]" not in text
    both = limit_text(system(equation(K_y(X, Y), AxisSum(K_a(p, j, X, Y) * Within(k, sp.Symbol("i"), X), p, j, k))))
    assert "axes: i = 0 … H - 1, j = 0 … H - 1 circular, k = -1 … 1, p = 1 … H;" in both
    assert "what is read beyond another axis is 0; places on j wrap round" in both
    assert "[i ∈ j]" in both


def test_sizes_that_are_quotients() -> None:
    half, half_ = sp.Symbol("((H + 1) // 2)"), sp.Symbol("((H′ + 1) // 2)")
    written = Symbol("H")
    made = system(equation(K_y(X, Y), AxisSum(K_a(o, o_, X, Y), o, o_) / (half * half_)))
    made = replace(made, sizes={half: written}, right_sizes={half_: written})
    text = limit_text(made)
    assert "K_y(x, x′) = 1/(((H + 1) // 2) ((H′ + 1) // 2)) Σ_o,o′ K_a(o, o′, x, x′)" in text
    assert "  H′ is H of x′\n" in text
    latex = limit_latex(made)
    assert r"\frac{1}{\left\lfloor (H + 1) / 2 \right\rfloor \left\lfloor (H' + 1) / 2 \right\rfloor}" in latex
    assert formula(K_y(X, Y) / T**2 * AxisSum(K_a(i, i, X, Y), i)) == "K_y(x, x′)/T^2 Σ_i K_a(i, i, x, x′)"
    assert formula(AxisSum(K_a(i, i, X, Y), i) / T**2) == "1/T^2 Σ_i K_a(i, i, x, x′)"


def test_programs_without_axes_say_nothing_of_them() -> None:
    text = limit_text(system(equation(K_y(X, Y), K_a(X, Y))))
    assert "axes" not in text
    assert "T′" not in text


def test_latex_is_well_formed() -> None:
    rows = tuple(equation(*sides) for sides in FORMULAS.values())
    latex = limit_latex(system(Sweep(t, t_, (rows[:2],), (Ranks(0, 0),)), *rows, result=K_g(p, p_, X, Y)))
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", latex):
        depth += 1 if mark == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert latex.count(r"\left") == latex.count(r"\right")
    assert not re.search(r"[^\x00-\x7f]", latex)
    assert r"\sum_{k} K_{\mathrm{a}}(2 o + k, 2 o' + k, x, x')" in latex
    assert r"\left\langle \mathrm{x}_{i - k_{1}' + 1}, \mathrm{x}'_{- 2 i'} \right\rangle" in latex
    assert r"\operatorname{softmax}_{j}\left(" in latex
    assert r"\max_{k} \left(" in latex
    assert r"\left[t - 1 \in i\right]" in latex
    assert r"\left[t = 0\right]" in latex
    assert r", \quad t = 0, \dots, T - 1,\; t' = 0, \dots, T' - 1" in latex
    assert r"\mathrm{NNGP}_{\mathrm{f}}(p, p', x, x') &= K_{\mathrm{g}}(p, p', x, x')" in latex
