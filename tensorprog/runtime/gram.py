"""`Kernel`: the limit of a program as a function of two data sets, computed tile by tile."""

from __future__ import annotations

import functools
import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tensorprog.core.evaluate import Binding, bind, check_pair
from tensorprog.core.ir import Core
from tensorprog.errors import DataError, Diagnostic, PrecisionWarning
from tensorprog.kernel.demand import find_domains
from tensorprog.kernel.domain import Domain
from tensorprog.kernel.expectation import Numerics
from tensorprog.kernel.extents import find_extents
from tensorprog.kernel.grid import pair_space
from tensorprog.kernel.interpret import interpret_diagonal
from tensorprog.kernel.ir import JOINT, Copy, KernelIR, Result, expectations
from tensorprog.kernel.select import select
from tensorprog.runtime.backends import Block, Run, check_backend, compile_source, prepare, source_text
from tensorprog.runtime.diagonal import find_diagonals, swap_copies, symmetric
from tensorprog.runtime.features import Features, prepare_features, values_of_parameters
from tensorprog.runtime.load import Compiled
from tensorprog.runtime.lowered import Lowered, lower_system
from tensorprog.runtime.overflow import describe_overflow
from tensorprog.runtime.parts import choose_edge, has_arrays, pair_part
from tensorprog.runtime.profile import Profile, ProfileFinder
from tensorprog.runtime.repeats import Repeats, find_repeats
from tensorprog.runtime.report import Report, list_choices
from tensorprog.runtime.store import store_tile
from tensorprog.runtime.targets import Targets, check_targets
from tensorprog.runtime.tiles import ROWS, Tile, count_threads, run_tiles, schedule, single_threaded

if TYPE_CHECKING:
    from tensorprog.limit.equations import LimitSystem

__all__ = ["KINDS", "Kernel", "Request"]

Array = npt.NDArray[np.float64]
Data = Any

COARSEST = 1e-6
"""The largest error of a numerical expectation, relative to √(E φ² · E ψ²), that passes without a warning."""

COARSEST_JOINT = 2e-2
"""The same for a function of several Gaussian variables, relative to E |f|."""

KINDS = ("nngp", "ntk", "sg_ntk")
"""The kernels of an output: of the function values, of gradient descent, of surrogate gradient descent."""

_SYMMETRIC = frozenset({"nngp", "ntk"})


@dataclass(frozen=True, slots=True)
class Request:
    """What a call asks for: kinds of kernel of one output, and whether the answer is a tuple of them."""

    output: str
    kinds: tuple[str, ...]
    single: bool

    def answer(self, arrays: Sequence[Any]) -> Any:
        """Return the arrays in the form that was asked for."""
        if self.single:
            return arrays[0]
        return _tuple_of(self.kinds)(*arrays)


@functools.cache
def _tuple_of(kinds: tuple[str, ...]) -> Callable[..., Any]:
    """Return the type of a tuple with a field for every kind of kernel."""
    return namedtuple("Kernels", kinds)


class Kernel:
    """The kernels of a program, as functions of data.

    Results are computed in float64 and stored as `dtype`. The same data give the same numbers, bit for bit, on any
    number of threads.

    Attributes:
        core: the program.
        ir: the kernel program that it runs, with all results.
        backend: "cpu" or "interpret".
        dtype: the type of the results.
        threads: how many tiles are computed at a time.
        progress: if set, called with the numbers of tiles that are done and that there are.
    """

    def __init__(self, core: Core, system: LimitSystem | Lowered, backend: str = "cpu", dtype: str = "float64") -> None:
        check_backend(backend)
        lowered = system if isinstance(system, Lowered) else lower_system(core, system)
        self.core, self.backend, self.dtype = core, backend, check_dtype(dtype)
        self.ir = lowered.ir
        self.threads = count_threads()
        self.progress: Callable[[int, int], None] | None = None
        self._refused = dict(lowered.refused)
        self._compiled: dict[tuple[tuple[str, str], ...], Compiled | None] = {}
        self._errors: dict[tuple[str, str], float] = {}
        self._profiles: dict[tuple[str, str], Profile | None] = {}
        self._selected: dict[tuple[tuple[str, str], ...], tuple[KernelIR, KernelIR, ProfileFinder | None]] = {}

    def __repr__(self) -> str:
        kinds = ", ".join(f"{result.kind} of {result.output}" for result in self.ir.results)
        return f"<Kernel of {self.ir.name}: {kinds}; {self.backend}, {self.dtype}>"

    def __call__(
        self,
        x1: Data,
        x2: Data | None = None,
        get: str | Sequence[str] = "ntk",
        *,
        output: str | None = None,
        out: Any = None,
        allow_nonfinite: bool = False,
    ) -> Any:
        """Return kernel matrices.

        Args:
            x1: N1 samples, an array (N1, *shape), or a mapping from input names to such arrays.
            x2: N2 samples; None means x1, and then the matrix is exactly symmetric (but for "sg_ntk"), and its diagonal
                is that of the one-sample equations.
            get: "nngp", "ntk", "sg_ntk", or a tuple of these.
            output: the name of an output, the first by default.
            out: arrays to fill in place, tile by tile: one if `get` is a string, else a mapping or a sequence.
            allow_nonfinite: let NaN and infinity in the data spread to their own rows and columns, and let results
                overflow.

        Returns:
            An array (N1, N2), or a named tuple of them with the fields `get`. For an output over axes (A, B) it is an
            array (N1, N2, A, B, A′, B′), and symmetric under an exchange of samples and positions together.

        Raises:
            DataError: data that do not fit, an unknown kernel or output, `out` that does not fit, or a result that is
                not finite.
            LimitError: the kernel that is asked for was refused.

        Warns:
            PrecisionWarning: a numerical expectation missed its tolerance by far; `report` says which, and by how much.
        """
        request = self.request(get, output)
        first = bind(self.core, x1, dtype=np.float64, allow_nonfinite=allow_nonfinite)
        second = None if x2 is None else bind(self.core, x2, dtype=np.float64, allow_nonfinite=allow_nonfinite)
        if second is not None:
            check_pair(first, second, self.core)
        answer = self.evaluate(request, first, second, out, allow_nonfinite=allow_nonfinite)
        self.warn_if_imprecise(stacklevel=3)
        return answer

    def evaluate(
        self, request: Request, first: Binding, second: Binding | None, out: Any, *, allow_nonfinite: bool
    ) -> Any:
        """Return kernel matrices of data that are bound: what a call returns, and no warning."""
        shape = self._shape(request, first, first if second is None else second)
        targets = check_targets(out, request.kinds, shape, self.dtype, single=request.single)
        for group in _groups(request.kinds, symmetric=second is None):
            self._fill(request.output, group, first, second, targets, allow_nonfinite)
        return request.answer([targets[kind] for kind in request.kinds])

    def warn_if_imprecise(self, stacklevel: int) -> None:
        """Warn whoever is so many calls above if a numerical expectation missed its tolerance by far."""
        joint = {let.name for let, node in expectations((*self.ir.sample, *self.ir.pair)) if node.kind == JOINT}
        allowed = {name: COARSEST_JOINT if name[1] in joint else COARSEST for name in self._errors}
        error = max((found for name, found in self._errors.items() if found > allowed[name]), default=0.0)
        if error:
            message = f"a numerical expectation has an error of {error:.0e} (relative to its size): see report"
            warnings.warn(message, PrecisionWarning, stacklevel=stacklevel)

    def diag(
        self, x: Data, get: str | Sequence[str] = "ntk", *, output: str | None = None, allow_nonfinite: bool = False
    ) -> Any:
        """Return the diagonals k(x, x), (N,) or (N, A, B, A′, B′), from the one-sample equations alone: O(N) work.

        Args and errors are those of a call.
        """
        request = self.request(get, output)
        ir = select(self.ir, [(request.output, kind) for kind in request.kinds])
        binding = bind(self.core, x, dtype=np.float64, allow_nonfinite=allow_nonfinite)
        run = None if has_arrays(ir) else self._prepare(ir, binding, None)
        diagonals = self._diagonals(ir, run, binding, allow_nonfinite)
        return request.answer([diagonal.astype(self.dtype) for diagonal in diagonals])

    @property
    def source(self) -> str:
        """The text of the generated code for all results (each call runs the part that it needs)."""
        return source_text(self.ir, self.backend)

    @property
    def report(self) -> Report:
        """What was chosen for every equation, and the errors seen so far."""
        files = tuple(str(compiled.path) for compiled in self._compiled.values() if compiled is not None)
        return Report(
            self.ir.name,
            self.backend,
            str(self.dtype),
            (ROWS, ROWS),
            self.threads,
            files,
            list_choices(self.ir, self._errors),
            {key: profile for key, profile in self._profiles.items() if profile is not None},
        )

    def request(self, get: str | Sequence[str], output: str | None) -> Request:
        """Return what the arguments of a call ask for.

        Raises:
            DataError: an unknown kernel or output.
            LimitError: the kernel that is asked for was refused.
        """
        kinds = (get,) if isinstance(get, str) else tuple(get)
        outputs = [entry.name for entry in self.core.outputs]
        name = outputs[0] if output is None else output
        if name not in outputs:
            raise _fail("TP451", f"the program has no output {name!r}", f"its outputs: {', '.join(outputs)}")
        if not kinds or len(set(kinds)) < len(kinds):
            raise _fail("TP450", f"get={get!r} does not name one or more kernels, each once", _kinds_hint())
        for kind in kinds:
            self._check_kind(name, kind)
        return Request(name, kinds, isinstance(get, str))

    def _check_kind(self, output: str, kind: str) -> None:
        if kind not in KINDS:
            raise _fail("TP450", f"no kernel is called {kind!r}", _kinds_hint())
        if any((result.output, result.kind) == (output, kind) for result in self.ir.results):
            return
        if (output, kind) in self._refused:
            raise self._refused[output, kind]
        raise _fail("TP450", f"the output {output!r} has no {kind}")

    def _shape(self, request: Request, first: Binding, second: Binding) -> tuple[int, ...]:
        """Return the shape of a kernel of an output."""
        (axes, *_) = (result.axes for result in self.ir.results if result.output == request.output)
        extents = find_extents(self.ir, first.sizes, second.sizes)
        return first.samples, second.samples, *(extents.of(index)[1] for index in axes)

    def _prepare(self, ir: KernelIR, first: Binding, second: Binding | None) -> Run:
        """Return the features of both sides (one object if they are the same), with everything a run needs."""
        other = first if second is None else second
        parameters = values_of_parameters(ir, first, other)
        domains = find_domains(ir, first.sizes, other.sizes) if has_arrays(ir) else None
        numerics = Numerics(ir.functions, parameters)
        left = self._features(ir, Copy.LEFT, first, numerics, None if domains is None else domains.sample_left)
        right = left
        if second is not None:
            right = self._features(ir, Copy.RIGHT, second, numerics, None if domains is None else domains.sample_right)
        self._remember("sample", numerics)
        space = None if domains is None else pair_space(ir, domains, first.sizes, other.sizes)
        return Run(self._of_pairs(ir), left, right, parameters, Numerics(ir.functions, parameters), domains, space)

    def _features(
        self, ir: KernelIR, side: Copy, binding: Binding, numerics: Numerics, domains: Mapping[str, Domain] | None
    ) -> Features:
        """Return the features of the data on one side."""
        return prepare_features(self.core, ir, binding, numerics, domains)

    def _of_pairs(self, ir: KernelIR) -> KernelIR:
        """Return what runs on tiles."""
        return ir

    def _diagonals(self, ir: KernelIR, run: Run | None, binding: Binding, allow_nonfinite: bool) -> list[Array]:
        """Return the diagonals of all results, of the samples on the left of `run`."""
        if run is not None:
            return [_diagonal(run, result, allow_nonfinite) for result in ir.results]
        numerics = Numerics(ir.functions, values_of_parameters(ir, binding))
        found = find_diagonals(self.core, ir, binding, numerics, allow_nonfinite=allow_nonfinite)
        self._remember("sample", numerics)
        return [
            symmetric(diagonal) if result.kind in _SYMMETRIC else diagonal
            for result, diagonal in zip(ir.results, found, strict=True)
        ]

    def _remember(self, program: str, numerics: Numerics) -> None:
        for name, error in numerics.errors.items():
            self._errors[program, name] = max(error, self._errors.get((program, name), 0.0))

    def _compile(self, ir: KernelIR) -> Compiled | None:
        key = tuple((result.output, result.kind) for result in ir.results)
        if key not in self._compiled:
            self._compiled[key] = compile_source(ir, self.backend)
        return self._compiled[key]

    def _parts(self, output: str, kinds: tuple[str, ...]) -> tuple[KernelIR, KernelIR, ProfileFinder | None]:
        """Return the program of some kernels, what of it runs on tiles, and what finds functions of the angle."""
        key = tuple((output, kind) for kind in kinds)
        if key not in self._selected:
            ir = select(self.ir, key)
            self._selected[key] = (ir, pair_part(ir), None) if has_arrays(ir) else (ir, ir, self._finder(ir))
        return self._selected[key]

    def _finder(self, ir: KernelIR) -> ProfileFinder | None:
        return ProfileFinder(ir) if self.backend == "cpu" else None

    def _fill(
        self,
        output: str,
        kinds: tuple[str, ...],
        first: Binding,
        second: Binding | None,
        targets: Targets,
        allow_nonfinite: bool,
    ) -> None:
        """Compute the kernels `kinds`, symmetric ones all or none of them, and write them to their targets."""
        ir, part, finder = self._parts(output, kinds)
        run = self._prepare(part, first, second)
        profile = None if finder is None else finder.find(run)
        self._profiles |= {(output, kind): profile for kind in kinds}
        block = prepare(run, None if profile is not None else self._compile(run.ir), profile)
        upper = second is None and kinds[0] in _SYMMETRIC
        diagonals, repeats = [], None
        if second is None:
            diagonals = self._diagonals(ir, run if part is ir else None, first, allow_nonfinite)
        if part is not ir:
            repeats = find_repeats(first, second, lambda some: self._diagonals(ir, None, some, allow_nonfinite=True))
        writer = _TileWriter(run, block, [targets[kind] for kind in kinds], diagonals, repeats, upper, allow_nonfinite)
        edge = ROWS if run.domains is None else choose_edge(part, run.domains.pair)
        tiles = schedule(run.left.count, run.right.count, upper=upper, edge=edge)
        with single_threaded():
            run_tiles(tiles, _counted(writer.compute, self.progress, len(tiles)), self.threads)
        self._remember("pair", run.numerics)


@dataclass(frozen=True, slots=True)
class _TileWriter:
    """Computes tiles and writes them where they belong: the one matrix is filled, nothing else is kept."""

    run: Run
    block: Block
    targets: list[npt.NDArray[Any]]
    diagonals: list[Array]
    repeats: Repeats | None
    upper: bool
    allow_nonfinite: bool

    def compute(self, tile: Tile) -> None:
        """Compute one tile and write it."""
        values = self.block(tile)
        for number, target in enumerate(self.targets):
            self._write(tile, values[number], target, number)

    def _write(self, tile: Tile, values: Array, target: npt.NDArray[Any], number: int) -> None:
        if self.diagonals and tile.is_diagonal:
            values = _with_diagonal(values, self.diagonals[number][tile.rows], mirror=self.upper)
        if self.repeats is not None:
            values = self.repeats.corrected(tile, values, number)
        finite = store_tile(values, target, tile, mirror=self.upper and not tile.is_diagonal)
        if not finite and not self.allow_nonfinite:
            written = target[tile.rows, tile.columns]
            row, column = (int(place) for place in np.argwhere(~np.isfinite(written))[0][:2])
            raise describe_overflow(self.run, tile.rows.start + row, tile.columns.start + column, target.dtype)


def _with_diagonal(values: Array, diagonal: Array, *, mirror: bool) -> Array:
    """Return a square block with another diagonal, its upper triangle mirrored to the lower on request."""
    square, places = values.copy(), np.arange(len(values))
    if mirror:
        lower = np.tril_indices(len(values), -1)
        square[lower] = swap_copies(values)[lower]
    square[places, places] = diagonal
    return square


def _counted(
    compute: Callable[[Tile], None], progress: Callable[[int, int], None] | None, total: int
) -> Callable[[Tile], None]:
    """Return `compute` that tells `progress` after every tile."""
    if progress is None:
        return compute
    done: list[Tile] = []

    def compute_and_tell(tile: Tile) -> None:
        compute(tile)
        done.append(tile)
        progress(len(done), total)

    return compute_and_tell


def _groups(kinds: tuple[str, ...], *, symmetric: bool) -> Iterator[tuple[str, ...]]:
    """Yield the kinds that are computed together: where x2 = x1, symmetric ones apart from the others."""
    if not symmetric:
        yield kinds
        return
    for group in (
        tuple(kind for kind in kinds if kind in _SYMMETRIC),
        tuple(kind for kind in kinds if kind not in _SYMMETRIC),
    ):
        if group:
            yield group


def _diagonal(run: Run, result: Result, allow_nonfinite: bool) -> Array:
    diagonal = interpret_diagonal(run.ir, result, run.left.samples, run.parameters)
    if not allow_nonfinite and not np.isfinite(diagonal).all():
        row = int(np.argmin(np.isfinite(diagonal)))
        raise describe_overflow(run, row, row, diagonal.dtype)
    return diagonal


def check_dtype(dtype: Any) -> np.dtype[Any]:
    for known in (np.float32, np.float64):
        if dtype in (known, known.__name__, np.dtype(known)):
            return np.dtype(known)
    raise _fail("TP452", f"a kernel cannot be stored as {dtype!r}", "dtype is float32 or float64")


def _kinds_hint() -> str:
    return f"get is one of {', '.join(KINDS)}, or a tuple of them"


def _fail(code: str, message: str, hint: str | None = None) -> DataError:
    return DataError(Diagnostic(code, message, hint=hint))
