"""Formulas of the limit as one line of text, as a person would type them."""

from __future__ import annotations

from collections.abc import Mapping

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.precedence import PRECEDENCE, precedence
from sympy.printing.str import StrPrinter

from tensorprog.dual.special import JointExpectation
from tensorprog.limit.equations import AxisSum, Largest, SoftmaxOver, Within, X, Y
from tensorprog.limit.specials import binds_as_product, special_text
from tensorprog.nonlin.expression import Expr, operands

__all__ = [
    "Formulas",
    "Shapes",
    "arrange_place",
    "bracket_sides",
    "formula",
    "free_indices",
    "join_terms",
    "last_sums",
    "left_places",
    "split_sums",
    "variable_names",
]

Shapes = Mapping[str, tuple[tuple[str, sp.Symbol], ...]]


class Formulas(StrPrinter):
    """Prints x′ for the second copy, ⟨x, x′⟩ for inner products of data, Σ_k for a sum over an axis.

    `shapes` are those of the limit system: they tell which places of an inner product belong to which factor.
    """

    def __init__(self, shapes: Shapes | None = None) -> None:
        super().__init__({"order": "none"})
        self._shapes: Shapes = shapes or {}
        self._bound: frozenset[sp.Symbol] = frozenset()  # which stand last in places

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return str(expr.name).replace("'", "′")

    def _print_Function(self, expr: sp.Function) -> str:
        name = expr.func.__name__
        if isinstance(expr, AppliedUndef):
            return self._inner_product(expr) if name.startswith("<") else self._applied(expr)
        special = special_text(expr, self._print)
        if special is not None:
            return special
        args = [self._print(arg) for arg in expr.args]
        if name in ("PairExpectation", "PointExpectation"):
            return self._expectation(expr, args)
        if name == "JointExpectation":
            return _joint_expectation(args)
        if name in ("Det", "Angle"):
            law = self._law_name(expr.args) or ", ".join(args)
            return {"Det": "Δ", "Angle": "θ"}[name] + f"[{law}]"
        return f"1{{{args[0]} > 0}}" if name == "Support" else f"{name.lower()}({', '.join(args)})"

    def _applied(self, expr: sp.Expr) -> str:
        return f"{_quantity(expr.func.__name__)}({', '.join(map(self.place, expr.args))})"

    def place(self, expr: sp.Expr) -> str:
        """Return an affine expression of indices: 2 o + k, t − 1."""
        return join_terms([self._print(term) for term in arrange_place(expr, self._bound)])

    def _inner_product(self, expr: sp.Expr) -> str:
        """Return ⟨u[i], v′[i′]⟩ for the data vectors u at x and v at x′."""
        name = expr.func.__name__
        left, right = name[1:-1].split(",") if "," in name else (name[1:-1], name[1:-1])
        places, copies = expr.args[:-2], expr.args[-2:]
        here = left_places(expr, self._shapes)
        factors = ((left, places[:here], copies[0]), (right, places[here:], copies[1]))
        return f"⟨{', '.join(self._factor(*factor) for factor in factors)}⟩"

    def _factor(self, name: str, places: tuple[sp.Expr, ...], copy: sp.Expr) -> str:
        prime = "′" if copy == Y else ""
        return name + prime + (f"[{', '.join(map(self.place, places))}]" if places else "")

    def _law_name(self, entries: tuple[sp.Expr, ...]) -> str | None:
        """Return the one quantity whose values at (p, p; x, x), (p′, p′; x′, x′) and (p, p′; x, x′) the entries are."""
        if not all(isinstance(entry, AppliedUndef) for entry in entries) or len({entry.func for entry in entries}) > 1:
            return None
        q1, q2, c = (entry.args for entry in entries)
        if (q1[-2], q2[-1]) != (c[-2], c[-1]) or not _is_law(q1[:-2], q2[:-2], c[:-2]):
            return None
        index = f"({', '.join(map(self.place, c[:-2]))})" if c[:-2] else ""
        return _quantity(entries[2].func.__name__) + index

    def _expectation(self, expr: sp.Function, args: list[str]) -> str:
        """Return a numerical expectation with the law under which it is taken."""
        if len(args) == 3:
            return f"E[{args[0]}(u) | {args[1]}, {args[2]}]" if args[1] != "0" else f"E[{args[0]}(u) | {args[2]}]"
        phi, psi, m1, m2, q1, q2, c = args
        means = "" if m1 == m2 == "0" else f"{m1}, {m2}; "
        return f"E[{phi}(u) {psi}(v) | {means}{self._law_name(expr.args[4:]) or f'{q1}, {q2}, {c}'}]"

    def _print_AxisSum(self, expr: AxisSum) -> str:
        return f"Σ_{self._names(expr.indices)} {self._body(expr, PRECEDENCE['Mul'])}"

    def _print_Largest(self, expr: Largest) -> str:
        return f"max_{self._names(expr.indices)} {self._body(expr, PRECEDENCE['Mul'])}"

    def _print_SoftmaxOver(self, expr: SoftmaxOver) -> str:
        return f"softmax_{self._names(expr.indices)}({self._print(expr.body)})"

    def _print_KroneckerDelta(self, expr: sp.KroneckerDelta) -> str:
        return f"[{' = '.join(map(self.place, bracket_sides(expr)))}]"

    def _print_Within(self, expr: Within) -> str:
        place, axis, copy = expr.args
        return f"[{self.place(place)} ∈ {self._print(axis)}{'′' if copy == Y else ''}]"

    def _names(self, indices: tuple[sp.Symbol, ...]) -> str:
        return ",".join(self._print(index) for index in indices)

    def _body(self, expr: AxisSum, level: int) -> str:
        before, self._bound = self._bound, self._bound.union(expr.indices)
        body = self._print(expr.body)
        self._bound = before
        return f"({body})" if precedence(expr.body) < level else body

    def parenthesize(self, item: sp.Expr, level: int, strict: bool = False) -> str:
        """Return a part of a formula, in parentheses where it binds more weakly than what is around it."""
        if isinstance(item, AxisSum) and level >= PRECEDENCE["Mul"]:
            return f"({self._print(item)})"
        if binds_as_product(item) and level > PRECEDENCE["Mul"]:
            return f"({self._print(item)})"
        return str(super().parenthesize(item, level, strict))

    def _print_Add(self, expr: sp.Add, order: str | None = None) -> str:
        return str(super()._print_Add(last_sums(expr), order))

    def _print_Mul(self, expr: sp.Mul) -> str:
        rest, sums = split_sums(expr)
        if not sums:
            return str(super()._print_Mul(first_brackets(expr))).replace("*", " ")
        *inner, last = sums
        parts = [f"({self._print(each)})" for each in inner] + [self._print(last)]
        if rest == 1:
            return " ".join(parts)
        if rest == -1:
            return "-" + " ".join(parts)
        return " ".join([self.parenthesize(rest, PRECEDENCE["Mul"], strict=True), *parts])

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        if expr.exp == sp.Rational(1, 2):
            return f"√({self._print(expr.base)})"
        if expr.exp == sp.Rational(-1, 2) or (expr.exp.is_Integer and expr.exp < -1):
            return f"1/{self._print(expr.base**-expr.exp)}"
        return str(super()._print_Pow(expr, rational=rational)).replace("**", "^")

    def _print_Pi(self, expr: sp.Expr) -> str:
        return "π"

    def _print_Float(self, expr: sp.Float) -> str:
        return f"{float(expr):.12g}"


def _joint_expectation(args: list[str]) -> str:
    """Return E[f(u1, …, uk) | means; rows of the upper triangle of the covariances]; means of zero are left out."""
    size = JointExpectation.dimension(len(args) - 1)
    variables = ", ".join(f"u{i + 1}" for i in range(size))
    means, entries = args[1 : size + 1], iter(args[size + 1 :])
    rows = [", ".join(next(entries) for _ in range(size - i)) for i in range(size)]
    parts = rows if all(mean == "0" for mean in means) else [", ".join(means), *rows]
    return f"E[{args[0]}({variables}) | {'; '.join(parts)}]"


def formula(expr: sp.Expr, shapes: Shapes | None = None) -> str:
    """Return a formula of the limit as one line of text."""
    return str(Formulas(shapes).doprint(expr))


def variable_names(function: Expr) -> tuple[str, ...]:
    """Return what the operands of a function that an expectation names are called: u, or u1, …, uk."""
    count = max(operands(function), default=0) + 1
    return ("u",) if count == 1 else tuple(f"u{i + 1}" for i in range(count))


def _quantity(name: str) -> str:
    """Return the name of a quantity with the field's letters: Θ for tangents, K̇ for derivative factors."""
    kind, _, subject = name.partition("_")
    letter = {"T": "Θ", "S": "Θ̃", "D": "K̇", "Ds": "K̃"}.get(kind, kind)
    return (subject if kind == "c" and subject else f"{letter}_{subject}" if subject else name).replace("'", "′")


def _is_law(first: tuple[sp.Expr, ...], second: tuple[sp.Expr, ...], mixed: tuple[sp.Expr, ...]) -> bool:
    """Return whether the arguments are (l, p, p), (l, p′, p′) and (l, p, p′) for some steps l and places p, p′."""
    for steps in range(len(mixed), -1, -2):
        half = (len(mixed) - steps) // 2
        index, left, right = mixed[:steps], mixed[steps : steps + half], mixed[steps + half :]
        if first == index + left + left and second == index + right + right:
            return True
    return False


def left_places(product: sp.Expr, shapes: Shapes) -> int:
    """Return how many of the places of an inner product of data belong to its left factor."""
    name = product.func.__name__
    return sum(copy == X for _, copy in shapes[name]) if name in shapes else (len(product.args) - 2) // 2


def bracket_sides(delta: sp.KroneckerDelta) -> list[sp.Expr]:
    """Return the two sides of [e₁ = e₂]: an index first, a number last."""
    return sorted(delta.args, key=lambda side: (side.is_number, not side.is_Symbol, sp.default_sort_key(side)))


def arrange_place(expr: sp.Expr, bound: frozenset[sp.Symbol]) -> list[sp.Expr]:
    """Return the terms of a place: free indices, bound ones, sizes, the number; positive ones first."""

    def key(term: sp.Expr) -> tuple[bool, bool, int, str]:
        coefficient, symbol = term.as_coeff_Mul()
        kind = 3 if symbol == 1 else 2 if not symbol.is_integer else 1 if symbol in bound else 0
        return kind == 3, bool(coefficient.is_negative), kind, str(symbol)

    return sorted(sp.Add.make_args(expr), key=key)


def join_terms(terms: list[str]) -> str:
    """Return the sum of terms that are written already, some of them with a minus sign."""
    first, *others = terms
    return " ".join([first, *(f"- {term[1:].lstrip()}" if term.startswith("-") else f"+ {term}" for term in others)])


def last_sums(expr: sp.Add) -> sp.Expr:
    """Return a sum with its terms over axes after the other quantities, and after them what is constant."""
    terms = list(expr.args)
    if not any(term.has(AxisSum) for term in terms):
        return expr
    ordered = sorted(terms, key=lambda term: 1 if term.has(AxisSum) else 0 if term.has(AppliedUndef) else 2)
    return sp.Add(*ordered, evaluate=False)


def split_sums(expr: sp.Mul) -> tuple[sp.Expr, list[sp.Expr]]:
    """Return the product of the factors that are no sums over axes, and those that are."""
    sums = [factor for factor in expr.args if isinstance(factor, AxisSum)]
    return (sp.Mul(*(factor for factor in expr.args if not isinstance(factor, AxisSum))), sums) if sums else (expr, [])


def first_brackets(expr: sp.Mul) -> sp.Expr:
    """Return a product with its brackets, which are 0 or 1, before the other factors that are no numbers."""
    if not expr.has(sp.KroneckerDelta, Within):
        return expr
    order = sorted(expr.args, key=lambda factor: 0 if factor.is_number else 1 if _is_bracket(factor) else 2)
    return sp.Mul(*order, evaluate=False)


def _is_bracket(factor: sp.Expr) -> bool:
    return isinstance(factor, sp.KroneckerDelta | Within)


def free_indices(expr: sp.Expr, known: Mapping[sp.Symbol, tuple[str, sp.Symbol]]) -> list[sp.Symbol]:
    """Return the free indices of an expression, those of the first copy before those of the second."""
    found = [symbol for symbol in expr.free_symbols if symbol in known]
    return sorted(found, key=lambda symbol: (known[symbol][1] == Y, str(symbol.name)))
