"""Data meets a program: names that the data bind, shapes, dtypes and values are checked, and nothing is copied."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from tensorprog.core.ir import Axis, Core, Input
from tensorprog.core.values import Array
from tensorprog.errors import DataError, Diagnostic, Span
from tensorprog.nonlin.evaluate import evaluate_integer
from tensorprog.nonlin.expression import Expr, Symbol, symbols

__all__ = ["Binding", "bind", "bound_names", "check_pair", "check_sizes"]

Data = Any
"""One array (N, *axes, *shape) for a program of one input, or a mapping from input names to such arrays."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Data that fit a program: N samples, and every size that is now known.

    `sizes` maps the hyperparameters and the names bound by the data to their values (widths are not among them),
    `starts` and `extents` every axis to its first index and its length, `data` every input to an array of shape
    (N, *axes, *shape) and of type `dtype`. The arrays may be the caller's own and must not be written to.
    """

    samples: int
    sizes: Mapping[str, int | float]
    starts: Mapping[str, int]
    extents: Mapping[str, int]
    data: Mapping[str, Array]
    dtype: np.dtype[Any]


def _fail(code: str, message: str, span: Span | None = None, hint: str | None = None) -> DataError:
    return DataError(Diagnostic(code, message, span, hint))


def bind(
    core: Core,
    data: Data,
    sizes: Mapping[str, int] | None = None,
    *,
    dtype: Any = None,
    allow_nonfinite: bool = False,
) -> Binding:
    """Return `data` bound to the inputs of `core`.

    Args:
        core: a forward program.
        data: one array of shape (N, *axes, *shape), or a mapping from input names to such arrays; anything that
            `numpy.asarray` makes into an array of numbers.
        sizes: values for names that data bind, which the data must then agree with.
        dtype: float32 or float64; by default float32 if all arrays are, else float64.
        allow_nonfinite: let NaN and infinities pass.

    Raises:
        DataError: inputs are missing or unknown (TP401), an array is not numerical (TP402), has the wrong rank or shape
            (TP403), holds NaN or infinity (TP404), or an axis has no positions (TP405).
    """
    arrays = {name: _as_array(name, array) for name, array in _by_name(core, data).items()}
    for entry in core.inputs:
        _check_rank(core, entry, arrays[entry.name])
    known = _bind_names(core, arrays, dict(core.symbols) | dict(sizes or {}))
    starts = {
        name: _integer(axis.start, known, f"the start of axis `{name}`", axis.span) for name, axis in core.axes.items()
    }
    extents = {name: _extent(axis, known) for name, axis in core.axes.items()}
    for entry in core.inputs:
        _check_shape(entry, arrays[entry.name], extents, known)
    samples = _count_samples(core, arrays)
    wanted = np.dtype(dtype) if dtype is not None else _common_dtype(arrays)
    cast = {name: _cast(name, array, wanted, allow_nonfinite) for name, array in arrays.items()}
    return Binding(samples, known, starts, extents, cast, wanted)


def bound_names(core: Core) -> tuple[str, ...]:
    """Return the names that only data bind, in order of first appearance in axes and input shapes."""
    dimensions = [entry.type.dimension for entry in core.inputs if entry.type.dimension is not None]
    exprs = [expr for axis in core.axes.values() for expr in (axis.start, axis.extent)] + dimensions
    known = {*core.symbols, *(width.name for width in core.widths), "pi"}
    return tuple(dict.fromkeys(name for expr in exprs for name in symbols(expr) if name not in known))


def check_sizes(core: Core, sizes: Mapping[str, Any]) -> dict[str, int]:
    """Return numbers for sizes that data bind, as integers.

    Raises:
        DataError: no data would bind a name (TP475), or its value is not a positive integer (TP403).
    """
    names = bound_names(core)
    for name, value in sizes.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"the data bind {', '.join(names) or 'no name'}"
            raise _fail("TP475", f"{name!r} is not a size that data bind", hint=hint)
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise _fail("TP403", f"the size `{name}` is a positive integer, not {value!r}")
    return {name: int(value) for name, value in sizes.items()}


def check_pair(first: Binding, second: Binding, core: Core) -> None:
    """Check that two data sets may stand in one kernel: shapes agree, extents of axes may differ.

    Raises:
        DataError: an input has vectors of different dimensions in the two, or the law of a parameter depends on a size
            that differs (TP406).
    """
    for entry in core.inputs:
        if entry.type.dimension is None:
            continue
        here, there = (_dimension(entry.type.dimension, binding.sizes) for binding in (first, second))
        if here != there:
            message = f"input `{entry.name}` has vectors of {here} numbers in x1 and of {there} in x2"
            raise _fail("TP406", message, entry.span, "the two data sets of a kernel must have the same features")
    _check_parameters(first, second, core)


def _check_parameters(first: Binding, second: Binding, core: Core) -> None:
    """Check that both data sets see the same parameters: of the same laws, trained at the same rates."""
    for parameter in core.parameters.values():
        laws = (parameter.mean, parameter.variance, parameter.multiplier, *parameter.shape)
        for name in dict.fromkeys(name for law in laws for name in symbols(law)):
            here, there = first.sizes.get(name), second.sizes.get(name)
            if here != there:
                message = f"the law of `{parameter.name}` depends on `{name}`, which is {here} in x1 and {there} in x2"
                hint = "a parameter is drawn once for both; put what depends on the extent where it is used"
                raise _fail("TP406", message, parameter.span, hint)


def _by_name(core: Core, data: Data) -> Mapping[str, Any]:
    names = [entry.name for entry in core.inputs]
    if not isinstance(data, Mapping):
        if len(names) == 1:
            return {names[0]: data}
        wanted = ", ".join(f"`{name}`" for name in names) or "none"
        hint = "give a mapping from the names of the inputs to arrays: {name: array}"
        raise _fail("TP401", f"one array was given to a program of {len(names)} inputs: {wanted}", hint=hint)
    for name in data:
        if name not in names:
            raise _fail("TP401", f"the program has no input `{name}`", hint=f"its inputs: {', '.join(names) or 'none'}")
    for entry in core.inputs:
        if entry.name not in data:
            raise _fail("TP401", f"no data for the input `{entry.name}`", entry.span)
    return {name: data[name] for name in names}


def _as_array(name: str, data: Any) -> Array:
    try:
        array = np.asarray(data)
    except (ValueError, TypeError) as error:
        raise _fail("TP402", f"the data of `{name}` are not an array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        hint = "real numbers are needed: float32 or float64"
        raise _fail("TP402", f"the data of `{name}` have dtype {array.dtype}", hint=hint)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _layout(entry: Input) -> str:
    tail = () if entry.type.dimension is None else (_spell(entry.type.dimension) or "dimension",)
    return f"({', '.join(('N', *entry.type.axes, *tail))}{',' if not entry.type.axes and not tail else ''})"


def _spell(expr: Expr) -> str | None:
    return expr.name if isinstance(expr, Symbol) else str(expr.value) if hasattr(expr, "value") else None


def _check_rank(core: Core, entry: Input, array: Array) -> None:
    rank = 1 + len(entry.type.axes) + (entry.type.dimension is not None)
    if array.ndim != rank:
        message = f"input `{entry.name}` is an array {_layout(entry)}, the data have shape {array.shape}"
        hint = "a single sample is x[None]" if array.ndim == rank - 1 else None
        raise _fail("TP403", message, entry.span, hint)


def _bind_names(core: Core, arrays: Mapping[str, Array], known: dict[str, int | float]) -> dict[str, int | float]:
    """Return `known` with every name that is exactly an extent or a dimension of some input."""
    origin = {name: "what was set" for name in known}
    for entry in core.inputs:
        exprs = [core.axes[axis].extent for axis in entry.type.axes]
        exprs += [] if entry.type.dimension is None else [entry.type.dimension]
        for expr, length in zip(exprs, arrays[entry.name].shape[1:], strict=True):
            if not isinstance(expr, Symbol) or expr.name in core.symbols:
                continue
            if known.setdefault(expr.name, length) != length:
                other = f"{known[expr.name]} by {origin[expr.name]}"
                message = f"`{expr.name}` is {length} by the data of `{entry.name}`, but {other}"
                raise _fail("TP403", message, entry.span)
            origin.setdefault(expr.name, f"the data of `{entry.name}`")
    for name in bound_names(core):
        if name not in known:
            raise _fail(
                "TP403", f"no input binds `{name}`", hint=f"say its value, or give an input an axis of extent `{name}`"
            )
    return known


def _integer(expr: Expr, known: Mapping[str, int | float], what: str, span: Span | None) -> int:
    try:
        return evaluate_integer(expr, known)
    except (ValueError, ZeroDivisionError) as error:
        raise _fail("TP405", f"{what} is not an integer: {error}", span) from None


def _values(expr: Expr, known: Mapping[str, int | float]) -> str:
    named = ", ".join(f"{name} = {known[name]}" for name in symbols(expr) if name in known)
    return f" where {named}" if named else ""


def _extent(axis: Axis, known: Mapping[str, int | float]) -> int:
    extent = _integer(axis.extent, known, f"the extent of axis `{axis.name}`", axis.span)
    if extent > 0:
        return extent
    hint = "a window must leave something of an axis"
    raise _fail("TP405", f"axis `{axis.name}` has extent {extent}{_values(axis.extent, known)}", axis.span, hint)


def _dimension(expr: Expr, known: Mapping[str, int | float]) -> int:
    return _integer(expr, known, "the dimension of an input", None)


def _check_shape(entry: Input, array: Array, extents: Mapping[str, int], known: Mapping[str, int | float]) -> None:
    for axis, length in zip(entry.type.axes, array.shape[1:], strict=False):
        if extents[axis] != length:
            message = f"axis `{axis}` of input `{entry.name}` has extent {extents[axis]}, the data {length}"
            raise _fail(
                "TP403", message, entry.span, f"the data of `{entry.name}` are {_layout(entry)}, here {array.shape}"
            )
    if entry.type.dimension is not None:
        wanted = _dimension(entry.type.dimension, known)
        if array.shape[-1] != wanted:
            message = f"input `{entry.name}` has vectors of {wanted} numbers, the data of {array.shape[-1]}"
            raise _fail(
                "TP403", message, entry.span, f"the data of `{entry.name}` are {_layout(entry)}, here {array.shape}"
            )
        if wanted < 1:
            raise _fail("TP403", f"input `{entry.name}` has vectors of no numbers", entry.span)


def _count_samples(core: Core, arrays: Mapping[str, Array]) -> int:
    counts = {name: array.shape[0] for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"`{name}` has {count}" for name, count in counts.items())
        raise _fail("TP403", f"the inputs have different numbers of samples: {listed}")
    return next(iter(counts.values()), 1)


def _common_dtype(arrays: Mapping[str, Array]) -> np.dtype[Any]:
    return np.result_type(*(array.dtype for array in arrays.values())) if arrays else np.dtype(np.float64)


def _cast(name: str, array: Array, dtype: np.dtype[Any], allow_nonfinite: bool) -> Array:
    with np.errstate(over="ignore"):
        cast = array.astype(dtype, copy=False)
    if allow_nonfinite or np.isfinite(cast).all():
        return cast
    place = tuple(int(k) for k in np.argwhere(~np.isfinite(cast))[0])
    where = f"`{name}[{', '.join(map(str, place))}]`"
    hint = "clean the data, or pass allow_nonfinite=True where it is accepted"
    raise _fail(
        "TP404",
        f"{where} is {array[place]}" + ("" if not np.isfinite(array[place]) else f", too large for {dtype}"),
        hint=hint,
    )
