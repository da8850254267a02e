"""The cache of compiled kernels: stable names, hits across processes, unwritable folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tensorprog.codegen.cpu import emit
from tensorprog.kernel.lower import lower
from tensorprog.runtime import load as loading
from tensorprog.runtime.gram import Kernel
from tensorprog.runtime.native import can_keep
from tests.kernel.systems import core, data, relu_deep

PROGRAM = """
import sys
import numpy as np
from tensorprog.codegen.source import KernelSource, lay_out
from tensorprog.runtime.load import load
layout = lay_out(("q",), {})
compiled = load(KernelSource("hand", sys.argv[1], (), (), layout, layout, ()))
values = np.random.default_rng(0).uniform(0.5, 1.0, (2, 20, 300))
grams, out = np.stack([values[0].T @ values[0], values[1].T @ values[1] / 20.0]), np.zeros((2, 300, 300))
compiled.tile(grams, *values, np.array([3.0]), out)
assert np.isfinite(out).all() and out.any()
print("numba" in sys.modules, compiled.path.name, out.tobytes().hex())
"""


def _run(folder: Path) -> list[str]:
    environment = {**os.environ, "TENSORPROG_CACHE": str(folder)}
    text = emit(lower(relu_deep(4))).text
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, text], env=environment, capture_output=True, check=True, text=True
    )
    return done.stdout.split()


def test_later_processes_find_the_machine_code_and_make_it_again_if_it_is_damaged(tmp_path: Path) -> None:
    first, second = _run(tmp_path), _run(tmp_path)
    assert (first[0], second[0]) == ("True", "False" if can_keep() else "True")
    (kept,) = tmp_path.glob("*.native")
    kept.write_bytes(kept.read_bytes()[:-1])
    third, fourth = _run(tmp_path), _run(tmp_path)
    assert (third[0], fourth[0]) == (first[0], second[0])
    assert first[1:] == second[1:] == third[1:] == fourth[1:]


def test_a_change_of_what_is_imported_is_a_change_of_the_source() -> None:
    text = emit(lower(relu_deep(4))).text
    modules = {path.name: path.read_text(encoding="utf-8") for path in Path(loading.__file__).parent.rglob("*.py")}
    found = [*loading.sources_of(text)]
    assert modules["simd.py"] in found
    assert modules["intrinsics.py"] in found
    assert modules["floats.py"] in found
    assert modules["gram.py"] not in found


def test_the_number_of_blas_threads_does_not_matter(tmp_path: Path) -> None:
    program = (
        "import hashlib; from tests.kernel.systems import *; from tensorprog.runtime.gram import Kernel; "
        "print(hashlib.sha256(Kernel(core(), relu_deep(2))(data(520, 700)).tobytes()).hexdigest())"
    )
    digests = set()
    for threads in ("1", "2", "3"):
        environment = {**os.environ, "TENSORPROG_CACHE": str(tmp_path), "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_the_file_is_the_source_and_stays(cache: Path) -> None:
    source = emit(lower(relu_deep(6)))
    first = loading.load(source)
    stamp = first.path.stat().st_mtime_ns
    assert first.path.parent == cache
    assert first.path.read_text() == source.text
    assert loading.load(source).path.stat().st_mtime_ns == stamp
    assert not list(cache.glob("*.tmp"))


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tp_x.py"
    path.write_text("broken", encoding="utf-8")
    assert loading._write_in(tmp_path, "tp_x", "whole\n").read_text() == "whole\n"


def test_a_folder_that_cannot_be_written_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("TENSORPROG_CACHE", str(blocked))
    kernel = Kernel(core(), relu_deep(7))
    assert np.isfinite(kernel(data(3))).all()
    assert not kernel.report.files[0].startswith(str(blocked))


def test_the_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENSORPROG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.setattr(sys, "platform", "linux")
    assert loading.cache_folder() == Path("/somewhere/tensorprog")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert loading.cache_folder().parts[-3:] == ("Library", "Caches", "tensorprog")
