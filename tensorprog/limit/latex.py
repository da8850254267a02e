"""A limit system as LaTeX: one `align*` environment per part, recurrences with their range."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter

from tensorprog.limit.equations import Equation, LimitSystem, Recurrence
from tensorprog.nonlin.text import text

__all__ = ["limit_latex"]


_LETTERS = {"Det": r"\Delta", "Angle": r"\theta"}


class _Latex(LatexPrinter):
    r"""Moments as K_{\mathrm{h}}(x, x'), inner products of data in angles, expectations as 𝔼."""

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        letter = str(super()._print_Symbol(expr))
        return letter if expr.name == "x'" or len(expr.name) == 1 or letter.startswith("\\") else _word(expr.name)

    def _print_Function(self, expr: sp.Function, exp: str | None = None) -> str:
        name, args = expr.func.__name__, [self._print(arg) for arg in expr.args]
        if name in ("PairExpectation", "PointExpectation"):
            body = self._expectation(name, args)
        elif isinstance(expr, AppliedUndef):
            body = _applied(name, args)
        elif name in ("Det", "Angle"):
            body = _LETTERS[name] + rf"\left({', '.join(args)}\right)"
        elif name == "Support":
            body = rf"\mathbf{{1}}\left\{{{args[0]} > 0\right\}}"
        else:
            return str(super()._print_Function(expr, exp))
        return body if exp is None else f"{{{body}}}^{{{exp}}}"

    def _expectation(self, name: str, args: list[str]) -> str:
        if name == "PointExpectation":
            return rf"\mathbb{{E}}_{{u \sim \mathcal{{N}}({args[1]}, {args[2]})}}\left[{args[0]}(u)\right]"
        phi, psi, m1, m2, q1, q2, c = args
        law = rf"\mathcal{{N}}\left(({m1}, {m2}), \begin{{pmatrix}} {q1} & {c} \\ {c} & {q2} \end{{pmatrix}}\right)"
        return rf"\mathbb{{E}}_{{(u, v) \sim {law}}}\left[{phi}(u)\, {psi}(v)\right]"


def _applied(name: str, args: list[str]) -> str:
    if name.startswith("<"):
        left, _, right = name[1:-1].partition(",")
        primes = ["'" if copy == "x'" else "" for copy in args]
        return rf"\left\langle {_word(left)}{primes[0]}, {_word(right or left)}{primes[1]} \right\rangle"
    kind, _, subject = name.partition("_")
    head = {"T": r"\Theta", "S": r"\tilde{\Theta}", "D": r"\dot{K}", "Ds": r"\tilde{K}", "c": ""}.get(kind, kind)
    if not subject:
        return rf"{_word(name)}({', '.join(args)})"
    return (rf"{head}_{{{_word(subject)}}}" if head else _word(subject)) + f"({', '.join(args)})"


def _word(name: str) -> str:
    return r"\mathrm{" + re.sub(r"([#_&%$])", r"\\\1", name) + "}"


_PRINTER = _Latex()


def limit_latex(system: LimitSystem) -> str:
    """Return the one-copy and the two-copy system, the kernels and the named functions as LaTeX."""
    parts = [_part(system.sample), _part(system.pair), _kernels(system), _functions(system)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _part(blocks: tuple[Equation | Recurrence, ...]) -> str:
    return _align([line for block in blocks for line in _rows(block)]) if blocks else ""


def _rows(block: Equation | Recurrence, condition: str = "") -> Iterator[str]:
    if isinstance(block, Equation):
        tag = r" && \text{" + block.rule.replace("&", "and") + "}"
        yield f"{_PRINTER.doprint(block.lhs)} &= {_PRINTER.doprint(block.rhs)}{condition}{tag}"
        return
    for equation in block.initial:
        yield from _rows(equation)
    for inner in block.body:
        yield from _rows(inner, rf", \quad {block.index} = {block.first}, \dots, {block.last}")


def _kernels(system: LimitSystem) -> str:
    heads = {"nngp": r"\mathrm{NNGP}", "ntk": r"\mathrm{NTK}", "sg_ntk": r"\mathrm{sgNTK}"}
    rows = [
        rf"{heads[name]}_{{{_word(output)}}}(x, x') &= {_PRINTER.doprint(result.pair)}"
        for (output, name), result in system.results.items()
        if name != "sg_ntk" or result != system.results.get((output, "ntk"))
    ]
    return _align(rows)


def _functions(system: LimitSystem) -> str:
    """Return the functions that expectations name φ₁, φ₂, …, as they are written in programs."""
    named = {name: text(expr, ("u",)) for name, expr in system.functions.items()}
    rows = [
        rf"{_PRINTER.doprint(sp.Symbol(name))}(u) &= \texttt{{{_verbatim(words)}}}"
        for name, words in named.items()
        if words != f"{name}(u)"
    ]
    return _align(rows) if rows else ""


def _verbatim(words: str) -> str:
    return re.sub(r"([#_&%$])", r"\\\1", words).replace("^", r"\^{}")


def _align(rows: list[str]) -> str:
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"
