"""Running core programs at finite width: this defines what a program means.

The sampler runs forward and backward passes here, and the kernels use it for what depends on the data alone. What the
single instructions do stands in `core.execute`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from tensorprog.core.bind import Binding, bind, check_pair
from tensorprog.core.dependence import all_reads, defined, dependent, exported, prune
from tensorprog.core.execute import Frame, execute
from tensorprog.core.indexing import Grid
from tensorprog.core.ir import Core, Instruction, Scan
from tensorprog.core.values import Array, Value
from tensorprog.nonlin.evaluate import evaluate

__all__ = ["Binding", "bind", "check_pair", "run", "run_data", "width_sizes"]


def width_sizes(core: Core, width: int, sizes: Mapping[str, int | float]) -> dict[str, int]:
    """Return the size of every width when the first is `width`, those at a fixed ratio to it rounded to integers."""
    found: dict[str, int] = {}
    for entry in core.widths:
        size = width if entry.size is None else evaluate(entry.size, (), {**sizes, **found})
        found[entry.name] = max(1, round(size))
    return found


def run(
    core: Core,
    binding: Binding,
    parameters: Mapping[str, Array],
    widths: Mapping[str, int],
    *,
    known: Mapping[str, Array] | None = None,
    keep: Iterable[str] | None = None,
) -> dict[str, Array]:
    """Run a program on bound data.

    Args:
        core: a forward program, or one with its backward pass.
        binding: the data, bound to the forward program.
        parameters: arrays of shape (*axes, *shape), of the dtype of the binding.
        widths: the size of every width.
        known: values of variables and further inputs (the seed of a backward pass); they are not computed again.
        keep: the variables to return (all by default); with it, only what they need is computed, and memory is freed as
            soon as it is not needed.

    Returns:
        For every variable an array (N, *axes, dimension) or (N, *axes), with N = 1 where all samples agree. Some are
        read-only views.
    """
    given = {**binding.data, **(known or {})}
    if keep is not None:
        keep = frozenset(keep)
        core = replace(core, body=prune(core.body, keep, given), outputs=())
    grid = Grid(core.axes, binding.starts, binding.extents, {**binding.sizes, **widths}, {})
    kept = None if keep is None else exported(core) | keep
    frame = Frame(core, grid, parameters, kept, binding.dtype)
    env = {name: Value(array, frame.axes(name), frame.vector(name)) for name, array in given.items()}
    last = _last_uses(core) if keep is not None else {}
    with np.errstate(all="ignore"):
        for place, instruction in enumerate(core.body):
            if not all(name in env for name in _results(instruction, frame)):
                execute(instruction, env, frame)
            for name in last.get(place, ()):
                if keep is None or name not in keep:
                    env.pop(name, None)
    return {name: value.array for name, value in env.items() if keep is None or name in keep}


def run_data(core: Core, binding: Binding, names: Iterable[str]) -> dict[str, Array]:
    """Return the values of variables that depend on the data alone; no parameters and no widths are needed.

    Raises:
        ValueError: one of `names` depends on a parameter.
    """
    names = tuple(names)
    random = dependent(core.body).intersection(names)
    if random:
        raise ValueError(f"{sorted(random)} depend on parameters")
    values = run(core, binding, {}, {}, keep=names)
    return {name: values[name] for name in names}


def _results(instruction: Instruction, frame: Frame) -> tuple[str, ...]:
    """Return the variables that `instruction` leaves behind at top level."""
    if not isinstance(instruction, Scan):
        return (instruction.target,)
    return tuple(name for name in defined(instruction) if frame.reads_steps(name))


def _last_uses(core: Core) -> dict[int, list[str]]:
    """Return for each place of the body the variables that nothing after it reads."""
    last: dict[str, int] = {}
    for place, instruction in enumerate(core.body):
        last.update((name, place) for name in all_reads(instruction))
        for name in defined(instruction):
            last.setdefault(name, place)
    places: dict[int, list[str]] = {}
    for name, place in last.items():
        places.setdefault(place, []).append(name)
    return places
