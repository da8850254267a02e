"""Every test run has a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(autouse=True)
def cache(_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache folder of this run."""
    monkeypatch.setenv("TENSORPROG_CACHE", str(_cache))
    return _cache
