"""The generated source: readable, complete, the same every time, safe whatever the names."""

from __future__ import annotations

import ast
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import sympy as sp

from tensorprog.codegen.cpu import emit, intrinsic_name
from tensorprog.codegen.operators import module_of
from tensorprog.codegen.source import Names, lay_out
from tensorprog.dual.numeric import SPECIALS
from tensorprog.kernel.ir import Index
from tensorprog.kernel.lower import lower
from tensorprog.limit.equations import Recurrence, X, Y
from tensorprog.runtime.gram import Kernel
from tests.kernel.systems import GRAM, core, data, equation, layer_norm, relu_deep, relu_mlp, system


def test_the_source_is_python_with_a_header_and_a_comment_per_equation() -> None:
    text = emit(lower(relu_mlp())).text
    ast.parse(text)
    assert text.startswith('"""The kernel of the tensor program hand: generated, do not edit.')
    assert text.count("[by hand; line 1]") == len(relu_mlp().pair)


def test_the_same_system_gives_the_same_bytes() -> None:
    assert emit(lower(relu_deep(6))).text == emit(lower(relu_deep(6))).text


def test_a_recurrence_is_a_loop_and_needs_a_strip_per_carried_value() -> None:
    sources = [emit(lower(relu_deep(layers))).text for layers in (5, 50)]
    assert len(sources[0].splitlines()) == len(sources[1].splitlines())
    assert "work = np.empty((3, 256))" in sources[1]  # K, T and the versine


def test_a_program_without_loops_needs_no_strips() -> None:
    assert "work" not in emit(lower(layer_norm())).text


def test_every_special_function_has_an_intrinsic() -> None:
    for name in (intrinsic_name(special.__name__) for special in SPECIALS):
        assert name in import_module(f"tensorprog.runtime.{module_of(name)}").__all__


def test_names_of_the_program_cannot_break_out_of_the_source() -> None:
    hostile = 'x"""\nimport os\n#'
    ir = replace(lower(layer_norm()), name=hostile)
    tree = ast.parse(emit(ir).text)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"math", "numpy"}


@pytest.mark.parametrize("name", ["σ", "h'", "dense#2.W", "lambda", "for", "1", "<x>", "K_h,g"])
def test_identifiers_are_identifiers(name: str) -> None:
    found = Names().identifier(name, name)
    assert found.isidentifier()
    ast.parse(f"{found} = 1")


def test_names_that_look_alike_stay_apart() -> None:
    names = Names({"det"})
    assert len({names.identifier(name, name) for name in ("h.1", "h_1", "h#1")} | {"det"}) == 4
    assert names.identifier("det", "det") != "det"


def test_a_layout_has_a_row_for_every_value_of_every_index() -> None:
    layout = lay_out(["a", "b", "c"], {"b": ((1, 3), (0, 1))})
    assert [(row, name, indices) for row, name, indices in layout.rows()][:3] == [
        (0, "a", ()),
        (1, "b", (1, 0)),
        (2, "b", (1, 1)),
    ]
    assert layout.count == 8
    text = layout.row_text("b", (Index("l", -1), Index("m", 0)), str)
    rows = {eval(text, {}, {"l": l, "m": m}) for l in range(2, 5) for m in range(2)}  # noqa: E741
    assert rows == set(range(1, 7))


def test_what_another_loop_reads_is_kept_for_all_layers() -> None:
    index, k, t = sp.Symbol("l"), sp.Function("K"), sp.Function("T")

    def blocks(x: sp.Symbol, y: sp.Symbol) -> tuple[Recurrence, ...]:
        first = Recurrence(
            index, 1, 4, (equation(k(0, x, y), GRAM(x, y)),), (equation(k(index, x, y), k(index - 1, x, y) / 2 + 1),)
        )
        step = equation(t(index, x, y), t(index - 1, x, y) * k(index - 1, x, y) + k(index, x, y) * index)
        return first, Recurrence(index, 1, 4, (equation(t(0, x, y), sp.Integer(0)),), (step,))

    found = system(blocks(X, X), blocks(X, Y), {"ntk": (t(4, X, X), t(4, X, Y) + k(2, X, Y))}, {})
    assert "work = np.empty((6, 256))" in emit(lower(found)).text
    x1, x2 = data(3), data(4, seed=1)
    ks = [x1 @ x2.T]
    total = 0 * ks[0]
    for layer in range(1, 5):
        ks.append(ks[-1] / 2 + 1)
        total = total * ks[layer - 1] + ks[layer] * layer
    for backend in ("interpret", "cpu"):
        np.testing.assert_allclose(Kernel(core(), found, backend)(x1, x2), total + ks[2], rtol=1e-13)
