"""What is kept on disk: written whole, found again, and not believed when it is damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tensorprog import store


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENSORPROG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_kept_is_found(folder: Path) -> None:
    store.keep("entry", b"content\nof two lines")
    assert store.look_up("entry") == b"content\nof two lines"
    assert store.look_up("other") is None
    assert [path.name for path in folder.iterdir()] == ["entry"]
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"", lambda b: b[::-1]])
def test_a_damaged_entry_is_none(folder: Path, damage: object) -> None:
    store.keep("entry", b"content")
    path = folder / "entry"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert store.look_up("entry") is None
    store.keep("entry", b"content")
    assert store.look_up("entry") == b"content"


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TENSORPROG_CACHE", str(tmp_path / "file"))
    store.keep("entry", b"content")
    assert store.look_up("entry") is None


def test_the_parts_of_a_content_are_kept_apart() -> None:
    assert store.digest(["ab", "c"]) != store.digest(["a", "bc"]) != store.digest(["abc"])


def test_sources_are_stamped_by_their_content() -> None:
    assert store.sources_stamp("nonlin") == store.sources_stamp("nonlin")
    assert store.sources_stamp("nonlin") != store.sources_stamp("nonlin", "errors") != store.sources_stamp("errors")


def test_a_library_is_stamped_without_an_import() -> None:
    script = (
        "import sys; from tensorprog.store import library_stamp as stamp; "
        "names = ['numba', 'sympy', 'llvmlite', 'numpy', 'lark', 'mpmath']; "
        "print(len({stamp(name) for name in names}), *set(names) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout.split() == ["6"]
