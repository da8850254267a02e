"""Activations twice: as expressions, and written by hand in extended precision, with their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tensorprog.nonlin.expression import Expr, Operand, apply

__all__ = ["ACTIVATIONS", "Activation"]

U = Operand(0)
Real = np.longdouble

_ALPHA, _LAMBDA = 1.6732632423543772, 1.0507009873554805


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation φ, and what it and φ′ are in extended precision."""

    expr: Expr
    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]


def _sigmoid(u: Any) -> Any:
    return np.where(u > 0, 1, _down(u)) / (1 + _down(u))


def _down(u: Any) -> Any:
    return np.exp(-np.abs(u))


def _softplus(u: Any) -> Any:
    return np.maximum(u, 0) + np.log1p(_down(u))


def _tanh_slope(u: Any) -> Any:
    return 4 * _down(2 * u) / (1 + _down(2 * u)) ** 2


def _silu_slope(u: Any) -> Any:
    return _sigmoid(u) * (1 + u * _sigmoid(-u))


def _mish_slope(u: Any) -> Any:
    return np.tanh(_softplus(u)) + u * _tanh_slope(_softplus(u)) * _sigmoid(u)


def _negative(u: Any) -> Any:
    return np.minimum(u, 0)


def _clip(u: Expr, low: float, high: float) -> Expr:
    return apply("max", apply("min", u, high), low)


def _selu(u: Expr) -> Expr:
    return _LAMBDA * (apply("relu", u) + _ALPHA * (apply("exp", apply("min", u, 0)) - 1))


ACTIVATIONS: Mapping[str, Activation] = {
    "tanh": Activation(apply("tanh", U), np.tanh, _tanh_slope),
    "silu": Activation(apply("silu", U), lambda u: u * _sigmoid(u), _silu_slope),
    "softplus": Activation(apply("softplus", U), _softplus, _sigmoid),
    "sigmoid": Activation(apply("sigmoid", U), _sigmoid, lambda u: _sigmoid(u) * _sigmoid(-u)),
    "mish": Activation(
        U * apply("tanh", apply("softplus", U)),
        lambda u: u * np.tanh(_softplus(u)),
        _mish_slope,
    ),
    "elu": Activation(
        apply("elu", U),
        lambda u: np.where(u > 0, u, np.expm1(_negative(u))),
        lambda u: np.where(u > 0, 1, np.exp(_negative(u))),
    ),
    "selu": Activation(
        _selu(U),
        lambda u: Real(_LAMBDA) * np.where(u > 0, u, Real(_ALPHA) * np.expm1(_negative(u))),
        lambda u: Real(_LAMBDA) * np.where(u > 0, 1, Real(_ALPHA) * np.exp(_negative(u))),
    ),
    "hard_tanh": Activation(_clip(U, -1, 1), lambda u: np.clip(u, -1, 1), lambda u: 1.0 * (np.abs(u) < 1)),
    "hard_swish": Activation(
        U * _clip(U + 3, 0, 6) / 6,
        lambda u: u * np.clip(u + 3, 0, 6) / 6,
        lambda u: np.where(u > 3, 1, np.where(u < -3, 0, (2 * u + 3) / 6)),
    ),
    "softsign": Activation(
        U / (1 + apply("abs", U)),
        lambda u: u / (1 + np.abs(u)),
        lambda u: 1 / (1 + np.abs(u)) ** 2,
    ),
}
"""What has no closed form, or is not a primitive."""
