"""Verification finds what is wrong, and only that: errors planted in single equations, true limits, other entries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.limit.equations import Equation, LimitSystem
from tensorprog.verify.plan import make_plan
from tensorprog.verify.run import Measurements, Options, assess, default_data, measure_networks

MLP = """
program mlp(sw = 2.0, sb = 0.1)
width n
input x : (d)
param W1 : (n, d) ~ N(0, sw / d)
param b1 : (n) ~ N(0, sb)
param W2 : (n, n) ~ N(0, sw / n)
param b2 : (n) ~ N(0, sb)
param W3 : (n, n) ~ N(0, sw / n)
param b3 : (n) ~ N(0, sb)
param V : (1, n) ~ N(0, 1 / n)
h1 = W1 @ x + b1
h2 = W2 @ relu(h1) + b2
h3 = W3 @ relu(h2) + b3
output f = V @ relu(h3)
"""


def plant(system: LimitSystem, number: int, factor: float) -> LimitSystem:
    """Return the system with the right side of its `number`-th equation multiplied by `factor`."""
    blocks = [*system.sample, *system.pair]
    chosen = blocks[number]
    assert isinstance(chosen, Equation)
    blocks[number] = replace(chosen, rhs=factor * chosen.rhs)
    cut = len(system.sample)
    return replace(system, sample=tuple(blocks[:cut]), pair=tuple(blocks[cut:]))


def sampled(text: str, options: Options) -> tuple[tp.Program, np.ndarray, dict[int, Measurements]]:
    """Return a program, its default data, and measurements on networks of it."""
    net = tp.parse(text)
    derived = net.derive()
    data = default_data(derived.core, options.seed, {})
    plan = make_plan(derived.system)
    measured = {w: measure_networks(derived.core, data, plan, w, options) for w in options.widths}
    return net, data, measured


def check_planted(options: Options, factor: float) -> list[str]:
    """Return the equations in which an error of `factor` is not found, or found elsewhere first."""
    net, data, measured = sampled(MLP, options)
    derived = net.derive()
    assert assess(derived.core, derived.system, data, measured, options, 0.0).passed
    missed = []
    for number in range(len(derived.system.sample) + len(derived.system.pair)):
        wrong = plant(derived.system, number, factor)
        found = assess(derived.core, wrong, data, measured, options, 0.0)
        if found.passed:
            missed.append(make_plan(derived.system)[number].label)
    return missed


def test_gross_errors_are_found_in_every_equation() -> None:
    """An error of 25 % in any one of the 40 equations, on small networks."""
    assert check_planted(Options(widths=(64, 128, 256), samples=64), 1.25) == []


@pytest.mark.slow
def test_default_run_finds_two_percent() -> None:
    """The default widths and samples find 2 % in any one equation; each is missed with probability 0.05 at most.

    Of 40 equations more than 6 are missed with probability below 0.001 then.
    """
    missed = check_planted(Options(), 1.02)
    assert len(missed) <= 6, missed


def test_the_error_is_located() -> None:
    """A wrong equation fails in its own row, the equations that read it do not."""
    options = Options(widths=(64, 128, 256), samples=64)
    net, data, measured = sampled(MLP, options)
    derived = net.derive()
    names = [check.label for check in make_plan(derived.system)]
    wrong = plant(derived.system, names.index("K_h2(x, x')"), 1.3)
    found = assess(derived.core, wrong, data, measured, options, 0.0)
    assert [row.name for row in found.failures] == ["K_h2(x, x')"]


@pytest.mark.parametrize("entries", ["gaussian", "uniform", "rademacher"])
def test_entries_of_the_same_variance_have_the_same_limit(entries: str) -> None:
    """Universality (Golikov & Yang 2022): matrices of infinite fan-in may have any law. False alarms: 1e-2 each."""
    net = tp.parse(MLP.replace("relu", "tanh"))
    found = net.verify(widths=(64, 256), samples=24, seed=3, entries=entries)
    assert found.passed, str(found)


def test_the_report_states_what_it_could_have_seen() -> None:
    """smallest_error is the reach of the widest standard error in the table."""
    found = tp.parse(MLP).verify(widths=(64, 128), samples=16)
    widest = max(row.standard_error for row in found.table)
    assert found.smallest_error == pytest.approx((found.threshold + 1.6448536269514722) * widest)
    assert "would have been found with probability 0.95" in str(found)
    assert found.rate.low < -0.5 < found.rate.high


def test_bad_options_are_refused() -> None:
    """One width, or too few networks, is a data error."""
    net = tp.parse(MLP)
    with pytest.raises(tp.DataError, match="two different widths"):
        net.verify(widths=(64,))
    with pytest.raises(tp.DataError, match="at least 8 networks"):
        net.verify(widths=(64, 128), samples=2)


def test_a_run_is_reproducible() -> None:
    """The same seed gives the same table, another seed another."""
    net = tp.parse(MLP)
    first, again, other = (net.verify(widths=(32, 64), samples=8, seed=seed).table for seed in (0, 0, 1))
    assert first == again
    assert first != other
