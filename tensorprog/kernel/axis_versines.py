"""Angles between near-duplicates in programs over axes and in recurrences: versines of the moments at (p, p′).

Two positions, of one sample or of two, are near-duplicates where what they see is: in constant regions of images, in
images that differ elsewhere. As without axes (`kernel.versines`) the versine v = 1 − cos θ is carried beside a moment,
but only where it is small. For a moment k that is a tied sum (`kernel.tied`), with the shares of its terms

    s_i(p)² = a_i f_i(e_i; x)² k_i(e_i, e_i; x, x) / k(p, p; x, x),   Σ_ib s_i(p)² = 1

where 1 − k(p, p′)/√(k(p, p) k(p′, p′)) is at least 2⁻¹⁶, it is that; elsewhere

    v(p, p′) = Σ_ib s_i(p) s_i(p′) v_i(e_i, e_i′) + ½ Σ_ib (s_i(p) − s_i(p′))²

without cancellation (out of the range of an axis s_i is 0). Behind a nonlinearity it is that of `kernel.homogeneous`,
and that of data is ½‖û_p(x) − û_p′(x′)‖², û_p = u_p/‖u_p‖. Angles and determinants take small versines instead of
second moments; where a rule is missing nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.dual.special import Either, Far, Gap, Near, NearAngle, Share, Shortfall, Sine
from tensorprog.kernel.beside import VERSINE, Shape, Turner, inserted, is_own_law, label_of, named, versine_of
from tensorprog.kernel.homogeneous import Homogeneous, Law, find_laws, homogeneous
from tensorprog.kernel.tied import Mirror, Tied, find_mirror, find_tied
from tensorprog.limit.equations import AxisSum, Equation, Kind, LimitSystem, Result, Sweep, X, Y, equations

__all__ = ["carry_axis_versines"]

_COARSE = ":coarse"
_SHARE = ":share"
_RULE = "versine"


def carry_axis_versines(system: LimitSystem) -> LimitSystem:
    """Return the system with the versines that its angles need."""
    return _Carrier(system).carry()


@dataclass(slots=True)
class _Rule:
    """What is carried beside one moment: equations of one sample, of pairs, and whose versines these read."""

    shares: list[Equation] = field(default_factory=list)
    pair: list[Equation] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    shapes: dict[str, Shape] = field(default_factory=dict)


class _Carrier:
    """Carries versines through one system."""

    def __init__(self, system: LimitSystem) -> None:
        self.system = system
        self.grams = {function.__name__: pair for function, pair in system.grams.items() if pair[0] == pair[1]}
        sampled = {str(equation.lhs) for equation in equations(system.sample)}
        moments = [equation for equation in equations(system.pair) if _is_own_moment(equation)]
        self.able = {label_of(equation.lhs) for equation in moments if str(_one(equation.lhs)) in sampled}
        self.moments = {str(equation.lhs): equation for equation in moments}
        self.labels = {lhs: label_of(equation.lhs) for lhs, equation in self.moments.items()}
        self.rules = {lhs: self._rule(equation) for lhs, equation in self.moments.items()}
        self._leave_out_unable()
        self.wanted = self._find_wanted()

    def carry(self) -> LimitSystem:
        """Return the system with the versines."""
        system, wanted = self.system, self.wanted
        rules = {lhs: rule for lhs, rule in self.rules.items() if rule is not None and self.labels[lhs] in wanted}
        if not rules:
            return system
        inside = self._find_inside(rules)
        pair = {lhs: rule.pair for lhs, rule in rules.items()}
        sample = {
            str(_one(self.moments[lhs].lhs)): [
                *rule.shares,
                *(_one_equation(equation) for equation in rule.pair if self.labels[lhs] in inside),
            ]
            for lhs, rule in rules.items()
        }
        both, one = Turner(frozenset(wanted), system.shapes), Turner(frozenset(inside), system.shapes)
        return replace(
            system,
            pair=tuple(part for block in system.pair for part in inserted(both.block(block), pair)),
            sample=tuple(part for block in system.sample for part in inserted(one.block(block), sample)),
            results={key: Result(entry.diagonal, both.expr(entry.pair)) for key, entry in system.results.items()},
            grams={
                **system.grams,
                **{named(name + VERSINE): self.grams[name] for name in wanted & set(self.grams)},
            },
            shapes={**system.shapes, **self._shapes(rules.values())},
        )

    def _shapes(self, rules: Iterable[_Rule]) -> dict[str, Shape]:
        known = self.system.shapes
        beside = {label + mark: known[label] for label in self.wanted & set(known) for mark in (VERSINE, _COARSE)}
        return {**beside, **{name: shape for rule in rules for name, shape in rule.shapes.items()}}

    # --- which moments ----------------------------------------------------------------------------------------------

    def _leave_out_unable(self) -> None:
        """Leave out moments without a rule, or with one that reads a versine that there is not."""
        while True:
            able = {
                label
                for label in self.able
                if all(
                    rule is not None and rule.reads <= self.able | set(self.grams)
                    for lhs, rule in self.rules.items()
                    if self.labels[lhs] == label
                )
            }
            if able == self.able:
                return
            self.able = able

    def _find_wanted(self) -> set[str]:
        """Return the moments and grams whose versines are needed: those with angles, and what their rules read."""
        exprs = [*(equation.rhs for equation in equations(self.system.pair))]
        exprs += [result.pair for result in self.system.results.values()]
        laws = {law for expr in exprs for law in find_laws(expr)}
        waiting = sorted({label_of(law.c) for law in laws if is_own_law(law, self.system.shapes)} & self.able)
        wanted: set[str] = set()
        while waiting:
            label = waiting.pop()
            if label not in wanted:
                wanted.add(label)
                waiting += [
                    name
                    for lhs, rule in self.rules.items()
                    if rule is not None and self.labels[lhs] == label
                    for name in sorted(rule.reads)
                ]
        return wanted

    def _find_inside(self, rules: Mapping[str, _Rule]) -> set[str]:
        """Return the moments and grams over axes whose versines are carried within one sample, too: not by scans."""
        swept = {
            label_of(equation.lhs)
            for block in self.system.sample
            if isinstance(block, Sweep)
            for equation in equations((block,))
        }
        inside = {label for label in self.wanted if self.system.shapes.get(label)} - swept
        while True:
            lost = {
                self.labels[lhs]
                for lhs, rule in rules.items()
                if any(self.system.shapes.get(name) and name not in inside for name in rule.reads)
            }
            if not lost & inside:
                return inside
            inside -= lost

    # --- rules ------------------------------------------------------------------------------------------------------

    def _rule(self, equation: Equation) -> _Rule | None:
        """Return what is to be carried beside a moment, None without a rule."""
        mirror = find_mirror(equation.lhs, self.system)
        if mirror is None:
            return None
        laws = find_laws(equation.rhs)
        if laws:
            (law, *others) = laws
            dual = None if others or not is_own_law(law, self.system.shapes) else homogeneous(equation.rhs, law)
            return None if dual is None else self._behind(equation, mirror, law, dual)
        terms = find_tied(equation, mirror, self.system)
        if terms is None or any(term.source is not None and not self._is_carried(term.source) for term in terms):
            return None
        return self._sum(equation, mirror, terms)

    def _is_carried(self, source: AppliedUndef) -> bool:
        return label_of(source) in self.able or label_of(source) in self.grams

    def _behind(self, equation: Equation, mirror: Mirror, law: Law, dual: Homogeneous) -> _Rule | None:
        """Return the rule of a variable behind a nonlinearity."""
        versine = versine_of(law.c)
        value = dual.versine(NearAngle(law.q1, law.q2, law.c, versine), Sine(versine * (2 - versine)), versine)
        if not (dual.first.is_number and dual.first.is_positive):
            return None
        if dual.degree == 0:
            value = Either(law.q1 * law.q2, value, _coarse_value(equation.lhs, mirror))
        made = replace(
            equation, name=str(versine_of(equation.lhs)), lhs=versine_of(equation.lhs), rhs=value, rule=_RULE
        )
        return _Rule(pair=[made], reads={label_of(law.c)})

    def _sum(self, equation: Equation, mirror: Mirror, terms: tuple[Tied, ...]) -> _Rule:
        """Return the rule of a tied sum."""
        lhs = equation.lhs
        versine, coarse = versine_of(lhs), named(label_of(lhs) + _COARSE)(*lhs.args)
        reads = {label_of(term.source) for term in terms if term.source is not None}
        if len(terms) == 1 and terms[0].source is not None and not terms[0].bound and terms[0].factor == 1:
            alias = replace(equation, name=str(versine), lhs=versine, rhs=versine_of(terms[0].source), rule=_RULE)
            return _Rule(pair=[alias], reads=reads)
        rule = _Rule(reads=reads)
        total = Far(coarse)
        for number, term in enumerate(terms, 1):
            share = self._share(equation, mirror, term, number, rule)
            other = mirror.right(share)
            if term.source is not None:
                total += Near(coarse) * _summed(share * other * versine_of(term.source), term.bound)
            total += Near(coarse) * _summed(Gap(share, other), term.bound)
        by_moments = _coarse_value(lhs, mirror)
        rule.pair = [
            replace(equation, name=str(coarse), lhs=coarse, rhs=by_moments, rule=_RULE),
            replace(equation, name=str(versine), lhs=versine, rhs=total, rule=_RULE),
        ]
        return rule

    def _share(self, equation: Equation, mirror: Mirror, term: Tied, number: int, rule: _Rule) -> sp.Expr:
        """Return the share of a term, of one sample; its equation goes into the rule."""
        lhs, label = equation.lhs, f"{label_of(equation.lhs)}{_SHARE}{number}"
        shape = self.system.shapes.get(label_of(lhs), ())
        places = lhs.args[len(lhs.args) - 2 - len(shape) : -2]
        steps = lhs.args[: len(lhs.args) - 2 - len(shape)]
        left = [(place, axis) for place, (axis, side) in zip(places, shape, strict=True) if side == X]
        bound = [(index, self.system.indices[index][0]) for index in term.bound]
        made = named(label)(*steps, *(symbol for symbol, _ in (*left, *bound)), X)
        own = sp.Integer(1) if term.source is None else mirror.left(term.source)
        value = Share(term.coefficient * term.factor**2 * own, mirror.left(lhs))
        value = value if term.factor == 1 else sp.sign(term.factor) * value
        rule.shares.append(replace(equation, name=str(made), lhs=made, rhs=value, rule=_RULE))
        rule.shapes |= {label: tuple((axis, X) for _, axis in (*left, *bound))} if left or bound else {}
        return made


def _coarse_value(lhs: sp.Expr, mirror: Mirror) -> sp.Expr:
    """Return 1 − k(p, p′)/√(k(p, p) k(p′, p′)) by subtraction."""
    own = mirror.left(lhs)
    return Shortfall(Sine(own * mirror.right(own)), sp.Integer(1), lhs)


def _summed(body: sp.Expr, bound: tuple[sp.Symbol, ...]) -> sp.Expr:
    return AxisSum(body, *bound) if bound else body


def _one(expr: sp.Expr) -> sp.Expr:
    """Return an expression of two samples for one."""
    return expr.xreplace({Y: X})


def _one_equation(equation: Equation) -> Equation:
    """Return an equation of pairs for one sample; versines without positions are 0 there."""
    lhs, rhs = _one(equation.lhs), _one(equation.rhs)
    alone = {
        applied: sp.Integer(0)
        for applied in rhs.atoms(AppliedUndef)
        if label_of(applied).endswith(VERSINE) and len(applied.args) == 2
    }
    return replace(equation, name=str(lhs), lhs=lhs, rhs=rhs.xreplace(alone))


def _is_own_moment(equation: Equation) -> bool:
    """Tell whether an equation defines a second moment, or covariance, of a variable with itself."""
    subject = equation.subject
    own = subject.kind in (Kind.SECOND, Kind.COVARIANCE) and subject.right in (None, subject.left)
    return own and equation.lhs.args[-2:] == (X, Y)
