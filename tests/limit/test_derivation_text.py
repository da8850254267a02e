"""A derivation as its reader sees it: text, LaTeX, equations and remarks, the same in every run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp

import tensorprog as tp
from tensorprog.limit.equations import Recurrence

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "limit"
RESIDUAL = """program residual(L = 3, alpha = 0.5, sw2 = 2.0)
width n
input x : (d)
param U : (n, d) ~ N(0, 1 / d)
param V : (1, n) ~ N(0, 1 / n)
h = U @ x
for l in 1..L {
    param W : (n, n) ~ N(0, sw2 / n)
    param b : (n) ~ N(0, l / 10)
    h = h + alpha / sqrt(L) * (W @ relu(h) + b)
}
output f = V @ relu(h)
"""
HEAD = """program p
width n
input x : (d)
param U : (n, d) ~ N(0, 1 / d)
param W : (n, n) ~ N(0, 1 / n)
param V : (1, n) ~ N(0, 1 / n)
h = U @ x
"""
PROGRAMS = {
    "mlp": (ROOT / "examples" / "mlp.tp").read_text(encoding="utf-8"),
    "residual": RESIDUAL,
    "tanh": HEAD + "m = avg(h)\ny = (h - m) / sqrt(avg((h - m)^2) + 1e-6)\noutput f = V @ tanh(y)\n",
    "readout_with_a_mean": HEAD + "param R : (1, n) ~ N(1 / n, 1 / n)\noutput f = R @ relu(h)\n",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_text(name, golden):
    golden(GOLDEN / f"{name}.txt", str(tp.parse(PROGRAMS[name]).derive()))


@pytest.mark.parametrize("name", PROGRAMS)
def test_latex_is_well_formed(name):
    latex = tp.parse(PROGRAMS[name]).derive().latex()
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", latex):
        depth += 1 if mark == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert latex.count(r"\left") - latex.count(r"\leftarrow") == latex.count(r"\right") - latex.count(r"\rightarrow")
    opened: list[str] = []
    for command, environment in re.findall(r"\\(begin|end)\{([a-z*]+)\}", latex):
        if command == "begin":
            opened.append(environment)
        else:
            assert opened.pop() == environment
    assert not opened
    assert not re.search(r"[^\x00-\x7f]", latex)
    for part in re.findall(r"\\begin\{align\*\}\n(.*?)\n\\end\{align\*\}", latex, re.DOTALL):
        for row in part.split(" \\\\\n"):
            assert "&=" in row
    assert "<" not in latex
    assert "_x(" not in latex


def test_equations_have_all_that_is_promised():
    net = tp.parse(RESIDUAL)
    lines = str(RESIDUAL).splitlines()
    for equation in net.derive().equations:
        assert equation.name
        assert isinstance(equation.lhs, sp.core.function.AppliedUndef)
        assert isinstance(equation.rhs, sp.Expr)
        assert equation.rule
        assert 1 <= equation.line <= len(lines)


def test_hyperparameters_and_sizes_stay_symbols():
    derivation = tp.parse(RESIDUAL, sw2=1.25).derive()
    used = {symbol.name for equation in derivation.equations for symbol in equation.rhs.free_symbols}
    assert {"sw2", "alpha", "L", "d"} <= used
    assert not any(number == 1.25 for equation in derivation.equations for number in equation.rhs.atoms(sp.Float))
    assert "sw2 = 1.25" in str(derivation)


def test_a_hyperparameter_of_value_zero_takes_its_terms_away():
    equations = tp.parse(RESIDUAL, alpha=0.0).derive().equations
    assert not any(symbol.name == "alpha" for equation in equations for symbol in equation.rhs.free_symbols)


def test_names_are_defined_before_they_are_read_and_once():
    system = tp.parse(PROGRAMS["mlp"]).derive().system
    for blocks in (system.sample, system.pair):
        names = [equation.name for equation in blocks]
        assert len(set(names)) == len(names)
        for place, equation in enumerate(blocks):
            read = {str(function.func) for function in equation.rhs.atoms(sp.core.function.AppliedUndef)}
            assert not read & set(names[place:]) or blocks is system.pair


@pytest.mark.parametrize("example", ["deep_mlp", "residual_mlp", "norm_residual_mlp"])
def test_loops_stay_recurrences(example):
    short, long = (tp.load(ROOT / "examples" / f"{example}.tp", L=steps).derive() for steps in (3, 300))
    assert len(short.equations) == len(long.equations)
    assert [str(e.rhs).replace("300", "L") for e in long.equations] == [
        str(e.rhs).replace("3, x", "L, x") for e in short.equations
    ]
    for derivation, last in ((short, 3), (long, 300)):
        loops = [block for block in derivation.system.pair if isinstance(block, Recurrence)]
        assert [(loop.first, loop.last) for loop in loops] == [(1, last)]
    assert len(str(long)) < len(str(short)) + 100


def test_vanishing_terms_are_noted():
    net = tp.parse(
        HEAD + "param B : (n, n) ~ N(0, 1 / n) lr 1 / n^2\ng = h / n\noutput f = V @ (relu(B @ relu(h)) + relu(g))"
    )
    derivation = net.derive()
    notes = {each.name: each.statement for each in derivation.assumptions}
    assert "order n^-1 " in notes["`B` vanishes from the NTK"]
    assert "order n^-2 " in notes["the variance of `g` vanishes"]
    assert all(statement in str(derivation) for statement in notes.values())


def test_a_kernel_that_vanishes_is_noted():
    derivation = tp.parse(HEAD + "output f = V @ (h / n)").derive()
    assert derivation.system.results["f", "nngp"].pair == 0
    assert "order n^-2" in next(each.statement for each in derivation.assumptions if each.name == "nngp vanishes")


def test_gradient_independence_is_argued():
    first, *_ = tp.parse(PROGRAMS["mlp"]).derive().assumptions
    assert first.name == "gradient independence"
    assert "`V`" in first.statement
    refused, *_ = tp.parse(PROGRAMS["readout_with_a_mean"]).derive().assumptions
    assert "not justified" in refused.statement


def test_the_text_does_not_depend_on_the_hash_seed():
    code = "import sys, tensorprog as tp; d = tp.load(sys.argv[1], L=3).derive(); print(d); print(d.latex())"
    example = str(ROOT / "examples" / "norm_residual_mlp.tp")
    texts = {
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code, example],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(texts) == 1
