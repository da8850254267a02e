"""The arrays that results are written to: those of the caller, or new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.errors import DataError, Diagnostic

__all__ = ["Targets", "check_targets"]

Targets = Mapping[str, npt.NDArray[Any]]


def check_targets(
    out: Any, kinds: Sequence[str], shape: tuple[int, ...], dtype: np.dtype[Any], *, single: bool
) -> Targets:
    """Return one array of `shape` per kind: those in `out` if it is given, else new ones of type `dtype`.

    Raises:
        DataError: TP453, `out` does not have one writable float array of that shape per kind.
    """
    if out is None:
        return {kind: np.empty(shape, dtype) for kind in kinds}
    arrays = _by_kind(out, kinds, single=single)
    for kind in kinds:
        _check(arrays[kind], kind, shape)
    return arrays


def _by_kind(out: Any, kinds: Sequence[str], *, single: bool) -> dict[str, Any]:
    if single and isinstance(out, np.ndarray):
        return {kinds[0]: out}
    if isinstance(out, Mapping) and set(out) == set(kinds):
        return {kind: out[kind] for kind in kinds}
    if isinstance(out, tuple | list) and len(out) == len(kinds):
        return dict(zip(kinds, out, strict=True))
    raise _fail("out has not one array for each kernel of get", f"it must have arrays for: {', '.join(kinds)}")


def _check(array: Any, kind: str, shape: tuple[int, ...]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
        raise _fail(f"out for {kind} is not a numpy array of float32 or float64")
    if array.shape != shape:
        raise _fail(f"out for {kind} has shape {array.shape}, the kernel matrix {shape}")
    if not array.flags.writeable:
        raise _fail(f"out for {kind} is read-only", "open a memmap with mode 'r+' or 'w+'")


def _fail(message: str, hint: str | None = None) -> DataError:
    return DataError(Diagnostic("TP453", message, hint=hint))
