"""Versines of moments over axes: where they are carried, and the sums that are taken only where they count."""

from __future__ import annotations

from typing import Any

import tensorprog as tp
from tensorprog.kernel.gate import find_gate, open_terms
from tensorprog.kernel.ir import Contract, definitions

CONVOLUTION = """
program p
width n
axis i : T
axis k : -1..1
input x[i] : (c)
param C[k] : (n, c) ~ N(0, 1.0 / (3 * c))
param b    : (n)    ~ N(0, 0.1)
param W[k] : (n, n) ~ N(0, 2.0 / (3 * n))
param V    : (1, n) ~ N(0, 1 / n)
h[i] = sum[k](C[k] @ x[i + k]) + b
g[i] = sum[k](W[k] @ {}(h[i + k]))
output f = V @ mean[i](relu(g[i]))
"""


def _pair(activation: str) -> dict[str, Any]:
    kernel: Any = tp.parse(CONVOLUTION.format(activation)).compile(backend="interpret")
    return {definition.name: definition for definition in definitions(kernel.ir.pair)}


def test_a_convolution_carries_a_gated_sum_of_shares() -> None:
    found = _pair("relu")
    versine = found["K_h:versine"]
    assert isinstance(versine, Contract)
    gate = find_gate(versine)
    assert gate is not None
    assert gate.name == "K_h:coarse"
    # The bias, and the filter: products and differences of its shares.
    assert sorted(len(term.bound) for term in open_terms(versine)) == [0, 1, 1]
    assert find_gate(found["K_h"]) is None
    assert {"K_g:versine"} < found.keys()


def test_without_a_rule_for_the_activation_angles_stay_as_they_were() -> None:
    found = _pair("erf")
    assert "K_g" in found
    assert not any(name.endswith(":versine") for name in found)
