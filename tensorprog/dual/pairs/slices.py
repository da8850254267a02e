"""E[φ(u) ψ(v)] as a one-dimensional integral over u of φ(u) E[ψ(v) | u], where the inner expectation has a closed form.

Given u = m1 + s1 z, v is normal with the mean m2 + s2 ρ z and the variance s2² (1 − ρ²), so that the closed form of the
one-variable expectation E ψ serves. This covers pairs of functions of which only the single ones close, as u⁺ sin u
against itself. The inner expectation is a smooth function of z but for ρ = ±1; near these it bends where v meets a kink
of ψ, within √(1 − ρ²). Panels and errors are those of `dual.pairs.quadrature`. Besides, the closed form is compared
with quadrature at a few places of every law, and what they differ by enters the error.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy as sp
from scipy import special

from tensorprog.dual.closed.delta import has_delta
from tensorprog.dual.expectation import PairLaw, pair, point
from tensorprog.dual.numeric import SPECIALS
from tensorprog.dual.pairs.conditional import Conditional, conditional
from tensorprog.dual.pairs.estimates import COARSE, FINE, UNRESOLVED, deviation, judged, refined, summed
from tensorprog.dual.pairs.features import Features, Function, find_features, function, has_kinks
from tensorprog.dual.pairs.panels import REACH, find_marks, find_panels, parts, reaches, rule, seen_through
from tensorprog.dual.pairs.quadrature import pair_quadrature, point_quadrature
from tensorprog.dual.undefined import UndefinedExpectation
from tensorprog.nonlin.expression import Expr

__all__ = ["Slice", "find_slice", "sliced_quadrature"]

Array = npt.NDArray[np.float64]
Values = Mapping[str, Any]

_PANEL = 2.0  # the widest panel
_PLACES = np.array([-1.7, -0.6, 0.4, 1.3])  # where the closed form is compared with quadrature
_AGREEMENT = 1e-11  # the largest difference there, relative to √(E ψ²)
_ROWS = 64
_MOST_NODES = 1 << 22  # of the laws that are integrated together

_M = sp.Dummy("m", real=True)
_Q = sp.Dummy("q", positive=True)
_PAIR = PairLaw(
    sp.Integer(0),
    sp.Integer(0),
    *(sp.Dummy(name, positive=name != "c" or None, real=True) for name in ("q1", "q2", "c")),
)

_ELEMENTARY: Mapping[type[sp.Basic], Callable[..., Any]] = {
    sp.exp: np.exp,
    sp.log: np.log,
    sp.sin: np.sin,
    sp.cos: np.cos,
    sp.atan: np.arctan,
    sp.erf: special.erf,
    sp.erfc: special.erfc,
    sp.Abs: np.abs,
    sp.sign: np.sign,
    sp.Max: lambda *args: functools.reduce(np.maximum, args),
    sp.Min: lambda *args: functools.reduce(np.minimum, args),
    **SPECIALS,
}


@dataclass(frozen=True, slots=True)
class Slice:
    """The closed form of E ψ(m + √q z), in the letters `_M` and `_Q` and the names of hyperparameters."""

    expr: sp.Expr

    def __call__(self, m: Array, q: Array, symbols: Values) -> Array:
        """Return its values, arrays of the shape of m and q."""
        known: dict[sp.Basic, Any] = {_M: m, _Q: q}
        known.update({symbol: symbols[symbol.name] for symbol in self.expr.free_symbols - {_M, _Q}})
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(_value(self.expr, known), np.float64), m.shape)


@functools.lru_cache(256)
def find_slice(phi: Expr, psi: Expr) -> Slice | None:
    """Return the closed form of E ψ if E[φ(u) ψ(v)] is to be computed with it.

    That is so if the pair has none itself (otherwise it is integrated as a check, and owes closed forms nothing), and
    if there are kinks (otherwise the trapezoidal rule in two dimensions is as good).
    """
    if has_delta(phi) or has_delta(psi) or not (has_kinks(phi) or has_kinks(psi)):
        return None
    try:
        inner = point(psi, _M, _Q, _named)
        if inner.error is not None or pair(phi, psi, _PAIR, _named).error is None:
            return None
    except UndefinedExpectation:
        return None
    return Slice(inner.expr) if _is_known(inner.expr) else None


def sliced_quadrature(
    phi: Expr, psi: Expr, inner: Slice, m1: Any, m2: Any, q1: Any, q2: Any, c: Any, symbols: Values
) -> tuple[Array, Array]:
    """Return E[φ(u) ψ(v)] and an estimate of its error, for laws (N,) of (u, v) ~ N((m1, m2), [[q1, c], [c, q2]])."""
    laws = [np.asarray(entry, np.float64) for entry in (m1, m2, q1, q2, c)]
    law = conditional(*laws)
    first, features = (function(phi, symbols), find_features(phi, symbols)), find_features(psi, symbols)
    second = functools.partial(inner, symbols=symbols)

    def attempt(rows: npt.NDArray[np.int64], fineness: float) -> tuple[Array, Array, Array]:
        return _composite(first, second, features, law.rows(rows), fineness)

    value, error = refined(attempt, len(law.rho), _ROWS)
    doubt, agrees = _compared(psi, second, features, law, symbols)
    edges = find_panels(find_marks(first[1], law.m1, law.s1, _PANEL), REACH)
    error = error + doubt * deviation(first[0], law.m1, law.s1, edges)
    (left,) = np.nonzero(~(agrees & np.isfinite(value) & np.isfinite(error)))
    if left.size:
        value[left], error[left] = _by_quadrature(phi, psi, laws, left, symbols)
    return value, error


def _by_quadrature(
    phi: Expr, psi: Expr, laws: list[Array], rows: npt.NDArray[np.int64], symbols: Values
) -> tuple[Array, Array]:
    m1, m2, q1, q2, c = (entry[rows] for entry in laws)
    return pair_quadrature(phi, psi, m1, m2, q1, q2, c, symbols)


def _named(_: Expr) -> sp.Symbol:
    return sp.Dummy("f")


def _is_known(expr: sp.Expr) -> bool:
    """Return whether `_value` knows all functions in an expression."""
    nodes = (node for node in sp.preorder_traversal(expr) if node.args)
    return all(isinstance(node, sp.Add | sp.Mul | sp.Pow) or type(node) in _ELEMENTARY for node in nodes)


def _value(expr: sp.Basic, known: dict[sp.Basic, Any]) -> Any:
    """Return the value of an expression, every part of it computed once; `known` holds the values so far."""
    if expr not in known:
        known[expr] = _operated(expr, known) if expr.args else float(expr)
    return known[expr]


def _operated(expr: sp.Basic, known: dict[sp.Basic, Any]) -> Any:
    if isinstance(expr, sp.Pow) and expr.exp in (sp.Rational(1, 2), -sp.Rational(1, 2)):
        root = np.sqrt(_value(expr.base, known))
        return root if expr.exp > 0 else 1 / root
    args = [_value(arg, known) for arg in expr.args]
    if isinstance(expr, sp.Pow):
        return np.power(np.asarray(args[0], np.float64), args[1])
    if isinstance(expr, sp.Add):
        return sum(args[1:], args[0])
    if isinstance(expr, sp.Mul):
        return math.prod(args[1:], start=args[0])
    return _ELEMENTARY[type(expr)](*args)


def _composite(
    first: tuple[Function, Features],
    second: Callable[[Array, Array], Array],
    features: Features,
    law: Conditional,
    fineness: float,
) -> tuple[Array, Array, Array]:
    """Return values, errors, and √(E φ²) times the largest √(E ψ²) that is seen."""
    marks = find_marks(first[1], law.m1, law.s1, _PANEL).joined(seen_through(features, law, _PANEL))
    edges = find_panels(marks, REACH, fineness)
    rows = max(1, _MOST_NODES // (edges.shape[1] * FINE))
    found = [_sums(first[0], second, law.rows(part), edges[part]) for part in parts(len(edges), rows)]
    value, error, scale = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return value, error, scale


def _sums(
    phi: Function, second: Callable[[Array, Array], Array], law: Conditional, edges: Array
) -> tuple[Array, Array, Array]:
    variance = ((law.s2 * law.rest) ** 2)[:, None]
    sums, squares = [], []
    for order in (FINE, COARSE):
        z, weight = rule(edges, order)
        mean = law.m2[:, None] + (law.s2 * law.rho)[:, None] * z
        with np.errstate(over="ignore", invalid="ignore"):
            outer, inner = phi(law.m1[:, None] + law.s1[:, None] * z), second(mean, variance * np.ones_like(z))
            sums.append(summed(weight * outer * inner, order))
            squares.append(np.sum(weight * outer**2, axis=1) * np.sum(weight * inner**2, axis=1))
    scale = np.sqrt(squares[0])
    return *judged(sums[0], sums[1], np.where(reaches(edges), 0.0, UNRESOLVED * scale)), scale


def _compared(
    psi: Expr, second: Callable[[Array, Array], Array], features: Features, law: Conditional, symbols: Values
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return by how much closed form and quadrature of E[ψ(v) | u] differ, and whether they agree."""
    mean = np.hstack([law.m2[:, None] + (law.s2 * law.rho)[:, None] * _PLACES, _near_kinks(features, law)])
    variance = np.broadcast_to(((law.s2 * law.rest) ** 2)[:, None], mean.shape)
    value, error = point_quadrature(psi, mean, variance, symbols)
    square, _ = point_quadrature(psi * psi, law.m2, law.s2**2, symbols)
    difference = np.abs(second(mean, variance) - value)
    most = _AGREEMENT * np.sqrt(square)[:, None] + error
    return np.max(difference, axis=1), np.all(difference <= most, axis=1)


def _near_kinks(features: Features, law: Conditional) -> Array:
    """Return conditional means of v close to the kinks of ψ, a few of these."""
    kinks = features.kinks[np.argsort(np.abs(features.kinks))[:2]]
    return np.asarray(kinks + 0.7 * (law.s2 * law.rest)[:, None])
