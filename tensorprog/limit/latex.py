"""A limit system as LaTeX: one `align*` environment per part, recurrences with their range."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter

from tensorprog.dual.special import JointExpectation
from tensorprog.limit.equations import (
    AxisSum,
    Block,
    Equation,
    Largest,
    LimitSystem,
    Recurrence,
    SoftmaxOver,
    Sweep,
    Within,
    X,
    Y,
)
from tensorprog.limit.equations import equations as walk
from tensorprog.limit.formulas import (
    Shapes,
    arrange_place,
    bracket_sides,
    free_indices,
    join_terms,
    last_sums,
    left_places,
    split_sums,
    variable_names,
)
from tensorprog.limit.ranges import sweep_ends
from tensorprog.limit.specials import binds_as_product, special_latex
from tensorprog.nonlin.text import text

__all__ = ["limit_latex"]


_LETTERS = {"Det": r"\Delta", "Angle": r"\theta"}


class _Latex(LatexPrinter):
    r"""Moments as K_{\mathrm{h}}(x, x'), inner products of data in angles, expectations as 𝔼.

    `shapes` are those of the limit system: they tell which places of an inner product belong to which factor.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self._shapes = shapes
        self._bound: frozenset[sp.Symbol] = frozenset()

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        if quotient := re.fullmatch(r"\((.*) // (\w+)\)", expr.name):
            return r"\left\lfloor {} / {} \right\rfloor".format(*map(_ascii, quotient.groups()))
        if marks := re.search(r"['′₀-₉]+$", expr.name):
            return self._print_Symbol(sp.Symbol(expr.name[: marks.start()])) + _marks(marks.group())
        letter = str(super()._print_Symbol(expr))
        return letter if len(expr.name) == 1 or letter.startswith("\\") else _word(expr.name)

    def _print_Function(self, expr: sp.Function, exp: str | None = None) -> str:
        name = expr.func.__name__
        if isinstance(expr, AppliedUndef):
            body = self._inner_product(expr) if name.startswith("<") else self._applied(expr)
            return body if exp is None else f"{{{body}}}^{{{exp}}}"
        args = [self._print(arg) for arg in expr.args]
        if name in ("PairExpectation", "PointExpectation"):
            body = self._expectation(name, args)
        elif name == "JointExpectation":
            body = _joint_expectation(args)
        elif name in ("Det", "Angle"):
            body = _LETTERS[name] + rf"\left({', '.join(args)}\right)"
        elif name == "Support":
            body = rf"\mathbf{{1}}\left\{{{args[0]} > 0\right\}}"
        else:
            special = special_latex(expr, self._print)
            if special is None:
                return str(super()._print_Function(expr, exp))
            body = rf"\left({special}\right)" if exp is not None and binds_as_product(expr) else special
        return body if exp is None else f"{{{body}}}^{{{exp}}}"

    def place(self, expr: sp.Expr) -> str:
        """Return an affine expression of indices."""
        return join_terms([str(self._print(term)) for term in arrange_place(expr, self._bound)])

    def _applied(self, expr: sp.Expr) -> str:
        args = ", ".join(map(self.place, expr.args))
        name = expr.func.__name__
        kind, _, subject = name.partition("_")
        head = {"T": r"\Theta", "S": r"\tilde{\Theta}", "D": r"\dot{K}", "Ds": r"\tilde{K}", "c": ""}.get(kind, kind)
        if not subject:
            return rf"{_word(name)}({args})"
        return (rf"{head}_{{{_word(subject)}}}" if head else _word(subject)) + f"({args})"

    def _inner_product(self, expr: sp.Expr) -> str:
        left, _, right = expr.func.__name__[1:-1].partition(",")
        places, copies = expr.args[:-2], expr.args[-2:]
        here = left_places(expr, self._shapes)
        factors = ((left, places[:here], copies[0]), (right or left, places[here:], copies[1]))
        inner = ", ".join(self._factor(*factor) for factor in factors)
        return rf"\left\langle {inner} \right\rangle"

    def _factor(self, name: str, places: tuple[sp.Expr, ...], copy: sp.Expr) -> str:
        prime = "'" if copy == Y else ""
        return _word(name) + prime + (f"_{{{', '.join(map(self.place, places))}}}" if places else "")

    def _print_AxisSum(self, expr: AxisSum) -> str:
        return rf"\sum_{{{self._names(expr.indices)}}} {self._body(expr)}"

    def _print_Largest(self, expr: Largest) -> str:
        return rf"\max_{{{self._names(expr.indices)}}} {self._body(expr)}"

    def _print_SoftmaxOver(self, expr: SoftmaxOver) -> str:
        return rf"\operatorname{{softmax}}_{{{self._names(expr.indices)}}}\left({self._print(expr.body)}\right)"

    def _print_KroneckerDelta(self, expr: sp.KroneckerDelta, exp: str | None = None) -> str:
        return rf"\left[{' = '.join(map(self.place, bracket_sides(expr)))}\right]"

    def _print_Within(self, expr: Within) -> str:
        place, axis, copy = expr.args
        return rf"\left[{self.place(place)} \in {self._print(axis)}{_marks('′') if copy == Y else ''}\right]"

    def _names(self, indices: Iterable[sp.Symbol]) -> str:
        return ", ".join(self._print(index) for index in indices)

    def _body(self, expr: AxisSum) -> str:
        before, self._bound = self._bound, self._bound.union(expr.indices)
        body = str(self._print(expr.body))
        self._bound = before
        return rf"\left({body}\right)" if expr.body.is_Add else body

    def _print_Add(self, expr: sp.Add, order: str | None = None) -> str:
        ordered = last_sums(expr)
        return str(super()._print_Add(ordered, order if ordered is expr else "none"))

    def _print_Mul(self, expr: sp.Mul) -> str:
        rest, sums = split_sums(expr)
        if not sums:
            return str(super()._print_Mul(expr))
        *inner, last = sums
        parts = [rf"\left({self._print(each)}\right)" for each in inner] + [self._print(last)]
        if rest in (1, -1):
            return ("-" if rest == -1 else "") + " ".join(parts)
        written = self._print(rest)
        return " ".join([rf"\left({written}\right)" if rest.is_Add else written, *parts])

    def _print_Pow(self, expr: sp.Pow) -> str:
        if isinstance(expr.base, AxisSum) and expr.exp.is_Integer and expr.exp > 0:
            return rf"\left({self._print(expr.base)}\right)^{{{expr.exp}}}"
        return str(super()._print_Pow(expr))

    def _expectation(self, name: str, args: list[str]) -> str:
        if name == "PointExpectation":
            return rf"\mathbb{{E}}_{{u \sim \mathcal{{N}}({args[1]}, {args[2]})}}\left[{args[0]}(u)\right]"
        phi, psi, m1, m2, q1, q2, c = args
        law = rf"\mathcal{{N}}\left(({m1}, {m2}), \begin{{pmatrix}} {q1} & {c} \\ {c} & {q2} \end{{pmatrix}}\right)"
        return rf"\mathbb{{E}}_{{(u, v) \sim {law}}}\left[{phi}(u)\, {psi}(v)\right]"


def _joint_expectation(args: list[str]) -> str:
    size = JointExpectation.dimension(len(args) - 1)
    means, entries = args[1 : size + 1], args[size + 1 :]
    table = [["\\cdot"] * size for _ in range(size)]
    for (i, j), entry in zip(itertools.combinations_with_replacement(range(size), 2), entries, strict=True):
        table[i][j] = entry
    rows = r" \\ ".join(" & ".join(row) for row in table)
    law = rf"\mathcal{{N}}\left(({', '.join(means)}), \begin{{pmatrix}} {rows} \end{{pmatrix}}\right)"
    return rf"\mathbb{{E}}_{{u \sim {law}}}\left[{args[0]}({', '.join(f'u_{i + 1}' for i in range(size))})\right]"


def _marks(marks: str) -> str:
    """Return the primes and the number that follow the name of an index."""
    digits = "".join(str(ord(mark) - ord("₀")) for mark in marks if mark not in "'′")
    return (f"_{{{digits}}}" if digits else "") + "'" * (len(marks) - len(digits))


def _word(name: str) -> str:
    return r"\mathrm{" + re.sub(r"([#_&%$])", r"\\\1", _ascii(name)) + "}"


def _ascii(name: str) -> str:
    return name.replace("′", "'")


def limit_latex(system: LimitSystem) -> str:
    """Return the one-copy and the two-copy system, the kernels and the named functions as LaTeX."""
    writer = _Writer(system, _Latex(system.shapes))
    parts = [writer.part(system.sample, X), writer.part(system.pair, Y), writer.kernels(), _functions(system)]
    return "\n\n".join(part for part in parts if part) + "\n"


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the blocks of a system, one row for an equation."""

    system: LimitSystem
    printer: _Latex

    def part(self, blocks: tuple[Block, ...], right: sp.Symbol) -> str:
        """Return one of the two systems; `right` is its second copy, x itself or x'."""
        return _align([row for block in blocks for row in self._rows(block, right)]) if blocks else ""

    def _rows(self, block: Block, right: sp.Symbol) -> Iterator[str]:
        if isinstance(block, Equation):
            yield self._row(block, "")
        elif isinstance(block, Sweep):
            condition = self._steps(block, right)
            yield from (self._row(equation, condition) for group in block.groups for equation in group)
        else:
            yield from self._recurrence(block)

    def _recurrence(self, block: Recurrence) -> Iterator[str]:
        condition = rf", \quad {block.index} = {block.first}, \dots, {block.last}"
        yield from (self._row(equation, "") for equation in block.initial)
        yield from (self._row(equation, condition) for equation in walk(block.body))

    def _row(self, equation: Equation, condition: str) -> str:
        tag = r" && \text{" + equation.rule.replace("&", "and") + "}"
        left, right = (self.printer.doprint(side) for side in (equation.lhs, equation.rhs))
        return f"{left} &= {right}{condition}{tag}"

    def _steps(self, sweep: Sweep, right: sp.Symbol) -> str:
        """Return the range of every index of a sweep."""
        rows = sweep_ends(self.system, sweep, right)
        ranges = (
            rf"{self.printer.doprint(index)} = {first}, \dots, {_verbatim(_ascii(last))}" for index, first, last in rows
        )
        return r", \quad " + r",\; ".join(ranges)

    def kernels(self) -> str:
        """Return the kernels of all outputs."""
        heads = {"nngp": r"\mathrm{NNGP}", "ntk": r"\mathrm{NTK}", "sg_ntk": r"\mathrm{sgNTK}"}
        results = self.system.results
        kernels = {
            (output, name): result.pair
            for (output, name), result in results.items()
            if name != "sg_ntk" or result != results.get((output, "ntk"))
        }
        rows = [
            rf"{heads[name]}_{{{_word(output)}}}({self._arguments(kernel)}) &= {self.printer.doprint(kernel)}"
            for (output, name), kernel in kernels.items()
        ]
        return _align(rows)

    def _arguments(self, kernel: sp.Expr) -> str:
        return ", ".join([*map(self.printer.doprint, free_indices(kernel, self.system.indices)), "x", "x'"])


def _functions(system: LimitSystem) -> str:
    """Return the functions that expectations name φ₁, φ₂, …, as they are written in programs."""
    printer = _Latex(system.shapes)
    named = {name: text(expr, variable_names(expr)) for name, expr in system.functions.items()}
    rows = [
        rf"{printer.doprint(sp.Symbol(name))}({', '.join(variable_names(system.functions[name]))})"
        rf" &= \texttt{{{_verbatim(words)}}}"
        for name, words in named.items()
        if words != f"{name}(u)"
    ]
    return _align(rows) if rows else ""


def _verbatim(words: str) -> str:
    return re.sub(r"([#_&%$])", r"\\\1", words).replace("^", r"\^{}")


def _align(rows: list[str]) -> str:
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"
