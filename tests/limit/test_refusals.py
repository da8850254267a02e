"""What has no limit, or none that is derived here: every message as a user reads it, and what is still given."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import pytest

import tensorprog as tp

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted((ROOT / "tests" / "errors" / "limit").glob("*.tp"))
NTK_ONLY = {"moving_average", "readout_with_a_mean", "rate_too_large", "rate_of_a_vector_too_large"}


@functools.cache
def refused_as_a_whole(path: Path) -> tp.LimitError | None:
    """The error of derivation, None if there is none."""
    try:
        tp.parse(path.read_text(encoding="utf-8")).derive()
    except tp.LimitError as error:
        return error
    return None


@functools.cache
def refusal(path: Path) -> tp.LimitError:
    """The error of asking for the NTK, of derivation for most."""
    error = refused_as_a_whole(path)
    if error is not None:
        return error
    with pytest.raises(tp.LimitError) as caught:
        tp.parse(path.read_text(encoding="utf-8")).compile(backend="interpret")(np.eye(2), get="ntk")
    return caught.value


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_message(path, golden):
    golden(path.with_suffix(".err"), f"{refusal(path)}\n")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_messages_name_no_temporaries(path):
    for diagnostic in refusal(path).diagnostics:
        assert not re.search(r"[\w']\.(before|part)?\d*\b(?<=\d)", re.sub(r"\d+\.\d+", "", diagnostic.message))
        assert diagnostic.span is not None
        assert diagnostic.span.line > 1


def test_every_code_has_an_example():
    sources = [path for room in ("limit", "backprop") for path in (ROOT / "tensorprog" / room).glob("*.py")]
    used = {code for path in sources for code in re.findall(r'"(TP3\d\d)"', path.read_text(encoding="utf-8"))}
    shown = {refusal(path).code for path in CASES}
    assert used - shown == {"TP312"}  # a rolled loop that has no recurrence is unrolled instead


@pytest.mark.parametrize("name", sorted(NTK_ONLY))
def test_the_nngp_is_given_where_only_the_ntk_is_refused(name):
    net = tp.parse((ROOT / "tests" / "errors" / "limit" / f"{name}.tp").read_text(encoding="utf-8"))
    assert np.isfinite(net.compile(backend="interpret")(np.eye(2), get="nngp")).all()
    assert "no ntk of f" in str(net.derive())


@pytest.mark.parametrize("path", [path for path in CASES if path.stem not in NTK_ONLY], ids=lambda path: path.stem)
def test_other_programs_are_refused_as_a_whole(path):
    assert refused_as_a_whole(path) is not None


def test_a_loop_without_recurrence_is_unrolled():
    text = """program back(L = 3)
width n
input x : (d)
param U : (n, d) ~ N(0, 1 / d)
param W : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
h = U @ x
for l in 1..L { h = W @ erf(h) }
output f = V @ h
"""
    net = tp.parse(text)
    assert np.isfinite(net.compile(backend="interpret")(np.eye(2))).all()
