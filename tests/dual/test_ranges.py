"""Which functions of several Gaussians are refused because their expectation may not exist."""

from __future__ import annotations

import pytest

from tensorprog.dual.ranges import check_integrable
from tensorprog.dual.undefined import InfiniteExpectation, UndefinedExpectation
from tensorprog.nonlin.expression import Expr, Number, Operand, Symbol, apply

u, v = Operand(0), Operand(1)

FINE: dict[str, Expr] = {
    "a norm in a denominator": u / apply("sqrt", u * u + v * v + Number(0.01)),
    "a hyperparameter keeps a denominator from zero": (u * u + v * v + Symbol("eps")) ** Number(-0.5),
    "a sum in an exponential": apply("exp", u - v),
    "a square with a minus": apply("exp", -(u * u) - v * v),
    "a bounded slope": apply("exp", apply("tanh", u) * v),
    "a logarithm of a norm": apply("log", u * u + v * v),
    "a logarithm above one": apply("log", Number(1) + apply("exp", u + v)),
    "a nested maximum": apply("relu", u + apply("max", v, u * v)),
}

REFUSED: dict[str, tuple[Expr, type[UndefinedExpectation]]] = {
    "a denominator that changes its sign": (u / (u + apply("relu", v)), UndefinedExpectation),
    "a denominator that vanishes on an edge": (u / (apply("relu", v) + apply("abs", u)), UndefinedExpectation),
    "a reciprocal power": ((u + v) ** Number(-1), UndefinedExpectation),
    "a root of what may be negative": (apply("sqrt", u + v), UndefinedExpectation),
    "a fractional power of what may be negative": ((u + v) ** Number(0.5), UndefinedExpectation),
    "a logarithm of what may be negative": (apply("log", u - v), UndefinedExpectation),
    "a product in an exponential": (apply("exp", u * v), InfiniteExpectation),
    "an exponential in an exponential": (apply("exp", apply("exp", u) - v), InfiniteExpectation),
    "a hyperparameter that is zero": (Number(1) / (u * u + v * v + Symbol("zero")), UndefinedExpectation),
}


@pytest.mark.parametrize("name", FINE)
def test_what_has_an_expectation_passes(name: str) -> None:
    check_integrable(FINE[name], {"eps": 1e-3})


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_have_none_is_refused(name: str) -> None:
    function, kind = REFUSED[name]
    with pytest.raises(kind, match=r"may|undefined"):
        check_integrable(function, {"zero": 0.0})
