"""What is measured of variables over axes and in loops, and passes of many seeds against single ones."""

from __future__ import annotations

import numpy as np
import pytest

import tensorprog as tp
from tensorprog.finite import sweep
from tensorprog.finite.measure import Measured, Measurement, measure, with_probes
from tensorprog.finite.network import FiniteNetwork
from tensorprog.finite.tangent import tangent

STACK = """
program p
width n
axis i : T
axis j : 2
axis k : -1..1
input x[i] : (c)
input a[i, j] : ()
param U : (n, c) ~ N(0, 1 / c)
param V : (1, n) ~ N(0, 1 / n)
h[i] = U @ x[i]
for l in 1..3 {
    param C[k] : (n, n) ~ N(0, 1 / n)
    h[i] = h[i] + sum[k](C[k] @ relu(h[i + k]))
}
g[j] = sum[i](a[i, j] * h[i])
output f[j] = V @ g[j]
"""
T = 4


def network(samples: int = 3) -> tuple[FiniteNetwork, dict[str, np.ndarray]]:
    generator = np.random.default_rng(1)
    data = {"x": generator.standard_normal((samples, T, 2)), "a": generator.standard_normal((samples, T, 2))}
    return FiniteNetwork(tp.parse(STACK).core(), 6), data


def test_moments_have_steps_and_places() -> None:
    net, data = network()
    items = [Measurement(kind, "h#2", "h#2") for kind in (Measured.SECOND, Measured.MEAN, Measured.COVARIANCE)]
    mixed = Measurement(Measured.SECOND, "h", "g")
    found = measure(net, data, [*items, mixed], 0)
    h = net.variables(data, ["h#2", "h", "g"])
    assert h["h#2"].shape == (3, 3, T, 6)
    second, mean, covariance = (found[item] for item in items)
    assert second.shape == (3, 3, 3, T, T)
    np.testing.assert_allclose(second[0, 2, 1, 3, 0], h["h#2"][0, 1, 3] @ h["h#2"][2, 1, 0] / 6, rtol=1e-12)
    np.testing.assert_allclose(mean, h["h#2"].mean(-1), rtol=1e-12)
    expected = second[1, 2, 0, 3, 2] - mean[1, 0, 3] * mean[2, 0, 2]
    np.testing.assert_allclose(covariance[1, 2, 0, 3, 2], expected, rtol=1e-12)
    assert found[mixed].shape == (3, 3, 1, T, 2)
    np.testing.assert_allclose(found[mixed][2, 0, 0, 3, 1], h["h"][2, 3] @ h["g"][0, 1] / 6, rtol=1e-12)


def test_kernels_of_outputs_have_places() -> None:
    net, data = network()
    variable = net.core.outputs[0].source
    nngp, ntk = (Measurement(kind, variable, variable) for kind in (Measured.SECOND, Measured.TANGENT))
    found = measure(net, data, [nngp, ntk], 0)
    g = net.variables(data, ["g"])["g"]
    np.testing.assert_allclose(found[nngp][:, :, 0], np.einsum("ipa,jqa->ijpq", g, g) / 6, rtol=1e-10)
    np.testing.assert_allclose(found[ntk][:, :, 0], net.ntk(data), rtol=1e-12)


def test_probes_read_one_step_at_all_places() -> None:
    net, data = network()
    item = Measurement(Measured.TANGENT, "h#2", "h#2", 2)
    probed = FiniteNetwork(with_probes(net.core, [item]), 6)
    value = probed.variables(data, ["h#2@2", "h#2"])
    np.testing.assert_array_equal(value["h#2@2"], value["h#2"][:, 1])
    assert measure(probed, data, [item], 0)[item].shape == (3, 3, 1, T, T)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("variable", ["h", "g", "h#2@3"])
def test_seeds_beside_each_other_give_what_single_ones_give(
    samples: int, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, data = network(samples)
    probed = FiniteNetwork(with_probes(net.core, [Measurement(Measured.TANGENT, "h#2", "h#2", 3)]), 6)
    together = tangent(probed, data, None, variable, variable)
    monkeypatch.setattr(sweep, "LARGEST_PASS", 1)
    np.testing.assert_allclose(tangent(probed, data, None, variable, variable), together, rtol=1e-12, atol=1e-14)
