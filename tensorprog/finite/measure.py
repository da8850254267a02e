"""Everything that a limit predicts, measured on one draw of a network: moments, tangents and kernels.

Where a random readout can be integrated out exactly, it is: the NNGP of f = V h is measured as
E[f f' | h] = σ_V² ⟨h, h'⟩, an average over n coordinates and not the product of two random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from tensorprog.core.ir import Affine, Core, Gather, MatMul, Type, walk
from tensorprog.core.values import Array
from tensorprog.finite.network import FiniteNetwork
from tensorprog.finite.tangent import tangent, tangent_of_sweeps
from tensorprog.nonlin.expression import Number

__all__ = ["Measured", "Measurement", "integrate_readout", "measure", "with_probes"]


class Measured(Enum):
    """What can be measured: a mean over coordinates, a scalar, a second moment or covariance, a tangent."""

    MEAN = "mean"
    SCALAR = "scalar"
    SECOND = "second"
    COVARIANCE = "covariance"
    TANGENT = "tangent"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One request: a kind, the variable(s) it is of, and the step of their loop if only one is wanted."""

    kind: Measured
    left: str
    right: str
    step: int | None = None

    @property
    def variables(self) -> tuple[str, str]:
        """The variables to read: probes of a single step, or the variables themselves."""
        if self.step is None:
            return self.left, self.right
        return _probe(self.left, self.step), _probe(self.right, self.step)


def _probe(name: str, step: int) -> str:
    return f"{name}@{step}"


def with_probes(core: Core, wanted: Sequence[Measurement]) -> Core:
    """Return the program with a variable of its own for every single step that is wanted."""
    steps = {(name, item.step): None for item in wanted if item.step is not None for name in (item.left, item.right)}
    probes = [_gather(core, name, step) for name, step in steps]
    types = {probe.target: Type((), core.types[probe.source].dimension) for probe in probes}
    return replace(core, body=(*core.body, *probes), types={**core.types, **types})


def _gather(core: Core, name: str, step: int) -> Gather:
    index = (Affine(Number(step)),) if core.types[name].axes else ()
    return Gather(_probe(name, step), name, index, (), span=core.body[-1].span)


def measure(network: FiniteNetwork, x: Any, wanted: Sequence[Measurement], seed: int) -> dict[Measurement, Array]:
    """Return all that is wanted on one draw: (N, *steps) for means and scalars, (N, N, *steps) for the others.

    Args:
        network: the draw.
        x: data of N samples.
        wanted: what to measure. A variable of a rolled loop has one value per step, `steps` then is (L,).
        seed: of the random signs with which tangents of vectors are estimated.
    """
    moments = sorted({name for item in wanted if item.kind is not Measured.TANGENT for name in (item.left, item.right)})
    tangents = sorted({name for item in wanted if item.kind is Measured.TANGENT for name in item.variables})
    values = network.variables(x, moments) if moments else {}
    sweeps = network.sweeps(x, tangents) if tangents else {}
    return {
        item: _same_step(tangent_of_sweeps(sweeps[item.variables[0]], sweeps[item.variables[1]], 1, seed))
        if item.kind is Measured.TANGENT
        else _measure(item, network, x, values)
        for item in wanted
    }


def _measure(item: Measurement, network: FiniteNetwork, x: Any, values: Mapping[str, Array]) -> Array:
    left, right = values[item.left], values[item.right]
    is_scalar = network.core.types[item.left].dimension is None
    if item.kind is Measured.SCALAR:
        return left
    if item.kind is Measured.MEAN:
        return np.asarray(left.mean(axis=-1))
    if is_scalar:
        return integrate_readout(network, x, item.left)
    return _moment(left, right, item.kind)


def _moment(left: Array, right: Array, kind: Measured) -> Array:
    """Return (1/n) Σ_α v_α w_α, at equal steps of a loop; less the product of the means for a covariance."""
    second = np.einsum("i...a,j...a->ij...", left, right, optimize=True) / left.shape[-1]
    if kind is Measured.SECOND:
        return np.asarray(second)
    means = left.mean(axis=-1)[:, None], right.mean(axis=-1)[None, :]
    return np.asarray(second - means[0] * means[1])


def _same_step(kernel: Array) -> Array:
    """Return the diagonal over the steps of a loop of an array (N, N, L, L)."""
    return np.asarray(np.einsum("ijll->ijl", kernel)) if kernel.ndim == 4 else kernel


def integrate_readout(network: FiniteNetwork, x: Any, variable: str) -> Array:
    """Return E[f(x) f(x')] over the readouts and output biases, the rest of the network held fixed: (N, N).

    f is linear in them and they have mean zero, so this is Σ_p Var(p) ⟨∂f/∂p, ∂f/∂p'⟩ over these parameters alone.
    """
    readouts = _outermost(network.core)
    only = {
        name: replace(parameter, trained=name in readouts, rate=None)
        for name, parameter in network.core.parameters.items()
    }
    restricted = network.with_core(replace(network.core, parameters=only))
    return tangent(restricted, x, None, variable, variable)


def _outermost(core: Core) -> frozenset[str]:
    """Return the parameters whose uses give scalars: readouts and output biases."""
    scalars = {i.parameter for i in walk(core.body) if isinstance(i, MatMul) and core.types[i.target].dimension is None}
    biases = {
        name for name, parameter in core.parameters.items() if len(parameter.shape) < 2 and _is_scalar(core, name)
    }
    return frozenset(scalars | biases)


def _is_scalar(core: Core, name: str) -> bool:
    loads = [i for i in walk(core.body) if getattr(i, "parameter", None) == name]
    return bool(loads) and all(core.types[i.target].dimension is None for i in loads)
