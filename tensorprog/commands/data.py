"""Data files: `.npy`, `.npz` with one array per input, `.csv` with a header. Nothing in a file is ever executed."""

from __future__ import annotations

import csv
import difflib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tensorprog.errors import DataError, Diagnostic

__all__ = ["Table", "read_data", "take_rows"]

Array = npt.NDArray[Any]
FORMATS = ".npy, .npz, .csv"


@dataclass(frozen=True, slots=True)
class Table:
    """The data of a file: one array, or a mapping by input name, and the labels that were set aside."""

    data: Array | dict[str, Array]
    label: Array | None = None


def read_data(path: Path, label: str | None = None) -> Table:
    """Return the data of a file; the array or column `label` is set aside.

    A `.csv` gives one array (N, columns), a `.npy` its array, a `.npz` its arrays by name (one alone stands for the one
    input of a program, whatever its name).

    Raises:
        DataError: the file is not of its format or has objects in it (TP472), a line of a `.csv` does not fit (TP473),
            or there is no such label (TP474).
    """
    readers = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise _fail("TP472", f"{path.name!r} is of no known format", f"one of {FORMATS}")
    return readers[path.suffix.lower()](path, label)


def take_rows(data: Array | dict[str, Array], count: int) -> Array | dict[str, Array]:
    """Return the first `count` samples."""
    return {name: rows[:count] for name, rows in data.items()} if isinstance(data, dict) else data[:count]


def _fail(code: str, message: str, hint: str | None = None) -> DataError:
    return DataError(Diagnostic(code, message, hint=hint))


# NumPy's formats


def _read_npy(path: Path, label: str | None) -> Table:
    if label is not None:
        raise _fail("TP474", f"{path.name!r} is one array without names: it has no column {label!r}")
    array = _load(path)
    if not isinstance(array, np.ndarray):
        raise _fail("TP472", f"{path.name!r} is not a .npy file", "files with several arrays end in .npz")
    return Table(array)


def _read_npz(path: Path, label: str | None) -> Table:
    arrays = _load(path)
    if not isinstance(arrays, dict):
        raise _fail("TP472", f"{path.name!r} is not a .npz file", "files with one array end in .npy")
    if label is not None and label not in arrays:
        raise _no_label(path, label, list(arrays))
    labels = arrays.pop(label) if label is not None else None
    return Table(next(iter(arrays.values())) if len(arrays) == 1 else arrays, labels)


def _load(path: Path) -> Array | dict[str, Array]:
    """Return what a file of NumPy's holds; objects, which would need pickles, are refused."""
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            return content if isinstance(content, np.ndarray) else {name: content[name] for name in content.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        hint = "arrays of numbers are read, pickled objects are not"
        raise _fail("TP472", f"{path.name!r} cannot be read: {error}", hint) from None


# CSV


def _read_csv(path: Path, label: str | None) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header = [name.strip() for name in next(lines, [])]
            _check_header(path, header)
            rows = [(lines.line_num, row) for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _fail("TP472", f"{path.name!r} cannot be read: {error}") from None
    if label is not None and label not in header:
        raise _no_label(path, label, header)
    aside = None if label is None else header.index(label)
    columns = [number for number in range(len(header)) if number != aside]
    data = np.array([_numbers(path, header, line, row, columns) for line, row in rows]).reshape(len(rows), len(columns))
    return Table(data, None if aside is None else _labels([row[aside].strip() for _, row in rows]))


def _check_header(path: Path, header: list[str]) -> None:
    if not any(header):
        raise _fail("TP473", f"{path.name!r} is empty", "the first line names the columns")
    if all(_is_number(name) for name in header):
        raise _fail("TP473", f"{path.name!r} has numbers in its first line", "the first line must name the columns")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(path: Path, header: list[str], line: int, row: list[str], columns: list[int]) -> list[float]:
    if len(row) != len(header):
        raise _fail("TP473", f"line {line} of {path.name!r} has {len(row)} columns, the header has {len(header)}")
    try:
        return [float(row[column]) for column in columns]
    except ValueError:
        column = next(column for column in columns if not _is_number(row[column]))
        message = f"line {line} of {path.name!r} has {row[column]!r} in the column {header[column]!r}, not a number"
        raise _fail("TP473", message, f"--label {header[column]} sets the column aside") from None


def _labels(words: list[str]) -> Array:
    """Return labels as integers if all are, else as numbers if all are, else as they are written."""
    for kind in (np.int64, np.float64):
        try:
            return np.array([kind(word) for word in words])
        except (ValueError, OverflowError):
            continue
    return np.array(words)


def _no_label(path: Path, label: str, names: list[str]) -> DataError:
    near = difflib.get_close_matches(label, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:8])}{', …' * (len(names) > 8)}"
    return _fail("TP474", f"{path.name!r} has no column or array {label!r}", hint)
