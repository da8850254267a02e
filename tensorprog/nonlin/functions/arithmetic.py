"""Arithmetic: add, sub, mul, div, floordiv, pow, neg."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorprog.nonlin.base import Parity, Primitive
from tensorprog.nonlin.expression import ONE, ZERO, Expr, Number, apply

__all__ = ["PRIMITIVES"]

_LARGEST_POWER = 4096  # in bits: what an exact integer power may have


def _divide(left: Any, right: Any) -> Any:
    return left / right


def _floor_divide(left: Any, right: Any) -> Any:
    return left // right


def _power(base: Any, exponent: Any) -> Any:
    """Return base^exponent with u^0 = 1; integers stay integers, a negative base to a fractional power is NaN."""
    if isinstance(base, int) and isinstance(exponent, int):
        return _integer_power(base, exponent)
    if isinstance(base, np.ndarray) and isinstance(exponent, int | float) and exponent in (2, 3):
        return base * base if exponent == 2 else base * base * base
    return np.power(base, float(exponent)) if isinstance(exponent, int) else np.power(base, exponent)


def _integer_power(base: int, exponent: int) -> int | float:
    if exponent < 0:
        return 1 / _integer_power(base, -exponent)
    if abs(base) <= 1 or exponent * base.bit_length() <= _LARGEST_POWER:
        return int(base**exponent)
    return -math.inf if base < 0 and exponent % 2 else math.inf


def _power_by_base(base: Expr, exponent: Expr) -> Expr:
    if isinstance(exponent, Number):
        return exponent * base ** Number(exponent.value - 1) if exponent.value != 0 else ZERO
    return exponent * base ** (exponent - ONE)


PRIMITIVES = (
    Primitive("add", 2, lambda a, b: a + b, (lambda a, b: ONE, lambda a, b: ONE), "({0} + {1})"),
    Primitive("sub", 2, lambda a, b: a - b, (lambda a, b: ONE, lambda a, b: -ONE), "({0} - {1})"),
    Primitive("mul", 2, lambda a, b: a * b, (lambda a, b: b, lambda a, b: a), "({0} * {1})"),
    Primitive("div", 2, _divide, (lambda a, b: ONE / b, lambda a, b: -(a / b**2)), "({0} / {1})"),
    Primitive("floordiv", 2, _floor_divide, (lambda a, b: ZERO, lambda a, b: ZERO), "({0} // {1})"),
    Primitive("pow", 2, _power, (_power_by_base, lambda a, b: apply("log", a) * a**b), "({0} ** {1})"),
    Primitive("neg", 1, lambda a: -a, (lambda a: -ONE,), "(-{0})", parity=Parity.ODD),
)
