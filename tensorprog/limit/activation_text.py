"""The derivation of a dual activation as text and as LaTeX, one line for a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sympy as sp
from sympy.printing.latex import LatexPrinter

from tensorprog.dual.closed.derivation import U, V
from tensorprog.dual.special import Angle, DampedCosh, DampedExp, DampedSinh, Det, Reciprocal
from tensorprog.limit.formulas import Formulas
from tensorprog.nonlin.text import text

if TYPE_CHECKING:
    from tensorprog.limit.activation import DualActivation

__all__ = ["activation_latex", "activation_text"]

_COLUMN = 100
_Entries = tuple[sp.Expr, sp.Expr, sp.Expr]


@dataclass(slots=True)
class _Laws:
    """The laws under which expectations are taken, numbered in order of appearance after that of u and v themselves."""

    base: _Entries
    numbers: dict[_Entries, int] = field(default_factory=dict)

    def renamed(self, expr: sp.Expr) -> tuple[sp.Expr, _Entries | None]:
        """Return the body of an expectation in the variables of its law, None for that of u and v."""
        body, *entries = expr.args
        q1, q2, c = self.base
        law = (entries[0], entries[1], entries[2])
        swap = {U: V, V: U}
        if law == self.base or (not body.has(V) and entries[0] == q1):
            return body, None
        if law == (q2, q1, c) or (not body.has(V) and entries[0] == q2):
            return body.xreplace(swap), None
        swapped = (law[1], law[0], law[2])
        return (body.xreplace(swap), swapped) if swapped in self.numbers else (body, law)

    def number(self, law: _Entries) -> int:
        """Return the number of a law."""
        return self.numbers.setdefault(law, len(self.numbers) + 1)


class _Text(Formulas):
    """Prints expectations as E[…], under other laws than that of u and v as E1[…], E2[…]."""

    def __init__(self, laws: _Laws) -> None:
        super().__init__()
        self._laws = laws

    def _print_Mean(self, expr: sp.Expr) -> str:
        body, law = self._laws.renamed(expr)
        return f"E{'' if law is None else self._laws.number(law)}[{self._print(body)}]"


class _Latex(LatexPrinter):
    """The same in LaTeX."""

    def __init__(self, laws: _Laws) -> None:
        super().__init__()
        self._laws = laws

    def _print_Mean(self, expr: sp.Expr) -> str:
        body, law = self._laws.renamed(expr)
        index = "" if law is None else f"_{{{self._laws.number(law)}}}"
        return rf"\mathbb{{E}}{index}\left[{self._print(body)}\right]"


def activation_text(dual: DualActivation) -> str:
    """Return the functions, the law, the steps and the closed form."""
    return "\n".join(_lines(dual)) + "\n"


def _lines(dual: DualActivation) -> Iterator[str]:
    base = (dual.law.q1, dual.law.q2, dual.law.c)
    law, laws = dual.law, _Laws(base)
    printer = _Text(laws)
    means = "" if law.m1 == 0 else ", of means m1, m2"
    yield f"φ(u) = {text(dual.phi, ['u'])},  ψ(v) = {text(dual.psi, ['v'])}"
    yield f"u, v Gaussian{means}, of variances q1, q2 and covariance c;  Δ = q1 q2 - c^2, θ the angle between them"
    if means:
        yield "below, u and v stand for the centred variables u - m1 and v - m2"
    yield ""
    if dual.proof is None:
        yield f"no closed form: {dual.rule}; {dual.error}"
        return
    rows = [
        (f"{printer.doprint(line.left)} = {printer.doprint(_plain(line.right, base))}", line.rule)
        for line in dual.proof.lines
    ]
    yield from (f"{equation:<{_COLUMN}}  # {rule}" for equation, rule in dict.fromkeys(rows))
    for entries, number in laws.numbers.items():
        q1, q2, c = (printer.doprint(sp.factor(entry)) for entry in entries)
        second = "" if entries[1] == 0 else f", v of variance {q2}, covariance {c}"
        yield f"in E{number}, u has the variance {q1}{second}"
    yield ""
    yield f"E[φ(u) ψ(v)] = {printer.doprint(_plain(dual.formula, base))}"


def _plain(expr: sp.Expr, base: _Entries) -> sp.Expr:
    """Return an expression with θ and Δ for the angle and the determinant of the law of u and v."""
    return _written_out(expr).xreplace({Angle(*base): sp.Symbol("θ"), Det(*base): sp.Symbol("Δ")})


def _written_out(expr: sp.Expr) -> sp.Expr:
    """Return an expression with quotients and exponentials as people write them."""
    expr = expr.replace(Reciprocal, lambda q: 1 / q)
    for kind, function in ((DampedSinh, sp.sinh), (DampedCosh, sp.cosh), (DampedExp, sp.exp)):
        expr = expr.replace(kind, lambda q1, q2, c, s, f=function: sp.exp(-s * (q1 + q2) / 2) * f(s * c))
    return expr


def activation_latex(dual: DualActivation) -> str:
    """Return the steps and the closed form as LaTeX."""
    base = (dual.law.q1, dual.law.q2, dual.law.c)
    printer = _Latex(_Laws(base))
    lines = dual.proof.lines if dual.proof is not None else ()
    rows = [
        f"{printer.doprint(line.left)} &= {printer.doprint(_plain(line.right, base))} && \\text{{{line.rule}}}"
        for line in lines
    ]
    rows.append(rf"\mathbb{{E}}\left[\varphi(u) \psi(v)\right] &= {printer.doprint(_plain(dual.formula, base))}")
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}\n"
