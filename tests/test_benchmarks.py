"""The benchmarks: cases are what they say, the harness runs, and a side that is not there is said not to be there."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

import tensorprog as tp
from benchmarks.__main__ import VARIABLE, parse_arguments, rivals
from benchmarks.cases import CASES, GROWTHS, NEURAL_TANGENTS, NUMPY, Case, inputs, select
from benchmarks.clock import shares
from benchmarks.machine import Machine, memory_megabytes
from benchmarks.measure import Effort, Missing, Outcome, Timing, measure
from benchmarks.networks import (
    Attention,
    Cnn,
    Mlp,
    Network,
    NormMlp,
    ResidualMlp,
    Rnn,
    Transformer,
    WideResNet,
    decode,
    encode,
)
from benchmarks.ours import program
from benchmarks.page import page
from benchmarks.peak import Peak
from benchmarks.processes import Limits, Side
from benchmarks.reference import kernels
from benchmarks.table import profiles
from benchmarks.work import multiply_adds

TINY = Case("tiny", Mlp(2), 5, (3,))
LIMITS = Limits(1, int(memory_megabytes()), 120.0)
EFFORT = Effort(2, 1.0)
PLAIN = Side(NUMPY, "reference")

NETWORKS: dict[Network, tuple[int, ...]] = {
    Mlp(1): (4,),
    Mlp(3, bias=0.0): (4,),
    Mlp(3, "erf"): (4,),
    Mlp(2, "gelu"): (4,),
    Mlp(2, "tanh"): (4,),
    ResidualMlp(2): (4,),
    NormMlp(2): (4,),
    Cnn(2, "flatten"): (4, 4, 2),
    Cnn(2, "pool"): (4, 4, 2),
    WideResNet(2): (8, 8, 2),
    Attention(): (4, 2),
    Rnn(): (4, 2),
    Transformer(): (4, 2),
}


def test_cases_have_names_of_their_own_and_growths_name_them() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {name for growth in GROWTHS for _, name in growth.cases} <= set(names)
    assert all(multiply_adds(case) > 0 for case in CASES)
    assert all(case.large == (case.samples > 4000) for case in CASES)
    assert {case.name for case in select(["rnn-*"], large=False)} == {"rnn-T25", "rnn-T50", "rnn-T100"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_networks_travel_as_text(case: Case) -> None:
    assert decode(encode(case.network)) == case.network


def test_a_missing_side_is_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    sides, versions = rivals(parse_arguments([]).neural_tangents)
    assert sides[NEURAL_TANGENTS] == Missing(f"skipped: no --neural-tangents and no ${VARIABLE}")
    assert versions == "not there"
    assert rivals("no/such/python")[0][NEURAL_TANGENTS] == Missing("skipped: not in that interpreter")


def test_sides_are_compared_and_timed() -> None:
    outcome = measure(TINY, PLAIN, PLAIN, LIMITS, EFFORT)
    assert outcome.difference == 0
    for side in (outcome.ours, outcome.theirs):
        assert isinstance(side, Timing)
        assert side.error == 0
        assert side.call > 0
        assert side.calls in (1, 2)
    assert outcome.ratio is not None


def test_limits_are_reported() -> None:
    late = measure(TINY, PLAIN, Missing("skipped"), dataclasses.replace(LIMITS, seconds=1e-3), EFFORT)
    assert isinstance(late.ours, Missing)
    assert late.ours.reason.startswith("over ")
    assert late.theirs == Missing("skipped")
    absent = measure(TINY, PLAIN, Side("nobody", "no_such_module"), LIMITS, EFFORT)
    assert isinstance(absent.theirs, Missing)
    assert "No module named" in absent.theirs.reason
    assert absent.ratio is None


def test_memory_is_limited() -> None:
    case = dataclasses.replace(TINY, samples=3000)
    outcome = measure(case, PLAIN, Missing("skipped"), dataclasses.replace(LIMITS, megabytes=512), EFFORT)
    assert outcome.ours == Missing("over 0.5 GB")


def test_the_page_says_what_was_measured() -> None:
    timing = Timing(0.1, 1.0, 0.2, 0.01, 5, 3.0, 1e-16, {"kernel.grid": 0.75, "compiled code": 0.25})
    cases = select(["relu-mlp-3-N1000", "relu-mlp-3-N4000"], large=False)
    outcomes = [
        Outcome(cases[0], timing, dataclasses.replace(timing, call=0.5), 2e-9),
        Outcome(cases[1], dataclasses.replace(timing, call=0.16), Missing("over 300 s"), None),
    ]
    text = page(outcomes, Machine("a processor", 2, "L1", 24.0, "Linux", "x 1", "y 2"), Peak(1e10, 1e10, 2e10), "run")
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    assert ["", cases[0].name, NEURAL_TANGENTS, "2e-09", "10.0 ms", "500 ms", "50.0", "≥ 30", "yes", ""] in cells
    assert ["", cases[1].name, NEURAL_TANGENTS, "", "160 ms", "over 300 s", "", "≥ 30", "", ""] in cells
    assert [row[4] for row in cells if row[1:2] == ["samples N, relu-mlp-3"]] == ["2.0"]


def test_missed_aims_have_profiles() -> None:
    timing = Timing(0.1, 1.0, 0.2, 0.01, 5, 3.0, 1e-16, {"kernel.grid": 0.75, "compiled code": 0.25})
    (case,) = select(["relu-mlp-3-N1000"], large=False)
    fast, slow = (Outcome(case, timing, dataclasses.replace(timing, call=call), 0.0) for call in (0.5, 0.1))
    assert profiles([fast]) == ""
    assert "kernel.grid 75 %, compiled code 25 %" in profiles([fast, slow])


def test_time_is_shared_out_to_modules() -> None:
    x = np.zeros((2, 3))
    kernel = tp.parse("program p\nwidth n\ninput x : (d)\nparam V : (1, d) ~ N(0, 1 / d)\noutput f = V @ x").compile(
        "interpret"
    )
    found = shares(lambda: kernel(x))
    assert abs(sum(found.values()) - 1) < 1e-12
    assert {"runtime.gram", "kernel.interpret"} <= set(found)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_programs_are_the_networks_of_the_reference(network: Network) -> None:
    """To rounding: the references are closed recursions, or trapezoidal rules of analytic functions."""
    x = np.random.default_rng(1).standard_normal((3, *NETWORKS[network]))
    kernel = tp.parse(program(network)).compile("interpret")
    for found, expected in zip(kernel(x, get=("nngp", "ntk")), kernels(network, x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_neural_tangents_beside() -> None:
    interpreter = os.environ.get(VARIABLE)
    if interpreter is None or not Path(interpreter).exists():
        pytest.skip(f"${VARIABLE} names no interpreter")
    side = rivals(interpreter)[0][NEURAL_TANGENTS]
    outcome = measure(
        dataclasses.replace(TINY, network=Mlp(2, "erf")), Side("tensorprog", "ours"), side, LIMITS, EFFORT
    )
    assert outcome.difference is not None
    assert outcome.difference < 1e-13
    assert inputs(TINY).shape == (5, 3)
