"""The sampler: tangent kernels against explicit Jacobians, draws, outputs, options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import stats

from tensorprog.core.ir import Core
from tensorprog.errors import DataError
from tensorprog.finite import tangent
from tensorprog.finite.network import FiniteNetwork
from tensorprog.finite.sweep import pair_uses
from tensorprog.nonlin.expression import Number, Position, Symbol
from tests.core.programs import ALL, N, Program, U, data_layer, index, make_data, readout
from tests.core.sources import TEXTS, core_of


def jacobian_kernel(network: FiniteNetwork, x1: object, x2: object, output: str) -> np.ndarray:
    """Return Σ_p lr_p ⟨∂f/∂p, ∂f′/∂p⟩ from explicit gradients."""
    first, second = network.gradients(x1, output), network.gradients(x2, output)
    shape = network(x1, output).shape[1:]
    sweep = network.sweep(x1, dict((o.name, o.source) for o in network.core.outputs)[output])
    total = 0.0
    for name in first:
        rates = np.zeros([sweep.binding.extents[axis] for axis in network.core.parameters[name].axes])
        if name in parameters_used(sweep.backward.core):
            for place, rate in zip(np.ndindex(rates.shape), sweep.rates(name).values(), strict=True):
                rates[place] = rate
        tail = network.core.parameters[name].shape
        g = first[name]
        rates = rates.reshape((*rates.shape, *(1 for _ in tail)))
        a = (g * rates).reshape(*g.shape[: 1 + len(shape)], -1)
        b = second[name].reshape(*second[name].shape[: 1 + len(shape)], -1)
        product = np.tensordot(a, b, axes=(-1, -1))
        total = total + np.moveaxis(product, 1 + len(shape), 1)
    return np.asarray(total)


def parameters_used(core: Core) -> set[str]:
    return {gradient.parameter for gradient in core.gradients}


CORES: dict[str, Callable[[], Core]] = {**ALL, **{name: partial(core_of, name) for name in TEXTS}}


@pytest.mark.parametrize("program", CORES)
def test_ntk_is_the_gram_matrix_of_the_jacobian(program: str) -> None:
    core = CORES[program]()
    network = FiniteNetwork(core, 7, seed=1)
    x1, x2 = make_data(core, 3, 10), make_data(core, 2, 11)
    for output in (entry.name for entry in core.outputs):
        expected = jacobian_kernel(network, x1, x2, output)
        np.testing.assert_allclose(network.ntk(x1, x2, output), expected, rtol=1e-11, atol=1e-12)
        same = network.ntk(x1, output=output)
        np.testing.assert_allclose(same, jacobian_kernel(network, x1, x1, output), rtol=1e-11, atol=1e-12)
        rank = (same.ndim - 2) // 2
        flipped = same.transpose(1, 0, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
        assert np.array_equal(same, flipped)


def test_ntk_of_sequences_of_different_lengths() -> None:
    core = ALL["recurrence"]()
    network = FiniteNetwork(core, 7, seed=1)
    x1, x2 = make_data(core, 2, 1, T=3), make_data(core, 2, 2, T=5)
    np.testing.assert_allclose(network.ntk(x1, x2), network.ntk(x2, x1).T, rtol=1e-12)
    np.testing.assert_allclose(network.ntk(x1, x2), jacobian_kernel(network, x1, x2, "f"), rtol=1e-11)


def test_an_output_with_axes_has_two_more_pairs_of_axes() -> None:
    core = ALL["attention"]()
    network = FiniteNetwork(core, 5)
    x1, x2 = make_data(core, 2, 1, T=3), make_data(core, 4, 2, T=5)
    assert network(x1).shape == (2, 3)
    assert network(x1, "g").shape == (2,)
    assert network.ntk(x1, x2).shape == (2, 4, 3, 5)
    assert network.ntk(x1, x2, "g").shape == (2, 4)


def test_indexed_weights_are_the_same_where_two_extents_overlap() -> None:
    core = ALL["convolution"]()
    network = FiniteNetwork(core, 4, seed=2)
    short, long = network.bind(make_data(core, 1, 1, H=3)), network.bind(make_data(core, 1, 1, H=5))
    one = network._draws.parameters(("V",), short, {"n": 4})["V"]
    two = network._draws.parameters(("V",), long, {"n": 4})["V"]
    assert np.array_equal(one, two[: len(one)])
    x1, x2 = make_data(core, 2, 3, H=3), make_data(core, 2, 4, H=5)
    assert network.ntk(x1, x2).shape == (2, 2)


def frozen_program() -> Core:
    p = Program()
    p.symbols["alpha"] = 2.0
    p.axis("k", 2)
    data_layer(p)
    p.param("F", (N, N), 1 / N, trained=False)
    p.param("G", (N, N), (1 + Position("k")) / N, ("k",), rate=(3 + Position("k")) / N)
    p.matmul("g", "F", "h")
    p.map("a", U / (1 + U * U), ("g",))
    p.matmul("e.1", "G", "a", ("k",), indices=(index(k=1),))
    p.sum("e", "e.1", ("k",))
    readout(p, "e")
    return p.core()


def test_rates_and_frozen_parameters() -> None:
    core = frozen_program()
    network = FiniteNetwork(core, 6)
    x = make_data(core, 3, 1)
    assert "F" not in network.gradients(x)
    np.testing.assert_allclose(network.ntk(x), jacobian_kernel(network, x, x, "f"), rtol=1e-11)
    assert network.sweep(x, "f").rates("G") == {(0,): 3 / 6, (1,): 4 / 6}


def test_the_same_seed_and_sizes_give_the_same_network() -> None:
    core = ALL["mlp"]()
    x = make_data(core, 3, 1)
    assert np.array_equal(FiniteNetwork(core, 9, 5)(x), FiniteNetwork(core, 9, 5)(x))
    assert not np.array_equal(FiniteNetwork(core, 9, 5)(x), FiniteNetwork(core, 9, 6)(x))


def test_redrawn_networks_share_what_does_not_depend_on_the_draw() -> None:
    core = ALL["mlp"]()
    x = make_data(core, 3, 1)
    network = FiniteNetwork(core, 9, 5, dtype="float32")
    network.ntk(x)
    other = network.redraw(6, width=11)
    assert np.array_equal(other.ntk(x), FiniteNetwork(core, 11, 6, dtype="float32").ntk(x))


def test_the_same_draw_with_other_parameters_trained() -> None:
    core = ALL["mlp"]()
    x = make_data(core, 3, 1)
    network = FiniteNetwork(core, 9, 5)
    only = {name: replace(p, trained=name == "V_f", rate=None) for name, p in core.parameters.items()}
    restricted = network.with_core(replace(core, parameters=only))
    c = network.variables(x, ["c"])["c"]
    assert np.array_equal(network(x), restricted(x))
    np.testing.assert_allclose(restricted.ntk(x), c @ c.T / 9, rtol=1e-12)
    np.testing.assert_allclose(network.ntk(x), jacobian_kernel(network, x, x, "f"), rtol=1e-11)


@pytest.mark.parametrize("entries", ["gaussian", "uniform", "rademacher"])
def test_entries_have_the_stated_law(entries: str) -> None:
    core = ALL["mlp"]()
    network = FiniteNetwork(core, 200, 3, entries)
    binding = network.bind(make_data(core, 1, 1))
    drawn = network._draws.parameters(("W1", "W2", "b1"), binding, {"n": 200})
    scaled = drawn["W2"].ravel() / np.sqrt(1.5 / 200)
    if entries == "rademacher":
        np.testing.assert_allclose(np.abs(scaled), 1.0, rtol=1e-15)
        assert abs(scaled.mean()) < 5 / np.sqrt(scaled.size)
    else:
        law = stats.norm() if entries == "gaussian" else stats.uniform(-np.sqrt(3), 2 * np.sqrt(3))
        assert stats.kstest(scaled, law.cdf).pvalue > 1e-4
    assert stats.kstest(drawn["W1"].ravel() / np.sqrt(1 / 3), "norm").pvalue > 1e-4
    assert stats.kstest(drawn["b1"] / np.sqrt(0.3), "norm").pvalue > 1e-4


@pytest.mark.parametrize("program", ALL)
def test_float32_is_float64_to_its_precision_and_stays_float32(program: str) -> None:
    core = ALL[program]()
    x = make_data(core, 2, 1)
    network = FiniteNetwork(core, 16, 2, dtype="float32")
    assert network(x).dtype == np.float32
    assert network.ntk(x).dtype == np.float32
    assert all(value.dtype == np.float32 for value in network.gradients(x).values())


def test_variables_are_named_values_of_the_core() -> None:
    core = ALL["layer_norm"]()
    network = FiniteNetwork(core, 32)
    values = network.variables(make_data(core, 3, 1), ["h", "m", "v", "y"])
    np.testing.assert_allclose(values["m"], values["h"].mean(-1), rtol=1e-13)
    np.testing.assert_allclose(values["v"], values["h"].var(-1), rtol=1e-12)
    expected = (values["h"] - values["m"][:, None]) / np.sqrt(values["v"] + 1e-3)[:, None]
    np.testing.assert_allclose(values["y"], expected, rtol=1e-12)


def test_dependent_widths_keep_their_ratio() -> None:
    p = Program(widths={"n": None, "m": 4 * N})
    data_layer(p)
    m = Symbol("m")
    p.param("W", (m, N), 1 / N)
    p.matmul("g", "W", "h", dimension=m)
    p.param("V", (1, m), 1 / m)
    p.matmul("f", "V", "g", (), None)
    p.output("f", "f")
    network = FiniteNetwork(p.core(), 5)
    assert network.variables(np.ones((2, 3)), ["g"])["g"].shape == (2, 20)


def test_bad_options_are_refused() -> None:
    core = ALL["mlp"]()
    for options in (
        {"width": 0},
        {"width": 2.5},
        {"seed": -1},
        {"entries": "cauchy"},
        {"dtype": "float16"},
        {"dtype": "x"},
    ):
        with pytest.raises(DataError) as caught:
            FiniteNetwork(core, **{"width": 4, **options})
        assert caught.value.code == "TP410"
    network = FiniteNetwork(core, 4)
    with pytest.raises(DataError, match="did you mean `f`"):
        network(np.ones((1, 3)), output="ff")
    with pytest.raises(DataError, match="no variable `zz`"):
        network.variables(np.ones((1, 3)), ["zz"])


@pytest.mark.parametrize(
    ("program", "left", "right"), [("mlp", "g2", "g"), ("recurrence", "s", "last"), ("attention", "y", "y")]
)
def test_tangent_averages_to_the_trace_of_the_jacobian_product(program: str, left: str, right: str) -> None:
    """With width 1 every probe is exact; with all 2ⁿ signs of a small width the average is."""
    core = ALL[program]()
    network = FiniteNetwork(core, 3, seed=2)
    x1, x2 = make_data(core, 2, 1), make_data(core, 3, 2)
    n, exact = 3, 0.0
    first, second = network.sweep(x1, left), network.sweep(x2, right)
    for coordinate in np.eye(n):
        exact = exact + pair_uses(first, first.uses(coordinate), second, second.uses(coordinate))
    signs = [2.0 * np.array([k & 1, k >> 1 & 1, k >> 2 & 1]) - 1 for k in range(8)]
    average = sum(pair_uses(first, first.uses(s), second, second.uses(s)) for s in signs) / 8
    np.testing.assert_allclose(average, exact, rtol=1e-10, atol=1e-12)
    estimate = tangent.tangent(network, x1, x2, left, right, probes=100)
    assert estimate.shape == np.shape(exact)
    spread = np.std([tangent.tangent(network, x1, x2, left, right, probes=1, seed=k) for k in range(20)], axis=0)
    assert (np.abs(estimate - exact / n) <= 6 * spread / np.sqrt(100) + 1e-12).all()


def test_second_moment_and_mean() -> None:
    core = ALL["attention"]()
    network = FiniteNetwork(core, 4, seed=2)
    x1, x2 = make_data(core, 2, 1, T=3), make_data(core, 3, 2, T=4)
    v, w = network.variables(x1, ["y"])["y"], network.variables(x2, ["v"])["v"]
    expected = np.einsum("nia,mja->nmij", v, w) / 4
    np.testing.assert_allclose(tangent.second_moment(network, x1, x2, "y", "v"), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(tangent.mean(network, x1, "y"), v.mean(-1), rtol=1e-13)
    same = tangent.second_moment(network, x1, None, "y", "y")
    assert np.array_equal(same, same.transpose(1, 0, 3, 2))


def test_the_ntk_of_a_linear_readout_of_features() -> None:
    """f = V @ φ(h) with V trained alone: Θ = (1/n) φ(h)·φ(h′)."""
    p = Program()
    p.input("x", (), 3)
    p.param("W", (N, 3), Number(1) / 3, trained=False)
    p.matmul("h", "W", "x")
    p.map("a", U * U, ("h",))
    readout(p, "a")
    network = FiniteNetwork(p.core(), 50)
    x = np.random.default_rng(0).standard_normal((4, 3))
    a = network.variables(x, ["a"])["a"]
    np.testing.assert_allclose(network.ntk(x), a @ a.T / 50, rtol=1e-12)
