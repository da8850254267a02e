"""Programs over axes: the interpreter against loops over positions in plain Python."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tensorprog.kernel import arrays
from tensorprog.kernel.ir import (
    Const,
    Copy,
    Delta,
    Expectation,
    KernelIR,
    Largest,
    Op,
    Parameter,
    Position,
    Softmax,
    Sweep,
    Within,
)
from tensorprog.limit.equations import Ranks
from tensorprog.nonlin.expression import Number, Operand, Symbol, apply
from tests.kernel.handmade import Program, assemble, erf_second, kernels, place, relu_second, spatial

Table = dict[tuple[int, ...], float]
SW, SB = 1.7, 0.1


def _data(count: int, extent: int, size: int = 3, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, extent, size))


def _programs(axes: Any, **constants: float) -> Iterator[Program]:
    return (Program(axes, constants, is_pair=is_pair) for is_pair in (False, True))


def _relu(q1: float, q2: float, c: float) -> float:
    rho = max(-1.0, min(1.0, c / math.sqrt(q1 * q2)))
    return math.sqrt(q1 * q2) * (math.sqrt(1 - rho * rho) + (math.pi - math.acos(rho)) * rho) / (2 * math.pi)


def _tables(count: Callable[[Any, Any], Table], x: Any, y: Any) -> tuple[Table, Table, Table]:
    return count(x, x), count(y, y), count(x, y)


def _convolved(x: Any, y: Any, stride: int, circular: bool) -> Table:
    """Σ_k SW/3 ⟨x_{S o + k}, y_{S o′ + k}⟩ + SB over a window of three."""
    outs = [range((len(v) + stride - 1) // stride) for v in (x, y)]
    table: Table = {}
    for o, p in itertools.product(*outs):
        total = SB
        for k in (-1, 0, 1):
            i, j = stride * o + k, stride * p + k
            if circular:
                i, j = i % len(x), j % len(y)
            if 0 <= i < len(x) and 0 <= j < len(y):
                total += SW / 3 * float(x[i] @ y[j])
        table[o, p] = total
    return table


def _rectified(x: Any, y: Any, stride: int, circular: bool) -> Table:
    left, right, both = (_convolved(u, v, stride, circular) for u, v in ((x, x), (y, y), (x, y)))
    return {(o, p): _relu(left[o, o], right[p, p], c) for (o, p), c in both.items()}


def _convolution(stride: int, readout: str, *, circular: bool = False) -> KernelIR:
    out = spatial(extent=apply("floordiv", Symbol("T") + (stride - 1), stride))
    axes = {"i": spatial(circular=circular), "o": out, "k": spatial(-1, Number(3))}
    programs = []
    for program in _programs(axes, sw=SW, sb=SB):
        scale = Op("div", (Parameter("sw"), Const(3.0)))
        image = program.ref("<x>", f"{stride} o + k, {stride} o′ + k")
        program.contract("K_g", "o o′", ("k", (scale, image)), ("", (Parameter("sb"),)))
        program.let("K_a", "o o′", relu_second(*program.law("K_g", "o", "o′")))
        if readout == "mean":
            program.contract("K_f", "", ("o o′", (program.ref("K_a", "o, o′"),)))
        if readout == "flatten":
            program.contract("K_f", "", ("o", (program.ref("K_a", "o, o"),)))
        programs.append(program)
    if readout == "positions":
        return assemble(programs, "K_a", {"<x>": "i i′"}, axes="o o′")
    return assemble(programs, "K_f", {"<x>": "i i′"})


READOUTS: dict[str, Callable[[Table], Any]] = {
    "mean": lambda table: sum(table.values()),
    "flatten": lambda table: sum(value for (o, p), value in table.items() if o == p),
    "positions": lambda table: np.array(list(table.values())).reshape(max(table)[0] + 1, -1),
}


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("circular", [False, True])
def test_convolutions(stride: int, readout: str, circular: bool) -> None:
    ir = _convolution(stride, readout, circular=circular)
    x1, x2 = _data(3, 5), _data(2, 7 if readout != "flatten" else 5, seed=1)
    found, diagonal = kernels(ir, x1, x2)
    for (i, x), (j, y) in itertools.product(enumerate(x1), enumerate(x2)):
        expected = READOUTS[readout](_rectified(x, y, stride, circular))
        np.testing.assert_allclose(found[i, j], expected, rtol=1e-11)
    for i, x in enumerate(x1):
        expected = READOUTS[readout](_rectified(x, x, stride, circular))
        np.testing.assert_allclose(diagonal[i], expected, rtol=1e-7)  # arccos near 1


def test_sums_are_the_same_in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    ir, x1, x2 = _convolution(1, "mean"), _data(3, 5), _data(2, 6, seed=1)
    whole, _ = kernels(ir, x1, x2)
    monkeypatch.setattr(arrays, "_LARGEST", 40)
    parts, _ = kernels(ir, x1, x2)
    np.testing.assert_allclose(parts, whole, rtol=1e-14)


def _elman(readout: str) -> KernelIR:
    """K_g(t, t′) = SW K_s(t − 1, t′ − 1) + ⟨x_t, x′_t′⟩ + SB, and K_s its arcsine."""
    programs = []
    for program in _programs({"t": spatial()}, sw=SW, sb=SB):
        before, image = program.ref("K_s", "t - 1, t′ - 1"), program.ref("<x>", "t, t′")
        sums = ("", (Parameter("sw"), before)), ("", (image,)), ("", (Parameter("sb"),))
        law = program.contract("K_g", "t t′", *sums)
        second = program.let("K_s", "t t′", erf_second(*program.law("K_g", "t", "t′")))
        left, right = program.indices("t t′")
        program.statements = [Sweep(left, right, ((law,), (second,)), (Ranks(0, 0), Ranks(1, 1)))]
        if readout == "mean":
            program.contract("K_f", "", ("t t′", (program.ref("K_s", "t, t′"),)))
        else:
            end = "T - 1, T′ - 1" if program.is_pair else "T - 1, T - 1"
            program.contract("K_f", "", ("", (program.ref("K_s", end),)))
        programs.append(program)
    return assemble(programs, "K_f", {"<x>": "t t′"})


def _states(x: Any, y: Any) -> Table:
    """The same by recursion from the start, all laws together."""
    g: dict[str, Table] = {"xx": {}, "yy": {}, "xy": {}}
    s: dict[str, Table] = {"xx": {}, "yy": {}, "xy": {}}
    sides = {"xx": (x, x), "yy": (y, y), "xy": (x, y)}
    for name, (u, v) in sides.items():
        for t, r in itertools.product(range(len(u)), range(len(v))):
            g[name][t, r] = SW * s[name].get((t - 1, r - 1), 0.0) + float(u[t] @ v[r]) + SB
            q1 = g["xx" if name[0] == "x" else "yy"].get((t, t), math.nan)
            q2 = g["xx" if name[1] == "x" else "yy"].get((r, r), math.nan)
            if math.isnan(q1 + q2):
                q1, q2 = (_variance(v, t) for v, t in ((u, t), (v, r)))
            s[name][t, r] = 2 / math.pi * math.asin(2 * g[name][t, r] / math.sqrt((1 + 2 * q1) * (1 + 2 * q2)))
    return s["xy"]


def _variance(x: Any, time: int) -> float:
    q = 0.0
    for t in range(time + 1):
        second = 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) if t else 0.0
        q = SW * second + float(x[t] @ x[t]) + SB
    return q


@pytest.mark.parametrize("readout", ["mean", "last"])
@pytest.mark.parametrize("length", [4, 6])
def test_a_recurrence(readout: str, length: int) -> None:
    x1, x2 = _data(3, 4), _data(2, length, seed=2)
    found, diagonal = kernels(_elman(readout), x1, x2)

    def expected(x: Any, y: Any) -> float:
        table = _states(x, y)
        return sum(table.values()) if readout == "mean" else table[len(x) - 1, len(y) - 1]

    np.testing.assert_allclose(found, [[expected(x, y) for y in x2] for x in x1], rtol=1e-12)
    np.testing.assert_allclose(diagonal, [expected(x, x) for x in x1], rtol=1e-12)


def _attention() -> KernelIR:
    """a(i, j) = softmax_j of ⟨x_i, x_j⟩, K_y(i, i′) = Σ a(i, j) a(i′, j′) ⟨x_j, x′_j′⟩, and the sum of that."""
    axes = {"i": spatial(), "j": spatial()}
    sample, pair = _programs(axes)
    sample.let("a", "i j", Softmax(sample.ref("<x>", "i, j"), "j"))
    for program in (sample, pair):
        left, right = program.ref("a", "i, j", Copy.LEFT), program.ref("a", "i′, j′", Copy.RIGHT)
        program.contract("%K_y.1", "i j′", ("j", (left, program.ref("<x>", "j, j′"))))
        program.contract("K_y", "i i′", ("j′", (right, program.ref("%K_y.1", "i, j′"))))
        program.contract("K_f", "", ("i i′", (program.ref("K_y", "i, i′"),)))
    return assemble((sample, pair), "K_f", {"<x>": "i i′"})


@pytest.mark.parametrize("length", [4, 5])
def test_attention(length: int) -> None:
    x1, x2 = _data(3, 4), _data(2, length, seed=2)
    found, diagonal = kernels(_attention(), x1, x2)

    def mixed(x: Any) -> Any:
        weights = np.exp(x @ x.T)
        return weights / weights.sum(axis=1, keepdims=True) @ x

    expected = [[np.sum(mixed(x) @ mixed(y).T) for y in x2] for x in x1]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(diagonal, [np.sum(mixed(x) @ mixed(x).T) for x in x1], rtol=1e-12)


def test_functions_of_a_whole_axis_and_of_places() -> None:
    axes = {"i": spatial(), "k": spatial(0, Number(2))}
    sample, pair = _programs(axes)
    sample.let("m", "", Largest(sample.ref("c", "i"), sample.indices("i")))
    sample.let("w", "i", Largest(sample.ref("c", "i + k"), sample.indices("k")))
    for program in (sample, pair):
        largest = program.ref("m", "", Copy.LEFT), program.ref("m", "", Copy.RIGHT)
        window = program.ref("w", "i", Copy.LEFT), program.ref("w", "i′", Copy.RIGHT)
        inside = Within(place("i + 1"), "i", Copy.LEFT if program.is_pair else Copy.OWN)
        factors = (Delta(place("i"), place("i′ + 1")), inside, Position("i"), *window, *largest)
        program.contract("K_f", "", ("i i′", factors), ("", (Const(2.0),)))
    ir = assemble((sample, pair), "K_f", {"<x>": "i i′", "c": "i"}, data=("c",))
    x1, x2 = _data(3, 4), _data(2, 5, seed=3)
    found, _ = kernels(ir, x1, x2, data="c")

    def value(x: Any, y: Any) -> float:
        c, d = x[:, 0], y[:, 0]
        windows = [[max(v[i], v[i + 1] if i + 1 < len(v) else 0.0) for i in range(len(v))] for v in (c, d)]
        terms = (i * windows[0][i] * windows[1][i - 1] for i in range(1, len(c) - 1))
        return float(2.0 + sum(terms) * max(c) * max(d))

    np.testing.assert_allclose(found, [[value(x, y) for y in x2] for x in x1], rtol=1e-13)


def _smooth(readout: str) -> KernelIR:
    """Positions x_i with E[tanh(u) tanh(v)] under their laws, added up; within a sample of equal positions too."""
    programs = []
    for program in _programs({"i": spatial()}, sw=SW, sb=SB):
        image = Op("add", (program.ref("<x>", "i, i′"), Parameter("sb")))
        program.let("K_h", "i i′", image)
        q1, q2, c = program.law("K_h", "i", "i′")
        law = Const(0.0), Const(0.0), q1, q2, c
        program.let("K_a", "i i′", Expectation("PairExpectation", ("phi", "phi"), law))
        bound, places = ("i i′", "i, i′") if readout == "mean" else ("i", "i, i")
        program.contract("K_f", "", (bound, (program.ref("K_a", places),)))
        programs.append(program)
    return assemble(programs, "K_f", {"<x>": "i i′"}, functions={"phi": apply("tanh", Operand(0))})


def _tanh_pair(q1: float, q2: float, c: float) -> float:
    z = np.arange(-95, 96) * 0.1
    weight = np.exp(-(z**2) / 2) * 0.1 / np.sqrt(2 * np.pi)
    u, v = np.sqrt(q1) * z[:, None], c / np.sqrt(q1) * z[:, None] + np.sqrt(max(q2 - c * c / q1, 0.0)) * z
    return float(weight @ (np.tanh(u) * np.tanh(v)) @ weight)


@pytest.mark.parametrize("readout", ["mean", "flatten"])
def test_numerical_expectations(readout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x1, x2 = 0.7 * _data(3, 3), 0.7 * _data(2, 3, seed=5)
    ir = _smooth(readout)
    found, diagonal = kernels(ir, x1, x2)

    def value(x: Any, y: Any) -> float:
        places = itertools.product(range(3), range(3)) if readout == "mean" else ((i, i) for i in range(3))
        return sum(_tanh_pair(x[i] @ x[i] + SB, y[j] @ y[j] + SB, x[i] @ y[j] + SB) for i, j in places)

    np.testing.assert_allclose(found, [[value(x, y) for y in x2] for x in x1], atol=1e-9)
    np.testing.assert_allclose(diagonal, [value(x, x) for x in x1], atol=1e-9)
    monkeypatch.setattr("tensorprog.kernel.expectation.TOLERANCE", -1.0)
    by_quadrature, _ = kernels(ir, x1, x2)
    np.testing.assert_allclose(found, by_quadrature, atol=1e-10)


def test_infinite_data_stay_where_they_are() -> None:
    x1, x2 = _data(3, 5), _data(2, 5, seed=1)
    x1[1, 2] = np.nan
    found, _ = kernels(_smooth("mean"), x1, x2)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()
