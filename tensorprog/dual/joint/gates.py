"""Products of gates: functions that are sums of products of Φ(v) and e^{−v²}, v affine in Gaussian variables.

    σ(u) = (1 + erf(u))/2 = Φ(√2 u),    1 − Φ(u) = Φ(−u),    Φ′(u) = e^{−u²/2}/√(2π)

With independent standard normal noise ε_i on each argument, X_i = v_i + ε_i, Φ(v_i) = P(X_i > 0 | v) and Φ′(v_i) is the
density of X_i at 0, so that

    E Π_g Φ(v_g) Π_d Φ′(v_d) = (density of X_d at 0) · P(X_g > 0 | X_d = 0),

an orthant probability of a Gaussian vector (`dual.joint.orthants`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tensorprog.dual.joint.orthants import orthant_probability
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.nonlin.expression import Apply, Expr, Operand, operands
from tensorprog.nonlin.simplify import expand, inline

__all__ = ["Argument", "Gates", "gate_estimate", "gate_expectation", "gates"]

Array = npt.NDArray[np.float64]

_MOST_TERMS = 256


@dataclass(frozen=True, slots=True)
class Argument:
    """shift + Σ slopes[i] · Operand(i)."""

    shift: float
    slopes: tuple[float, ...]

    def scaled(self, factor: float) -> Argument:
        """Return factor · the argument."""
        return Argument(factor * self.shift, tuple(factor * slope for slope in self.slopes))


@dataclass(frozen=True, slots=True)
class Gates:
    """coefficient · Π Φ(v) over the arguments v in `gates` · Π Φ′(v) over those in `densities`."""

    coefficient: float
    gates: tuple[Argument, ...] = ()
    densities: tuple[Argument, ...] = ()

    def times(self, other: Gates) -> Gates:
        """Return the product of two terms."""
        return Gates(self.coefficient * other.coefficient, self.gates + other.gates, self.densities + other.densities)


class _Foreign(Exception):
    """An expression is not a sum of products of gates."""


def gates(function: Expr, size: int, symbols: Mapping[str, float]) -> tuple[Gates, ...] | None:
    """Return a function of Operand(0), …, Operand(size − 1) as a sum of products of gates, None if it is none.

    `symbols` gives the values of hyperparameters.
    """
    try:
        return _Reader(size, symbols).terms(expand(inline(function)))
    except _Foreign:
        return None


def gate_estimate(
    function: Expr, means: Array, covariances: Array, symbols: Mapping[str, float]
) -> tuple[Array, Array, Array] | None:
    """Return E f(u) for u ~ N(m, C), an estimate of its error and a bound of E |f|; None if f has other factors.

    Args:
        function: f, over Operand(0), …, Operand(k − 1).
        means: m, shape (N, k).
        covariances: C, shape (N, k, k), positive semidefinite.
        symbols: the values of hyperparameters.
    """
    terms = gates(function, means.shape[1], symbols)
    if terms is None:
        return None
    value, error, scale = np.zeros((3, len(means)))
    for term in terms:
        found, doubt = gate_expectation((term,), means, covariances)
        value, error, scale = value + found, error + doubt, scale + np.abs(found)
    return value, error, scale


def gate_expectation(terms: Sequence[Gates], means: Array, covariances: Array) -> tuple[Array, Array]:
    """Return E of a sum of products of gates of u ~ N(m, C), and an estimate of its error.

    Args:
        terms: the function.
        means: m, shape (N, k).
        covariances: C, shape (N, k, k), positive semidefinite.
    """
    value, error = np.zeros(len(means)), np.zeros(len(means))
    for term in terms:
        found, doubt = _term(term, np.asarray(means, np.float64), np.asarray(covariances, np.float64))
        value += term.coefficient * found
        error += abs(term.coefficient) * doubt
    return value, error


def _term(term: Gates, means: Array, covariances: Array) -> tuple[Array, Array]:
    """Return E Π Φ(v_g) Π Φ′(v_d)."""
    arguments = (*term.gates, *term.densities)
    if not arguments:
        return np.ones(len(means)), np.zeros(len(means))
    slopes = np.array([argument.slopes for argument in arguments])
    centre = means @ slopes.T + np.array([argument.shift for argument in arguments])
    noisy = slopes @ covariances @ slopes.T + np.eye(len(arguments))
    count = len(term.gates)
    if not term.densities:
        return orthant_probability(centre, noisy)
    inner, cross, outer = noisy[:, count:, count:], noisy[:, :count, count:], noisy[:, :count, :count]
    known = np.linalg.solve(inner, np.concatenate([centre[:, count:, None], cross.transpose(0, 2, 1)], axis=2))
    exponent = np.einsum("ni,ni->n", centre[:, count:], known[:, :, 0])
    density = np.exp(-0.5 * exponent) / np.sqrt(np.linalg.det(2 * np.pi * inner))
    given = centre[:, :count] - np.einsum("nij,nj->ni", cross, known[:, :, 0])
    value, error = orthant_probability(given, outer - cross @ known[:, :, 1:])
    return density * value, density * error


class _Reader:
    """Reads expressions as sums of products of gates."""

    def __init__(self, size: int, symbols: Mapping[str, float]) -> None:
        self._size = size
        self._symbols = symbols

    def terms(self, expr: Expr) -> tuple[Gates, ...]:
        """Return an expression as a sum.

        Raises:
            _Foreign: it is none.
        """
        if not operands(expr):
            return (Gates(self._number(expr)),)
        rule = _RULES.get(expr.function) if isinstance(expr, Apply) else None
        if rule is None:
            raise _Foreign
        assert isinstance(expr, Apply)
        found = _collected(rule(self, expr.args))
        if len(found) > _MOST_TERMS:
            raise _Foreign
        return found

    def _number(self, expr: Expr) -> float:
        try:
            value = float(evaluate(expr, (), self._symbols))
        except (KeyError, ZeroDivisionError) as error:
            raise _Foreign from error
        if not math.isfinite(value):
            raise _Foreign
        return value

    def sum(self, args: tuple[Expr, ...]) -> tuple[Gates, ...]:
        """Return the terms of a sum."""
        return self.terms(args[0]) + self.terms(args[1])

    def difference(self, args: tuple[Expr, ...]) -> tuple[Gates, ...]:
        """Return the terms of a difference."""
        return self.terms(args[0]) + self.negation(args[1:])

    def negation(self, args: tuple[Expr, ...]) -> tuple[Gates, ...]:
        """Return the terms of −a."""
        return tuple(Gates(-1.0).times(term) for term in self.terms(args[0]))

    def product(self, args: tuple[Expr, ...]) -> tuple[Gates, ...]:
        """Return the terms of a product, expanded."""
        right = self.terms(args[1])
        return tuple(a.times(b) for a in self.terms(args[0]) for b in right)

    def quotient(self, args: tuple[Expr, ...]) -> tuple[Gates, ...]:
        """Return the terms of a/c for a number c."""
        if operands(args[1]):
            raise _Foreign
        divisor = self._number(args[1])
        if divisor == 0:
            raise _Foreign
        return tuple(Gates(1 / divisor).times(term) for term in self.terms(args[0]))

    def power(self, args: tuple[Expr, ...]) -> tuple[Gates, ...]:
        """Return the terms of a^k for k = 1, 2, 3, 4."""
        exponent = self._number(args[1]) if not operands(args[1]) else 0.0
        if exponent not in (1.0, 2.0, 3.0, 4.0):
            raise _Foreign
        found = once = self.terms(args[0])
        for _ in range(int(exponent) - 1):
            found = tuple(a.times(b) for a in found for b in once)
        return found

    def erf(self, args: tuple[Expr, ...]) -> tuple[Gates, ...]:
        """Return the error function as 2 Φ(√2 v) − 1."""
        return Gates(2.0, gates=(self._argument(args[0]).scaled(math.sqrt(2)),)), Gates(-1.0)

    def bump(self, args: tuple[Expr, ...]) -> tuple[Gates, ...]:
        """Return e^{−v²} as √(2π) Φ′(√2 v)."""
        return (Gates(math.sqrt(2 * math.pi), densities=(self._argument(args[0]).scaled(math.sqrt(2)),)),)

    def _argument(self, expr: Expr) -> Argument:
        """Return an affine expression."""
        if not operands(expr):
            return Argument(self._number(expr), (0.0,) * self._size)
        match expr:
            case Operand(index=index):
                return Argument(0.0, tuple(float(k == index) for k in range(self._size)))
            case Apply(function="neg", args=(inner,)):
                return self._argument(inner).scaled(-1.0)
            case Apply(function="add" | "sub" as name, args=(left, right)):
                a, b = self._argument(left), self._argument(right).scaled(1.0 if name == "add" else -1.0)
                return Argument(a.shift + b.shift, tuple(p + q for p, q in zip(a.slopes, b.slopes, strict=True)))
            case Apply(function="mul", args=(left, right)) if not operands(left):
                return self._argument(right).scaled(self._number(left))
            case Apply(function="mul", args=(left, right)) if not operands(right):
                return self._argument(left).scaled(self._number(right))
            case Apply(function="div", args=(left, right)) if not operands(right) and self._number(right) != 0:
                return self._argument(left).scaled(1 / self._number(right))
            case _:
                raise _Foreign


def _collected(terms: tuple[Gates, ...]) -> tuple[Gates, ...]:
    """Return a sum with equal terms added up, and c − c Φ(v) as c Φ(−v)."""
    totals: dict[tuple[tuple[Argument, ...], tuple[Argument, ...]], float] = {}
    for term in terms:
        key = term.gates, term.densities
        totals[key] = totals.get(key, 0.0) + term.coefficient
    found = tuple(Gates(total, *key) for key, total in totals.items() if total != 0)
    if len(found) == 2 and not found[1].gates:
        found = found[::-1]
    match found:
        case (Gates(coefficient=c, gates=(), densities=()), Gates(coefficient=d, gates=(v,), densities=())) if c == -d:
            return (Gates(c, (v.scaled(-1.0),)),)
        case _:
            return found


_RULES: Mapping[str, Callable[[_Reader, tuple[Expr, ...]], tuple[Gates, ...]]] = {
    "add": _Reader.sum,
    "sub": _Reader.difference,
    "neg": _Reader.negation,
    "mul": _Reader.product,
    "div": _Reader.quotient,
    "pow": _Reader.power,
    "square": lambda reader, args: reader.product((args[0], args[0])),
    "cube": lambda reader, args: reader.product((Apply("mul", (args[0], args[0])), args[0])),
    "erf": _Reader.erf,
    "gauss": _Reader.bump,
}
