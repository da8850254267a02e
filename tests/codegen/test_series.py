"""Numerical expectations in generated code: what is planned, and what is left to the interpreter."""

from __future__ import annotations

import ast

import pytest
import sympy as sp

from tensorprog.codegen.cpu import emit
from tensorprog.codegen.series import IrregularLawError, plan_series
from tensorprog.dual.special import PairExpectation
from tensorprog.kernel.lower import lower
from tensorprog.limit.equations import LimitSystem, X, Y
from tensorprog.nonlin.expression import Operand, apply
from tensorprog.runtime.gram import Kernel
from tests.kernel.systems import GRAM, core, equation, relu_deep, system, tanh_deep

PHI, PSI = sp.symbols("phi psi")


def one_expectation(law: tuple[sp.Expr, ...]) -> LimitSystem:
    """Return f = E[tanh(u) cos(v)] under a law that may read the Grams and K = G + 1 of the pair."""
    k, f = sp.Function("K"), sp.Function("f")
    sample = (equation(k(X, X), GRAM(X, X) + 1), equation(f(X, X), k(X, X)))
    pair = (equation(k(X, Y), GRAM(X, Y) + 1), equation(f(X, Y), PairExpectation(PHI, PSI, *law)))
    functions = {"phi": apply("tanh", Operand(0)), "psi": apply("cos", Operand(0))}
    return system(sample, pair, {"nngp": (f(X, X), f(X, Y))}, {}, functions)


K = sp.Function("K")
IRREGULAR = {
    "a mean of the pair": (K(X, Y), 0, K(X, X), K(Y, Y), K(X, Y)),
    "both laws of one sample": (0, 0, K(X, X), K(X, X), K(X, X)),
    "a law of both samples": (0, 0, K(X, X) + K(Y, Y), K(Y, Y), K(X, Y)),
}


def test_the_source_sums_series_in_a_loop_of_the_layers() -> None:
    sources = [emit(lower(tanh_deep(layers))) for layers in (5, 50)]
    ast.parse(sources[1].text)
    assert len(sources[0].text.splitlines()) == len(sources[1].text.splitlines())
    assert sources[1].text.count("add_series(a, ") == 4
    plan = sources[1].plan
    assert plan is not None
    assert plan.left.layout.count == plan.right.layout.count == 2 * 49 + 2


def test_two_functions_of_one_pair_read_one_covariance_one_after_the_other() -> None:
    lines = [line.strip() for line in emit(lower(tanh_deep())).text.splitlines() if not line.strip().startswith("#")]
    places = [number for number, line in enumerate(lines) if line.startswith("add_series(")]
    calls = [lines[place].split(", ") for place in places]
    assert len(places) == 4
    for first in (0, 2):
        assert places[first + 1] == places[first] + 1
        assert calls[first][9] == calls[first + 1][9]


def test_programs_in_closed_form_have_no_tables() -> None:
    ir = lower(relu_deep(3))
    assert plan_series(ir) == (ir, None)
    assert "series" not in emit(ir).text


@pytest.mark.parametrize("law", IRREGULAR.values(), ids=IRREGULAR)
def test_laws_that_are_not_of_one_sample_each_are_left_to_the_interpreter(law: tuple[sp.Expr, ...]) -> None:
    made = one_expectation(law)
    with pytest.raises(IrregularLawError):
        emit(lower(made))
    assert Kernel(core(), made).source.startswith("kernel hand")


def test_the_functions_may_belong_to_either_sample() -> None:
    plan = emit(lower(one_expectation((0, 0, K(Y, Y), K(X, X), K(X, Y))))).plan
    assert plan is not None
    assert [side.function for side in plan.left.sides.values()] == ["psi"]
    assert [side.function for side in plan.right.sides.values()] == ["phi"]
