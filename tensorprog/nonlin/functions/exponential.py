"""Exponential, logarithm and trigonometric functions: exp, log, sin, cos."""

from __future__ import annotations

import numpy as np

from tensorprog.nonlin.base import Parity, Primitive
from tensorprog.nonlin.expression import ONE, apply

__all__ = ["PRIMITIVES"]

PRIMITIVES = (
    Primitive("exp", 1, np.exp, (lambda u: apply("exp", u),), "math.exp({0})"),
    Primitive("log", 1, np.log, (lambda u: ONE / u,), "math.log({0})"),
    Primitive("sin", 1, np.sin, (lambda u: apply("cos", u),), "math.sin({0})", parity=Parity.ODD),
    Primitive("cos", 1, np.cos, (lambda u: -apply("sin", u),), "math.cos({0})", parity=Parity.EVEN),
)
