"""The meaning of every instruction against plain loops, and of programs against numpy written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special

from tensorprog.core.bind import Binding, bind
from tensorprog.core.evaluate import run, run_data, width_sizes
from tensorprog.core.ir import Core, First, Max, Scatter
from tensorprog.finite.network import FiniteNetwork
from tensorprog.nonlin.expression import Position, Symbol, apply
from tests.core.programs import ALL, SPAN, U2, N, Program, U, index, make_data, readout


def evaluated(core: Core, data: object, width: int = 4) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Binding]:
    """Return all values, the parameters and the binding."""
    network = FiniteNetwork(core, width, seed=1)
    binding = bind(core, data)
    parameters = network._draws.parameters(tuple(core.parameters), binding, network.widths(binding))
    return run(core, binding, parameters, network.widths(binding)), parameters, binding


def grid_program(circular: bool, start: int) -> Program:
    p = Program()
    p.axis("i", 5, start=start, circular=circular)
    p.axis("j", 3)
    p.axis("o", 4, start=-2)
    p.axis("k", 2)
    p.input("x", ("i", "j"), 2)
    return p


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("start", [0, -2])
@pytest.mark.parametrize(
    "indices", [(index(o=1), index(k=1)), (index(1, o=2, k=-1), index(1)), (index(3), index(o=-1, k=1))]
)
def test_gather_and_scatter_are_what_loops_say(circular: bool, start: int, indices: tuple) -> None:  # type: ignore[type-arg]
    p = grid_program(circular, start)
    p.gather("g", "x", indices, ("o", "k"), 2)
    p.emit(Scatter("s", "g", indices, ("i", "j"), span=SPAN), ("i", "j"), 2)
    core = p.core()
    x = np.random.default_rng(0).standard_normal((2, 5, 3, 2))
    binding = bind(core, x)
    env = run(core, binding, {}, {"n": 1})
    gathered, scattered = np.zeros((2, 4, 2, 2)), np.zeros((2, 5, 3, 2))
    for (a, o), (b, k) in itertools.product(enumerate(range(-2, 2)), enumerate(range(2))):
        values = {"o": o, "k": k}
        place = [term.constant.value + sum(c.value * values[axis] for axis, c in term.terms) for term in indices]  # type: ignore[attr-defined]
        i, j = place[0] - start, place[1]
        i = i % 5 if circular else i
        if 0 <= i < 5 and 0 <= j < 3:
            gathered[:, a, b] = x[:, i, j]
            scattered[:, i, j] += x[:, i, j]
    np.testing.assert_allclose(env["g"], gathered, rtol=1e-15)
    np.testing.assert_allclose(env["s"], scattered, rtol=1e-14)


def test_gather_transposes_and_strides() -> None:
    p = Program()
    p.axis("i", 4)
    p.axis("j", 4)
    p.axis("o", 2)
    p.input("x", ("i", "j"))
    p.gather("t", "x", (index(j=1), index(i=1)), ("i", "j"), None)
    p.gather("s", "x", (index(1, o=2), index(j=1)), ("o", "j"), None)
    p.gather("b", "x", (index(2), index(o=-1)), ("j", "o"), None)
    x = np.arange(32.0).reshape(2, 4, 4)
    env = run(p.core(), bind(p.core(), x), {}, {})
    assert np.array_equal(env["t"], x.transpose(0, 2, 1))
    assert np.array_equal(env["s"], x[:, 1::2])
    expected = np.stack([x[:, 2, 0], np.zeros(2)], axis=-1)[:, None].repeat(4, axis=1)
    assert np.array_equal(env["b"], expected)


def test_map_broadcasts_by_the_names_of_axes() -> None:
    p = Program()
    p.axis("i", 3, start=-1)
    p.axis("j", 2)
    p.input("x", ("i", "j"), 2)
    p.input("w", ("j",))
    p.map("y", U * U2 + Position("i"), ("w", "x"), ("j", "i"), 2)
    p.map("c", apply("add", 1, 2), (), ("j",), 2)
    data = make_data(p.core(), 3, 1)
    env = run(p.core(), bind(p.core(), data), {}, {})
    expected = np.einsum("nj,nijc->njic", data["w"], data["x"]) + np.array([-1, 0, 1])[None, None, :, None]
    np.testing.assert_allclose(env["y"], expected, rtol=1e-15)
    assert np.array_equal(env["c"], np.full((1, 2, 2), 3.0))


def test_sums_over_present_and_absent_axes() -> None:
    p = Program()
    p.axis("i", 3)
    p.axis("j", 4)
    p.input("x", ("i",), 2)
    p.sum("s", "x", ("j", "i"), (), 2)  # type: ignore[arg-type]
    p.emit(Max("m", "x", ("i", "j"), span=SPAN), (), 2)
    data = make_data(p.core(), 2, 1)
    env = run(p.core(), bind(p.core(), data), {}, {})
    np.testing.assert_allclose(env["s"], 4 * data["x"].sum(1), rtol=1e-15)
    assert np.array_equal(env["m"], data["x"].max(1))


def test_ties_go_to_the_first_in_row_major_order() -> None:
    p = Program()
    p.axis("i", 2)
    p.axis("j", 3)
    p.input("x", ("i", "j"))
    p.emit(First("a", "x", ("i", "j"), span=SPAN), ("i", "j"), None)
    p.emit(First("b", "x", ("j", "i"), span=SPAN), ("i", "j"), None)
    p.emit(First("c", "x", ("j",), span=SPAN), ("i", "j"), None)
    env = run(p.core(), bind(p.core(), [[[0, 1, 1], [1, 0, 1]]]), {}, {})
    assert env["a"].tolist() == [[[0, 1, 0], [0, 0, 0]]]
    assert env["b"].tolist() == [[[0, 0, 0], [1, 0, 0]]]
    assert env["c"].tolist() == [[[0, 1, 0], [1, 0, 0]]]


def test_softmax_is_stable() -> None:
    p = Program()
    p.axis("i", 2)
    p.axis("j", 3)
    p.input("x", ("i", "j"))
    p.softmax("a", "x", "i", ("i", "j"))
    x = 1e3 * np.random.default_rng(0).standard_normal((4, 2, 3))
    env = run(p.core(), bind(p.core(), x), {}, {})
    np.testing.assert_allclose(env["a"], special.softmax(x, axis=1), rtol=1e-13)


def test_a_network_in_plain_numpy() -> None:
    core = ALL["mlp"]()
    x = np.random.default_rng(0).standard_normal((5, 3))
    env, p, _ = evaluated(core, x)
    h = x @ p["W1"].T + p["b1"]
    a = np.tanh(h)
    g = a @ p["W2"].T
    b = np.tanh(g) + 0.5 * a
    f = (np.sin(b @ p["W2"]) * b) @ p["V_f"][0]
    np.testing.assert_allclose(env["f"], f, rtol=1e-12)


@pytest.mark.parametrize("circular", [False, True])
def test_a_convolution_in_plain_loops(circular: bool) -> None:
    core = ALL["convolution_circular" if circular else "convolution"]()
    x = np.random.default_rng(0).standard_normal((2, 5, 2))
    env, p, _ = evaluated(core, x)

    def read(v: np.ndarray, i: int) -> np.ndarray:
        return v[:, i % 5] if circular else v[:, i] if 0 <= i < 5 else np.zeros_like(v[:, 0])

    h = np.stack([sum(read(x, i + k) @ p["C"][k + 1].T for k in (-1, 0, 1)) for i in range(5)], axis=1)
    a = np.tanh(h)

    def padded(i: int) -> np.ndarray:
        return a[:, i % 5] if circular else a[:, i] if 0 <= i < 5 else np.zeros_like(a[:, 0])

    g = np.stack([sum(padded(2 * o + k) @ p["C2"][k + 1].T for k in (-1, 0, 1)) for o in range(3)], axis=1)
    f = sum(np.sin(g[:, o]) @ p["V"][o, 0] for o in range(3))
    np.testing.assert_allclose(env["f"], f, rtol=1e-12)


def test_attention_in_plain_numpy() -> None:
    core = ALL["attention"]()
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    env, p, _ = evaluated(core, x)
    h = x @ p["W"].T
    scores = np.einsum("nia,nja->nij", h @ p["Q"].T, h @ p["R"].T) / 4
    y = np.tanh(special.softmax(scores, axis=2) @ (h @ p["S"].T))
    np.testing.assert_allclose(env["f"], y @ p["V_f"][0], rtol=1e-12)
    np.testing.assert_allclose(env["g"], y.sum(1) @ p["V_g"][0], rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_recurrence_in_plain_loops(reverse: bool) -> None:
    core = ALL["recurrence_reversed" if reverse else "recurrence"]()
    x = np.random.default_rng(0).standard_normal((2, 4, 2))
    env, p, _ = evaluated(core, x)
    start = np.tanh(p["s0"])
    before, older, states = np.broadcast_to(start, (2, 4)), np.zeros((2, 4)), {}
    for t in reversed(range(4)) if reverse else range(4):
        drive = before @ p["W"].T + x[:, t] @ p["U"].T + p["b"] + 0.3 * older * start
        before, older = np.tanh(drive), before
        states[t] = before
    s = np.stack([states[t] for t in range(4)], axis=1)
    np.testing.assert_allclose(env["s"], s, rtol=1e-12)
    np.testing.assert_allclose(env["f"], (s.sum(1) * s[:, 3]) @ p["V_f"][0], rtol=1e-12)


def test_weights_along_a_diagonal_are_shared_and_zero_outside_their_axis() -> None:
    core = ALL["broadcasting"]()
    data = make_data(core, 2, 1)
    env, p, _ = evaluated(core, data)
    h = data["x"] @ p["W"].T
    for i, j in itertools.product(range(3), range(4)):
        np.testing.assert_allclose(env["g.1"][:, j, i], h[:, i] @ p["D"][i - j + 3].T, rtol=1e-12)


@pytest.mark.parametrize("program", ALL)
def test_keeping_some_variables_changes_no_value(program: str) -> None:
    core = ALL[program]()
    data = make_data(core, 2, 1)
    env, parameters, binding = evaluated(core, data)
    widths = width_sizes(core, 4, {})
    for name in env:
        alone = run(core, binding, parameters, widths, keep=[name])
        assert list(alone) == [name]
        assert np.array_equal(alone[name], env[name])


def test_values_that_are_known_are_not_computed_again() -> None:
    core = ALL["mlp"]()
    env, parameters, binding = evaluated(core, np.ones((2, 3)))
    del parameters["W1"]
    again = run(core, binding, parameters, {"n": 4}, known={"h": env["h"] * 0}, keep=["f"])
    assert np.array_equal(again["f"], np.zeros(2))


def test_functions_of_the_data_need_no_parameters() -> None:
    p = Program()
    p.axis("i", Symbol("T"))
    p.input("x", ("i",), 2)
    p.sum("s", "x", ("i",), (), 2)  # type: ignore[arg-type]
    p.map("m", U / Symbol("T"), ("s",), (), 2)
    p.param("W", (N, 2), 1.0)
    p.matmul("h", "W", "m")
    readout(p, "h")
    core, x = p.core(), np.random.default_rng(0).standard_normal((3, 5, 2))
    env = run_data(core, bind(core, x), ["m", "x"])
    np.testing.assert_allclose(env["m"], x.mean(1), rtol=1e-14)
    assert env["x"] is x
    with pytest.raises(ValueError, match="depend on parameters"):
        run_data(core, bind(core, x), ["h"])


def test_the_data_are_never_written_to() -> None:
    for make in ALL.values():
        core = make()
        data = make_data(core, 2, 1)
        before = {name: array.copy() for name, array in data.items()}
        FiniteNetwork(core, 3).ntk(data, output=core.outputs[0].name)
        assert all(np.array_equal(before[name], data[name]) for name in data)
