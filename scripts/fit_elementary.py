"""Print the polynomials of `tensorprog.runtime.elementary`, and how far each is from its function.

    python scripts/fit_elementary.py [NAME ...]

Each interpolates its function at the Chebyshev nodes of its interval, in 60 digits; the coefficients are rounded to
doubles and printed with the highest power first. The error is the largest one of the polynomial of the doubles,
computed exactly, over the interval; that of the whole function is smaller by the share of the polynomial in it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mpmath
from mpmath import mpf

mpmath.mp.dps = 60

_SERIES_BELOW = mpf("1e-3")


@dataclass(frozen=True, slots=True)
class Fit:
    """A function on [low, high], to be replaced by a polynomial."""

    function: Callable[[mpf], mpf]
    low: mpf
    high: mpf
    degree: int


def _series(term: Callable[[int], mpf], z: mpf) -> mpf:
    """Return Σ term(k) z^k for |z| < 1, where closed forms cancel."""
    total, power = mpf(0), mpf(1)
    for k in range(60):
        total += term(k) * power
        power *= z
    return total


def _even(z: mpf) -> mpf:
    """(cosh r − 1) / r², z = r²."""
    return _series(lambda k: 1 / mpmath.factorial(2 * k + 2), z)


def _odd(z: mpf) -> mpf:
    """(sinh r − r) / r³, z = r²."""
    return _series(lambda k: 1 / mpmath.factorial(2 * k + 3), z)


def _log(z: mpf) -> mpf:
    """(log((1 + s) / (1 − s)) − 2s) / s³, z = s²."""
    return _series(lambda k: mpf(2) / (2 * k + 3), z)


def _sin(z: mpf) -> mpf:
    """(sin r − r) / r³, z = r²."""
    return -_odd(-z)


def _cos(z: mpf) -> mpf:
    """(cos r − 1 + r²/2) / r⁴, z = r²."""
    return _series(lambda k: (-1) ** k / mpmath.factorial(2 * k + 4), z)


def _asin(z: mpf) -> mpf:
    """(asin x − x) / x³, z = x²."""
    if z < _SERIES_BELOW:
        return _series(lambda k: mpmath.binomial(2 * k + 2, k + 1) / (mpf(4) ** (k + 1) * (2 * k + 3)), z)
    x = mpmath.sqrt(z)
    return (mpmath.asin(x) - x) / x**3


def _atan(z: mpf) -> mpf:
    """(atan x − x) / x³, z = x²."""
    if z < _SERIES_BELOW:
        return _series(lambda k: mpf((-1) ** (k + 1)) / (2 * k + 3), z)
    x = mpmath.sqrt(z)
    return (mpmath.atan(x) - x) / x**3


def _erf(z: mpf) -> mpf:
    """erf(x) / x − 1, z = x²."""
    x = mpmath.sqrt(z)
    return mpmath.erf(x) / x - 1 if x else 2 / mpmath.sqrt(mpmath.pi) - 1


def _erfcx(t: mpf) -> mpf:
    """(1 + 2x) exp(x²) erfc(x) − 5/4, t = (x − 3) / (x + 3)."""
    if t == 1:
        return 2 / mpmath.sqrt(mpmath.pi) - mpf("1.25")
    x = 3 * (1 + t) / (1 - t)
    with mpmath.workdps(100):
        if x < 1000:
            scaled = mpmath.exp(x * x) * mpmath.erfc(x)
        else:
            scaled = _series(lambda k: (-1) ** k * mpmath.fac2(2 * k - 1), 1 / (2 * x * x))
            scaled /= x * mpmath.sqrt(mpmath.pi)
        return (1 + 2 * x) * scaled - mpf("1.25")


_HALF_LOG = mpmath.log(2) / 2 * mpf("1.001")
_OCTANT = mpmath.pi / 4 * mpf("1.001")

FITS: Mapping[str, Fit] = {
    "EVEN": Fit(_even, mpf(0), _HALF_LOG**2, 5),
    "ODD": Fit(_odd, mpf(0), _HALF_LOG**2, 4),
    "LOG": Fit(_log, mpf(0), (mpmath.sqrt(2) - 1) ** 4, 6),
    "SIN": Fit(_sin, mpf(0), _OCTANT**2, 5),
    "COS": Fit(_cos, mpf(0), _OCTANT**2, 5),
    "ASIN": Fit(_asin, mpf(0), mpf("0.25"), 12),
    "ATAN": Fit(_atan, mpf(0), mpf("0.25"), 12),
    "ERF": Fit(_erf, mpf(0), mpf(1), 12),
    "ERFCX": Fit(_erfcx, mpf(-1), mpf(1), 25),
}


def fit(target: Fit) -> list[float]:
    """Return the coefficients, the highest power first."""
    count = target.degree + 1
    nodes = [mpmath.cos(mpmath.pi * (2 * k + 1) / (2 * count)) for k in range(count)]
    places = [_place(target, node) for node in nodes]
    matrix = mpmath.matrix(count, count)
    for row, place in enumerate(places):
        for column in range(count):
            matrix[row, column] = place ** (target.degree - column)
    solution = mpmath.lu_solve(matrix, mpmath.matrix([target.function(place) for place in places]))
    return [float(coefficient) for coefficient in solution]


def deviation(target: Fit, coefficients: list[float]) -> mpf:
    """Return the largest error over the interval."""
    places = [_place(target, mpmath.cos(mpmath.pi * k / 500)) for k in range(501)]
    return max(abs(mpmath.polyval([mpf(c) for c in coefficients], place) - target.function(place)) for place in places)


def _place(target: Fit, node: mpf) -> mpf:
    return (target.low + target.high) / 2 + (target.high - target.low) / 2 * node


def _parts(number: mpf, count: int) -> list[float]:
    """Return a number as a sum of doubles."""
    parts: list[float] = []
    for _ in range(count):
        parts.append(float(number - mpmath.fsum(map(mpf, parts))))
    return parts


def main(names: list[str]) -> None:
    """Print the polynomials with these names, or all, and the constants in parts."""
    for name in names or FITS:
        coefficients = fit(FITS[name])
        error = mpmath.nstr(deviation(FITS[name], coefficients), 2)
        print(f"_{name} = ({', '.join(map(repr, coefficients))})  # {error}")
    if not names:
        print("π/2 =", _parts(mpmath.pi / 2, 4))
        print("log 2 =", _short(mpmath.log(2), 41))
        with mpmath.workprec(1400):
            print(f"2/π · 2^1216 = {int(mpmath.floor(mpmath.ldexp(2 / mpmath.pi, 1216))):0304x}")


def _short(number: mpf, bits: int) -> tuple[float, float]:
    """Return a number below 1 as one of few bits and the rest."""
    high = mpmath.floor(mpmath.ldexp(number, bits)) / mpf(2) ** bits
    return float(high), float(number - high)


if __name__ == "__main__":
    main(sys.argv[1:])
