"""Everything that a limit predicts, measured on one draw of a network: moments, tangents and kernels.

What is measured of variables over axes has one entry for every place of the left variable and of the right one: P and Q
are their numbers of places (1 without axes, the axis of a loop does not count), in row-major order.

Where a random readout can be integrated out exactly, it is: the NNGP of f = V h is measured as
E[f f' | h] = σ_V² ⟨h, h'⟩, an average over n coordinates and not the product of two random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from tensorprog.core.ir import Affine, Core, Gather, MatMul, Repeat, Type, walk
from tensorprog.core.values import Array
from tensorprog.finite.network import FiniteNetwork
from tensorprog.finite.sweep import Sweep
from tensorprog.finite.tangent import tangent, tangent_of_sweeps
from tensorprog.nonlin.expression import Number

__all__ = ["Measured", "Measurement", "integrate_readout", "loop_axes", "measure", "place_axes", "with_probes"]


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
    types = {probe.target: Type(probe.axes, core.types[probe.source].dimension) for probe in probes}
    return replace(core, body=(*core.body, *probes), types={**core.types, **types})


def _gather(core: Core, name: str, step: int) -> Gather:
    """Return the read of a variable at one step of its loop, at all its places."""
    loops, one = loop_axes(core), Number(1)
    index = tuple(
        Affine(Number(step)) if axis in loops else Affine(Number(0), ((axis, one),)) for axis in core.types[name].axes
    )
    return Gather(_probe(name, step), name, index, place_axes(core, name), span=core.body[-1].span)


def loop_axes(core: Core) -> frozenset[str]:
    """Return the axes that count the iterations of loops."""
    return frozenset(instruction.axis for instruction in walk(core.body) if isinstance(instruction, Repeat))


def place_axes(core: Core, name: str) -> tuple[str, ...]:
    """Return the axes of a variable but for that of its loop."""
    loops = loop_axes(core)
    return tuple(axis for axis in core.types[name].axes if axis not in loops)


def measure(network: FiniteNetwork, x: Any, wanted: Sequence[Measurement], seed: int) -> dict[Measurement, Array]:
    """Return all that is wanted on one draw: (N, L, P) for means and scalars, (N, N, L, P, Q) for the others.

    Args:
        network: the draw.
        x: data of N samples.
        wanted: what to measure. A variable of a rolled loop has one value for each of its L steps, others have L = 1.
        seed: of the random signs with which tangents of vectors are estimated.
    """
    moments = sorted({name for item in wanted if item.kind is not Measured.TANGENT for name in (item.left, item.right)})
    tangents = sorted({name for item in wanted if item.kind is Measured.TANGENT for name in item.variables})
    values = network.variables(x, moments) if moments else {}
    sweeps = network.sweeps(x, tangents) if tangents else {}
    return {
        item: _at_places(tangent_of_sweeps(sweeps[item.variables[0]], sweeps[item.variables[1]], 1, seed), sweeps, item)
        if item.kind is Measured.TANGENT
        else _measure(item, network, x, values)
        for item in wanted
    }


def _at_places(kernel: Array, sweeps: Mapping[str, Sweep], item: Measurement) -> Array:
    """Return a kernel (N, N, *axes, *axes′) as an array (N, N, 1, P, Q)."""
    left, right = (math.prod(sweeps[name].shape()) for name in item.variables)
    return kernel.reshape(*kernel.shape[:2], 1, left, right)


def _measure(item: Measurement, network: FiniteNetwork, x: Any, values: Mapping[str, Array]) -> Array:
    core = network.core
    left, right = (_by_steps(values[name], name, core) for name in (item.left, item.right))
    is_scalar = core.types[item.left].dimension is None
    if item.kind is Measured.SCALAR:
        return left[..., 0]
    if item.kind is Measured.MEAN:
        return np.asarray(left.mean(axis=-1))
    if is_scalar:
        kernel = integrate_readout(network, x, item.left)
        return kernel.reshape(*kernel.shape[:2], 1, left.shape[2], right.shape[2])
    return _moment(left, right, item.kind)


def _by_steps(value: Array, name: str, core: Core) -> Array:
    """Return a variable as an array (N, L, P, n): steps of its loop, places on its other axes, coordinates."""
    axes, loops = core.types[name].axes, loop_axes(core)
    steps = [1 + place for place, axis in enumerate(axes) if axis in loops]
    moved = np.moveaxis(value, steps, range(1, 1 + len(steps)))
    shape = moved.shape[1 : 1 + len(axes)]
    size = value.shape[-1] if core.types[name].dimension is not None else 1
    return moved.reshape(len(value), math.prod(shape[: len(steps)]), math.prod(shape[len(steps) :]), size)


def _moment(left: Array, right: Array, kind: Measured) -> Array:
    """Return (1/n) Σ_α v_α w_α, at equal steps of a loop; less the product of the means for a covariance."""
    second = np.matmul(left[:, None], right[None].swapaxes(-1, -2)) / left.shape[-1]
    if kind is Measured.SECOND:
        return np.asarray(second)
    means = left.mean(axis=-1)[:, None, :, :, None], right.mean(axis=-1)[None, :, :, None, :]
    return np.asarray(second - means[0] * means[1])


def integrate_readout(network: FiniteNetwork, x: Any, variable: str) -> Array:
    """Return E[f(x) f(x')] over the readouts and output biases, the rest held fixed: (N, N, *axes, *axes′).

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
