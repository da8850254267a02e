"""Expectations of functions of several jointly Gaussian variables.

    joint(f, m, C)     E f(u_1, …, u_k),   u ~ N(m, C)

The function is written as a sum of products. Every product falls apart into blocks of variables that are independent
of each other, and a block is
    a polynomial: exact, by Isserlis' theorem;
    a function of one Gaussian, or a product of functions of two (sums Σ a_i u_i, such as u₁ − u₂ in max(u₁, u₂)):
        `dual.expectation.point` and `pair`, in closed form where there is one;
    the same times powers of further variables: brought to this form by Stein's lemma;
    anything else: `JointExpectation`, by cubature at run time (`dual.cubature.cubature`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import sympy as sp

from tensorprog.dual.expectation import Dual, Expectations, Naming
from tensorprog.dual.joint.blocks import (
    Block,
    Constant,
    Joint,
    Law,
    Lines,
    Moment,
    Slice,
    Term,
    collected,
    cost,
    rational,
    sum_of,
)
from tensorprog.dual.joint.parts import Parts, find_parts, line_function
from tensorprog.dual.joint.slopes import has_jump, split_slope
from tensorprog.dual.joint.terms import Line, Product, affine, factors, products, variable
from tensorprog.dual.special import Bump, Clipped, Det, Standard
from tensorprog.dual.undefined import check_defined
from tensorprog.nonlin.expression import ONE, Apply, Expr, Number, Operand, operands, rebuild
from tensorprog.nonlin.simplify import bind, inline, simplify
from tensorprog.nonlin.traverse import fold

__all__ = ["joint"]

_ONE = sp.Integer(1)


def joint(
    function: Expr,
    means: Sequence[sp.Expr],
    covariances: Sequence[Sequence[sp.Expr]],
    naming: Naming,
    mode: Expectations = Expectations.AUTO,
) -> Dual:
    """Return E f(u_1, …, u_k).

    Args:
        function: f, over Operand(0), …, Operand(k − 1).
        means: the k means.
        covariances: the symmetric matrix (k, k) of the covariances; a variance of 0 makes its variable a number.
        naming: gives names to functions that are integrated numerically.
        mode: whether functions of one and two Gaussians have closed forms.

    Raises:
        UndefinedExpectation: the expectation does not exist.
    """
    law = Law(tuple(means), tuple(tuple(row) for row in covariances))
    whole = simplify(inline(function))
    _check_defined(whole)
    expanded = products(whole)
    plan = list(_plan(factors(whole), law))
    if expanded is not None:
        plan = min([term for product in expanded for term in _plan(product, law)], plan, key=cost)
    return sum_of(term.dual(law, naming, mode) for term in collected(plan))


def _plan(product: Product, law: Law) -> Iterator[Term]:
    """Yield terms whose sum is the expectation of a product."""
    parts = find_parts(product)
    done: tuple[Block, ...] = tuple(Constant(value) for value in parts.constants)
    terms = [Term(product.coefficient, done)]
    for block in parts.blocks(law):
        found = list(_plan_block(block, law))
        terms = [
            Term(left.coefficient * right.coefficient, (*left.blocks, *right.blocks))
            for left in terms
            for right in found
        ]
    yield from terms


def _plan_block(parts: Parts, law: Law) -> Iterator[Term]:
    every = parts.all_lines()
    if not parts.general and not parts.lines:
        yield Term(_ONE, (Moment(tuple(sorted(parts.powers.items()))),))
    elif parts.general or len(parts.lines) > 2:
        yield Term(_ONE, (Joint(parts.function()),))
    else:
        jumps = bool(parts.powers) and any(has_jump(phi) for phi in parts.lines.values())
        if len(every) <= 2 and not jumps:
            yield Term(_ONE, (Lines(tuple(every.items())),))
        else:
            yield from _by_stein(parts, law) or [Term(_ONE, (Joint(parts.function()),))]


def _by_stein(parts: Parts, law: Law) -> list[Term] | None:
    """Return E[u_i F] = m_i E F + Σ_j c_ij E[∂_j F] for one of the variables in front.

    Where F jumps ∂_j F is a delta distribution, which leaves a conditional expectation. None if that is not covered.
    """
    slopes = {u: split_slope(phi) for u, phi in parts.lines.items()}
    i = min(parts.powers)
    rest = _lowered(parts.powers, i)
    terms = [(law.means[i], rest, parts.lines)]
    terms += [(power * law.covariances[i][j], _lowered(rest, j), parts.lines) for j, power in rest.items()]
    found: list[Term] = []
    for u, slope in slopes.items():
        if slope is None:
            return None
        covariance = law.covariance(variable(i), u)
        terms.append((covariance, rest, parts.lines | {u: slope.ordinary}))
        others = {v: phi for v, phi in parts.lines.items() if v != u}
        for jump in slope.jumps:
            found.append(
                Term(jump.height, (_slice(variable(i), u, jump.place, tuple(_as_factors(rest, others)), law),))
            )
    for coefficient, powers, lines in terms:
        if coefficient != 0:
            found += _plan(Product(coefficient, tuple(_as_factors(powers, lines))), law)
    return found


def _lowered(powers: Mapping[int, int], index: int) -> dict[int, int]:
    lowered = {**powers, index: powers[index] - 1}
    return {i: power for i, power in lowered.items() if power}


def _as_factors(powers: Mapping[int, int], lines: Mapping[Line, Expr]) -> Iterator[Expr]:
    for i, power in powers.items():
        yield from (Operand(i) for _ in range(power))
    for u, phi in lines.items():
        yield simplify(bind(phi, (line_function(u),)))


def _slice(u: Line, v: Line, place: Fraction, rest: tuple[Expr, ...], law: Law) -> Slice:
    """Return Cov(u, v) p(place) E[Π rest | v = place], p the density of v; 0 where v has no variance."""
    variance, ahead = law.covariance(v, v), rational(place) - law.mean(v)
    weight = Standard(law.covariance(u, v), variance) * Bump(sp.Integer(0), ahead, variance) / sp.sqrt(2 * sp.pi)
    given, lines = _given(law, v, ahead, rest)
    product = Product(_ONE, tuple(bind(phi, (Operand(i),)) for i, phi in enumerate(lines.values())))
    return Slice(weight, given, tuple(collected(_plan(product, given))))


def _given(law: Law, v: Line, ahead: sp.Expr, rest: tuple[Expr, ...]) -> tuple[Law, dict[Line, Expr]]:
    """Return the law, given a line v at a distance ahead of its mean, of the lines in some factors, as variables."""
    parts = find_parts(Product(_ONE, rest))
    lines = parts.all_lines()
    variance = law.covariance(v, v)
    slopes = [Standard(law.covariance(u, v), variance) for u in lines]
    means = tuple(law.mean(u) + slope * Standard(ahead, variance) for u, slope in zip(lines, slopes, strict=True))
    left = [
        _residual(law, v, u) if slope != 0 else law.covariance(u, u) for u, slope in zip(lines, slopes, strict=True)
    ]
    sides = list(zip(lines, slopes, left, strict=True))
    entries = [[_given_covariance(law, one, other) for other in sides] for one in sides]
    for number, variance in enumerate(left):
        entries[number][number] = variance
    return Law(means, tuple(map(tuple, entries))), lines


def _residual(law: Law, v: Line, u: Line) -> sp.Expr:
    """Return Var(u | v) = Det/Var v."""
    variance = law.covariance(v, v)
    return Standard(sp.sqrt(Det(variance, law.covariance(u, u), law.covariance(u, v))), variance) ** 2


def _given_covariance(law: Law, one: tuple[Line, sp.Expr, sp.Expr], other: tuple[Line, sp.Expr, sp.Expr]) -> sp.Expr:
    """Return the covariance of two lines given a third, no larger than their variances given it allow."""
    (u, slope, left), (w, other_slope, other_left) = one, other
    if slope == 0 or other_slope == 0:
        return law.covariance(u, w)
    return Clipped(law.covariance(u, w) - slope * other_slope, sp.sqrt(left) * sp.sqrt(other_left))


def _check_defined(function: Expr) -> None:
    """Raise for logarithms, roots and quotients of Gaussians, and for growth like exp(u²), as far as can be told.

    Raises:
        UndefinedExpectation: the expectation does not exist.
    """
    nodes: list[Expr] = []
    fold(function, lambda node, _: nodes.append(node))
    for node in nodes:
        if isinstance(node, Apply) and node.function in ("log", "sqrt", "pow", "div", "exp", "gauss"):
            _check_node(node)


def _check_node(node: Apply) -> None:
    forms = [affine(arg) for arg in node.args]
    inner = tuple(
        Operand(0) if form is not None and form.coefficients else arg
        for form, arg in zip(forms, node.args, strict=True)
    )
    if node.function == "div":
        inner = (ONE, inner[1])
    changed = rebuild(node, inner)
    for i in operands(changed):
        alone = bind(changed, tuple(Operand(0) if j == i else Number(0) for j in range(operands(changed)[-1] + 1)))
        if node.function in ("exp", "gauss") or len(operands(changed)) == 1:
            check_defined(simplify(alone))
