"""Smooth activations without closed forms: sigmoid, silu, tanh, softplus."""

from __future__ import annotations

import numpy as np

from tensorprog.nonlin import special
from tensorprog.nonlin.base import Parity, Primitive
from tensorprog.nonlin.expression import ONE, Expr, apply

__all__ = ["PRIMITIVES"]


def _sigmoid(u: Expr) -> Expr:
    return apply("sigmoid", u)


def _bump(u: Expr) -> Expr:
    """Return sigmoid′, as a product without cancellation."""
    return _sigmoid(u) * _sigmoid(-u)


PRIMITIVES = (
    Primitive(
        "sigmoid",
        1,
        lambda u: special.expit(u),
        (_bump,),
        "(1.0 / (1.0 + math.exp(-{0})) if {0} >= 0.0 else math.exp({0}) / (1.0 + math.exp({0})))",
        centres=(0.0,),
    ),
    Primitive(
        "silu",
        1,
        lambda u: u * special.expit(u),
        (lambda u: _sigmoid(u) + u * _bump(u),),
        "({0} / (1.0 + math.exp(-{0})) if {0} >= 0.0 else {0} * math.exp({0}) / (1.0 + math.exp({0})))",
        lambda u: u * _sigmoid(u),
        centres=(0.0,),
    ),
    Primitive(
        "tanh",
        1,
        np.tanh,
        (lambda u: ONE - apply("tanh", u) ** 2,),
        "math.tanh({0})",
        parity=Parity.ODD,
        centres=(0.0,),
    ),
    Primitive(
        "softplus",
        1,
        lambda u: np.logaddexp(0, u),
        (_sigmoid,),
        "(({0} if {0} > 0.0 else 0.0) + math.log1p(math.exp(-abs({0}))))",
        centres=(0.0,),
    ),
)
