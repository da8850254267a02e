"""What the special functions of closed forms mean, in mpmath, and E[φ(u) ψ(v)] by quadrature with 30 digits."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp

from tensorprog.nonlin.expression import Apply, Expr, Number, Operand, Symbol

DIGITS = 30
_REACH = 12  # in standard deviations


def _angle(q1: Any, q2: Any, c: Any) -> Any:
    return mp.atan2(mp.sqrt(max(q1 * q2 - c * c, 0)), c) if q1 * q2 > 0 else mp.pi / 2


def _standard(m: Any, v: Any) -> Any:
    return m / mp.sqrt(v) if v > 0 else mp.sign(m) * mp.mpf(10) ** 30


@functools.lru_cache(4096)
def _orthant(e: Any, h: Any, k: Any, theta: Any) -> Any:
    """Integrate the density over the angle (Plackett 1954), from the angle π, where the two variables are opposite."""
    total = mp.ncdf(h) - mp.ncdf(-k) if h + k > 0 else mp.mpf(0)
    nodes, weights = _legendre(20)
    ends = {mp.pi * mp.mpf(2) ** -i for i in range(1, 30)}  # the density bends quickly towards both ends of [0, π]
    inside = {end for end in (*ends, *(mp.pi - end for end in ends)) if theta < end < mp.pi}
    for low, high in itertools.pairwise(sorted({theta, mp.pi, *inside})):
        half, middle = (high - low) / 2, (high + low) / 2
        if low > mp.pi / 2 and (h + k) ** 2 > 200 * (mp.pi - low) ** 2:
            break  # less than e^-100 is left
        for x, w in zip(nodes, weights, strict=True):
            t = middle + half * x
            cos, sin = mp.cos_sin(t)
            total += w * half * mp.exp((h * k * cos - (h * h + k * k) / 2) / sin**2) / (2 * mp.pi)
    return mp.exp(e) * total


def _wave_tail(e: Any, j: Any, h: Any, k: Any) -> Any:
    return mp.exp(mp.mpc(e, j)) * mp.erfc(-mp.mpc(h, k) / mp.sqrt(2)) / 2


MEANINGS: Mapping[str, Callable[..., Any]] = {
    "Det": lambda q1, q2, c: q1 * q2 - c * c,
    "Angle": _angle,
    "Support": lambda q: mp.mpf(int(q > 0)),
    "Expm1": mp.expm1,
    "Atan2": mp.atan2,
    "DampedSinh": lambda q1, q2, c, s: mp.exp(-s * (q1 + q2) / 2) * mp.sinh(s * c),
    "DampedCosh": lambda q1, q2, c, s: mp.exp(-s * (q1 + q2) / 2) * mp.cosh(s * c),
    "DampedExp": lambda q1, q2, c, s: mp.exp(-s * ((q1 - c) + (q2 - c)) / 2),
    "Snapped": lambda m, s: m,
    "Clipped": lambda m, s: m,
    "Reciprocal": lambda q: 1 / q if q else mp.mpf(0),
    "Standard": _standard,
    "Bump": lambda e, m, v: mp.exp(e - _standard(m, v) ** 2 / 2),
    "Tail": lambda e, h: mp.exp(e) * mp.ncdf(h),
    "Orthant": _orthant,
    "WaveTailRe": lambda e, j, h, k: _wave_tail(e, j, h, k).real,
    "WaveTailIm": lambda e, j, h, k: _wave_tail(e, j, h, k).imag,
}


def meaning(expr: sp.Expr, **values: Any) -> Any:
    """Return a closed form at given values, with 30 digits."""
    with mp.workdps(DIGITS + 10):
        function = sp.lambdify([sp.Symbol(name) for name in values], expr, [dict(MEANINGS), "mpmath"], cse=True)
        return +function(*(mp.mpf(value) for value in values.values()))


def _where(condition: bool, value: Any) -> Any:
    return value if condition else mp.mpf(0)


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "neg": lambda a: -a,
    "square": lambda a: a * a,
    "sqrt": mp.sqrt,
    "exp": mp.exp,
    "sin": mp.sin,
    "cos": mp.cos,
    "erf": mp.erf,
    "gauss": lambda a: mp.exp(-a * a),
    "Phi": mp.ncdf,
    "gelu": lambda a: a * mp.ncdf(a),
    "relu": lambda a: _where(a > 0, a),
    "step": lambda a: (1 + mp.sign(a)) / 2,
    "sign": mp.sign,
    "abs": abs,
    "elu": lambda a: a if a > 0 else mp.expm1(a),
    "leaky_relu": lambda a, slope: a if a > 0 else slope * a,
    "min": min,
    "max": max,
}


def evaluated(f: Expr, u: Any) -> Any:
    """Return f(u) in mpmath, from the definitions of the functions."""
    match f:
        case Operand():
            return u
        case Number():
            return mp.mpf(f.value)
        case Symbol("pi"):
            return mp.pi
        case Apply():
            return _FUNCTIONS[f.function](*(evaluated(arg, u) for arg in f.args))
    raise TypeError(f)


@functools.cache
def _legendre(order: int) -> tuple[list[Any], list[Any]]:
    """Return nodes and weights of the Gauss–Legendre rule with 40 digits, by Newton's method."""
    nodes, weights = [], []
    with mp.workdps(DIGITS + 12):
        for start in np.polynomial.legendre.leggauss(order)[0]:
            x = mp.mpf(float(start))
            for _ in range(4):
                before, now = mp.mpf(1), x
                for n in range(2, order + 1):
                    before, now = now, ((2 * n - 1) * x * now - (n - 1) * before) / n
                slope = order * (x * now - before) / (x * x - 1)
                x -= now / slope
            nodes.append(x)
            weights.append(2 / ((1 - x * x) * slope * slope))
    return nodes, weights


@dataclass(frozen=True)
class _Run:
    """Panels of one width side by side, all with the same rule."""

    start: Any
    width: Any
    count: int
    order: int

    def nodes(self) -> Iterator[Any]:
        """Yield the nodes, upwards."""
        offsets = [self.width * (1 + x) / 2 for x in _legendre(self.order)[0]]
        yield from (self.start + self.width * i + offset for i in range(self.count) for offset in offsets)

    def weights(self) -> Iterator[Any]:
        """Yield the weights of the nodes."""
        yield from [self.width / 2 * weight for weight in _legendre(self.order)[1]] * self.count

    def exponentials(self, slope: Any) -> Iterator[int]:
        """Yield exp(slope · y) for the nodes y, in units of 2^-600: from panel to panel they grow by one factor."""
        first = (mp.exp(slope * (self.start + self.width * (1 + x) / 2)) for x in _legendre(self.order)[0])
        factor, values = _whole(mp.exp(slope * self.width)), [_whole(value) for value in first]
        for _ in range(self.count):
            yield from values
            values = [value * factor >> _MANY for value in values]


@functools.cache
def _runs(m: float, q: float) -> tuple[_Run, ...]:
    """Return panels on the line for functions with kinks at multiples of ½ between −2 and 3."""
    deviation = mp.sqrt(mp.mpf(q))
    low, high = mp.mpf(m) - _REACH * deviation, mp.mpf(m) + _REACH * deviation
    edges = sorted({low, high, *(mp.mpf(i) / 2 for i in range(-4, 7) if low < mp.mpf(i) / 2 < high)})
    widest = min(mp.mpf(5) / 4, mp.mpf(5) / 4 * deviation)
    found: list[_Run] = []
    for start, stop in itertools.pairwise(edges):
        count = max(1, int(mp.ceil((stop - start) / widest)))
        run = _Run(start, (stop - start) / count, count, 20 if (stop - start) / count > widest / 2 else 14)
        if found and (found[-1].width, found[-1].order) == (run.width, run.order):
            before = found.pop()
            run = replace(before, count=before.count + count)
        found.append(run)
    return tuple(found)


@functools.cache
def grid(m: float, q: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return nodes and weights on the line for functions with kinks at multiples of ½ between −2 and 3."""
    runs = _runs(m, q)
    return tuple(y for run in runs for y in run.nodes()), tuple(w for run in runs for w in run.weights())


_BITS, _MANY = 140, 600


def _whole(value: Any, bits: int = _MANY) -> int:
    return int(mp.floor(mp.ldexp(value, bits)))


def _fixed(values: Iterable[Any], bits: int = _BITS) -> Any:
    """Return numbers as integers, in units of 2^-bits: products of such are quick."""
    return np.array([_whole(value, bits) for value in values], dtype=object)


@functools.cache
def density(m1: float, m2: float, q1: float, q2: float, c: float) -> Any:
    """Return the weighted density (N1, N2) of a law of two variables on the product of their grids, in fixed point."""
    (z1, w1), (z2, w2) = grid(m1, q1), grid(m2, q2)
    det = mp.mpf(q1) * q2 - mp.mpf(c) ** 2
    a, b, d = mp.mpf(q2) / (2 * det), mp.mpf(c) / det, mp.mpf(q1) / (2 * det)
    right = _fixed((wy * mp.exp(-d * (y - m2) ** 2) for y, wy in zip(z2, w2, strict=True)), _MANY)
    rows = []
    for x, wx in zip(z1, w1, strict=True):
        slope = b * (x - m1)
        front = wx * mp.exp(-a * (x - m1) ** 2 - slope * m2) / (2 * mp.pi * mp.sqrt(det))
        growth = np.array([value for run in _runs(m2, q2) for value in run.exponentials(slope)], dtype=object)
        rows.append((right * _whole(front) >> _MANY) * growth >> 2 * _MANY - _BITS)
    return np.array(rows)


@functools.cache
def _values(f: Expr, m: float, q: float) -> Any:
    return _fixed(evaluated(f, x) for x in grid(m, q)[0])


def integral(phi: Expr, psi: Expr, law: tuple[float, float, float, float, float]) -> Any:
    """Return E[φ(u) ψ(v)], (u, v) ~ N((m1, m2), [[q1, c], [c, q2]]), |ρ| < 1."""
    m1, m2, q1, q2, _ = law
    with mp.workdps(DIGITS + 15):
        total = _values(phi, m1, q1) @ density(*law) @ _values(psi, m2, q2)
        return mp.ldexp(mp.mpf(total), -3 * _BITS)


def line_integral(f: Expr, m: float, q: float) -> Any:
    """Return E f(u), u ~ N(m, q)."""
    with mp.workdps(DIGITS + 5):
        nodes, weights = grid(m, q)
        terms = (
            w * evaluated(f, x) * mp.exp(-((x - m) ** 2) / (2 * mp.mpf(q))) for x, w in zip(nodes, weights, strict=True)
        )
        return mp.fsum(terms) / mp.sqrt(2 * mp.pi * mp.mpf(q))
