"""Moments of jointly Gaussian variables, exactly."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import sympy as sp

__all__ = ["gaussian_moment"]

Powers = tuple[int, ...]


def gaussian_moment(
    powers: Sequence[int], means: Sequence[sp.Expr], covariances: Sequence[Sequence[sp.Expr]]
) -> sp.Expr:
    """Return E[Π u_i^powers[i]] for u ~ N(means, covariances), as a polynomial in means and covariances.

    Isserlis' theorem, in the form of a recursion: E[u_i p(u)] = m_i E p + Σ_j c_ij E[∂_j p] (Isserlis 1918; with means,
    Withers 1985).
    """
    used = [i for i, power in enumerate(powers) if power]
    letters: dict[sp.Expr, sp.Expr] = {}

    def letter(entry: sp.Expr) -> sp.Expr:
        return entry if entry.is_number else letters.setdefault(entry, sp.Dummy(real=True))

    mean = [letter(means[i]) for i in used]
    covariance = [[letter(covariances[i][j]) for j in used] for i in used]

    @functools.cache
    def moment(exponents: Powers) -> sp.Expr:
        first = next((i for i, exponent in enumerate(exponents) if exponent), None)
        if first is None:
            return sp.Integer(1)
        rest = _lowered(exponents, first)
        terms = [
            exponent * covariance[first][j] * moment(_lowered(rest, j)) for j, exponent in enumerate(rest) if exponent
        ]
        return sp.expand(mean[first] * moment(rest) + sp.Add(*terms))

    back = {symbol: entry for entry, symbol in letters.items()}
    return moment(tuple(powers[i] for i in used)).xreplace(back)


def _lowered(powers: Powers, index: int) -> Powers:
    return tuple(power - (i == index) for i, power in enumerate(powers))
