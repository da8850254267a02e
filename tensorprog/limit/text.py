"""A limit system as text: formulas in let-form, each with its rule and the line of the program that it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.str import StrPrinter

from tensorprog.dual.special import Angle, Det, PairExpectation, PointExpectation, Support
from tensorprog.limit.equations import Equation, LimitSystem, Recurrence
from tensorprog.limit.equations import equations as walk
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
    Support: "1{K > 0}: 1, and 0 where the variance K is zero",
}


class _Formulas(StrPrinter):
    """Formulas as a person would type them: x′ for the second copy, ⟨x, x′⟩ for inner products of data."""

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return str(expr.name).replace("'", "′")

    def _print_Function(self, expr: sp.Function) -> str:
        name, args = expr.func.__name__, [self._print(arg) for arg in expr.args]
        if isinstance(expr, AppliedUndef):
            args = [_step(arg) if arg.is_Add else text for arg, text in zip(expr.args, args, strict=True)]
            return _inner_product(name[1:-1], args) if name.startswith("<") else f"{_quantity(name)}({', '.join(args)})"
        if name in ("PairExpectation", "PointExpectation"):
            return _expectation(expr, args)
        if name in ("Det", "Angle"):
            return {"Det": "Δ", "Angle": "θ"}[name] + _of_law(expr, args)
        return f"1{{{args[0]} > 0}}" if name == "Support" else f"{name.lower()}({', '.join(args)})"

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        if expr.exp == sp.Rational(1, 2):
            return f"√({self._print(expr.base)})"
        return str(super()._print_Pow(expr, rational=rational)).replace("**", "^")

    def _print_Pi(self, expr: sp.Expr) -> str:
        return "π"

    def _print_Float(self, expr: sp.Float) -> str:
        return f"{float(expr):.12g}"

    def _print_Mul(self, expr: sp.Mul) -> str:
        return str(super()._print_Mul(expr)).replace("*", " ")


def _quantity(name: str) -> str:
    """Return the name of a quantity with the field's letters: Θ for tangents, K̇ for derivative factors."""
    kind, _, subject = name.partition("_")
    letter = {"T": "Θ", "S": "Θ̃", "D": "K̇", "Ds": "K̃"}.get(kind, kind)
    return (subject if kind == "c" and subject else f"{letter}_{subject}" if subject else name).replace("'", "′")


def _step(index: sp.Expr) -> str:
    """Return the index of a loop as l − 1, not as −1 + l."""
    constant, symbol = index.as_coeff_Add()
    return f"{symbol} - {-constant}" if constant < 0 else f"{symbol} + {constant}"


def _of_law(expr: sp.Function, args: list[str]) -> str:
    """Return `[K_h]` for the covariances K_h(x, x), K_h(x', x'), K_h(x, x') of one variable, else all three."""
    return f"[{_law_name(expr.args) or ', '.join(args)}]"


def _law_name(entries: tuple[sp.Expr, ...]) -> str | None:
    """Return the one quantity whose values at (x, x), (x', x') and (x, x') the entries are, if there is one."""
    if not all(isinstance(entry, AppliedUndef) for entry in entries) or len({entry.func for entry in entries}) > 1:
        return None
    q1, q2, c = (entry.args for entry in entries)
    if not (q1[:-2] == c[:-2] == q2[:-2] and (q1[-2], q2[-1]) == (c[-2], c[-1])):
        return None
    index = f"({_step(c[0]) if c[0].is_Add else c[0]})" if c[:-2] else ""
    return _quantity(entries[2].func.__name__) + index


def _expectation(expr: sp.Function, args: list[str]) -> str:
    """Return a numerical expectation with the law under which it is taken."""
    if len(args) == 3:
        return f"E[{args[0]}(u) | {args[1]}, {args[2]}]" if args[1] != "0" else f"E[{args[0]}(u) | {args[2]}]"
    phi, psi, m1, m2, q1, q2, c = args
    means = "" if m1 == m2 == "0" else f"{m1}, {m2}; "
    return f"E[{phi}(u) {psi}(v) | {means}{_law_name(expr.args[4:]) or f'{q1}, {q2}, {c}'}]"


def _inner_product(names: str, copies: list[str]) -> str:
    left, right = names.split(",") if "," in names else (names, names)
    primes = ["′" if copy.endswith("′") else "" for copy in copies]
    return f"⟨{left}{primes[0]}, {right}{primes[1]}⟩"


_PRINTER = _Formulas({"order": "none"})


def formula(expr: sp.Expr) -> str:
    """Return a formula of the limit as one line of text."""
    return str(_PRINTER.doprint(expr))


def limit_text(system: LimitSystem) -> str:
    """Return the whole limit as text."""
    return "\n".join(_lines(system)) + "\n"


def _lines(system: LimitSystem) -> Iterator[str]:
    yield f"limit of {system.name} as n → ∞" + _constants(system)
    yield ""
    for assumption in system.assumptions:
        yield f"{assumption.name}: {assumption.statement}"
    yield from _notation(system)
    yield from _section("one sample x", system.sample)
    yield from _section("two samples x, x′", system.pair)
    yield from ["", "kernels"]
    for (output, name), result in system.results.items():
        if name == "sg_ntk" and result == system.results.get((output, "ntk")):
            continue
        symbol = {"nngp": "NNGP", "ntk": "NTK", "sg_ntk": "surrogate NTK"}[name]
        yield f"  {symbol} of {output}: {formula(result.pair)}"
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
    if any(str(equation.lhs.func).endswith(".moved") for equation in every):
        legend.append("v.moved: v with its gains free to move, v.slope1, …: its derivatives with respect to them")
    functions = [f"{name} = {_function_text(expr)}" for name, expr in system.functions.items() if _is_named(name, expr)]
    if legend or functions:
        yield ""
        yield "notation"
        yield from (f"  {line}" for line in [*legend, *functions])


def _is_named(name: str, expr: Expr) -> bool:
    return _function_text(expr) != f"{name}(u)"


def _function_text(expr: Expr) -> str:
    return text(expr, ("u",))


def _section(title: str, blocks: tuple[Equation | Recurrence, ...]) -> Iterator[str]:
    if blocks:
        yield from ["", title]
        for block in blocks:
            yield from _block(block, "  ")


def _block(block: Equation | Recurrence, indent: str) -> Iterator[str]:
    if isinstance(block, Equation):
        yield _equation(block, indent)
        return
    for equation in block.initial:
        yield _equation(equation, indent)
    yield f"{indent}for {block.index} = {block.first} … {block.last}:"
    for inner in block.body:
        yield from _block(inner, indent + "  ")


def _equation(equation: Equation, indent: str) -> str:
    text = f"{indent}{formula(equation.lhs)} = {formula(equation.rhs)}"
    return f"{text:<{_COLUMN}}  # line {equation.line}: {equation.rule}"
