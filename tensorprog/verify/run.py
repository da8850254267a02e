"""Running a verification: draw networks, measure, compare with the equations, judge."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tensorprog.core.bind import Binding, bind, bound_names
from tensorprog.core.evaluate import run_data
from tensorprog.core.ir import Core
from tensorprog.errors import DataError, Diagnostic
from tensorprog.finite.measure import Measured, Measurement, measure, place_axes, with_probes
from tensorprog.finite.network import FiniteNetwork
from tensorprog.limit.equations import LimitSystem
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.verify.data import default_data
from tensorprog.verify.deviations import Deviation, Standard, join_deviations
from tensorprog.verify.judge import judge
from tensorprog.verify.plan import Check, make_plan
from tensorprog.verify.report import Verification
from tensorprog.verify.residuals import Evaluator, Inputs

if TYPE_CHECKING:
    from tensorprog.program import Program

__all__ = ["Options", "Progress", "assess", "compare", "default_data", "default_widths", "measure_networks", "verify"]

Array = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
Measurements = dict[Measurement, npt.NDArray[np.floating[Any]]]

LARGEST_PART = 1 << 22
"""How many numbers of one quantity are evaluated at once."""

MOST_PLACES = 24
"""Tangents of vectors over more places are not measured: each place costs a backward pass.

Their equations are checked through those that read them, up to the outputs.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """How a verification samples: widths, networks per width, the root of the draws, the law of the entries.

    `false_alarm` is the probability with which a true limit is to fail.
    """

    widths: tuple[int, ...] = (256, 1024, 4096)
    samples: int = 64
    seed: int = 0
    entries: str = "gaussian"
    false_alarm: float = 1e-2
    progress: Progress | None = None

    def networks(self, width: int) -> int:
        """Return how many networks of a width are drawn: `samples` of the widest, √(ratio) times as many of others.

        Narrow networks cost little and tell the 1/n bias.
        """
        return math.ceil(self.samples * math.sqrt(max(self.widths) / width))


def verify(
    program: Program,
    x: Any = None,
    *,
    widths: Sequence[int] | None = None,
    samples: int = 64,
    seed: int = 0,
    entries: str = "gaussian",
    false_alarm: float = 1e-2,
    sizes: Mapping[str, int] | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Return the comparison of a program's limit with sampled networks.

    Raises:
        LimitError: the program has no limit here.
        DataError: data or options do not fit.
    """
    chosen = default_widths(program.core()) if widths is None else _checked_widths(widths)
    options = Options(chosen, _checked_samples(samples), seed, entries, false_alarm, progress)
    core = program.core()
    data = default_data(core, seed, sizes or {}) if x is None else x
    names = bound_names(core)
    known = {name: int(value) for name, value in bind(core, data).sizes.items() if name in names}
    derived = program.derive(sizes=known)
    return compare(derived.core, derived.system, data, options)


def default_widths(core: Core) -> tuple[int, ...]:
    """Return the widths to sample at: smaller ones for programs with axes, which cost as much as their places."""
    has_axes = any(place_axes(core, name) for name in core.types)
    return (64, 256, 1024) if has_axes else (256, 1024, 4096)


def compare(core: Core, system: LimitSystem, data: Any, options: Options) -> Verification:
    """Return the comparison of a limit system with sampled networks of the program that it is the limit of."""
    start = time.perf_counter()
    plan = make_plan(system)
    measured = {width: measure_networks(core, data, plan, width, options) for width in options.widths}
    return assess(core, system, data, measured, options, time.perf_counter() - start)


def assess(
    core: Core, system: LimitSystem, data: Any, measured: Mapping[int, Measurements], options: Options, seconds: float
) -> Verification:
    """Return the verdict on a limit system, given what was measured on networks of several widths."""
    plan = make_plan(system)
    evaluator = _evaluator(core, system, bind(core, data))
    limit = tuple(map(Standard, evaluator.residuals(plan, {}, 1)))
    found = {
        width: _deviations(evaluator, limit, values, options.networks(width)) for width, values in measured.items()
    }
    return judge(core.name, system, limit, found, options.samples, options.false_alarm, seconds)


def _deviations(
    evaluator: Evaluator, limit: tuple[Standard, ...], measured: Measurements, draws: int
) -> tuple[Deviation | None, ...]:
    """Return the deviations of all checks, some draws at a time, as memory allows."""
    plan = tuple(standard.check for standard in limit)
    step = max(1, LARGEST_PART // max(standard.exact.predicted.size for standard in limit))
    parts = []
    for start in range(0, draws, step):
        chunk = slice(start, min(start + step, draws))
        values = {item: value[chunk] for item, value in measured.items()}
        residuals = evaluator.residuals(plan, values, chunk.stop - chunk.start)
        parts.append([s.deviation(residual) for s, residual in zip(limit, residuals, strict=True)])
    return tuple(map(join_deviations, zip(*parts, strict=True)))


def _checked_widths(widths: Sequence[int]) -> tuple[int, ...]:
    try:
        found = tuple(sorted({int(width) for width in widths}))
    except (TypeError, ValueError):
        raise DataError(Diagnostic("TP420", f"widths must be integers, not {widths!r}")) from None
    if len(found) < 2 or found[0] < 2:
        raise DataError(Diagnostic("TP420", "a verification needs at least two different widths, each at least 2"))
    return found


def _checked_samples(samples: int) -> int:
    if samples < 8:
        raise DataError(Diagnostic("TP420", f"a verification needs at least 8 networks per width, not {samples}"))
    return int(samples)


def _evaluator(core: Core, system: LimitSystem, binding: Binding) -> Evaluator:
    names = [name for pair in system.grams.values() for name in pair] + list(system.data.values())
    values = run_data(core, binding, tuple(dict.fromkeys(names)))
    full = {name: _at_places(core, name, value, binding) for name, value in values.items()}
    sizes = {symbol.name: size for symbol, size in (*system.sizes.items(), *system.right_sizes.items())}
    inputs = Inputs(
        count=binding.samples,
        grams={
            str(f): np.einsum("ipc,jqc->ijpq", full[left], full[right]) for f, (left, right) in system.grams.items()
        },
        data={str(f): full[name][..., 0] for f, name in system.data.items()},
        parameters={
            **{symbol.name: value for symbol, value in system.constants.items()},
            **{name: float(evaluate(size, (), binding.sizes)) for name, size in sizes.items()},
        },
        sizes=binding.sizes,
        places=_places(core, binding),
    )
    return Evaluator(system, inputs)


def _at_places(core: Core, name: str, value: npt.NDArray[Any], binding: Binding) -> Array:
    """Return data (N, *axes) or (N, *axes, d) as an array (N, P, d)."""
    size = value.shape[-1] if core.types[name].dimension is not None else 1
    whole = np.broadcast_to(value, (binding.samples, *value.shape[1:]))
    return whole.reshape(binding.samples, -1, size).astype(np.float64)


def measure_networks(core: Core, data: Any, plan: tuple[Check, ...], width: int, options: Options) -> Measurements:
    """Return every measurement on all networks of one width, stacked: (S, …)."""
    places = _places(core, bind(core, data))
    items = (check.measurement for check in plan)
    wanted = tuple(dict.fromkeys(item for item in items if _is_measurable(item, core, places)))
    first = FiniteNetwork(with_probes(core, wanted), width, 0, options.entries, "float32")
    bound = first.bind(data)
    before = sum(options.networks(smaller) for smaller in options.widths if smaller < width)
    total = sum(map(options.networks, options.widths))
    done = 0

    def draw(number: int) -> dict[Measurement, npt.NDArray[Any]]:
        nonlocal done
        root = options.seed * 1_000_003 + width * 1_009 + number
        values = measure(first.redraw(root), bound, wanted, seed=root + 1)
        done += 1
        if options.progress is not None:
            options.progress(before + done, total)
        return values

    with threadpool_limits(1), ThreadPoolExecutor(cpu_count() or 1) as pool:
        draws = list(pool.map(draw, range(options.networks(width))))
    return {item: np.stack([values[item] for values in draws]) for item in wanted}


def _is_measurable(item: Measurement | None, core: Core, places: Mapping[str, int]) -> TypeGuard[Measurement]:
    """Return whether a check has a measurement, of variables of the sampled program, that is not too expensive."""
    if item is None or not {item.left, item.right} <= core.types.keys():
        return False
    is_output = core.types[item.left].dimension is None
    return is_output or item.kind is not Measured.TANGENT or max(places[item.left], places[item.right]) <= MOST_PLACES


def _places(core: Core, binding: Binding) -> dict[str, int]:
    """Return how many places every variable has."""
    return {name: math.prod(binding.extents[axis] for axis in place_axes(core, name)) for name in core.types}
