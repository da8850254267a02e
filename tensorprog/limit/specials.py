"""How formulas show the special functions around the normal distribution: Φ, Φ₂, standardized means, Gaussian bumps."""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from tensorprog.dual.special import (
    Bump,
    Clipped,
    Opening,
    Orthant,
    Reciprocal,
    Snapped,
    Standard,
    Tail,
    WaveTailIm,
    WaveTailRe,
)

__all__ = ["binds_as_product", "special_latex", "special_text"]

Print = Callable[[sp.Expr], str]


def plain(expr: sp.Expr) -> sp.Expr | None:
    """Return the elementary expression that a function is away from its degenerate cases, None if it has none."""
    match expr:
        case Standard():
            m, v = expr.args
            return m / sp.sqrt(v)
        case Bump():
            e, m, v = expr.args
            return sp.exp(e - m**2 / (2 * v))
        case Snapped() | Clipped():
            return expr.args[0]
        case Reciprocal():
            return 1 / expr.args[0]
    return None


def binds_as_product(expr: sp.Expr) -> bool:
    """Return whether a function is shown as a product, which has to stand in parentheses as the base of a power."""
    return isinstance(expr, Standard) or (isinstance(expr, Tail | Orthant) and expr.args[0] != 0)


def special_text(expr: sp.Expr, show: Print) -> str | None:
    """Return one of these functions as text, None for any other."""
    simple = plain(expr)
    if simple is not None:
        return show(simple)
    match expr:
        case Tail():
            return _scale(expr, show) + f"Φ({show(expr.args[1])})"
        case Orthant():
            h, k, angle = map(show, expr.args[1:])
            return _scale(expr, show) + f"Φ₂({h}, {k}; {angle})"
        case WaveTailRe() | WaveTailIm():
            e, j, h, k = expr.args
            part = "Re" if isinstance(expr, WaveTailRe) else "Im"
            scale = "" if e == j == 0 else f"exp({show(_complex(e, j))}) "
            return f"{part}[{scale}Φ({show(_complex(h, k))})]"
        case Opening():
            return f"opening({show(expr.args[0])})"
    return None


def special_latex(expr: sp.Expr, show: Print) -> str | None:
    """Return one of these functions as LaTeX, None for any other."""
    simple = plain(expr)
    if simple is not None:
        return show(simple)
    match expr:
        case Tail():
            return _latex_scale(expr.args[0], show) + rf"\Phi\left({show(expr.args[1])}\right)"
        case Orthant():
            h, k, angle = map(show, expr.args[1:])
            return _latex_scale(expr.args[0], show) + rf"\Phi_2\left({h}, {k}; {angle}\right)"
        case WaveTailRe() | WaveTailIm():
            e, j, h, k = expr.args
            part = "Re" if isinstance(expr, WaveTailRe) else "Im"
            scale = _latex_scale(e + sp.I * j, show)
            return rf"\operatorname{{{part}}}\left[{scale}\Phi\left({show(h + sp.I * k)}\right)\right]"
        case Opening():
            angle = show(expr.args[0])
            return rf"\left(\sin {angle} - {angle} \cos {angle}\right)"
    return None


def _scale(expr: sp.Expr, show: Print) -> str:
    exponent = expr.args[0]
    return "" if exponent == 0 else show(sp.exp(exponent)) + " "


def _latex_scale(exponent: sp.Expr, show: Print) -> str:
    return "" if exponent == 0 else show(sp.exp(exponent)) + r" \, "


def _complex(real: sp.Expr, imaginary: sp.Expr) -> sp.Expr:
    return real + sp.Symbol("ⅈ") * imaginary
