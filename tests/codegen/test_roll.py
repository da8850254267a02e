"""Layers that were written out become a loop in the generated code, with the same values."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest
import sympy as sp

from tensorprog.codegen.cpu import emit
from tensorprog.kernel.ir import Loop
from tensorprog.kernel.lower import lower
from tensorprog.kernel.roll import roll
from tensorprog.limit.equations import LimitSystem, X, Y
from tensorprog.runtime.gram import Kernel
from tests.kernel.systems import GRAM, SB, SW, core, data, equation, relu_second, relu_slope, system


def written_out(layers: int, *, back: int = 1, dense: bool = False) -> LimitSystem:
    """Return a deep ReLU network, each layer with equations of its own: h_l = W relu(h_{l − back}) + b."""
    sample, pair = [], []
    for out, x, y in ((sample, X, X), (pair, X, Y)):
        k, t = [GRAM(x, y)] * back, [sp.Integer(1) * GRAM(x, y)] * back
        for layer in range(layers):
            h, a, d = (sp.Function(f"{letter}{layer}") for letter in "had")
            q1, q2 = ((GRAM(z, z) if layer < back else sp.Function(f"h{layer - back}")(z, z)) for z in (x, y))
            law = q1, q2, k[-back]
            out.append(equation(a(x, y), q1 / 2 if x == y else relu_second(*law)))
            out.append(equation(h(x, y), SW * a(x, y) + SB))
            out.append(equation(d(x, y), (sp.Rational(1, 2) if x == y else relu_slope(*law)) * t[-1] + h(x, y)))
            k.append(h(x, y))
            t.append(d(x, y))
        out.append(equation(sp.Function("f")(x, y), functools.reduce(operator.add, k) if dense else k[-1]))
    results = {kind: (sp.Function(name)(X, X), sp.Function(name)(X, Y)) for kind, name in _outputs(layers)}
    return system(tuple(sample), tuple(pair), results, {SW: 1.7, SB: 0.1})


def _outputs(layers: int) -> list[tuple[str, str]]:
    return [("nngp", "f"), ("ntk", f"d{layers - 1}")]


def _loops(made: LimitSystem) -> list[Loop]:
    return [statement for statement in roll(lower(made)).pair if isinstance(statement, Loop)]


def _lines(made: LimitSystem) -> int:
    return len(emit(lower(made)).text.splitlines())


@pytest.mark.parametrize(("back", "dense"), [(1, False), (1, True), (2, False)])
def test_a_rolled_program_has_the_values_of_the_plain_one(back: int, dense: bool) -> None:
    made = written_out(29, back=back, dense=dense)
    x1, x2 = data(7), data(300)[5:]
    compiled, plain = (Kernel(core(), made, backend=backend) for backend in ("cpu", "interpret"))
    for found, expected in zip(compiled(x1, x2, get=("nngp", "ntk")), plain(x1, x2, get=("nngp", "ntk")), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_source_does_not_grow_with_the_depth() -> None:
    assert len(_loops(written_out(40))) == 1
    assert _lines(written_out(40)) == _lines(written_out(80))


def test_the_loop_covers_all_but_the_ends() -> None:
    (loop,) = _loops(written_out(40))
    assert loop.last - loop.first + 1 >= 38
    assert len(loop.initial) <= 3


def test_short_programs_stay_straight() -> None:
    assert not _loops(written_out(5))
    assert "work" not in emit(lower(written_out(5))).text


def test_a_recursion_over_two_layers_is_a_loop_too() -> None:
    (loop,) = _loops(written_out(40, back=2))
    assert len(loop.body) * (loop.last - loop.first + 1) >= 0.9 * len(lower(written_out(40, back=2)).pair)


def test_what_looks_equal_but_is_not_stays_straight() -> None:
    """Reading ever further back is no recurrence: a_l = a_{l−1} + a_{l/2}."""
    names = [sp.Function(f"a{number}") for number in range(61)]
    made = {
        copies: [equation(names[0](*copies), GRAM(*copies))]
        + [equation(names[n](*copies), names[n - 1](*copies) / 2 + names[n // 2](*copies) / 3) for n in range(1, 61)]
        for copies in ((X, X), (X, Y))
    }
    results = {"nngp": (names[-1](X, X), names[-1](X, Y))}
    assert not _loops(system(tuple(made[X, X]), tuple(made[X, Y]), results, {}))
