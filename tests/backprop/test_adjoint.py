"""The backward pass against central differences, through every instruction, in double precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from tensorprog.backprop.adjoint import differentiate
from tensorprog.core.bind import Binding, bind
from tensorprog.core.evaluate import run, width_sizes
from tensorprog.core.ir import Core, walk
from tensorprog.core.wellformed import check_wellformed
from tensorprog.finite.gram import Use, collect_use
from tensorprog.finite.network import FiniteNetwork
from tests.core.programs import ALL, make_data
from tests.core.sources import TEXTS, core_of

WIDTH = 6


def draw(network: FiniteNetwork, binding: Binding) -> dict[str, np.ndarray]:
    names = tuple(network.core.parameters)
    return {k: v.copy() for k, v in network._draws.parameters(names, binding, network.widths(binding)).items()}


def differences(loss: Callable[[dict[str, np.ndarray]], np.ndarray], parameters: dict[str, np.ndarray], name: str):
    """Return the directional derivative of `loss` at every sample along a random direction of one parameter."""
    direction = np.random.default_rng(5).standard_normal(parameters[name].shape)
    h = 1e-5

    def at(step: float) -> np.ndarray:
        return loss({**parameters, name: parameters[name] + step * direction})

    coarse, fine = (at(2 * h) - at(-2 * h)) / (4 * h), (at(h) - at(-h)) / (2 * h)
    return direction, (4 * fine - coarse) / 3


CORES: dict[str, Callable[[], Core]] = {**ALL, **{name: partial(core_of, name) for name in TEXTS}}


@pytest.mark.parametrize("program", CORES)
def test_gradients_of_outputs_agree_with_finite_differences(program: str) -> None:
    core = CORES[program]()
    network = FiniteNetwork(core, WIDTH, seed=3)
    binding = bind(core, make_data(core, 3, 1))
    parameters = draw(network, binding)
    for output in core.outputs:
        gradients = network.gradients(binding, output.name)

        def loss(p: dict[str, np.ndarray], source: str = output.source) -> np.ndarray:
            return run(core, binding, p, network.widths(binding), keep=[source])[source]

        for name, gradient in gradients.items():
            direction, expected = differences(loss, parameters, name)
            rank = gradient.ndim - direction.ndim
            found = (gradient * direction).reshape(*gradient.shape[:rank], -1).sum(-1)
            np.testing.assert_allclose(
                found, np.broadcast_to(expected, found.shape), rtol=1e-7, atol=1e-8, err_msg=name
            )


def inner_variables() -> list[tuple[str, str]]:
    chosen = {
        "mlp": ["g2"],
        "layer_norm": ["y", "v"],
        "convolution": ["g"],
        "max_pool": ["m", "top"],
        "attention": ["a", "y"],
        "recurrence": ["s", "s.older", "last"],
        "recurrence_reversed": ["s"],
        "stack": ["h", "h.2", "top"],
        "nested": ["u", "s", "z.2"],
        "broadcasting": ["g", "k"],
    }
    return [(program, name) for program, names in chosen.items() for name in names]


@pytest.mark.parametrize(("program", "variable"), inner_variables())
def test_gradients_of_inner_variables_agree_with_finite_differences(program: str, variable: str) -> None:
    core = ALL[program]()
    network = FiniteNetwork(core, WIDTH, seed=4)
    binding = bind(core, make_data(core, 2, 2))
    parameters = draw(network, binding)
    widths = network.widths(binding)
    sweep = network.sweep(binding, variable)
    value = run(core, binding, parameters, widths, keep=[variable])[variable]
    seed = np.random.default_rng(8).standard_normal((1, *value.shape[1:]))
    back = differentiate(core, variable)
    env = run(back, binding, parameters, widths, known={f"d.{variable}": seed})

    def loss(p: dict[str, np.ndarray]) -> np.ndarray:
        full = run(core, binding, p, widths, keep=[variable])[variable] * seed
        return full.reshape(full.shape[0], -1).sum(-1)

    uses: dict[str, list[Use]] = {}
    for gradient in back.gradients:
        operand = env[gradient.operand] if gradient.operand is not None else None
        use = collect_use(gradient, env[gradient.adjoint][None], operand, back, sweep.grid, binding.samples)
        uses.setdefault(gradient.parameter, []).append(use)
    assert uses
    for name in uses:
        total = 0.0
        direction, expected = differences(loss, parameters, name)
        for use in uses[name]:
            for key in use.places:
                place = tuple(k - sweep.grid.starts[a] for k, a in zip(key, core.parameters[name].axes, strict=True))
                for r in use.places[key]:
                    rows, columns = use.rows[0, :, r], use.columns[0, :, r]
                    weight = direction[place].reshape(rows.shape[-1], columns.shape[-1])
                    total = total + np.einsum("na,ab,nb->n", rows, weight, columns)
        np.testing.assert_allclose(total, np.broadcast_to(expected, (2,)), rtol=1e-7, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("program", CORES)
def test_the_backward_pass_is_a_program_with_types_and_spans(program: str) -> None:
    core = CORES[program]()
    for output in core.outputs:
        back = differentiate(core, output.source)
        check_wellformed(back)
        assert back.inputs[-1].name == f"d.{output.source}"
        for instruction in walk(back.body):
            assert instruction.span is not None
        for gradient in back.gradients:
            assert back.types[gradient.adjoint].axes == gradient.axes


def test_only_what_the_variable_depends_on_is_kept() -> None:
    back = differentiate(ALL["attention"](), "q")
    names = {instruction.target for instruction in walk(back.body)}
    assert names == {"h", "q", "d.h"}
    assert [gradient.parameter for gradient in back.gradients] == ["Q", "W"]
    assert width_sizes(back, 8, {}) == {"n": 8}
