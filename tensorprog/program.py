"""A program as its user holds it: text that can be printed, lowered, differentiated, derived, compiled and sampled."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tensorprog.compiler import stage
from tensorprog.errors import DataError, Diagnostic, LimitError, ParseError, Source
from tensorprog.syntax.tree import Num, SyntaxTree
from tensorprog.syntax.unparse import unparse

if TYPE_CHECKING:
    import networkx as nx

    from tensorprog.core.ir import Core, Input, Output, Parameter
    from tensorprog.finite.network import FiniteNetwork
    from tensorprog.limit.derivation import Derivation
    from tensorprog.limit.extents import NeedsExtents
    from tensorprog.runtime.gram import Kernel
    from tensorprog.runtime.per_extent import KernelPerExtent
    from tensorprog.verify.report import Verification

__all__ = ["Program", "load", "parse"]

Backend = Literal["cpu", "cuda", "interpret"]


def load(path: str | PathLike[str], /, **hyperparameters: float) -> Program:
    """Return the program in a file, with its hyperparameters set.

    Args:
        path: a UTF-8 `.tp` file; `use "…"` looks beside it first, then in the shipped library.
        **hyperparameters: values for hyperparameters that the program declares.

    Raises:
        ParseError: the text is no program.
        CheckError: names, shapes or indices do not fit, or there is no such hyperparameter.
        OSError: the file cannot be read.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParseError(
            Diagnostic("TP101", f"{file} is not UTF-8 text (byte {error.start})", hint="save the program as UTF-8")
        ) from error
    return _program(Source(str(path), text), file.parent, hyperparameters)


def parse(text: str, /, **hyperparameters: float) -> Program:
    """Return the program of a text, with its hyperparameters set; `use "…"` looks in the shipped library.

    Raises:
        ParseError: the text is no program.
        CheckError: names, shapes or indices do not fit, or there is no such hyperparameter.
    """
    return _program(Source("<text>", text), None, hyperparameters)


def _program(source: Source, folder: Path | None, hyperparameters: Mapping[str, float]) -> Program:
    tree = stage("use")(stage("syntax")(source), folder)
    core: Core = stage("core")(tree, hyperparameters)
    return Program(_with_values(tree, core.symbols), core)


def _with_values(tree: SyntaxTree, values: Mapping[str, float]) -> SyntaxTree:
    """Return the tree with the hyperparameters' values as their defaults."""
    if tree.header is None:
        return tree
    set_values = tuple(
        (name, Num(values[name.name], span=default.span)) for name, default in tree.header.hyperparameters
    )
    return replace(tree, header=replace(tree.header, hyperparameters=set_values))


@dataclass(frozen=True)
class Program:
    """A checked program. Two programs are equal if their texts say the same, hyperparameters included."""

    tree: SyntaxTree
    _core: Core = field(compare=False, repr=False)
    _derivations: dict[Hashable, Derivation] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return unparse(self.tree)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.hyperparameters.items())
        return f"<Program {self.name}({values})>"

    @property
    def name(self) -> str:
        """The name in the `program` statement."""
        return self._core.name

    @property
    def hyperparameters(self) -> Mapping[str, float]:
        """The hyperparameters and their values."""
        return self._core.symbols

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, in order of declaration."""
        return self._core.inputs

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters by name, those of blocks and loops included."""
        return self._core.parameters

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs, in order of declaration."""
        return self._core.outputs

    def core(self) -> Core:
        """Return the program in the core language, NETSOR⊤+ with index axes."""
        return self._core

    def backward(self, output: str | None = None) -> Core:
        """Return the core program with its backward pass, from the named output (the first by default)."""
        return stage("backward")(self._core, self._output(output).source)  # type: ignore[no-any-return]

    def _output(self, name: str | None) -> Output:
        chosen = [entry for entry in self.outputs if name in (None, entry.name)]
        if not chosen:
            known = ", ".join(entry.name for entry in self.outputs)
            raise DataError(
                Diagnostic("TP411", f"the program has no output `{name}`", hint=f"the outputs are: {known}")
            )
        return chosen[0]

    @cached_property
    def graph(self) -> nx.MultiDiGraph[str]:
        """The program as a frozen networkx graph: a view, never the program itself."""
        return stage("graph")(self._core)

    def derive(
        self, expectations: Literal["auto", "numeric"] = "auto", *, sizes: Mapping[str, int] | None = None
    ) -> Derivation:
        """Return the limit n → ∞: the recursive equations of NNGP and NTK, and what they rest on.

        Args:
            expectations: as for `compile`.
            sizes: numbers for names that data bind, as T in `axis t : T`. They are put in where the limit is derived
                for every extent by itself, and nowhere else.

        Raises:
            LimitError: the limit is infinite, does not exist, or is outside the implemented theory; or it is derived
                for every extent by itself, and `sizes` does not say for which.
            DataError: `sizes` has a name that data do not bind, or a number that is not an extent.
        """
        from tensorprog.core.bind import check_sizes
        from tensorprog.limit.extents import settle

        known = check_sizes(self._core, sizes or {})
        return settle(lambda names: self._derivation(expectations, names, known), frozenset(), known)

    def _derivation(self, expectations: str, names: frozenset[str], known: Mapping[str, int]) -> Derivation:
        from tensorprog.limit.derivation import derivation

        sizes = {name: known[name] for name in sorted(names)}
        key = expectations, *sizes.items()
        if key not in self._derivations:
            self._derivations[key] = derivation(self.tree, self._core, expectations, sizes)
        return self._derivations[key]

    def compile(
        self,
        backend: Backend = "cpu",
        dtype: Literal["float64", "float32"] = "float64",
        expectations: Literal["auto", "numeric"] = "auto",
    ) -> Kernel | KernelPerExtent:
        """Return the kernel as a function of data.

        Where the limit is derived for every extent by itself, this is done in a call, for the extents of its data.

        Args:
            backend: "cpu" (generated numba code), "interpret" (numpy, slow and obvious) or "cuda".
            dtype: the precision in which results are stored; the work is done in float64.
            expectations: "auto" takes closed forms where there are some, "numeric" integrates all (a check).

        Raises:
            LimitError: as `derive`.
            DataError: an unknown backend, or one that is not to be had here.
        """
        from tensorprog.runtime.lowered import lower_program

        try:
            found = lower_program(self._core, self._sources(), expectations, lambda: self.derive(expectations))
        except LimitError as error:
            from tensorprog.limit.extents import NeedsExtents

            if not isinstance(error, NeedsExtents):
                raise
            return self._compile_per_extent(error, backend, dtype, expectations)
        return stage("run")(found.core, found, backend=backend, dtype=dtype)  # type: ignore[no-any-return]

    def _sources(self) -> tuple[Source, ...]:
        """Return the texts that the program was read from, those that it uses included."""
        return tuple(dict.fromkeys(part.span.source for part in (self.tree, *self.tree.statements)))

    def _compile_per_extent(
        self, reason: NeedsExtents, backend: str, dtype: str, expectations: Literal["auto", "numeric"]
    ) -> KernelPerExtent:
        from tensorprog.limit.across import derive_across
        from tensorprog.runtime.per_extent import KernelPerExtent

        return KernelPerExtent(
            self._core,
            reason,
            lambda sizes: self._derivation(expectations, frozenset(sizes), sizes),
            lambda left, right: derive_across(self.tree, self._core, expectations, left, right),
            backend,
            dtype,
        )

    def sample(
        self,
        width: int = 1024,
        seed: int = 0,
        entries: Literal["gaussian", "uniform", "rademacher"] = "gaussian",
        **options: Any,
    ) -> FiniteNetwork:
        """Return one draw of the network at a finite width.

        Args:
            width: the size of the first width; the others follow at their ratios.
            seed: the same seed and sizes give the same draw.
            entries: the law of the entries of matrices of infinite fan-in; data layers and vectors stay Gaussian.
            **options: `dtype`, "float64" or "float32".
        """
        return stage("sample")(self._core, width, seed, entries, **options)  # type: ignore[no-any-return]

    def verify(
        self, x: Any = None, widths: Sequence[int] | None = None, samples: int = 64, seed: int = 0, **options: Any
    ) -> Verification:
        """Return the comparison of the limit with sampled networks: every named moment and tangent, and the kernels.

        Args:
            x: data as for the kernel; three standard-normal samples if None.
            widths: the widths to sample at, at least two; None means (256, 1024, 4096), with axes (64, 256, 1024).
            samples: networks of the largest width; of a width n, √(largest / n) times as many.
            seed: the root of all draws.
            **options: `entries` as for `sample`; `false_alarm`, the probability with which a true limit fails; `sizes`
                that data would bind; `progress`, called with the numbers of networks done and to do.
        """
        return stage("verify")(self, x, widths=widths, samples=samples, seed=seed, **options)  # type: ignore[no-any-return]
