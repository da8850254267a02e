"""Expectations of functions of several jointly Gaussian variables.

    joint(f, m, C)     E f(u_1, …, u_k),   u ~ N(m, C)

The function is written as a sum of products. Every product falls apart into blocks of variables that are independent
of each other, and a block is
    a polynomial: exact, by Isserlis' theorem;
    a function of one Gaussian, or a product of functions of two (sums Σ a_i u_i, such as u₁ − u₂ in max(u₁, u₂)):
        `dual.expectation.point` and `pair`, in closed form where there is one;
    the same times powers of further variables: brought to this form by Stein's lemma;
    anything else: `JointExpectation`, by cubature at run time (`dual.cubature`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from tensorprog.dual.delta import has_delta
from tensorprog.dual.expectation import Dual, Expectations, Naming, PairLaw, pair, point
from tensorprog.dual.isserlis import gaussian_moment
from tensorprog.dual.several_terms import Line, Product, affine, factors, on_line, products, variable
from tensorprog.dual.several_slopes import has_jump, split_slope
from tensorprog.dual.special import Bump, Det, JointExpectation, Standard
from tensorprog.dual.undefined import UndefinedExpectation, check_defined
from tensorprog.nonlin.expression import ONE, Apply, Expr, Number, Operand, operands, rebuild, walk
from tensorprog.nonlin.simplify import bind, inline, simplify

__all__ = ["joint"]

ISSERLIS = "Isserlis' theorem"
_JOINT_ERROR = "integrated numerically over {} Gaussian variables; the error is estimated at run time"
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
    law = _Law(tuple(means), tuple(tuple(row) for row in covariances))
    whole = simplify(inline(function))
    _check_defined(whole)
    expanded = products(whole)
    plan = list(_plan(factors(whole), law))
    if expanded is not None:
        plan = min([term for product in expanded for term in _plan(product, law)], plan, key=_cost)
    return _sum_of(term.dual(law, naming, mode) for term in _collected(plan))


@dataclass(frozen=True, slots=True)
class _Law:
    """u ~ N(means, covariances)."""

    means: tuple[sp.Expr, ...]
    covariances: tuple[tuple[sp.Expr, ...], ...]

    def mean(self, line: Line) -> sp.Expr:
        """Return the mean of a line."""
        return sp.Add(*(_rational(a) * self.means[i] for i, a in line))

    def covariance(self, left: Line, right: Line) -> sp.Expr:
        """Return the covariance of two lines."""
        return sp.Add(*(_rational(a) * _rational(b) * self.covariances[i][j] for i, a in left for j, b in right))


def _rational(value: object) -> sp.Expr:
    return sp.Rational(value)


@dataclass(frozen=True, slots=True)
class _Constant:
    """A factor without variables."""

    value: Expr
    size = 0

    def dual(self, law: _Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its value."""
        return point(self.value, sp.Integer(0), sp.Integer(0), naming, mode)


@dataclass(frozen=True, slots=True)
class _Moment:
    """Π u_i^powers[i]."""

    powers: tuple[tuple[int, int], ...]
    size = 0

    def dual(self, law: _Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its expectation."""
        by_index = dict(self.powers)
        powers = [by_index.get(i, 0) for i in range(len(law.means))]
        return Dual(gaussian_moment(powers, law.means, law.covariances), ISSERLIS)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The product of functions of one or two lines."""

    functions: tuple[tuple[Line, Expr], ...]
    size = 2

    def dual(self, law: _Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its expectation."""
        (u, phi), *others = self.functions
        if not others:
            return point(phi, law.mean(u), law.covariance(u, u), naming, mode)
        ((v, psi),) = others
        moments = law.covariance(u, u), law.covariance(v, v), law.covariance(u, v)
        return pair(phi, psi, PairLaw(law.mean(u), law.mean(v), *moments), naming, mode)


@dataclass(frozen=True, slots=True)
class _Joint:
    """A function of more variables."""

    function: Expr

    @property
    def size(self) -> int:
        """How many variables it has."""
        return len(operands(self.function))

    def dual(self, law: _Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its expectation, to be integrated numerically."""
        if has_delta(self.function):
            raise UndefinedExpectation(
                "a delta distribution under an expectation of several Gaussians is not supported"
            )
        used = operands(self.function)
        renamed = bind(self.function, tuple(Operand(used.index(i) if i in used else 0) for i in range(used[-1] + 1)))
        upper = [law.covariances[i][j] for number, i in enumerate(used) for j in used[number:]]
        node = JointExpectation(naming(renamed), *(law.means[i] for i in used), *upper)
        return Dual(node, f"numerical expectation over {len(used)} Gaussians", _JOINT_ERROR.format(len(used)))


@dataclass(frozen=True, slots=True)
class _Slice:
    """Cov(u, v) p(place) E[Π factors | v = place], p the density of v."""

    u: Line
    v: Line
    place: Fraction
    factors: tuple[Expr, ...]
    size = 2

    def dual(self, law: _Law, naming: Naming, mode: Expectations) -> Dual:
        """Return its value: 0 where v has no variance, so that u has no covariance with it."""
        variance, ahead = law.covariance(self.v, self.v), _rational(self.place) - law.mean(self.v)
        weight = Standard(law.covariance(self.u, self.v), variance) * Bump(sp.Integer(0), ahead, variance)
        given, lines = _given(law, self.v, ahead, self.factors)
        product = Product(_ONE, tuple(bind(phi, (Operand(i),)) for i, phi in enumerate(lines.values())))
        inner = _sum_of(term.dual(given, naming, mode) for term in _collected(_plan(product, given)))
        rule = "Stein's lemma, density at the jump" + (f"; {inner.rule}" if self.factors else "")
        return Dual(weight * inner.expr / sp.sqrt(2 * sp.pi), rule, inner.error)


def _given(law: _Law, v: Line, ahead: sp.Expr, factors_: tuple[Expr, ...]) -> tuple[_Law, dict[Line, Expr]]:
    """Return the law, given a line v at a distance ahead of its mean, of the lines in some factors, as variables."""
    parts = _parts(Product(_ONE, factors_))
    lines = parts.all_lines()
    variance = law.covariance(v, v)
    slopes = [Standard(law.covariance(u, v), variance) for u in lines]
    means = tuple(law.mean(u) + slope * Standard(ahead, variance) for u, slope in zip(lines, slopes, strict=True))
    entries = [
        [law.covariance(u, w) - one * other for w, other in zip(lines, slopes, strict=True)]
        for u, one in zip(lines, slopes, strict=True)
    ]
    for number, u in enumerate(lines):
        if slopes[number] != 0:
            left = Det(variance, law.covariance(u, u), law.covariance(u, v))
            entries[number][number] = Standard(sp.sqrt(left), variance) ** 2
    return _Law(means, tuple(map(tuple, entries))), lines


_Block = _Constant | _Moment | _Lines | _Joint | _Slice


@dataclass(frozen=True, slots=True)
class _Term:
    """coefficient · Π E blocks."""

    coefficient: sp.Expr
    blocks: tuple[_Block, ...]

    def dual(self, law: _Law, naming: Naming, mode: Expectations) -> Dual:
        """Return the product of the expectations."""
        parts = [block.dual(law, naming, mode) for block in self.blocks]
        rules = "; ".join(dict.fromkeys(part.rule for part in parts))
        error = next((part.error for part in parts if part.error), None)
        return Dual(sp.Mul(self.coefficient, *(part.expr for part in parts)), rules, error)


def _cost(terms: list[_Term]) -> tuple[int, int]:
    """Return the largest number of variables that are integrated numerically, and how often."""
    sizes = [block.size for term in terms for block in term.blocks]
    return max(sizes, default=0), sum(size > 2 for size in sizes)


def _collected(terms: Iterable[_Term]) -> list[_Term]:
    sums: dict[tuple[_Block, ...], sp.Expr] = {}
    for term in terms:
        sums[term.blocks] = sums.get(term.blocks, sp.Integer(0)) + term.coefficient
    return [_Term(coefficient, blocks) for blocks, coefficient in sums.items() if coefficient != 0]


def _sum_of(duals: Iterable[Dual]) -> Dual:
    parts = [part for part in duals if part.expr != 0] or [Dual(sp.Integer(0), ISSERLIS)]
    rules = "; ".join(dict.fromkeys(rule for part in parts for rule in part.rule.split("; ") if rule))
    error = next((part.error for part in parts if part.error), None)
    return Dual(sp.Add(*(part.expr for part in parts)), rules or ISSERLIS, error)


@dataclass(slots=True)
class _Parts:
    """The factors of a product: powers of variables, functions of lines, other functions, constants."""

    powers: dict[int, int]
    lines: dict[Line, Expr]
    general: list[Expr]
    constants: list[Expr]

    def blocks(self, law: _Law) -> Iterator[_Parts]:
        """Yield the parts that belong to variables independent of the others."""
        for members in _components(self._bundles(), law):
            yield _Parts(
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
        return self.lines | {variable(i): _power(i, power) for i, power in self.powers.items()}

    def function(self) -> Expr:
        """Return the product of all."""
        found = [_power(i, power, i) for i, power in self.powers.items()]
        for u, phi in self.lines.items():
            found.append(bind(phi, (_line_expr(u),)))
        return _product([*found, *self.general])


def _power(index: int, power: int, operand: int = 0) -> Expr:
    return Operand(operand) if power == 1 else Operand(operand) ** power


def _line_expr(u: Line) -> Expr:
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


def _components(bundles: Sequence[set[int]], law: _Law) -> list[set[int]]:
    """Return the sets of variables that are connected: by standing in one factor, or by a covariance."""
    found: list[set[int]] = []
    for bundle in bundles:
        linked = [old for old in found if any(_depend(i, j, law) for i in old for j in bundle)]
        found = [old for old in found if all(old is not other for other in linked)]
        found.append(bundle.union(*linked))
    return found


def _depend(i: int, j: int, law: _Law) -> bool:
    return i == j or law.covariances[i][j] != 0


def _parts(product: Product) -> _Parts:
    parts = _Parts({}, {}, [], [])
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
            parts.lines[variable(i)] = simplify(_power(i, parts.powers.pop(i)) * parts.lines[variable(i)])
    return parts


def _plan(product: Product, law: _Law) -> Iterator[_Term]:
    """Yield terms whose sum is the expectation of a product."""
    parts = _parts(product)
    done: tuple[_Block, ...] = tuple(_Constant(value) for value in parts.constants)
    terms = [_Term(product.coefficient, done)]
    for block in parts.blocks(law):
        found = list(_plan_block(block, law))
        terms = [
            _Term(left.coefficient * right.coefficient, (*left.blocks, *right.blocks))
            for left in terms
            for right in found
        ]
    yield from terms


def _plan_block(parts: _Parts, law: _Law) -> Iterator[_Term]:
    every = parts.all_lines()
    if not parts.general and not parts.lines:
        yield _Term(_ONE, (_Moment(tuple(sorted(parts.powers.items()))),))
    elif parts.general or len(parts.lines) > 2:
        yield _Term(_ONE, (_Joint(parts.function()),))
    else:
        jumps = bool(parts.powers) and any(has_jump(phi) for phi in parts.lines.values())
        if len(every) <= 2 and not jumps:
            yield _Term(_ONE, (_Lines(tuple(every.items())),))
        else:
            yield from _by_stein(parts, law) or [_Term(_ONE, (_Joint(parts.function()),))]


def _by_stein(parts: _Parts, law: _Law) -> list[_Term] | None:
    """Return E[u_i F] = m_i E F + Σ_j c_ij E[∂_j F] for one of the variables in front.

    Where F jumps ∂_j F is a delta distribution, which leaves a conditional expectation. None if that is not covered.
    """
    slopes = {u: split_slope(phi) for u, phi in parts.lines.items()}
    i = min(parts.powers)
    rest = _lowered(parts.powers, i)
    terms = [(law.means[i], rest, parts.lines)]
    terms += [(power * law.covariances[i][j], _lowered(rest, j), parts.lines) for j, power in rest.items()]
    found: list[_Term] = []
    for u, slope in slopes.items():
        if slope is None:
            return None
        covariance = law.covariance(variable(i), u)
        terms.append((covariance, rest, parts.lines | {u: slope.ordinary}))
        others = {v: phi for v, phi in parts.lines.items() if v != u}
        for jump in slope.jumps:
            factors_ = tuple(_as_factors(rest, others))
            found.append(_Term(jump.height, (_Slice(variable(i), u, jump.place, factors_),)))
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
        yield simplify(bind(phi, (_line_expr(u),)))


def _check_defined(function: Expr) -> None:
    """Raise for logarithms, roots and quotients of Gaussians, and for growth like exp(u²), as far as can be told.

    Raises:
        UndefinedExpectation: the expectation does not exist.
    """
    for node in walk(function):
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
