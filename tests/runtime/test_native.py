"""Kept machine code gives the numbers of numba's, and is not used where anything is not as it should be."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from tensorprog.runtime.native import NOT_KEPT, can_keep, read_native, write_native

pytestmark = pytest.mark.skipif(not can_keep(), reason="machine code is not kept on this system")

SUM = "float64(float64[:, ::1], int64)"


def _compiled(signature: str | list[str], function: Callable[..., Any], **options: Any) -> Any:
    return njit(signature, error_model="numpy", nogil=True, **options)(function)


def _sum_of_sines(values: Any, power: int) -> float:
    total = 0.0
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            total += math.sin(values[i, j]) ** power + math.erf(values[i, j])
    return total


def _through_memory(values: Any, out: Any) -> None:
    work = np.empty((values.shape[0], 3))
    for i in range(values.shape[0]):
        work[i, 0] = values[i]
        work[i, 1] = 2.0 * work[i, 0]
        out[i] = work[i, 0] + work[i, 1]


def _kept(function: Any) -> Any:
    content = write_native(function)
    assert content != NOT_KEPT
    found = read_native(content)
    assert found is not None
    return found


def test_the_numbers_are_the_same() -> None:
    function = _compiled(SUM, _sum_of_sines, fastmath={"contract"})
    values = np.random.default_rng(0).normal(size=(7, 5))
    assert _kept(function)(values, 3) == function(values, 3)
    assert _kept(function)(values[:0], 3) == 0.0


def test_a_function_may_have_arrays_of_its_own() -> None:
    found = _kept(_compiled("void(float64[::1], float64[::1])", _through_memory))
    for size in (0, 1, 3, 1000):
        values, out = np.arange(float(size)), np.full(size, np.nan)
        for _ in range(100):
            assert found(values, out) is None
        assert np.array_equal(out, 3.0 * values)


def test_the_types_of_the_arguments_choose_the_function() -> None:
    signatures = ["boolean(float64[::1], uint8[::1])", "boolean(float32[::1], uint8[::1])"]
    found = _kept(_compiled(signatures, lambda a, b: a[0] * b[0] > 1.0))
    flags = np.array([2], np.uint8)
    assert found(np.array([0.6]), flags) is True
    assert found(np.array([0.4], np.float32), flags) is False


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(3),
        np.zeros((3, 3), np.float32),
        np.zeros((3, 3), ">f8"),
        np.zeros((3, 3), order="F"),
        np.zeros((3, 6))[:, ::2],
        np.broadcast_to(np.zeros(3), (3, 3)),
        np.frombuffer(bytes(33), np.uint8)[1:].view(np.float64).reshape(2, 2),
    ],
    ids=("dimensions", "precision", "byte order", "columns", "strides", "read only", "alignment"),
)
def test_arrays_of_other_types_are_refused(values: Any) -> None:
    with pytest.raises(TypeError):
        _kept(_compiled(SUM, _sum_of_sines))(values, 3)


def test_the_number_of_arguments_is_checked() -> None:
    with pytest.raises(TypeError):
        _kept(_compiled(SUM, _sum_of_sines))(np.zeros((3, 3)))


def _raising(values: Any, power: int) -> float:
    if values[0, 0] < 0:
        raise ValueError
    return 1.0


def test_an_error_in_the_function_is_one_outside() -> None:
    found = _kept(_compiled(SUM, _raising))
    assert found(np.ones((1, 1)), 0) == 1.0
    with pytest.raises(RuntimeError, match="status"):
        found(-np.ones((1, 1)), 0)


def test_what_needs_the_interpreter_is_not_kept() -> None:
    def speaks(values: Any, power: int) -> float:
        print(power)
        return 1.0

    assert write_native(_compiled(SUM, speaks)) == NOT_KEPT


@pytest.mark.parametrize(
    ("signature", "function"),
    [
        ("float64(float64[:])", lambda a: a[0]),
        ("float64(float32)", lambda a: a),
        ("float64(UniTuple(float64, 2))", lambda a: a[0]),
        ("UniTuple(float64, 2)(float64)", lambda a: (a, a)),
        ("float64[::1](float64[::1])", lambda a: a),
    ],
)
def test_other_types_are_not_kept(signature: str, function: Callable[..., Any]) -> None:
    assert write_native(_compiled(signature, function)) == NOT_KEPT


def test_what_numba_did_not_compile_is_not_kept() -> None:
    assert write_native(_sum_of_sines) == NOT_KEPT


def test_records_that_do_not_fit_are_not_read() -> None:
    content = write_native(_compiled(SUM, _sum_of_sines))
    (record,) = json.loads(content)
    for change in ({"calls": ["no_such_function"]}, {"name": "other"}, {"arguments": [["x", None]]}):
        assert read_native(json.dumps([{**record, **change}]).encode()) is None
    assert read_native(NOT_KEPT) is None
    assert read_native(b"[{}]") is None
    assert read_native(b"") is None


def test_it_runs_without_numba() -> None:
    content = write_native(_compiled(SUM, _sum_of_sines))
    script = (
        "import sys; import numpy as np; from tensorprog.runtime.native import read_native; "
        "found = read_native(sys.stdin.buffer.read()); "
        "print(found(np.full((2, 3), 0.5), 2).hex(), 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], input=content, capture_output=True, check=True)
    expected = _compiled(SUM, _sum_of_sines)(np.full((2, 3), 0.5), 2)
    assert done.stdout.decode().split() == [expected.hex(), "False"]
