"""What all tests share: golden files, a cache of compiled kernels of the run's own, and neighbours that stay together.

Golden files are written by `pytest --update-golden` and compared byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing with them"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give neighbouring tests to one process, which derives and compiles what they share once."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(scope="session")
def kernel_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the compiled kernels of this run, the same for all of its processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kernels"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def cache(kernel_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which this test finds and leaves compiled kernels."""
    monkeypatch.setenv("TENSORPROG_CACHE", str(kernel_cache))
    return kernel_cache


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Return `compare(path, text)`: the file at `path` holds exactly `text`; a missing file fails."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(path: Path, text: str) -> None:
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8"))
        assert path.is_file(), f"no golden file {path}: write it with --update-golden and read it"
        assert path.read_bytes().decode("utf-8") == text

    return compare
