"""Lowering: linear size, loops kept, shared work shared, dead work gone, the same text every time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import sympy as sp

from tensorprog.dual.numeric import SPECIALS
from tensorprog.dual.special import Angle
from tensorprog.kernel.interpret import NUMPY
from tensorprog.kernel.ir import Copy, Loop, Op, lets, ranges, reads, walk
from tensorprog.kernel.lower import lower
from tensorprog.kernel.scalars import OPERATORS, Program, index_of, lower_scalar
from tensorprog.kernel.select import select
from tensorprog.kernel.storage import find_histories
from tensorprog.kernel.text import ir_text, scalar_text
from tensorprog.limit.equations import X, Y
from tests.kernel.systems import layer_norm, relu_deep, relu_mlp, tanh_deep

A, B = sp.Symbol("a"), sp.Symbol("b")


def _text(expr: sp.Expr) -> str:
    return scalar_text(lower_scalar(expr, Program((X, Y))))


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (A + B, "a + b"),
        (A - B, "a - b"),
        (-A - B, "-a - b"),
        (A * B / (A + B), "a*b/(a + b)"),
        (1 / sp.sqrt(A), "1.0/sqrt(a)"),
        (A**3, "a*a*a"),
        (A**4, "a*a*(a*a)"),
        (A ** sp.Rational(3, 2), "a*sqrt(a)"),
        (A / 3, "0.3333333333333333*a"),
        (sp.exp(-A), "exp(-a)"),
        (sp.pi * A, "3.141592653589793*a"),
        (A**B, "pow(a, b)"),
    ],
)
def test_arithmetic_is_written_with_few_operations(expr: sp.Expr, text: str) -> None:
    assert _text(expr) == text


def test_copies_tell_whose_quantity_is_read() -> None:
    k = sp.Function("K")
    assert [_text(k(*args)) for args in ((X, X), (Y, Y), (X, Y), (Y, X))] == ["K(x)", "K(x')", "K", "Kᵀ"]


def test_an_index_must_be_affine() -> None:
    assert index_of(sp.Symbol("l") - 1).offset == -1
    with pytest.raises(NotImplementedError):
        index_of(2 * sp.Symbol("l"))


def test_an_unknown_function_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="zeta"):
        _text(sp.zeta(A))


def test_every_special_function_has_a_meaning() -> None:
    assert {OPERATORS[special] for special in SPECIALS} <= NUMPY.keys()
    assert set(OPERATORS.values()) <= NUMPY.keys()


def test_angles_are_computed_once_per_layer() -> None:
    ir = lower(relu_mlp())
    angles = [node for let in lets(ir.pair) for node in walk(let.value) if node == Op("Arc", getattr(node, "args", ()))]
    assert len(angles) == 2


def test_a_recurrence_stays_a_loop_whose_size_does_not_depend_on_depth() -> None:
    texts = [ir_text(lower(relu_deep(layers))) for layers in (4, 64)]
    assert texts[0].replace("4", "#") != texts[0]
    assert len(texts[0].splitlines()) == len(texts[1].splitlines())
    (loop,) = (statement for statement in lower(relu_deep(64)).pair if isinstance(statement, Loop))
    assert (loop.index, loop.first, loop.last) == ("l", 2, 64)


def test_loops_carry_only_their_last_values() -> None:
    ir = lower(relu_deep(9))
    assert ranges(ir.pair)["K_h"] == ((1, 9),)
    assert find_histories(ir.pair, (result.pair for result in ir.results)) == frozenset()


def test_selection_removes_what_is_not_needed() -> None:
    ir = lower(relu_mlp())
    nngp = select(ir, [("f", "nngp")])
    versines = {f"{name}:versine" for name in ("K_h1", "K_a1", "K_h2")}
    assert {let.name for let in lets(nngp.pair) if let.note} == {"K_h1", "K_a1", "K_h2", "K_a2", "K_f"} | versines
    assert "T_h1" not in ir_text(nngp)
    assert [result.kind for result in select(ir, [("f", "ntk"), ("f", "nngp")]).results] == ["ntk", "nngp"]


def test_selection_keeps_the_samples_that_the_pair_reads() -> None:
    ir = select(lower(layer_norm()), [("f", "nngp")])
    assert set(reads(ir, Copy.LEFT)) == {"c_s", "K_f:root"} == set(reads(ir, Copy.RIGHT))
    assert {let.name for let in lets(ir.sample)} >= {"c_s", "K_z", "K_h"}


def test_selection_drops_functions_of_no_use() -> None:
    ir = select(lower(tanh_deep()), [("f", "nngp")])
    assert set(ir.functions) == {"phi", "phi^2"}


def test_expectations_are_definitions_of_their_own() -> None:
    for let in lets(lower(tanh_deep()).pair):
        inner = [node for node in walk(let.value) if type(node).__name__ == "Expectation"]
        assert inner in ([], [let.value])


def test_the_text_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from tests.kernel.systems import *; from tensorprog.kernel.lower import lower; "
        "from tensorprog.kernel.text import ir_text; from tensorprog.codegen.cpu import emit; "
        "print(ir_text(lower(relu_deep(5)))); print(emit(lower(relu_deep(5))).text)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(texts) == 1


def test_angle_of_one_law_is_not_shared_with_another() -> None:
    first, second = _text(Angle(A, A, B)), _text(Angle(A, B, B))
    assert first != second
