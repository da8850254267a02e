"""A network of finite width: one draw of the parameters, its outputs, gradients, tangent kernel and inner variables."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from tensorprog.core.bind import Binding, bind, check_pair
from tensorprog.core.dependence import parameters_read, prune
from tensorprog.core.evaluate import run, width_sizes
from tensorprog.core.ir import Core
from tensorprog.core.values import Array, broadcast_samples
from tensorprog.errors import DataError, Diagnostic
from tensorprog.finite.draw import Draws, Entries
from tensorprog.finite.gram import use_gradient
from tensorprog.finite.sweep import Backward, Sweep, pair_uses
from tensorprog.nonlin.evaluate import evaluate_integer

__all__ = ["FiniteNetwork"]


class FiniteNetwork:
    """One network of width `width`, its parameters drawn from `seed`.

    Attributes:
        core: the forward program.
        width: the size of the first width; others are at their ratio to it.
    """

    def __init__(
        self, core: Core, width: int, seed: int = 0, entries: str = "gaussian", dtype: Any = "float64"
    ) -> None:
        """Make a network; parameters are drawn when data first bind their sizes, and kept.

        Args:
            core: a forward program.
            width: the size of the first width, at least 1.
            seed: the same seed and sizes give the same network.
            entries: "gaussian", "uniform" or "rademacher": the law of matrices of infinite fan-in. Data layers and
                vectors stay Gaussian.
            dtype: float64 or float32, in which everything is computed.

        Raises:
            DataError: an option has no such value (TP410).
        """
        self.core = core
        self.width = _check_count("width", width, 1)
        self.dtype = _check_dtype(dtype)
        self._draws = Draws(core, _check_count("seed", seed, 0), _check_entries(entries), self.dtype)
        self._backwards: dict[str, Backward] = {}

    def __repr__(self) -> str:
        return f"FiniteNetwork({self.core.name!r}, width={self.width}, seed={self._draws.seed})"

    def __call__(self, x: Any, output: str | None = None) -> Array:
        """Return an output (the first by default) on data (N, *axes, *shape): (N,), or (N, *axes) if it has axes."""
        source = self._source(output)
        return self.variables(x, (source,))[source]

    def redraw(self, seed: int, width: int | None = None) -> FiniteNetwork:
        """Return a network of the same program and options, drawn anew; backward passes already written are shared."""
        new = FiniteNetwork(self.core, width or self.width, seed, self._draws.entries.value, self.dtype)
        new._backwards = self._backwards
        return new

    def with_core(self, core: Core) -> FiniteNetwork:
        """Return the same draw under a core that differs only in what is trained and at which rates."""
        new = self.redraw(self._draws.seed)
        new.core, new._draws = core, self._draws
        return new

    def variables(self, x: Any, names: Iterable[str]) -> dict[str, Array]:
        """Return variables of the core by name: (N, *axes) for scalars, (N, *axes, dimension) for vectors."""
        binding, names = self.bind(x), tuple(names)
        for name in names:
            self._check_variable(name)
        values = run(self.core, binding, self._parameters(binding, names), self.widths(binding), keep=names)
        return {name: np.array(broadcast_samples(values[name], binding.samples)) for name in names}

    def ntk(self, x1: Any, x2: Any = None, output: str | None = None) -> Array:
        """Return the empirical tangent kernel Σ_p lr_p ⟨∂f(x)/∂p, ∂f(x′)/∂p⟩ of this draw.

        Args:
            x1: data of N1 samples.
            x2: data of N2 samples; None for `x1` itself, and then the result is exactly symmetric.
            output: the name of an output, the first by default.

        Returns:
            (N1, N2), or (N1, N2, *axes, *axes′) for an output with axes. It is assembled from Gram products of the
            adjoints and the operands of every use of a parameter; no gradient of a sample is formed.
        """
        source = self._source(output)
        first = self.sweep(x1, source)
        uses = first.uses(None)
        if x2 is None:
            return symmetrize(pair_uses(first, uses, first, uses), len(first.shape()))
        second = self.sweep(x2, source)
        check_pair(first.binding, second.binding, self.core)
        return pair_uses(first, uses, second, second.uses(None))

    def gradients(self, x: Any, output: str | None = None) -> dict[str, Array]:
        """Return ∂f/∂p for every trained parameter p as arrays (N, *axes of f, *axes of p, *shape of p).

        For tests and the curious: the memory is the number of samples times the number of parameters.
        """
        sweep = self.sweep(x, self._source(output))
        uses = sweep.uses(None)
        trained = (name for name, parameter in self.core.parameters.items() if parameter.trained)
        return {name: _assemble(name, sweep, uses.get(name, [])) for name in trained}

    def bind(self, x: Any) -> Binding:
        """Return data bound to the program, in the precision of the network; a binding passes."""
        return x if isinstance(x, Binding) else bind(self.core, x, dtype=self.dtype)

    def widths(self, binding: Binding) -> dict[str, int]:
        """Return the size of every width."""
        return width_sizes(self.core, self.width, binding.sizes)

    def sweep(self, x: Any, variable: str) -> Sweep:
        """Return the forward values on `x`, ready for backward passes of `variable`."""
        return self.sweeps(x, (variable,))[variable]

    def sweeps(self, x: Any, variables: Iterable[str]) -> dict[str, Sweep]:
        """Return the sweeps of several variables; their forward values are computed once."""
        names, binding = tuple(variables), self.bind(x)
        widths, parameters = self.widths(binding), self._parameters(binding, names)
        backwards = {name: self._backward(name) for name in names}
        read = {name: backward.read_forward() for name, backward in backwards.items()}
        values = run(self.core, binding, parameters, widths, keep=frozenset[str]().union(*read.values()))
        return {
            name: Sweep(backward, binding, widths, parameters, {key: values[key] for key in read[name] & values.keys()})
            for name, backward in backwards.items()
        }

    def _backward(self, variable: str) -> Backward:
        """Return the backward pass of a variable under the rates of this core."""
        self._check_variable(variable)
        if variable not in self._backwards:
            self._backwards[variable] = Backward.of(self.core, variable)
        written = self._backwards[variable]
        return replace(written, core=replace(written.core, parameters=self.core.parameters))

    def _parameters(self, binding: Binding, names: Iterable[str]) -> dict[str, Array]:
        used = parameters_read(prune(self.core.body, names))
        return self._draws.parameters(used, binding, self.widths(binding))

    def _source(self, output: str | None) -> str:
        if output is None:
            return self.core.outputs[0].source
        sources = {entry.name: entry.source for entry in self.core.outputs}
        if output not in sources:
            raise _unknown("output", output, sources)
        return sources[output]

    def _check_variable(self, name: str) -> None:
        if name not in self.core.types:
            raise _unknown("variable", name, self.core.types)


def symmetrize(kernel: Array, rank: int) -> Array:
    """Return the symmetric part of a kernel (N, N, *axes, *axes′) of two times `rank` axes."""
    axes = (1, 0, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    return (kernel + kernel.transpose(axes)) / 2


def _assemble(name: str, sweep: Sweep, uses: list[Any]) -> Array:
    """Return the gradient of one parameter from its uses."""
    grid, parameter = sweep.grid, sweep.backward.core.parameters[name]
    shape = tuple(evaluate_integer(extent, grid.sizes) for extent in parameter.shape)
    extents, positions = grid.shape(parameter.axes), sweep.shape()
    seeds = int(np.prod(positions, dtype=np.int64))
    total = np.zeros((seeds, sweep.binding.samples, *extents, *shape), sweep.binding.dtype)
    for use in uses:
        for key in use.places:
            place = tuple(k - grid.starts[axis] for k, axis in zip(key, parameter.axes, strict=True))
            block = use_gradient(use, key)
            total[(slice(None), slice(None), *place)] += block.reshape(seeds, block.shape[1], *shape)
    return np.moveaxis(total, 0, 1).reshape(sweep.binding.samples, *positions, *extents, *shape)


def _unknown(what: str, name: str, known: Iterable[str]) -> DataError:
    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean `{near[0]}`?" if near else None
    return DataError(Diagnostic("TP411", f"the program has no {what} `{name}`", hint=hint))


def _check_count(what: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(Diagnostic("TP410", f"the {what} must be an integer of at least {least}, not {value!r}"))
    return int(value)


def _check_entries(entries: str) -> Entries:
    try:
        return Entries(entries)
    except ValueError:
        known = ", ".join(f'"{entry.value}"' for entry in Entries)
        raise DataError(Diagnostic("TP410", f"unknown entries {entries!r}", hint=f"one of {known}")) from None


def _check_dtype(dtype: Any) -> np.dtype[Any]:
    for known in (np.float64, np.float32):
        if dtype in (known, known.__name__) or dtype == np.dtype(known):
            return np.dtype(known)
    raise DataError(Diagnostic("TP410", f"unknown dtype {dtype!r}", hint='one of "float64", "float32"'))
