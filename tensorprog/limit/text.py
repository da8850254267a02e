"""A limit system as text: formulas in let-form, each with its rule and the line of the program that it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy as sp

from tensorprog.dual.special import (
    Angle,
    Det,
    JointExpectation,
    Opening,
    Orthant,
    PairExpectation,
    PointExpectation,
    Support,
    Tail,
    WaveTailRe,
)
from tensorprog.limit.equations import Block, Equation, LimitSystem, Sweep, Within, X, Y
from tensorprog.limit.equations import equations as walk
from tensorprog.limit.formulas import formula, variable_names
from tensorprog.limit.ranges import axes_in, range_of, right_sizes, sweep_ranges
from tensorprog.nonlin.expression import Expr
from tensorprog.nonlin.text import text

__all__ = ["formula", "limit_text"]

_COLUMN = 68
_QUANTITIES: Mapping[str, str] = {
    "K": "K_v(x, x′): second moment, the limit of E[v_α(x) v_α(x′)] for a coordinate α of v",
    "C": "C_v(x, x′): covariance, the limit of Cov(v_α(x), v_α(x′))",
    "M": "M_v(x): mean, the limit of E[v_α(x)]",
    "T": "Θ_v(x, x′): tangent, the limit of Σ_p lr_p ⟨∂v_α(x)/∂p, ∂v_α(x′)/∂p⟩ over the trained parameters p",
    "D": "K̇_v(x, x′): E[φ′(u) φ′(u′)], the factor with which v = φ(u) passes a tangent on",
    "S": "Θ̃_v(x, x′), K̃_v(x, x′): as Θ_v and K̇_v, with the true derivative at x and the surrogate one at x′",
}
_LEGEND: Mapping[type[sp.Function], str] = {
    Det: "Δ[K] = K(x, x) K(x′, x′) − K(x, x′)²",
    Angle: "θ[K] = arccos(K(x, x′) / √(K(x, x) K(x′, x′)))",
    PairExpectation: "E[φ(u) ψ(v) | K]: (u, v) centred Gaussian, variances K(x, x), K(x′, x′), covariance K(x, x′)",
    PointExpectation: "E[φ(u) | K]: u centred Gaussian of variance K",
    JointExpectation: "E[f(u1, …, uk) | M; C]: u1, …, uk jointly Gaussian, with means M (0 if left out) and "
    "covariances C, the upper triangle row by row",
    Support: "1{K > 0}: 1, and 0 where the variance K is zero",
    Opening: "opening(θ) = sin θ - θ cos θ",
    Tail: "Φ(h): the standard normal distribution function",
    Orthant: "Φ₂(h, k; θ): the distribution function of two standard normal variables of correlation cos θ",
    WaveTailRe: "Re[…], Im[…]: parts of complex numbers, ⅈ² = -1; Φ(z) = erfc(-z/√2)/2",
}


def limit_text(system: LimitSystem) -> str:
    """Return the whole limit as text."""
    return "\n".join(_lines(system)) + "\n"


def _lines(system: LimitSystem) -> Iterator[str]:
    yield f"limit of {system.name} as n → ∞" + _constants(system)
    yield ""
    for assumption in system.assumptions:
        yield f"{assumption.name}: {assumption.statement}"
    yield from _notation(system)
    yield from _section("one sample x", system.sample, _Writer(system, X))
    yield from _section("two samples x, x′", system.pair, _Writer(system, Y))
    yield from ["", "kernels"]
    for (output, name), result in system.results.items():
        if name == "sg_ntk" and result == system.results.get((output, "ntk")):
            continue
        symbol = {"nngp": "NNGP", "ntk": "NTK", "sg_ntk": "surrogate NTK"}[name]
        yield f"  {symbol} of {output}: {formula(result.pair, system.shapes)}"
    for (output, name), error in system.refused.items():
        if name == "sg_ntk" and (output, "ntk") in system.refused:
            continue
        yield f"  no {name} of {output}: {str(error).splitlines()[0]}"


def _constants(system: LimitSystem) -> str:
    values = ", ".join(f"{symbol} = {value:.12g}" for symbol, value in system.constants.items())
    return f", at {values}" if values else ""


def _notation(system: LimitSystem) -> Iterator[str]:
    every = (*walk(system.sample), *walk(system.pair))
    kinds = {str(equation.lhs.func).partition("_")[0] for equation in every}
    used = {f.func for equation in every for f in equation.rhs.atoms(sp.Function)}
    legend = [words for kind, words in _QUANTITIES.items() if kind in kinds]
    legend += [words for function, words in _LEGEND.items() if function in used]
    if any("," in str(equation.lhs.func) for equation in every):
        legend.append("K_v,w(x, x′), and so on: the same of v at x with w at x′")
    if any(re.search(r"\.\d|#\d", str(equation.lhs.func)) for equation in every):
        legend.append("v.1, v.2, …: unnamed parts of the statement that defines v;  v#2: the second variable called v")
    if any(re.search(r"\[\d+\]", str(equation.lhs.func)) for equation in every):
        legend.append("v[2]: v at place 2 of an axis that is written out")
    if any(str(equation.lhs.func).endswith(".moved") for equation in every):
        legend.append("v.moved: v with its gains free to move, v.slope1, …: its derivatives with respect to them")
    legend += _axes(system, every, used)
    functions = [f"{name} = {_function_text(expr)}" for name, expr in system.functions.items() if _is_named(name, expr)]
    if legend or functions:
        yield ""
        yield "notation"
        yield from (f"  {line}" for line in [*legend, *functions])


def _axes(system: LimitSystem, every: tuple[Equation, ...], used: set[type[sp.Basic]]) -> Iterator[str]:
    """Yield what places in brackets mean: the ranges of the axes, what is read beyond them, laws at two places."""
    axes = axes_in(system, every)
    if not axes:
        return
    yield "axes: " + ", ".join(range_of(system, axis) for axis in axes) + "; i′, i₁, i₁′, … run over the axis of i"
    yield "K_v(i, i′, x, x′): v at place i of x with v at place i′ of x′; M_v(i, x): v at place i of x"
    circular = [axis for axis in axes if system.axes[axis].circular]
    wrapped = f"; places on {', '.join(circular)} wrap round" if circular else ""
    if len(circular) < len(axes):
        yield f"what is read beyond {'another' if circular else 'its'} axis is 0{wrapped}"
    else:
        yield "places wrap round"
    if sizes := right_sizes(system, axes):
        yield ", ".join(f"{size}′ is {size} of x′" for size in sizes)
    if used & {Det, Angle, PairExpectation}:
        yield "Δ[K(i, i′)], θ[K(i, i′)], …: those of K(i, i, x, x), K(i′, i′, x′, x′) and K(i, i′, x, x′)"
    if used & {sp.KroneckerDelta, Within}:
        yield "[i = k], [i ∈ j]: 1 if i is k, if i is a place on the axis j, and else 0"


def _is_named(name: str, expr: Expr) -> bool:
    return _function_text(expr) != f"{name}(u)"


def _function_text(expr: Expr) -> str:
    return text(expr, variable_names(expr))


def _section(title: str, blocks: tuple[Block, ...], writer: _Writer) -> Iterator[str]:
    if blocks:
        yield from ["", title]
        for block in blocks:
            yield from writer.block(block, "  ")


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the blocks of a system, one line for an equation; `right` is its second copy, x itself or x'."""

    system: LimitSystem
    right: sp.Symbol

    def block(self, block: Block, indent: str) -> Iterator[str]:
        """Yield the lines of a block."""
        if isinstance(block, Equation):
            yield self.equation(block, indent)
            return
        if isinstance(block, Sweep):
            yield f"{indent}for {sweep_ranges(self.system, block, self.right)}:"
            yield from (self.equation(equation, indent + "  ") for equation in walk((block,)))
            return
        yield from (self.equation(equation, indent) for equation in block.initial)
        yield f"{indent}for {block.index} = {block.first} … {block.last}:"
        for inner in block.body:
            yield from self.block(inner, indent + "  ")

    def equation(self, equation: Equation, indent: str) -> str:
        """Return an equation with its rule and its line."""
        sides = " = ".join(formula(side, self.system.shapes) for side in (equation.lhs, equation.rhs))
        return f"{indent + sides:<{_COLUMN}}  # line {equation.line}: {equation.rule}"
