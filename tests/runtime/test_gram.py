"""`Kernel` against formulas, against itself in other ways, and against bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tensorprog.errors import DataError, LimitError
from tensorprog.limit.equations import LimitSystem
from tensorprog.runtime.gram import Kernel
from tests.kernel.systems import core, data, exponential, layer_norm, relu_deep, relu_kernels, relu_mlp, tanh_deep

BACKENDS = ("interpret", "cpu")
SYSTEMS = {"mlp": relu_mlp(), "deep": relu_deep(5), "tanh": tanh_deep(2)}


def _kernel(system: LimitSystem, backend: str = "cpu", **options: Any) -> Kernel:
    return Kernel(core(), system, backend, **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_relu_kernels_are_those_of_the_textbook(backend: str) -> None:
    x1, x2 = data(300), data(7, seed=1)
    found = _kernel(relu_deep(5), backend)(x1, x2, get=("nngp", "ntk"))
    np.testing.assert_allclose(found.nngp, relu_kernels(x1, x2, 5)[0], rtol=1e-12)
    np.testing.assert_allclose(found.ntk, relu_kernels(x1, x2, 5)[1], rtol=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_compiled_kernel_is_the_interpreted_one(name: str) -> None:
    x1, x2 = data(70), data(31, seed=1)
    first, second = (_kernel(SYSTEMS[name], backend)(x1, x2, get=("nngp", "ntk")) for backend in BACKENDS)
    tolerance = 1e-11 if name == "tanh" else 1e-13  # series may end elsewhere within their tolerance
    np.testing.assert_allclose(first, second, rtol=tolerance, atol=tolerance)


def test_layer_norm_reads_scalars_of_both_samples() -> None:
    x = data(20)
    k1, k2 = (_kernel(layer_norm(), backend)(x, 1e3 * x, get="nngp") for backend in BACKENDS)
    np.testing.assert_allclose(k1, k2, rtol=1e-13)
    np.testing.assert_allclose(k2, _kernel(layer_norm())(x, x, get="nngp"), rtol=1e-5)  # up to ε


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_data_set_gives_an_exactly_symmetric_matrix(name: str, backend: str) -> None:
    x, kernel = data(24 if name == "tanh" else 270), _kernel(SYSTEMS[name], backend)
    found = kernel(x)
    assert np.array_equal(found, found.T)
    assert np.array_equal(np.diag(found), kernel.diag(x))
    off = ~np.eye(len(x), dtype=bool)
    np.testing.assert_allclose(found[off], kernel(x, x.copy())[off], rtol=1e-11)


def test_the_result_does_not_depend_on_the_number_of_threads() -> None:
    x, kernel = data(600, 300), _kernel(relu_deep(3))
    results = []
    for threads in (1, 2, 5):
        kernel.threads = threads
        results.append(kernel(x).tobytes())
    assert len(set(results)) == 1


def test_a_memmap_is_filled_in_place(tmp_path: Path) -> None:
    x, kernel = data(300), _kernel(relu_mlp())
    target = np.memmap(tmp_path / "k.dat", dtype=np.float64, mode="w+", shape=(300, 300))
    assert kernel(x, out=target) is target
    assert np.array_equal(target, kernel(x))
    both = {"nngp": np.empty((300, 300), np.float32), "ntk": np.empty((300, 300), order="F")}
    found = kernel(x, get=("ntk", "nngp"), out=both)
    assert found.ntk is both["ntk"]
    assert np.array_equal(both["ntk"], target)


@pytest.mark.parametrize(
    "out", [np.empty((3, 4)), [[0.0] * 3] * 3, np.empty((3, 3), dtype=int), (np.empty((3, 3)),) * 2, {"nngp": 0}]
)
def test_targets_that_do_not_fit_are_refused(out: Any) -> None:
    with pytest.raises(DataError) as caught:
        _kernel(relu_mlp(), "interpret")(data(3), out=out)
    assert caught.value.code == "TP453"


def test_a_read_only_target_is_refused() -> None:
    out = np.empty((3, 3))
    out.flags.writeable = False
    with pytest.raises(DataError, match="read-only"):
        _kernel(relu_mlp(), "interpret")(data(3), out=out)


def test_float32_results() -> None:
    x, kernel = data(30), _kernel(relu_mlp(), dtype="float32")
    found = kernel(x.astype(np.float32))
    assert found.dtype == np.float32 == kernel.diag(x).dtype
    np.testing.assert_allclose(found, _kernel(relu_mlp())(x), rtol=1e-5)


@pytest.mark.parametrize("name", SYSTEMS)
def test_nan_stays_in_its_row_and_column(name: str) -> None:
    x = data(12)
    kernel = _kernel(SYSTEMS[name])
    clean = kernel(x)
    x[5, 2] = np.nan
    with pytest.raises(DataError) as caught:
        kernel(x)
    assert caught.value.code == "TP404"
    found = kernel(x, allow_nonfinite=True)
    others = np.arange(12) != 5
    assert np.isnan(found[5]).all()
    assert np.isnan(found[:, 5]).all()
    np.testing.assert_array_equal(found[np.ix_(others, others)], clean[np.ix_(others, others)])


def test_overflow_is_an_error_that_names_the_quantity() -> None:
    x, kernel = data(4), _kernel(exponential())
    assert np.isfinite(kernel(x, get="nngp")).all()
    with pytest.raises(DataError, match="K_f is not finite for sample 0 of x1") as caught:
        kernel(100 * x, get="nngp")
    assert caught.value.code == "TP454"
    with pytest.raises(DataError, match="for sample"):
        kernel(100 * x, 100 * x, get="nngp")
    assert np.isinf(kernel.diag(100 * x, get="nngp", allow_nonfinite=True)).all()


def test_zero_samples_and_scales() -> None:
    kernel = _kernel(relu_deep(3, sb2=0.0))
    x = data(6)
    x[2] = 0
    base = kernel(x)
    assert np.all(base[2] == 0)
    for scale in (1e-4, 1e4):
        np.testing.assert_allclose(kernel(scale * x), scale**2 * base, rtol=1e-10)


def test_duplicates_off_the_diagonal_are_right_to_1e_7() -> None:
    x, kernel = data(40, 30), _kernel(relu_deep(3))
    diagonal = kernel.diag(x)
    np.testing.assert_allclose(np.diag(kernel(x, x)), diagonal, rtol=1e-7)


def test_no_samples_give_an_empty_matrix() -> None:
    kernel = _kernel(relu_mlp())
    assert kernel(data(0), data(3)).shape == (0, 3)
    assert kernel(data(0)).shape == (0, 0)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({"get": "kernel"}, "TP450"),
        ({"get": ()}, "TP450"),
        ({"get": ("ntk", "ntk")}, "TP450"),
        ({"get": "sg_ntk"}, "TP450"),
        ({"output": "g"}, "TP451"),
    ],
)
def test_bad_requests_are_named(call: dict[str, Any], code: str) -> None:
    with pytest.raises(DataError) as caught:
        _kernel(relu_mlp(), "interpret")(data(3), **call)
    assert caught.value.code == code


def test_a_refused_kernel_raises_its_reason() -> None:
    reason = LimitError("the reason")
    system = replace(layer_norm(), refused={("f", "ntk"): reason})
    with pytest.raises(LimitError, match="the reason"):
        _kernel(system, "interpret")(data(3))


@pytest.mark.parametrize("options", [{"backend": "cuda"}, {"backend": "tpu"}, {"dtype": "int8"}, {"dtype": "floaty"}])
def test_bad_options_are_named(options: dict[str, str]) -> None:
    with pytest.raises(DataError) as caught:
        Kernel(core(), relu_mlp(), **options)
    assert caught.value.code == "TP452"


def test_the_two_data_sets_must_agree() -> None:
    with pytest.raises(DataError) as caught:
        _kernel(relu_mlp(), "interpret")(data(3, 4), data(3, 5))
    assert caught.value.code == "TP406"


def test_the_report_says_what_was_chosen(cache: Path) -> None:
    kernel = _kernel(tanh_deep(2))
    assert kernel.report.error == 0
    kernel(data(5))
    assert 0 < kernel.report.error < 1e-8
    assert "numerical, error ≤" in str(kernel.report)
    closed = _kernel(relu_mlp())
    closed(data(2))
    assert str(cache) in str(closed.report)
    assert "closed form" in str(closed.report)
    assert "tile" in closed.source


def test_progress_counts_tiles() -> None:
    seen: list[tuple[int, int]] = []
    kernel = _kernel(relu_mlp())
    kernel.progress = lambda done, total: seen.append((done, total))
    kernel(data(600))
    assert sorted(seen) == [(number, 6) for number in range(1, 7)]


def test_callers_arrays_are_not_changed() -> None:
    x = data(10)
    before = x.copy()
    _kernel(relu_mlp())(x)
    assert np.array_equal(x, before)
