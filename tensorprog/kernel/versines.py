"""Angles between near-duplicates: versines are carried through a pair program beside the second moments.

Closed forms of kinked functions see the angle θ between two copies. From second moments rounded to 1e-16 it is lost
below 1e-8. The versine 1 − cos θ keeps it: formed from the differences of the data, and carried through every rule
(`pieces`, `homogeneous`). For every angle, or root of a determinant, of the law of a variable with itself, this pass
adds

    K_h:versine(x, x')     1 − K_h(x, x') / √(K_h(x, x) K_h(x', x'))       to the pair system, after K_h(x, x')
    K_h:root(x), :share    √K_h(x, x), and the shares of sums              to the sample system

and puts √(q1 q2) sin θ for the root of the determinant, and its angle to c for θ. Where a rule is missing, nothing
changes: the determinant is formed from the second moments. The equations of the limit itself stay as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import sympy as sp
from sympy.core.function import AppliedUndef

from tensorprog.dual.special import Arc, Bump, Det, Either, Shortfall, Sine, Standard, Versine
from tensorprog.kernel.axis_versines import carry_axis_versines
from tensorprog.kernel.homogeneous import Homogeneous, Law, contrast, find_laws, homogeneous
from tensorprog.kernel.pieces import Piece, Pieces, at_right, diagonal
from tensorprog.kernel.samples import SampleQuantities, insert_quantities
from tensorprog.kernel.smooth import inner_kernel, smooth_versine
from tensorprog.limit.equations import Block, Equation, Kind, LimitSystem, Recurrence, Result, Sweep, X, Y, equations

__all__ = ["DEVIATION", "carry_versines"]

DEVIATION = ":deviation"
"""The name of 1 − |cos θ| of the vectors of a gram, after that of the gram."""

VERSINE = ":versine"

_RULE = "versine"


def carry_versines(system: LimitSystem) -> LimitSystem:
    """Return the system with the versines that its pair equations need; one over axes by the rules for those."""
    if system.shapes or any(isinstance(block, Sweep) for block in system.pair):
        return carry_axis_versines(system)
    return _Carrier(system).carry()


class _Carrier:
    """Carries versines through one system."""

    def __init__(self, system: LimitSystem) -> None:
        self.system = system
        self.initials = {_label(equation.lhs): equation for equation in _initials(system.pair)}
        pair = (equation for equation in equations(system.pair) if equation not in self.initials.values())
        self.moments = {_label(equation.lhs): equation for equation in pair if _is_own_moment(equation)}
        self.sampled = {_label(equation.lhs) for equation in equations(system.sample)}
        self.sampled |= {function.__name__ for function in (*system.grams, *system.data)}
        self.grams = set(system.grams)
        self.able = set(self.moments)
        self._start()
        self.two_ended = self._find_two_ended()

    def _start(self) -> None:
        """Forget what was asked for."""
        self.samples = SampleQuantities(_RULE)
        self.wanted: dict[str, None] = {}
        self.deviations: dict[str, tuple[str, str]] = {}
        self.pieces = Pieces(self._atom, self._shared, self._nonlinear, self.system.constants)
        self.failed: set[str] = set()
        self.like: Equation | None = None

    def carry(self) -> LimitSystem:
        """Return the system with the versines."""
        found = self._attempt()
        while self.failed:
            self.able -= self.failed
            self._start()
            found = self._attempt()
        pair, results, added = found
        if not self.deviations:
            return self.system
        deviations = {_function(name): variables for name, variables in self.deviations.items()}
        return replace(
            self.system,
            pair=tuple(_after_moments(pair, added)),
            sample=insert_quantities(self.system.sample, self.samples.equations),
            results=results,
            grams={**self.system.grams, **deviations},
        )

    def _attempt(self) -> tuple[tuple[Block, ...], dict[tuple[str, str], Result], dict[str, Equation]]:
        """Return pair blocks and results, and the versines that they need, as long as no rule turns out missing."""
        pair = tuple(map(self._turned_block, self.system.pair))
        results = {
            key: Result(result.diagonal, self._turned(result.pair)) for key, result in self.system.results.items()
        }
        return pair, results, self._versines()

    # --- the kernels that expressions consist of -------------------------------------------------------------------

    def _atom(self, applied: AppliedUndef) -> Piece | None:
        """Return the kernel that a quantity of the pair is: a moment of a variable with itself, or a gram."""
        if applied.args[-2:] != (X, Y):
            return None
        label = _label(applied)
        if applied.func in self.grams:
            return self._gram(applied)
        if label not in self.able or label not in self.sampled:
            return None
        self.wanted[label] = None
        return self._companion(applied)

    def _companion(self, applied: sp.Expr) -> Piece:
        """Return a moment by what is carried beside it."""
        if _label(applied) not in self.two_ended:
            return Piece(applied, _function(_label(applied) + VERSINE)(*applied.args))
        deviation = _function(_label(applied) + DEVIATION)(*applied.args)
        return Piece(applied, Versine(deviation, applied), deviation)

    def _nonlinear(self, expr: sp.Expr) -> sp.Expr | None:
        """Return the versine of a nonlinear function of one kernel."""
        kernel = inner_kernel(expr)
        if kernel is None or not expr.atoms(sp.Function) - expr.atoms(AppliedUndef):
            return None
        inner = self._atom(kernel)
        return None if inner is None else smooth_versine(expr, self._turned(expr), inner, self._shared)

    def _gram(self, applied: AppliedUndef) -> Piece | None:
        variables, name = self.system.grams[applied.func], _label(applied) + DEVIATION
        if variables[0] != variables[1]:
            return None
        self.deviations[name] = variables
        deviation = _function(name)(*applied.args)
        return Piece(applied, Versine(deviation, applied), deviation)

    def _shared(self, value: sp.Expr, name: str) -> sp.Expr:
        return self.samples.add(value, name, self.like) if self.like is not None else value

    def _root(self, value: sp.Expr) -> sp.Expr:
        """Return the standard deviation of one copy."""
        return self._shared(Sine(value), "root")

    # --- angles ----------------------------------------------------------------------------------------------------

    def _law_piece(self, law: Law) -> Piece | None:
        """Return the kernel whose law it is, None if the versine is not known."""
        piece = self.pieces.find(law.c)
        if piece is None or piece.diagonal != law.q1 or at_right(law.q1) != law.q2:
            return None
        return piece

    def _triangle(self, law: Law, piece: Piece) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
        """Return √(q1 q2), sin θ and θ."""
        root = self._root(law.q1)
        size, sine = root * at_right(root), Sine(piece.sine_squared)
        if piece.deviation is None:
            return size, sine, Arc(piece.versine, sp.Integer(1), size)
        return size, sine, Arc(piece.deviation, law.c, size)

    def _turned(self, expr: sp.Expr) -> sp.Expr:
        """Return an expression with its angles from versines where these are known."""
        found: dict[sp.Expr, sp.Expr] = {}
        for law in sorted(find_laws(expr), key=str):
            piece = self._law_piece(law)
            if piece is not None:
                size, sine, angle = self._triangle(law, piece)
                det = Det(law.q1, law.q2, law.c)
                powers = (power for power in expr.atoms(sp.Pow) if power.base == det)
                found |= {power: (size * sine) ** (2 * power.exp) for power in powers}
                found |= {law.angle: angle, det: (size * sine) ** 2}
                expr = expr.xreplace(self._contrasts(expr, law, piece))
        return expr.xreplace(found) if found else expr

    def _contrasts(self, expr: sp.Expr, law: Law, piece: Piece) -> dict[sp.Expr, sp.Expr]:
        """Return the standardized differences, such as (q1 − c)/√(q1 det), both of which vanish at duplicates."""
        root, found = self._root(law.q1), dict[sp.Expr, sp.Expr]()
        for node in sorted(expr.atoms(Standard, Bump), key=str):
            place = 0 if isinstance(node, Standard) else 1
            difference = contrast(node.args[place], law, (root, at_right(root)), piece.versine)
            if difference is not None:
                found[node] = node.func(*node.args[:place], difference, *node.args[place + 1 :])
        return found

    def _turned_block(self, block: Block) -> Block:
        if isinstance(block, Recurrence):
            body = tuple(map(self._turned_block, block.body))
            return replace(block, initial=tuple(map(self._turned_equation, block.initial)), body=body)
        assert isinstance(block, Equation)
        return self._turned_equation(block)

    def _turned_equation(self, equation: Equation) -> Equation:
        self.like = equation
        return replace(equation, rhs=self._turned(equation.rhs))

    # --- rules -----------------------------------------------------------------------------------------------------

    def _rules(self, label: str) -> tuple[Equation, ...] | None:
        """Return the equations of what is carried beside a moment, its initial value first; None without a rule."""
        found = [self.initials[label]] if label in self.initials else []
        made = []
        for equation in (*found, self.moments[label]):
            self.like = equation
            piece, carried = self._rule(equation), self._companion(equation.lhs)
            if piece is None:
                return None
            lhs, value = (
                (carried.versine, piece.versine) if carried.deviation is None else (carried.deviation, piece.deviation)
            )
            if value is None:
                return None
            made.append(replace(equation, name=str(lhs), lhs=lhs, rhs=value, rule=_RULE))
        return tuple(made)

    def _rule(self, equation: Equation) -> Piece | None:
        law, dual = self._homogeneous(equation.rhs)
        if law is None or dual is None:
            found = self.pieces.find(equation.rhs)
            named = {equation.rhs: equation.lhs}
            return None if found is None else replace(found, versine=found.versine.xreplace(named))
        piece = self._law_piece(law)
        if piece is None:
            return None
        size, sine, angle = self._triangle(law, piece)
        if _label(equation.lhs) in self.two_ended and piece.deviation is not None:
            acute, value = Arc(piece.deviation, sp.Integer(1), size), sp.Abs(equation.lhs)
            deviation = self._unless_degenerate(dual, size, dual.versine(acute, sine, piece.deviation), value, equation)
            return Piece(equation.lhs, Versine(deviation, equation.lhs), deviation)
        versine = dual.versine(angle, sine, piece.versine)
        return Piece(equation.lhs, self._unless_degenerate(dual, size, versine, equation.lhs, equation))

    def _unless_degenerate(
        self, dual: Homogeneous, size: sp.Expr, versine: sp.Expr, value: sp.Expr, equation: Equation
    ) -> sp.Expr:
        """Return a versine, by subtraction where a function of degree 0 may jump at a variance that vanishes."""
        if dual.degree:
            return versine
        root = self._root(diagonal(equation.lhs))
        return Either(size, versine, Shortfall(root, at_right(root), value))

    def _homogeneous(self, expr: sp.Expr) -> tuple[Law | None, Homogeneous | None]:
        """Return the law whose homogeneous dual an expression is, and that dual; None if it is none."""
        laws = find_laws(expr)
        law = next(iter(laws)) if len(laws) == 1 else None
        dual = None if law is None else homogeneous(expr, law)
        return (law, dual) if dual is not None and self.pieces.sign(dual.first) == 1 else (None, None)

    def _find_two_ended(self) -> frozenset[str]:
        """Return the moments of odd functions of the data: opposite inputs have opposite values."""
        found: set[str] = set()
        for equation in self.system.pair:
            if isinstance(equation, Equation) and self.moments.get(_label(equation.lhs)) is equation:
                law, dual = self._homogeneous(equation.rhs)
                inner = equation.rhs if law is None else law.c if dual is not None and dual.is_odd else sp.Integer(1)
                source = self.pieces.single(inner)
                if isinstance(source, AppliedUndef) and (source.func in self.grams or _label(source) in found):
                    found.add(_label(equation.lhs))
        return frozenset(found)

    def _versines(self) -> dict[str, Equation]:
        """Return the equations of all versines that are wanted, by what they are about."""
        made: dict[str, Equation] = {}
        done: set[str] = set()
        while waiting := [label for label in self.wanted if label not in done]:
            for label in waiting:
                done.add(label)
                rules = self._rules(label)
                if rules is None:
                    self.failed.add(label)
                made |= {_about(rule.lhs): rule for rule in rules or ()}
        return made


def _label(applied: sp.Expr) -> str:
    return str(applied.func.__name__)


def _about(carried: sp.Expr) -> str:
    """Return the moment that a versine, or deviation, is carried beside."""
    return str(_function(_label(carried).rpartition(":")[0])(*carried.args))


@functools.lru_cache(4096)
def _function(name: str) -> sp.Function:
    return sp.Function(name)


def _is_own_moment(equation: Equation) -> bool:
    """Tell whether an equation defines a second moment, or covariance, of a variable with itself."""
    subject = equation.subject
    own = subject.kind in (Kind.SECOND, Kind.COVARIANCE) and subject.right in (None, subject.left)
    return own and equation.lhs.args[-2:] == (X, Y)


def _initials(blocks: tuple[Block, ...]) -> Iterator[Equation]:
    for block in blocks:
        if isinstance(block, Recurrence):
            yield from block.initial
            yield from _initials(block.body)


def _after_moments(blocks: tuple[Block, ...], added: dict[str, Equation]) -> Iterator[Block]:
    """Yield the blocks with every added equation after the one that it is about."""
    for block in blocks:
        if isinstance(block, Recurrence):
            initial = tuple(part for part in _after_moments(block.initial, added) if isinstance(part, Equation))
            yield replace(block, initial=initial, body=tuple(_after_moments(block.body, added)))
            continue
        yield block
        if isinstance(block, Equation) and str(block.lhs) in added:
            yield added[str(block.lhs)]
