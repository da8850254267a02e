"""Generated code for programs over axes: the numbers of the interpreter, whatever index maps and extents are."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.codegen.arrays.emit import emit_arrays
from tensorprog.codegen.arrays.shapes import components
from tensorprog.codegen.series import IrregularLawError
from tensorprog.kernel.ir import (
    AxisIndex,
    Const,
    Copy,
    Delta,
    Expectation,
    Index,
    KernelIR,
    Loop,
    Op,
    Parameter,
    Position,
    Ref,
    Softmax,
    Sweep,
    Within,
)
from tensorprog.limit.equations import Ranks
from tensorprog.nonlin.expression import Number, Symbol, apply
from tests.codegen.array_programs import bias, constant, data, image_program, run_compiled, run_interpreted
from tests.kernel.handmade import Program, erf_second, place, relu_second, spatial

WINDOW = {"k": spatial(-1, Number(3)), "l": spatial(-1, Number(3))}
PLANE = {"i": spatial(extent=Symbol("H")), "j": spatial(extent=Symbol("W"))}


def halves(name: str) -> Any:
    """The number of positions at stride two."""
    return apply("floordiv", Symbol(name) + 1, 2)


def agree(ir: KernelIR, x1: Any, x2: Any, scalar: str = "") -> None:
    found, expected = run_compiled(ir, x1, x2, scalar), run_interpreted(ir, x1, x2, scalar)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def _images(readout: str, *, stride: int, circular: bool) -> KernelIR:
    """Σ_kl SW ⟨x_{S o + k, S p + l}, x′⟩ + SB, ReLU, and sums of it: all positions, equal ones, windows, or none."""
    out = [spatial(extent=halves(name) if stride == 2 else Symbol(name)) for name in "HW"]
    plane = {name: spatial(extent=Symbol(size), circular=circular) for name, size in zip("ij", "HW", strict=True)}
    small = {name: spatial(extent=apply("floordiv", axis.extent, 2)) for name, axis in zip("uv", out, strict=True)}
    axes = {
        **plane,
        "o": out[0],
        "p": out[1],
        **small,
        **WINDOW,
        "m": spatial(0, Number(2)),
        "n": spatial(0, Number(2)),
    }

    def write(program: Program) -> str:
        places = (f"{stride} {o} + {k}" for o, k in (("o", "k"), ("p", "l"), ("o′", "k"), ("p′", "l")))
        image = program.ref("<x>", ", ".join(places))
        program.contract("K_g", "o p o′ p′", ("k l", (Parameter("sw"), image)), bias())
        laws = (("o, p, o, p", Copy.LEFT), ("o′, p′, o′, p′", Copy.RIGHT), ("o, p, o′, p′", Copy.OWN))
        program.let("K_a", "o p o′ p′", relu_second(*(program.ref("K_g", at, copy) for at, copy in laws)))
        if readout == "mean":
            program.contract("K_f", "", ("o p o′ p′", (program.ref("K_a", "o, p, o′, p′"),)))
        if readout == "flatten":
            program.contract("K_f", "", ("o p", (program.ref("K_a", "o, p, o, p"),)))
        if readout == "windows":
            reads = program.ref("K_a", "2 u + m, 2 v + n, 2 u′ + m′, 2 v′ + n′")
            program.contract("K_p", "u v u′ v′", ("m n m′ n′", (reads,)))
            program.contract("K_f", "", ("u v", (program.ref("K_p", "u, v, u, v"),)))
        return "K_a" if readout == "positions" else "K_f"

    output = "o p o′ p′" if readout == "positions" else ""
    return image_program(axes, {"<x>": "i j i′ j′"}, write, output_axes=output)


@pytest.mark.parametrize("readout", ["mean", "flatten", "windows", "positions"])
@pytest.mark.parametrize(("stride", "circular"), [(1, False), (2, False), (1, True)])
def test_convolutions_of_images(readout: str, stride: int, circular: bool) -> None:
    shape = (6, 5) if readout in ("mean", "positions") else (5, 4)
    agree(_images(readout, stride=stride, circular=circular), data(3, 5, 4, 2), data(2, *shape, 2, seed=1))


def test_one_source_serves_all_extents() -> None:
    sources = {emit_arrays(_images("mean", stride=1, circular=False)).text for _ in range(2)}
    assert len(sources) == 1
    ast.parse(sources.pop())


def test_long_rows_are_taken_in_segments() -> None:
    def write(program: Program) -> str:
        image = program.ref("<x>", "i + k, i′ + k")
        program.contract("K_g", "i i′", ("k", (Parameter("sw"), image)), bias())
        program.contract("K_f", "", ("i i′", (program.ref("K_g", "i, i′"),)))
        return "K_f"

    ir = image_program({"i": spatial(), **WINDOW}, {"<x>": "i i′"}, write)
    agree(ir, data(2, 150, 2), data(2, 150, 2, seed=1))


def test_a_layer_that_is_repeated_keeps_two_values_of_an_array() -> None:
    def write(program: Program) -> str:
        def at(name: str, places: str, index: Index, copy: Copy = Copy.OWN) -> Ref:
            ref = program.ref(name, places, copy)
            return Ref(ref.name, (index,), ref.copy, ref.places)

        def law(index: Index) -> tuple[Ref, Ref, Ref]:
            return (
                at("K_g", "i, i", index, Copy.LEFT),
                at("K_g", "i′, i′", index, Copy.RIGHT),
                at("K_g", "i, i′", index),
            )

        start = program.contract("K_g", "i i′", ("k", (program.ref("<x>", "i + k, i′ + k"),)), bias())
        act = program.let("K_a", "i i′", relu_second(*law(Index("h", -1))))
        reads = at("K_a", "i + k, i′ + k", Index("h", 0))
        step = program.contract("K_g", "i i′", ("k", (Parameter("sw"), reads)), bias())
        inside = Index("h", 0)
        program.statements = [
            Loop(
                "h",
                1,
                3,
                (_indexed(start, Index(None, 0)),),
                (_indexed(act, inside), _indexed(step, inside)),
            )
        ]
        program.contract("K_f", "", ("i i′", (at("K_g", "i, i′", Index(None, 3)),)))
        return "K_f"

    ir = image_program({"i": spatial(), **WINDOW}, {"<x>": "i i′"}, write)
    agree(ir, data(3, 5, 2), data(2, 4, 2, seed=1))


def _indexed(definition: Any, index: Index) -> Any:
    return replace(definition, indices=(index,))


def _elman(readout: str) -> KernelIR:
    """K_g(t, t′) = SW K_s(t − 1, t′ − 1) + ⟨x_t, x′_t′⟩ + SB, and K_s its arcsine."""

    def write(program: Program) -> str:
        before, image = program.ref("K_s", "t - 1, t′ - 1"), program.ref("<x>", "t, t′")
        sums = ("", (Parameter("sw"), before)), ("", (image,)), bias()
        law = program.contract("K_g", "t t′", *sums)
        second = program.let("K_s", "t t′", erf_second(*program.law("K_g", "t", "t′")))
        left, right = program.indices("t t′")
        program.statements = [Sweep(left, right, ((law,), (second,)), (Ranks(0, 0), Ranks(1, 1)))]
        if readout == "mean":
            program.contract("K_f", "", ("t t′", (program.ref("K_s", "t, t′"),)))
        else:
            end = "T - 1, T′ - 1" if program.is_pair else "T - 1, T - 1"
            program.contract("K_f", "", ("", (program.ref("K_s", end),)))
        return "K_f"

    return image_program({"t": spatial()}, {"<x>": "t t′"}, write)


@pytest.mark.parametrize("readout", ["mean", "last"])
@pytest.mark.parametrize("length", [4, 6])
def test_recurrences(readout: str, length: int) -> None:
    agree(_elman(readout), data(3, 4, 2), data(2, length, 2, seed=2))


def _attention(window: int) -> KernelIR:
    """a(i, j) = softmax_j of ⟨x_i, x_j⟩, K_y(i, i′) = Σ a(i, j) a(i′, j′) ⟨x_{j + s}, x′_{j′ + s}⟩, and its sum."""

    def sample(program: Program) -> None:
        program.let("a", "i j", Softmax(program.ref("<x>", "i, j"), "j"))

    def write(program: Program) -> str:
        left, right = program.ref("a", "i, j", Copy.LEFT), program.ref("a", "i′, j′", Copy.RIGHT)
        shifted = f"j + {window}, j′ + {window}" if window else "j, j′"
        program.contract("%K_y.1", "i j′", ("j", (left, program.ref("<x>", shifted))))
        program.contract("K_y", "i i′", ("j′", (right, program.ref("%K_y.1", "i, j′"))))
        program.contract("K_f", "", ("i i′", (program.ref("K_y", "i, i′"),)))
        return "K_f"

    return image_program({"i": spatial(), "j": spatial()}, {"<x>": "i i′"}, write, sample=sample)


@pytest.mark.parametrize("window", [0, 1])
@pytest.mark.parametrize("length", [4, 5])
def test_attention(window: int, length: int) -> None:
    agree(_attention(window), data(3, 4, 2), data(2, length, 2, seed=2))


def test_conditions_on_places() -> None:
    def write(program: Program) -> str:
        copy = Copy.LEFT if program.is_pair else Copy.OWN
        equal, inside = Delta(place("i"), place("i′ + 1")), Within(place("i + 1"), "i", copy)
        image = program.ref("<x>", "i + k, i′ + k")
        program.contract(
            "K_g", "i i′", ("k", (equal, inside, Parameter("sw"), image)), ("", (Delta(place("i"), place("i′")),))
        )
        number = Op("add", (Position("i"), Op("mul", (equal, program.ref("K_g", "i, i′")))))
        program.let("K_h", "i i′", Op("mul", (number, program.ref("K_g", "i, i′"))))
        program.contract("K_f", "", ("i i′", (program.ref("K_h", "i, i′"), Position("i"))), constant(2.0))
        return "K_f"

    ir = image_program({"i": spatial(), **WINDOW}, {"<x>": "i i′"}, write)
    agree(ir, data(3, 4, 2), data(2, 5, 2, seed=1))


def test_quantities_of_one_sample_at_several_positions() -> None:
    def write(program: Program) -> str:
        scalars = program.ref("c", "i", Copy.LEFT), program.ref("c", "i′", Copy.RIGHT)
        mixed = program.ref("<x>", "i, j", Copy.LEFT)
        program.let("K_g", "i i′", Op("mul", (*scalars, program.ref("<x>", "i, i′"))))
        program.let("K_h", "i j i′", Op("mul", (mixed, program.ref("K_g", "j, i′"))))
        program.contract("K_f", "", ("i j i′", (program.ref("K_h", "i, j, i′"),)))
        return "K_f"

    axes = {"i": spatial(), "j": spatial()}
    ir = image_program(axes, {"<x>": "i i′", "c": "i"}, write, scalars=("c",))
    agree(ir, data(3, 4, 2), data(2, 5, 2, seed=1), scalar="c")


def test_a_sum_that_contains_another_reads_it() -> None:
    def write(program: Program) -> str:
        image, act = program.ref("<x>", "i + k, i′ + k"), program.ref("K_g", "i + k, i′ + k")
        term = "k", (Parameter("sw"), image)
        program.contract("K_g", "i i′", term, bias())
        program.contract("T_g", "i i′", term, bias())
        program.contract("T_h", "i i′", term, ("k", (act,)), bias())
        total = Op("mul", (program.ref("T_g", "i, i′"), program.ref("T_h", "i, i′")))
        program.let("K_f.1", "i i′", total)
        program.contract("K_f", "", ("i i′", (program.ref("K_f.1", "i, i′"),)))
        return "K_f"

    ir = image_program({"i": spatial(), **WINDOW}, {"<x>": "i i′"}, write)
    assert "T_g_at" not in emit_arrays(ir).text
    agree(ir, data(3, 4, 2), data(2, 5, 2, seed=1))


def test_what_is_not_a_number_stays_in_its_pairs() -> None:
    x1 = data(3, 5, 4, 2)
    x1[1, 2, 2] = np.nan
    found = run_compiled(_images("flatten", stride=1, circular=False), x1, data(2, 5, 4, 2, seed=1))
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()


def test_the_numbers_do_not_depend_on_threads_and_tiles() -> None:
    net = tp.parse(POOLED)
    x1, x2 = data(5, 4, 3, 2), data(4, 4, 3, 2, seed=1)
    found = []
    for threads in (1, 3):
        kernel = net.compile(backend="cpu")
        kernel.threads = threads
        found.append((kernel(x1, x2), kernel(x1), kernel(x1, x2[2:3])))
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))
    cross, square, column = found[0]
    assert np.array_equal(cross[:, 2:3], column)
    assert np.array_equal(square, square.T)
    np.testing.assert_allclose(cross, net.compile(backend="interpret")(x1, x2), rtol=1e-13)


POOLED = """
program pooled
width n
axis i : H
axis j : W
axis k : -1..1
input x[i, j] : (c)
param C[k] : (n, c) ~ N(0, 1 / c)
param V    : (1, n) ~ N(0, 1 / n)
h[i, j] = sum[k](C[k] @ x[i + k, j])
output f = V @ mean[i, j](relu(h[i, j]))
"""


def test_components_pair_the_copies_of_an_axis_in_order() -> None:
    def index(axis: str, copy: Copy) -> AxisIndex:
        return AxisIndex("", axis, copy)

    left, right = Copy.LEFT, Copy.RIGHT
    axes = index("i", left), index("j", left), index("i", right), index("k", right)
    assert components(axes) == ((0, 2), (1,), (3,))


def test_laws_of_both_samples_are_left_to_the_interpreter() -> None:
    def write(program: Program) -> str:
        law = program.ref("<x>", "i, i′"), Const(0.0), *program.law("<x>", "i", "i′")
        program.let("K_a", "i i′", Expectation("PairExpectation", ("phi", "phi"), law))
        program.contract("K_f", "", ("i i′", (program.ref("K_a", "i, i′"),)))
        return "K_f"

    ir = image_program({"i": spatial()}, {"<x>": "i i′"}, write)
    with pytest.raises(IrregularLawError):
        emit_arrays(ir)
