"""Verification of programs with axes: true limits pass, and an error in any one equation is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.limit.equations import Block, Equation, LimitSystem, Recurrence, Sweep
from tensorprog.verify.data import default_data
from tensorprog.verify.plan import make_plan
from tensorprog.verify.run import Options, assess, measure_networks

HEAD = """
program p(sw = 1.5, sb = 0.1)
width n
axis i : T
axis j : T
input x[i] : (c)
param U : (n, c) ~ N(0, sw / c)
param b : (n) ~ N(0, sb)
param V : (1, n) ~ N(0, 1 / n)
"""
PROGRAMS = {
    "convolution": HEAD
    + """
axis o : (T + 1) // 2
axis k : -1..1
param C[k] : (n, n) ~ N(0, sw / (3 * n))
a[i] = relu(U @ x[i] + b)
g[o] = sum[k](C[k] @ a[2 * o + k]) + b
output f = V @ mean[o](relu(g[o]))
""",
    "circular convolution with a flatten readout": HEAD
    + """
axis r : T circular
axis k : 0..1
param C[k] : (n, n) ~ N(0, sw / (2 * n))
param R[i] : (1, n) ~ N(0, 1 / (T * n))
a[r] = erf(U @ x[r] + b)
h[i] = sum[k](C[k] @ a[i + k])
output f = sum[i](R[i] @ relu(h[i]))
""",
    "recurrence": HEAD
    + """
param W : (n, n) ~ N(0, sw / n)
scan i { s[i] = erf(W @ s[i - 1] + U @ x[i] + b) }
output f = V @ s[T - 1]
""",
    "attention with an output at every place": HEAD
    + """
param Q : (n, n) ~ N(0, 1 / n)
param W : (n, n) ~ N(0, sw / n)
h[i] = U @ x[i] + b
s[i, j] = dot(Q @ h[i], Q @ h[j]) / n
y[i] = h[i] + sum[j](softmax[j](s[i, j]) * (W @ h[j]))
output f[i] = V @ relu(y[i])
""",
    "convolutions in a loop": HEAD
    + """
axis k : -1..1
h[i] = U @ x[i] + b
for l in 1..3 {
    param C[k] : (n, n) ~ N(0, sw / (3 * n))
    a[i] = relu(h[i])
    h[i] = h[i] + sum[k](C[k] @ a[i + k])
}
output f = V @ mean[i](h[i])
""",
}


def plant(system: LimitSystem, wrong: Equation, factor: float) -> LimitSystem:
    """Return the system with the right side of one equation multiplied by `factor`."""

    def equation(each: Equation) -> Equation:
        return replace(each, rhs=factor * each.rhs) if each is wrong else each

    def block(each: Block) -> Block:
        if isinstance(each, Equation):
            return equation(each)
        if isinstance(each, Sweep):
            return replace(each, groups=tuple(tuple(map(equation, group)) for group in each.groups))
        return replace(each, initial=tuple(map(equation, each.initial)), body=tuple(map(block, each.body)))

    return replace(system, sample=tuple(map(block, system.sample)), pair=tuple(map(block, system.pair)))


def body(blocks: tuple[Block, ...]) -> Iterator[Equation]:
    """Yield the equations that are not initial values."""
    for block in blocks:
        if isinstance(block, Equation):
            yield block
        else:
            inner = block.body if isinstance(block, Recurrence) else tuple(e for group in block.groups for e in group)
            yield from body(inner)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_errors_are_found_in_every_equation(name: str) -> None:
    """The true limit passes, and an error of 30 % in any one equation is found."""
    derived = tp.parse(PROGRAMS[name]).derive()
    options = Options(widths=(64, 128, 256), samples=64)
    data, plan = default_data(derived.core, 0, {}), make_plan(derived.system)
    measured = {width: measure_networks(derived.core, data, plan, width, options) for width in options.widths}
    found = assess(derived.core, derived.system, data, measured, options, 0.0)
    assert found.passed, str(found)
    missed = []
    for equation in (*body(derived.system.sample), *body(derived.system.pair)):
        wrong = plant(derived.system, equation, 1.3)
        if assess(derived.core, wrong, data, measured, options, 0.0).passed:
            missed.append(equation.name)
    assert missed == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_true_limits_pass(name: str) -> None:
    """False alarms have probability 1e-2 each."""
    found = tp.parse(PROGRAMS[name]).verify(widths=(64, 128), samples=16)
    assert found.passed, str(found)


def test_a_wrong_place_is_found_where_it_is() -> None:
    """An equation of a scan that reads the wrong step fails in its own row only."""
    derived = tp.parse(PROGRAMS["recurrence"]).derive()
    options = Options(widths=(64, 128, 256), samples=48)
    data, plan = default_data(derived.core, 0, {}), make_plan(derived.system)
    measured = {width: measure_networks(derived.core, data, plan, width, options) for width in options.widths}
    sweep = next(block for block in derived.system.pair if isinstance(block, Sweep))
    chosen = sweep.groups[0][0]
    index = next(symbol for symbol in chosen.lhs.args if str(symbol) == "i′")
    wrong = replace(chosen, rhs=chosen.rhs.xreplace({index - 1: index - 2}))
    assert wrong.rhs != chosen.rhs
    groups = ((wrong, *sweep.groups[0][1:]), *sweep.groups[1:])
    pair = tuple(replace(block, groups=groups) if block is sweep else block for block in derived.system.pair)
    found = assess(derived.core, replace(derived.system, pair=pair), data, measured, options, 0.0)
    assert [row.name for row in found.failures] == [f"{chosen.name}(i, i′, x, x')"]


def test_extents_without_data_leave_no_axis_too_short() -> None:
    core = tp.parse(HEAD + "axis v : T - 4\nh[v] = U @ x[v + 2]\noutput f = V @ mean[v](h[v])\n").core()
    assert default_data(core, 0, {})["x"].shape == (3, 6, 8)
    assert default_data(core, 0, {"T": 9, "c": 2})["x"].shape == (3, 9, 2)


def test_places_of_the_data_are_correlated() -> None:
    """Over 4000 numbers correlations have a standard error below 0.02; four of them."""
    x = default_data(tp.parse(PROGRAMS["attention with an output at every place"]).core(), 0, {"c": 4000})["x"]
    gram = np.einsum("ipc,jqc->ijpq", x, x) / 4000
    np.testing.assert_allclose(gram[0, 0, 0, 0], 1, atol=0.08)
    np.testing.assert_allclose(gram[0, 1, 1, 1], 0.8, atol=0.08)
    np.testing.assert_allclose(gram[0, 0, 0, 1], 0.5, atol=0.08)
    np.testing.assert_allclose(gram[0, 1, 0, 1], 0.4, atol=0.08)
