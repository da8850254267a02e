"""Running a verification: draw networks, measure, compare with the equations, judge."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tensorprog.core.bind import Binding, bind
from tensorprog.core.evaluate import run_data
from tensorprog.core.ir import Core
from tensorprog.core.values import as_matrix
from tensorprog.errors import DataError, Diagnostic
from tensorprog.finite.measure import Measurement, measure, with_probes
from tensorprog.finite.network import FiniteNetwork
from tensorprog.limit.equations import LimitSystem
from tensorprog.nonlin.evaluate import evaluate
from tensorprog.verify.judge import judge
from tensorprog.verify.plan import Check, make_plan
from tensorprog.verify.report import Verification
from tensorprog.verify.residuals import Evaluator

if TYPE_CHECKING:
    from tensorprog.program import Program

__all__ = ["Options", "Progress", "assess", "compare", "default_data", "measure_networks", "verify"]

Array = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
Measurements = dict[Measurement, Array]

SAMPLES_WITHOUT_DATA = 3
CORRELATION = 0.8


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
    widths: Sequence[int] = (256, 1024, 4096),
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
    options = Options(_checked_widths(widths), _checked_samples(samples), seed, entries, false_alarm, progress)
    derived = program.derive()
    data = default_data(derived.core, seed, sizes or {}) if x is None else x
    return compare(derived.core, derived.system, data, options)


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
    limit = tuple(evaluator.residuals(plan, {}, 1))
    found = {w: tuple(evaluator.residuals(plan, values, options.networks(w))) for w, values in measured.items()}
    return judge(core.name, system, limit, found, options.samples, options.false_alarm, seconds)


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


def default_data(core: Core, seed: int, sizes: Mapping[str, int]) -> dict[str, Array]:
    """Return three standard-normal samples for every input; sizes that data would bind are `sizes`, or 8.

    The samples have inner products of 0.8 of their squared norm, so that no kernel between two of them is small.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2**31 - 1,)))
    known = _Sizes({**core.symbols, **sizes})
    return {item.name: _correlated(generator, _shape(core, item.name, known)) for item in core.inputs}


def _correlated(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    size = int(np.prod(shape, dtype=np.int64))
    drawn = generator.standard_normal((SAMPLES_WITHOUT_DATA, size))
    if size >= SAMPLES_WITHOUT_DATA:
        directions, _ = np.linalg.qr(drawn.T)
        identity = np.eye(SAMPLES_WITHOUT_DATA)
        mixing = np.linalg.cholesky(CORRELATION + (1 - CORRELATION) * identity)
        drawn = np.sqrt(size) * mixing @ directions.T
    return drawn.reshape(SAMPLES_WITHOUT_DATA, *shape)


class _Sizes(dict[str, float]):
    """Sizes by name; 8 where none is given."""

    def __missing__(self, key: str) -> float:
        return 8


def _shape(core: Core, name: str, sizes: Mapping[str, float]) -> tuple[int, ...]:
    kind = core.types[name]
    extents = [core.axes[axis].extent for axis in kind.axes] + ([] if kind.dimension is None else [kind.dimension])
    return tuple(int(evaluate(extent, (), sizes)) for extent in extents)


def _evaluator(core: Core, system: LimitSystem, binding: Binding) -> Evaluator:
    names = [name for pair in system.grams.values() for name in pair] + list(system.data.values())
    values = run_data(core, binding, tuple(dict.fromkeys(names)))
    count = binding.samples
    full = {name: as_matrix(value, count) for name, value in values.items()}
    grams = {str(f): full[left] @ full[right].T for f, (left, right) in system.grams.items()}
    data = {str(f): full[name][:, 0] for f, name in system.data.items()}
    sizes = {symbol.name: float(evaluate(size, (), binding.sizes)) for symbol, size in system.sizes.items()}
    constants = {symbol.name: value for symbol, value in system.constants.items()}
    return Evaluator(system, grams, data, {**constants, **sizes}, count)


def measure_networks(core: Core, data: Any, plan: tuple[Check, ...], width: int, options: Options) -> Measurements:
    """Return every measurement on all networks of one width, stacked: (S, …)."""
    wanted = tuple(dict.fromkeys(check.measurement for check in plan if check.measurement is not None))
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
    return {item: np.stack([values[item] for values in draws]).astype(np.float64) for item in wanted}
