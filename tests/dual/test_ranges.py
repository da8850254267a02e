"""Which functions of several Gaussians are refused because their expectation may not exist."""

from __future__ import annotations

import numpy as np
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


# --- ratios of Gaussians: powers are counted where denominators vanish ------------------------------------------------


def sigma(first: int, size: int) -> Expr:
    total: Expr = Operand(first) * Operand(first)
    for index in range(first + 1, first + size):
        total = total + Operand(index) * Operand(index)
    return apply("sqrt", total / size)


def of_batches(count: int, size: int) -> list[np.ndarray]:
    """Batches of `size` Gaussians, minus their means: of rank size − 1 each."""
    return [np.kron(np.eye(count), np.eye(size) - 1 / size)]


def relu(u: Expr) -> Expr:
    return apply("relu", u)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_tangent_of_a_normalized_batch_needs_four_samples(size: int) -> None:
    one, other = (relu(Operand(index) / sigma(0, size)) for index in (0, 1))
    slopes = [apply("step", Operand(index)) / sigma(0, size) for index in (0, 1)]
    turn = Operand(0) * Operand(1) * apply("step", Operand(0)) / sigma(0, size) ** Number(3)
    check_integrable(one * other, {}, of_batches(1, size))
    for function in (slopes[0] * slopes[1], slopes[1] * turn, turn * turn):
        if size >= 4:
            check_integrable(function, {}, of_batches(1, size))
        else:
            with pytest.raises(InfiniteExpectation, match=rf"{size - 1} independent Gaussian"):
                check_integrable(function, {}, of_batches(1, size))


@pytest.mark.parametrize("size", [2, 3])
def test_between_two_batches_every_denominator_counts_for_itself(size: int) -> None:
    product = 1 / sigma(0, size) / sigma(size, size)
    if size == 3:
        check_integrable(product, {}, of_batches(2, size))
    else:
        with pytest.raises(InfiniteExpectation, match="order 1"):
            check_integrable(product, {}, of_batches(2, size))


def test_lines_count_where_the_denominator_has_them() -> None:
    function = u / apply("sqrt", v * v)
    with pytest.raises(InfiniteExpectation):
        check_integrable(function, {}, [np.eye(2)])
    check_integrable(function, {}, [np.array([[1.0], [2.0]])])


def test_other_functions_are_told_by_intervals() -> None:
    with pytest.raises(UndefinedExpectation, match="denominator"):
        check_integrable(apply("tanh", u / sigma(0, 2)), {}, of_batches(1, 2))
