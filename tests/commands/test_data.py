"""Data files: what is read is what was written, and what does not fit is named by its place."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tensorprog.commands.data import read_data, take_rows
from tensorprog.errors import DataError

DIGITS = Path(__file__).parent.parent.parent / "data" / "digits.csv"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_digits_are_those_of_scikit_learn() -> None:
    table, digits = read_data(DIGITS, "digit"), load_digits()
    assert np.array_equal(table.data, digits.data)
    assert table.label is not None
    assert np.array_equal(table.label, digits.target)
    assert table.label.dtype == np.int64


def test_csv_with_quotes_mark_and_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", '\ufeff"a", b,name\n1,"2e-3",one\n\n-4,5,"two, three"\n')
    table = read_data(path, "name")
    assert np.array_equal(table.data, [[1.0, 0.002], [-4.0, 5.0]])
    assert table.label is not None
    assert table.label.tolist() == ["one", "two, three"]


def test_labels_that_are_numbers(tmp_path: Path) -> None:
    table = read_data(write(tmp_path / "x.csv", "y,a\n0.5,1\n2,3\n"), "y")
    assert table.label is not None
    assert table.label.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "label", "code", "words"),
    [
        ("", None, "TP473", "is empty"),
        ("1,2\n3,4\n", None, "TP473", "numbers in its first line"),
        ("a,b\n1,2\n3\n", None, "TP473", "line 3"),
        ("a,b\n1,2\n3,x\n", None, "TP473", "'x' in the column 'b'"),
        ("a,b\n1,2\n", "c", "TP474", "no column or array 'c'"),
        ("alpha,b\n1,2\n", "alpa", "TP474", "did you mean 'alpha'"),
        ("a,b\n1,2\n\x00", None, "TP47", ""),
    ],
)
def test_csv_that_does_not_fit(tmp_path: Path, text: str, label: str | None, code: str, words: str) -> None:
    with pytest.raises(DataError) as error:
        read_data(write(tmp_path / "x.csv", text), label)
    assert error.value.code.startswith(code)
    assert words in str(error.value)


def test_csv_of_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("ä,b\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match="TP472"):
        read_data(path)


def test_numpy_files(tmp_path: Path) -> None:
    x, y = np.arange(6.0).reshape(2, 3), np.arange(2)
    np.save(tmp_path / "x.npy", np.asfortranarray(x))
    np.savez(tmp_path / "one.npz", anything=x, y=y)
    np.savez(tmp_path / "two.npz", x=x, A=x[:, 0])
    assert np.array_equal(read_data(tmp_path / "x.npy").data, x)
    one = read_data(tmp_path / "one.npz", "y")
    assert np.array_equal(one.data, x)
    assert np.array_equal(one.label, y)
    two = read_data(tmp_path / "two.npz").data
    assert isinstance(two, dict)
    assert list(two) == ["x", "A"]
    first = take_rows(two, 1)
    assert isinstance(first, dict)
    assert first["A"].shape == (1,)


class Harmful:
    """Would raise if it were ever unpickled."""

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return RuntimeError, ("unpickled",)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    objects = np.array([Harmful()], dtype=object)
    (np.save if name.endswith("y") else np.savez)(tmp_path / name, objects)  # type: ignore[operator]
    with pytest.raises(DataError, match="TP472"):
        read_data(tmp_path / name)
    (tmp_path / name).write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataError, match="TP472"):
        read_data(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\x93NUMPY\x01\x00", b"no array"])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_broken_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="TP472"):
        read_data(tmp_path / name)


def test_a_wrong_ending(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(3))
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"end in \.npy"):
        read_data(tmp_path / "x.npz")
    with pytest.raises(DataError, match="no known format"):
        read_data(write(tmp_path / "x.txt", "1 2"))


def test_a_label_that_a_single_array_cannot_have(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(3))
    with pytest.raises(DataError, match="TP474"):
        read_data(tmp_path / "x.npy", "y")


def test_large_fields_are_an_error_and_no_traceback(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", f"a\n{'1' * (csv.field_size_limit() + 1)}\n")
    with pytest.raises(DataError, match="TP472"):
        read_data(path)
