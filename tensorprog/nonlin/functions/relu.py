"""Piecewise functions: relu, leaky_relu, elu, abs, sign, step, relu_k, min, max, and the Dirac delta."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tensorprog.nonlin.base import Parity, Primitive
from tensorprog.nonlin.expression import ONE, ZERO, Expr, Number, apply

__all__ = ["PRIMITIVES"]

_STEP_SOURCE = "(0.5 if {0} == 0.0 else (1.0 if {0} > 0.0 else 0.0 * {0}))"


def _step(u: Expr) -> Expr:
    return apply("step", u)


def _leaky_value(u: Any, slope: Any) -> Any:
    return np.where(np.asarray(u) > 0, u, slope * u)


def _relu_k_value(u: Any, k: Any) -> Any:
    """Return step(u) u^k; zero for negative k, so that k relu_k(u, k − 1) is the derivative for k = 0 as well."""
    order = int(k)
    if order < 0:
        return np.zeros_like(u)
    return np.heaviside(u, 0.5) if order == 0 else np.power(np.maximum(u, 0), order)


def _relu_k_derivative(u: Expr, k: Expr) -> Expr:
    return k * apply("relu_k", u, k - ONE)


def _relu_k_distributional(u: Expr, k: Expr) -> Expr:
    return apply("delta", u) if isinstance(k, Number) and k.value == 0 else _relu_k_derivative(u, k)


def _relu_k_expansion(u: Expr, k: Expr) -> Expr:
    return _step(u) * u**k


def _elu_value(u: Any) -> Any:
    return np.where(np.asarray(u) > 0, u, np.expm1(np.minimum(u, 0)))


def _zero(*args: Expr) -> Expr:
    return ZERO


def _delta(u: Expr) -> Expr:
    return apply("delta", u)


def _delta_value(u: Any) -> NoReturn:
    raise ValueError("the delta distribution has no values; it occurs under expectations only")


def _delta_derivative(u: Expr) -> NoReturn:
    raise ValueError("the derivative of the delta distribution is not supported")


PRIMITIVES = (
    Primitive(
        "relu",
        1,
        lambda u: np.maximum(u, 0),
        (_step,),
        "({0} if not {0} <= 0.0 else 0.0)",
        lambda u: _step(u) * u,
        kinks=(0.0,),
    ),
    Primitive(
        "leaky_relu",
        2,
        _leaky_value,
        (lambda u, slope: slope + (ONE - slope) * _step(u), lambda u, slope: apply("min", u, ZERO)),
        "({0} if {0} > 0.0 else {1} * {0})",
        lambda u, slope: slope * u + (ONE - slope) * apply("relu", u),
        kinks=(0.0,),
    ),
    Primitive(
        "elu",
        1,
        _elu_value,
        (lambda u: apply("exp", apply("min", u, ZERO)),),
        "({0} if {0} > 0.0 else math.expm1({0}))",
        kinks=(0.0,),
        centres=(0.0,),
    ),
    Primitive(
        "abs",
        1,
        np.abs,
        (lambda u: apply("sign", u),),
        "abs({0})",
        lambda u: 2 * apply("relu", u) - u,
        parity=Parity.EVEN,
        kinks=(0.0,),
    ),
    Primitive(
        "sign",
        1,
        np.sign,
        (_zero,),
        "(1.0 if {0} > 0.0 else (-1.0 if {0} < 0.0 else 0.0 * {0}))",
        lambda u: 2 * _step(u) - ONE,
        lambda u: 2 * _delta(u),
        parity=Parity.ODD,
        kinks=(0.0,),
        jump=True,
    ),
    Primitive(
        "step",
        1,
        lambda u: np.heaviside(u, 0.5),
        (_zero,),
        _STEP_SOURCE,
        distributional=_delta,
        kinks=(0.0,),
        jump=True,
    ),
    Primitive(
        "relu_k",
        2,
        _relu_k_value,
        (_relu_k_derivative, _zero),
        "((0.5 * (1.0 + ({0} > 0.0) - ({0} < 0.0)) if {1} == 0 else ({0} if not {0} <= 0.0 else 0.0) ** {1})"
        " if {1} >= 0 else 0.0)",
        _relu_k_expansion,
        _relu_k_distributional,
        integers=(1,),
        kinks=(0.0,),
        jump=True,
    ),
    Primitive(
        "min",
        2,
        np.minimum,
        (lambda u, v: _step(v - u), lambda u, v: _step(u - v)),
        "({1} if {1} < {0} or {1} != {1} else {0})",
        lambda u, v: u - apply("relu", u - v),
    ),
    Primitive(
        "max",
        2,
        np.maximum,
        (lambda u, v: _step(u - v), lambda u, v: _step(v - u)),
        "({1} if {1} > {0} or {1} != {1} else {0})",
        lambda u, v: v + apply("relu", u - v),
    ),
    Primitive("delta", 1, _delta_value, (_delta_derivative,), parity=Parity.EVEN, jump=True, internal=True),
)
