"""Expectations of functions made of pieces of polynomials, of one and of two Gaussian variables, with any means.

A function of pieces is Σ_i c_i max(x − t_i, 0)^p_i, with max(·, 0)⁰ the step, t = −∞ standing for no kink at all. The
moments of two variables beyond two places are those of Tallis (1961) and Muthén (1990), with the distribution Φ₂ by
Owen's T function (Owen 1956).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from tensorprog.dual.pairs.features import find_features, function
from tensorprog.dual.values import determinant
from tensorprog.nonlin.expression import Expr

__all__ = ["LINEAR", "Pieces", "find_pieces", "pair_moment", "single_moment"]

Array = npt.NDArray[np.float64]

LINEAR = 1
_CUBIC = 3
_EVERYWHERE = -math.inf
_NORMALIZATION = 1 / math.sqrt(2 * math.pi)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Σ weight · max(x − place, 0)^power over (weight, place, power); a place of −∞ means x^power."""

    terms: tuple[tuple[float, float, int], ...]

    @property
    def degree(self) -> int:
        """The largest power."""
        return max((power for _, _, power in self.terms), default=0)

    @property
    def kinks(self) -> tuple[float, ...]:
        """The places."""
        return tuple(sorted({place for _, place, _ in self.terms if place != _EVERYWHERE}))


@functools.lru_cache(256)
def find_pieces(phi: Expr) -> Pieces | None:
    """Return a function of Operand(0) without symbols as pieces of polynomials of degree ≤ 3, None for any other."""
    kinks = [float(kink) for kink in find_features(phi, {}).kinks]
    if len(kinks) > 16:
        return None
    value = function(phi, {})
    ends = [*kinks, (kinks[-1] if kinks else 0.0) + 2.0]
    starts = [(kinks[0] if kinks else 0.0) - 2.0, *kinks]
    terms: list[tuple[float, float, int]] = []
    before = np.zeros(_CUBIC + 1)
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        origin = 0.0 if number == 0 else start
        found = _polynomial(value, start, end, origin, outward=(number == 0) - (number == len(kinks)))
        if found is None:
            return None
        change = found if number == 0 else found - _moved(before, origin)
        place = _EVERYWHERE if number == 0 else start
        scale = max(1.0, float(np.abs(found).max()))
        terms += [(float(c), place, power) for power, c in enumerate(change) if abs(c) > 1e-13 * scale]
        before = _moved(found, -origin)
    return Pieces(tuple(terms))


def _moved(polynomial: Array, shift: float) -> Array:
    """Return the coefficients of x ↦ p(x + shift)."""
    moved = np.zeros_like(polynomial)
    for power, coefficient in enumerate(polynomial):
        for k in range(power + 1):
            moved[k] += coefficient * math.comb(power, k) * shift ** (power - k)
    return moved


def _polynomial(value: object, start: float, end: float, origin: float, outward: int) -> Array | None:
    """Return the coefficients, in x − origin, of a function that is a polynomial on an interval; None if it is not."""
    assert callable(value)
    inside = start + (end - start) * np.array([0.1, 0.35, 0.65, 0.9])
    coefficients = np.linalg.solve(np.vander(inside - origin, increasing=True), value(inside))
    coefficients = np.where(np.abs(coefficients) < 1e-12 * max(1.0, float(np.abs(coefficients).max())), 0, coefficients)
    coefficients = _rounded(coefficients)
    tests = start + (end - start) * np.linspace(0.02, 0.98, 9)
    if outward > 0 or (outward == 0 and not math.isfinite(start)):
        tests = np.concatenate([tests, start - np.array([1.0, 7.0, 60.0])])
    if outward < 0:
        tests = np.concatenate([tests, end + np.array([1.0, 7.0, 60.0])])
    expected = np.polynomial.polynomial.polyval(tests - origin, coefficients)
    size = np.polynomial.polynomial.polyval(np.abs(tests - origin), np.abs(coefficients))
    return coefficients if bool((np.abs(value(tests) - expected) <= 1e-12 * (size + 1e-3)).all()) else None


def _rounded(coefficients: Array) -> Array:
    """Return coefficients that are simple fractions up to rounding as such."""
    simple = np.round(coefficients * 720) / 720
    return np.where(np.abs(simple - coefficients) < 1e-11 * np.maximum(1.0, np.abs(simple)), simple, coefficients)


def single_moment(pieces: Pieces, m: Array, q: Array) -> Array:
    """Return E A(x), x ~ N(m, q), for arrays that broadcast."""
    s = np.sqrt(q)
    return _total(weight * _beyond(m, s, place, power) for weight, place, power in pieces.terms)


def _total(terms: Iterable[Array]) -> Array:
    total: Array = np.zeros(())
    for term in terms:
        total = total + term
    return total


def _beyond(m: Array, s: Array, place: float, power: int) -> Array:
    """Return E max(x − place, 0)^power by the recursion M_p = d M_{p−1} + (p − 1) s² M_{p−2}, d = m − place."""
    everywhere = place == _EVERYWHERE
    d = m if everywhere else m - place
    h = standardized(d, s)
    now = np.ones_like(h) if everywhere else np.asarray(special.ndtr(h))
    density = np.zeros_like(h) if everywhere else _density(h)
    before = np.zeros_like(h)
    for p in range(1, power + 1):
        edge = s * density if p == 1 else 0.0
        before, now = now, d * now + (p - 1) * s * s * before + edge
    return np.asarray(now)


def standardized(d: Array, s: Array) -> Array:
    """Return d/s, 0 for 0/0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.clip(np.where(d == 0, 0.0, d / s), -1e30, 1e30)


def _density(h: Array) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(_NORMALIZATION * np.exp(-0.5 * np.minimum(h * h, 1500.0)))


def pair_moment(first: Pieces, second: Pieces, m1: Array, m2: Array, q1: Array, q2: Array, c: Array) -> Array:
    """Return E[A(x) B(y)], (x, y) ~ N((m1, m2), [[q1, c], [c, q2]]), of piecewise linear A and B; arrays broadcast."""
    s1, s2 = np.sqrt(q1), np.sqrt(q2)
    product = s1 * s2
    proper = product > 0
    rho = np.clip(np.where(proper, c / np.where(proper, product, 1.0), 0.0), -1.0, 1.0)
    rest = np.where(proper, np.sqrt(determinant(q1, q2, c)) / np.where(proper, product, 1.0), 1.0)
    rest = np.minimum(rest, 1.0)
    rho = np.where(rest < 0.5, np.copysign(np.sqrt((1 - rest) * (1 + rest)), rho), rho)
    law = _Standard(m1, m2, s1, s2, rho, rest)
    corners: dict[tuple[float, float], dict[tuple[int, int], Array]] = {}
    total: Array = np.zeros(())
    for weight1, place1, power1 in first.terms:
        for weight2, place2, power2 in second.terms:
            found = corners.setdefault((place1, place2), {})
            if not found:
                wanted1 = max(power for _, place, power in first.terms if place == place1)
                wanted2 = max(power for _, place, power in second.terms if place == place2)
                found.update(law.corner(place1, place2, wanted1, wanted2))
            total = total + weight1 * weight2 * found[power1, power2]
    return total


@dataclass(frozen=True, slots=True)
class _Standard:
    """x = m1 + s1 a, y = m2 + s2 b; a, b standard normal of correlation rho, rest = √(1 − rho²)."""

    m1: Array
    m2: Array
    s1: Array
    s2: Array
    rho: Array
    rest: Array

    def corner(self, place1: float, place2: float, power1: int, power2: int) -> dict[tuple[int, int], Array]:
        """Return E[max(x − t, 0)^p max(y − t′, 0)^q] for p ≤ power1, q ≤ power2 ≤ 1."""
        free1, free2 = place1 == _EVERYWHERE, place2 == _EVERYWHERE
        d1, d2 = (self.m1 if free1 else self.m1 - place1), (self.m2 if free2 else self.m2 - place2)
        if free1 and free2:
            ones = np.ones(np.broadcast_shapes(np.shape(d1), np.shape(d2)))
            return {(0, 0): ones, (1, 0): d1 * ones, (0, 1): d2 * ones, (1, 1): d1 * d2 + self.s1 * self.s2 * self.rho}
        if free1 or free2:
            return self._half(d1, d2, free1=free1)
        return self._corner(d1, d2, power1, power2)

    def _ahead(self, k: Array, h: Array) -> Array:
        """Return k − ρ h = (k ∓ h) ± h rest²/(1 + |ρ|), without cancellation for ρ → ±1."""
        sign = np.where(self.rho < 0, -1.0, 1.0)
        left = sign * self.rest * self.rest / (1 + np.abs(self.rho))
        return np.asarray((k - sign * h) + h * left)

    def _half(self, d1: Array, d2: Array, *, free1: bool) -> dict[tuple[int, int], Array]:
        """Return the moments where only one of the two has a kink."""
        d, s = (d2, self.s2) if free1 else (d1, self.s1)
        other, t = (d1, self.s1) if free1 else (d2, self.s2)
        h = standardized(d, s)
        mass, density = np.asarray(special.ndtr(h)), _density(h)
        along = t * self.rho * density  # E[t b; a > −h]
        linear = d * mass + s * density
        crossed = other * linear + s * t * self.rho * mass
        plain = {(0, 0): mass, (1, 0): linear, (0, 1): other * mass + along, (1, 1): crossed}
        return {(q, p) if free1 else (p, q): value for (p, q), value in plain.items()}

    def _corner(self, d1: Array, d2: Array, power1: int, power2: int) -> dict[tuple[int, int], Array]:
        h, k = standardized(d1, self.s1), standardized(d2, self.s2)
        over = standardized(self._ahead(k, h), self.rest), standardized(self._ahead(h, k), self.rest)
        mass = bivariate(h, k, self.rho, self.rest, over)
        found = {(0, 0): mass}
        if power1 + power2 == 0:
            return found
        first = _density(h) * special.ndtr(over[0])  # the density of a at its edge, b beyond its own
        second = _density(k) * special.ndtr(over[1])
        along1, along2 = self.s1 * (first + self.rho * second), self.s2 * (second + self.rho * first)
        found[1, 0], found[0, 1] = d1 * mass + along1, d2 * mass + along2
        if power1 and power2:
            peak = self.rest * _density(h) * _density(over[0])
            across = self.rho * (mass - h * first - k * second) + peak
            found[1, 1] = d1 * d2 * mass + d1 * along2 + d2 * along1 + self.s1 * self.s2 * across
        return found


def bivariate(h: Array, k: Array, rho: Array, rest: Array, over: tuple[Array, Array]) -> Array:
    """Return P(a > −h, b > −k) of standard normal a, b; over = ((k − ρh)/rest, (h − ρk)/rest)."""
    both = (np.abs(h) < 1e-300) & (np.abs(k) < 1e-300)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope1, slope2 = (
            np.where(x == 0, np.sign(y) * np.inf, y / np.where(x == 0, 1.0, x)) for x, y in ((h, over[0]), (k, over[1]))
        )
        opposite = (h * k < 0) | ((h * k == 0) & (h + k < 0))
        owen = special.owens_t(h, _finite(slope1)) + special.owens_t(k, _finite(slope2))
        value = 0.5 * (special.ndtr(h) + special.ndtr(k)) - owen - np.where(opposite, 0.5, 0.0)
    angle = np.arctan2(rest, rho)
    return np.asarray(np.clip(np.where(both, (math.pi - angle) / (2 * math.pi), value), 0.0, 1.0))


def _finite(slope: Array) -> Array:
    return np.asarray(np.clip(np.nan_to_num(slope, nan=0.0, posinf=1e300, neginf=-1e300), -1e300, 1e300))
