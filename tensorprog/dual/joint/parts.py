"""The factors of a product of functions of several Gaussians, sorted by what they depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tensorprog.dual.joint.blocks import Law
from tensorprog.dual.joint.terms import Line, Product, on_line, variable
from tensorprog.nonlin.expression import ONE, Expr, Number, Operand, operands
from tensorprog.nonlin.simplify import bind, simplify

__all__ = ["Parts", "find_parts", "line_function"]


@dataclass(slots=True)
class Parts:
    """The factors of a product: powers of variables, functions of lines, other functions, constants."""

    powers: dict[int, int]
    lines: dict[Line, Expr]
    general: list[Expr]
    constants: list[Expr]

    def blocks(self, law: Law) -> Iterator[Parts]:
        """Yield the parts that belong to variables independent of the others."""
        for members in components(self._bundles(), law):
            yield Parts(
                {i: power for i, power in self.powers.items() if i in members},
                {u: phi for u, phi in self.lines.items() if u[0][0] in members},
                [f for f in self.general if operands(f)[0] in members],
                [],
            )

    def _bundles(self) -> list[set[int]]:
        """Return the sets of variables that stand in one factor."""
        return [
            *({i} for i in self.powers),
            *({i for i, _ in u} for u in self.lines),
            *(set(operands(f)) for f in self.general),
        ]

    def all_lines(self) -> dict[Line, Expr]:
        """Return the functions of lines, powers included."""
        return self.lines | {variable(i): power_of(i, power) for i, power in self.powers.items()}

    def function(self) -> Expr:
        """Return the product of all."""
        found = [power_of(i, power, i) for i, power in self.powers.items()]
        for u, phi in self.lines.items():
            found.append(bind(phi, (line_function(u),)))
        return _product([*found, *self.general])


def power_of(index: int, power: int, operand: int = 0) -> Expr:
    return Operand(operand) if power == 1 else Operand(operand) ** power


def line_function(u: Line) -> Expr:
    """Return a line as a function of the variables."""
    terms = [(Number(a.numerator) / Number(a.denominator)) * Operand(i) for i, a in u]
    return simplify(_sum(terms))


def _sum(terms: Sequence[Expr]) -> Expr:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _product(terms: Sequence[Expr]) -> Expr:
    total: Expr = ONE
    for term in terms:
        total = total * term
    return simplify(total)


def components(bundles: Sequence[set[int]], law: Law) -> list[set[int]]:
    """Return the sets of variables that are connected: by standing in one factor, or by a covariance."""
    found: list[set[int]] = []
    for bundle in bundles:
        linked = [old for old in found if any(_depend(i, j, law) for i in old for j in bundle)]
        found = [old for old in found if all(old is not other for other in linked)]
        found.append(bundle.union(*linked))
    return found


def _depend(i: int, j: int, law: Law) -> bool:
    return i == j or law.covariances[i][j] != 0


def find_parts(product: Product) -> Parts:
    """Return the factors of a product, functions of one line multiplied."""
    parts = Parts({}, {}, [], [])
    for factor in product.factors:
        found = on_line(factor)
        if isinstance(factor, Operand):
            parts.powers[factor.index] = parts.powers.get(factor.index, 0) + 1
        elif not operands(factor):
            parts.constants.append(factor)
        elif found is not None:
            u, phi = found
            parts.lines[u] = simplify(parts.lines[u] * phi) if u in parts.lines else phi
        else:
            parts.general.append(factor)
    for i in list(parts.powers):
        if variable(i) in parts.lines:
            parts.lines[variable(i)] = simplify(power_of(i, parts.powers.pop(i)) * parts.lines[variable(i)])
    return parts
