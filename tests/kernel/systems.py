"""Limit systems written by hand, and what their kernels must be, for the tests of the rooms after `limit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy as sp

from tensorprog.core.ir import Core, Input, Output, Type
from tensorprog.dual.special import Angle, Det, PairExpectation, PointExpectation
from tensorprog.errors import Source, Span
from tensorprog.limit.equations import Equation, Kind, LimitSystem, Recurrence, Result, Subject, X, Y
from tensorprog.nonlin.expression import Expr, Operand, Symbol, apply

SPAN = Span(Source("hand.tp", "f\n"), 1, 1, 1, 2)
SW, SB, D = sp.Symbol("sw2"), sp.Symbol("sb2"), sp.Symbol("d")
GRAM = sp.Function("G_x")


def equation(lhs: sp.Expr, rhs: sp.Expr, rule: str = "by hand") -> Equation:
    """Return an equation without a story."""
    name = lhs.func.__name__
    return Equation(name, lhs, rhs, rule, Subject(Kind.SECOND, name), SPAN)


def core() -> Core:
    """Return a program of one input x : (d) and one output f, as far as a kernel looks at it."""
    x = Input("x", Type((), Symbol("d")), SPAN)
    types = {"x": x.type, "f": Type((), None)}
    return Core("hand", {}, (), {}, (x,), {}, (), (Output("f", "f", SPAN),), types)


def system(
    sample: tuple[Any, ...],
    pair: tuple[Any, ...],
    results: Mapping[str, tuple[sp.Expr, sp.Expr]],
    constants: Mapping[sp.Symbol, float],
    functions: Mapping[str, Expr] | None = None,
) -> LimitSystem:
    """Return a limit system with one gram G_x of the data x, and results of the output f."""
    named = {("f", kind): Result(*both) for kind, both in results.items()}
    sizes = {D: Symbol("d")}
    return LimitSystem("hand", constants, sizes, {GRAM: ("x", "x")}, {}, functions or {}, sample, pair, named, ())


def _quantities(*names: str) -> tuple[sp.Function, ...]:
    return tuple(sp.Function(name) for name in names)


def relu_second(q1: sp.Expr, q2: sp.Expr, c: sp.Expr) -> sp.Expr:
    """E[relu(u) relu(v)] (Cho & Saul 2009)."""
    theta = Angle(q1, q2, c)
    return (sp.sqrt(Det(q1, q2, c)) + (sp.pi - theta) * c) / (2 * sp.pi)


def relu_slope(q1: sp.Expr, q2: sp.Expr, c: sp.Expr) -> sp.Expr:
    """E[step(u) step(v)]."""
    return (sp.pi - Angle(q1, q2, c)) / (2 * sp.pi)


def relu_mlp(sw2: float = 2.0, sb2: float = 0.1) -> LimitSystem:
    """Two hidden ReLU layers with biases."""
    h1, a1, h2, a2, t1, t2, f, tf = _quantities("K_h1", "K_a1", "K_h2", "K_a2", "T_h1", "T_h2", "K_f", "T_f")
    sample: list[Equation] = []
    pair: list[Equation] = []
    for out, x, y in ((sample, X, X), (pair, X, Y)):
        out.append(equation(h1(x, y), SW * GRAM(x, y) / D + SB))
        out.append(equation(t1(x, y), SW * GRAM(x, y) / D + SB))
        for k, t, a, k_next, t_next in ((h1, t1, a1, h2, t2), (h2, t2, a2, f, tf)):
            law = k(x, x), k(y, y), k(x, y)
            second = k(x, x) / 2 if x == y else relu_second(*law)
            slope = sp.Rational(1, 2) if x == y else relu_slope(*law)
            scale, shift = (SW, SB) if k_next is h2 else (sp.Integer(1), sp.Integer(0))
            out.append(equation(a(x, y), second))
            out.append(equation(k_next(x, y), scale * a(x, y) + shift))
            out.append(equation(t_next(x, y), scale * (t(x, y) * slope + a(x, y)) + shift))
    results = {"nngp": (f(X, X), f(X, Y)), "ntk": (tf(X, X), tf(X, Y))}
    return system(tuple(sample), tuple(pair), results, {SW: sw2, SB: sb2})


def relu_deep(layers: int, sw2: float = 2.0, sb2: float = 0.1) -> LimitSystem:
    """`layers` hidden ReLU layers with biases, as a recurrence."""
    index = sp.Symbol("l")
    k, t, a, f, tf = _quantities("K_h", "T_h", "K_a", "K_f", "T_f")

    def blocks(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        law = k(index - 1, x, x), k(index - 1, y, y), k(index - 1, x, y)
        second = law[0] / 2 if x == y else relu_second(*law)
        slope = sp.Rational(1, 2) if x == y else relu_slope(*law)
        start = SW * GRAM(x, y) / D + SB
        body = (
            equation(a(index, x, y), second),
            equation(k(index, x, y), SW * a(index, x, y) + SB),
            equation(t(index, x, y), SW * (t(index - 1, x, y) * slope + a(index, x, y)) + SB),
        )
        initial = (equation(k(1, x, y), start), equation(t(1, x, y), start))
        last = k(layers, x, x), k(layers, y, y), k(layers, x, y)
        end = last[0] / 2 if x == y else relu_second(*last)
        end_slope = sp.Rational(1, 2) if x == y else relu_slope(*last)
        return (
            Recurrence(index, 2, layers, initial, body),
            equation(f(x, y), end),
            equation(tf(x, y), t(layers, x, y) * end_slope + f(x, y)),
        )

    results = {"nngp": (f(X, X), f(X, Y)), "ntk": (tf(X, X), tf(X, Y))}
    return system(blocks(X, X), blocks(X, Y), results, {SW: sw2, SB: sb2})


def tanh_deep(layers: int = 2, sw2: float = 1.5) -> LimitSystem:
    """`layers` hidden tanh layers without biases, as a recurrence over numerical expectations."""
    index, phi, slope = sp.Symbol("l"), sp.Symbol("phi"), sp.Symbol("phi'")
    k, t, f, tf = _quantities("K_h", "T_h", "K_f", "T_f")

    def blocks(x: sp.Symbol, y: sp.Symbol) -> tuple[Any, ...]:
        def second(name: sp.Symbol, at: Any) -> sp.Expr:
            if x == y:
                return PointExpectation(sp.Symbol(f"{name.name}^2"), 0, k(at, x, x))
            return PairExpectation(name, name, 0, 0, k(at, x, x), k(at, y, y), k(at, x, y))

        start = SW * GRAM(x, y) / D
        body = (
            equation(k(index, x, y), SW * second(phi, index - 1)),
            equation(t(index, x, y), SW * t(index - 1, x, y) * second(slope, index - 1) + k(index, x, y)),
        )
        initial = (equation(k(1, x, y), start), equation(t(1, x, y), start))
        return (
            Recurrence(index, 2, layers, initial, body),
            equation(f(x, y), second(phi, layers)),
            equation(tf(x, y), t(layers, x, y) * second(slope, layers) + f(x, y)),
        )

    u = Operand(0)
    tanh = apply("tanh", u)
    sech = 1 - tanh**2
    functions = {"phi": tanh, "phi'": sech, "phi^2": tanh**2, "phi'^2": sech**2}
    results = {"nngp": (f(X, X), f(X, Y)), "ntk": (tf(X, X), tf(X, Y))}
    return system(blocks(X, X), blocks(X, Y), results, {SW: sw2}, functions)


def layer_norm(sw2: float = 2.0, eps: float = 1e-6) -> LimitSystem:
    """One layer normalization of a Gaussian layer, then relu: the scalar 1/√(K + ε) belongs to one sample."""
    k, c, z, f = _quantities("K_h", "c_s", "K_z", "K_f")
    epsilon = sp.Symbol("eps")
    sample = (
        equation(k(X, X), SW * GRAM(X, X) / D),
        equation(c(X), 1 / sp.sqrt(k(X, X) + epsilon)),
        equation(z(X, X), c(X) ** 2 * k(X, X)),
        equation(f(X, X), z(X, X) / 2),
    )
    pair = (
        equation(k(X, Y), SW * GRAM(X, Y) / D),
        equation(z(X, Y), c(X) * c(Y) * k(X, Y)),
        equation(f(X, Y), relu_second(z(X, X), z(Y, Y), z(X, Y))),
    )
    return system(sample, pair, {"nngp": (f(X, X), f(X, Y))}, {SW: sw2, epsilon: eps})


def exponential(scale: float = 1.0) -> LimitSystem:
    """f = V exp(W x): E[exp(u) exp(v)] = exp((q₁ + q₂)/2 + c), which overflows early."""
    k, f = _quantities("K_h", "K_f")
    sample = (equation(k(X, X), SW * GRAM(X, X)), equation(f(X, X), sp.exp(2 * k(X, X))))
    pair = (
        equation(k(X, Y), SW * GRAM(X, Y)),
        equation(f(X, Y), sp.exp((k(X, X) + k(Y, Y)) / 2 + k(X, Y))),
    )
    return system(sample, pair, {"nngp": (f(X, X), f(X, Y))}, {SW: scale})


def data(count: int, size: int = 5, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return standard normal samples."""
    return np.random.default_rng(seed).standard_normal((count, size))


def relu_kernels(x1: Any, x2: Any, layers: int, sw2: float = 2.0, sb2: float = 0.1) -> tuple[Any, Any]:
    """Return (nngp, ntk) of a ReLU MLP by the textbook formulas in ρ and arccos, independent of the project."""
    size = x1.shape[1]
    k = sw2 * x1 @ x2.T / size + sb2
    q1, q2 = (sw2 * np.sum(x**2, axis=1) / size + sb2 for x in (x1, x2))
    t = k.copy()
    for layer in range(layers):
        last = layer == layers - 1
        scale, shift = (1.0, 0.0) if last else (sw2, sb2)
        norm = np.sqrt(np.outer(q1, q2))
        rho = np.clip(k / norm, -1, 1)
        theta = np.arccos(rho)
        second = norm * (np.sqrt((1 - rho) * (1 + rho)) + (np.pi - theta) * rho) / (2 * np.pi)
        t = scale * (t * (np.pi - theta) / (2 * np.pi) + second) + shift
        k = scale * second + shift
        q1, q2 = scale * q1 / 2 + shift, scale * q2 / 2 + shift
    return k, t
