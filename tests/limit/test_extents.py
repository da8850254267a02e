"""Limits that are derived for every extent by itself: what is asked for, what numbers do, and two instances."""

from __future__ import annotations

import re

import pytest

import tensorprog as tp
from tensorprog.core.build import Loops, build
from tensorprog.core.ir import Core
from tensorprog.core.wellformed import check_wellformed
from tensorprog.limit.extents import NeedsExtents, with_sizes
from tensorprog.limit.instances import Pair, pair_up

HEAD = """program extents(s = 1.5)
width n
axis t : T
axis i : I
input x[t] : (c)
input y[i] : (c)
param U : (n, c) ~ N(0, s / c)
param W : (n, n) ~ N(0, 1 / n)
param R : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
g[t] = U @ x[t]
"""
BODIES = {
    "gates": "scan t { h[t] = Phi(R @ h[t - 1] + g[t]) * (h[t - 1] + erf(W @ h[t - 1] + g[t])) }\n"
    "output f = V @ mean[t](h[t])\n",
    "a sum in a function": "output f = V @ relu(W @ y0 + mean[t](relu(g[t])))\n",
    "a maximum": "output f = V @ max[t](g[t])\n",
    "two axes": "e[i] = erf(U @ y[i])\noutput f = V @ (max[t](g[t]) + relu(sum[i](e[i])))\n",
}
BODIES["a sum in a function"] = "y0 = mean[i](U @ y[i])\n" + BODIES["a sum in a function"].replace("W @ y0", "y0")


def program(name: str) -> tp.Program:
    body = BODIES[name]
    lines = [line for line in HEAD.splitlines() if "y[i" in body or not line.startswith(("input y", "axis i"))]
    return tp.parse("\n".join(lines) + "\n" + body)


@pytest.mark.parametrize(
    ("name", "code"), {"gates": "TP335", "a sum in a function": "TP331", "a maximum": "TP310"}.items()
)
def test_the_formulas_wait_for_an_extent(name: str, code: str) -> None:
    with pytest.raises(NeedsExtents) as caught:
        program(name).derive()
    error = caught.value
    assert error.code == code
    assert error.names == {"T"}
    assert error.span is not None
    assert error.hint is not None
    assert "`T`" in error.hint
    assert 'net.derive(sizes={"T": 3})' in error.hint


def test_an_extent_is_a_hyperparameter() -> None:
    text = str(program("a maximum"))
    derived = tp.parse(text).derive(sizes={"T": 2})
    assert str(derived).startswith("limit of extents as n → ∞, at s = 1.5, T = 2")
    assert str(derived) == str(tp.parse(text.replace("(s = 1.5)", "(s = 1.5, T = 2)")).derive())


def test_only_sizes_that_are_needed_become_numbers() -> None:
    derived = program("a sum in a function").derive(sizes={"T": 2, "I": 3, "c": 4})
    assert set(derived.core.symbols) == {"s", "T"}
    assert set(program("two axes").derive(sizes={"T": 2, "I": 3, "c": 4}).core.symbols) == {"s", "T", "I"}
    plain = tp.parse(re.sub(r"output.*", "output f = V @ mean[t](relu(g[t]))", str(program("a maximum"))))
    assert plain.derive(sizes={"T": 2}) is plain.derive()


def test_all_sizes_that_are_needed_are_asked_for() -> None:
    with pytest.raises(NeedsExtents) as caught:
        program("two axes").derive(sizes={"T": 2})
    assert caught.value.names == {"I"}


@pytest.mark.parametrize(
    ("sizes", "code"), [({"Z": 2}, "TP475"), ({"T": 0}, "TP403"), ({"T": 2.5}, "TP403"), ({"s": 2}, "TP475")]
)
def test_sizes_are_extents_of_the_data(sizes: dict[str, int], code: str) -> None:
    with pytest.raises(tp.DataError) as caught:
        program("gates").derive(sizes=sizes)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "extent", "words"),
    [("gates", 65, "axis `t` has 65 positions"), ("a maximum", 17, "17 positions of `t`")],
)
def test_what_is_too_long_names_the_axis(name: str, extent: int, words: str) -> None:
    with pytest.raises(tp.LimitError) as caught:
        program(name).derive(sizes={"T": extent})
    assert not isinstance(caught.value, NeedsExtents)
    assert words in caught.value.message


# Two instances of a program.


def instances(net: tp.Program, first: dict[str, int], second: dict[str, int]) -> Pair:
    one, two = (
        build(with_sizes(net.tree, sizes), net.core().symbols, loops=Loops.UNROLLED) for sizes in (first, second)
    )
    return pair_up(one, two, frozenset(name for name in first if first[name] != second[name]))


@pytest.mark.parametrize("name", BODIES)
def test_two_instances_are_a_program(name: str) -> None:
    net = program(name)
    pair = instances(net, {"T": 2}, {"T": 3})
    check_wellformed(pair.core)
    assert pair.axes == {"t": "t₂"}
    assert [entry.name for entry in pair.core.outputs] == ["f", "f₂"]
    assert pair.inputs["x"] == "x₂"
    assert pair.core.parameters.keys() == net.core().parameters.keys()
    assert "i₂" not in pair.core.axes


POSITIONS = """program positions
width n
axis t : T
input x[t] : (c)
param U : (n, c) ~ N(0, 1 / c)
param P[t] : (n) ~ N(0, 1 + t)
param V : (1, n) ~ N(0, 1 / n)
"""


def positions(body: str) -> Core:
    return instances(tp.parse(POSITIONS + body), {"T": 2}, {"T": 3}).core


def test_a_parameter_is_over_the_longer_axis() -> None:
    core = positions("output f = V @ max[t](U @ x[t] + P[t])")
    assert core.parameters["P"].axes == ("t₂",)
    check_wellformed(core)


def test_a_parameter_is_not_read_beyond_an_axis_that_varies() -> None:
    with pytest.raises(tp.LimitError) as caught:
        positions("output f = V @ max[t](U @ x[t] + P[t + 1])")
    assert caught.value.code == "TP337"
    assert "`P` is read beyond its axis `t`" in caught.value.message
