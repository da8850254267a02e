"""What is kept on disk between processes: compiled kernels, lowered programs, the tables of the parser.

An entry is a file, named by the hash of everything that its content depends on and written in one step; its first line
is the hash of the rest, so that a damaged entry is one that there is not. Whoever can write into the folder can run
code as its owner, since compiled code lies there: it is made with access for the owner alone, as that of numba.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = [
    "cache_folder",
    "digest",
    "keep",
    "library_stamp",
    "look_up",
    "python_stamp",
    "sources_have_changed",
    "sources_stamp",
    "write_file",
]

_START = time.time()
"""When this process began to import the package, or soon after."""

_VERSION_FILES = ("_version.py", "version.py", "release.py", "__init__.py")


def cache_folder() -> Path:
    """Return the folder of what is kept: `TENSORPROG_CACHE` if it is set, else the platform's cache folder."""
    chosen = os.environ.get("TENSORPROG_CACHE")
    if chosen:
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "tensorprog" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "tensorprog"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "tensorprog"


def digest(parts: Iterable[str]) -> str:
    """Return the name of a content, 32 digits of the SHA-256 of its parts."""
    whole = hashlib.sha256()
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        whole.update(b"%d:" % len(text))
        whole.update(text)
    return whole.hexdigest()[:32]


def keep(name: str, content: bytes) -> None:
    """Write an entry; where nothing can be written, nothing is kept."""
    try:
        write_file(cache_folder() / name, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    except OSError:
        return


def look_up(name: str) -> bytes | None:
    """Return the content of an entry, None if there is none or if it is damaged."""
    try:
        whole = (cache_folder() / name).read_bytes()
    except OSError:
        return None
    stamp, _, content = whole.partition(b"\n")
    return content if stamp == hashlib.sha256(content).hexdigest().encode() else None


def write_file(path: Path, content: bytes) -> None:
    """Write a file in one step, so that nobody sees a part of it.

    Raises:
        OSError: the folder cannot be made, or not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    os.replace(temporary, path)


@cache
def library_stamp(name: str) -> str:
    """Return what tells one version of a library from another, without importing it."""
    spec = importlib.util.find_spec(name)
    places = () if spec is None or spec.submodule_search_locations is None else spec.submodule_search_locations
    files = [Path(place) / file for place in places for file in _VERSION_FILES]
    return digest([name, *(file.read_text(encoding="utf-8") for file in files if file.is_file())])


def python_stamp() -> str:
    """Return what tells one interpreter from another."""
    return f"{sys.implementation.name} {sys.version}"


def sources_have_changed() -> bool:
    """Tell whether a source is younger than this process, which may then run another one than that on disk."""
    return any(file.stat().st_mtime > _START for file in Path(__file__).parent.rglob("*.py"))


@cache
def sources_stamp(*rooms: str) -> str:
    """Return the hash of the sources of some rooms: packages, or modules, of this package."""
    package, whole = Path(__file__).parent, hashlib.sha256()
    for room in rooms:
        for file in sorted((package / f"{room}.py", *(package / room).rglob("*.py"))):
            if file.is_file():
                content = file.read_bytes()
                whole.update(f"{file.relative_to(package)} {len(content)} ".encode())
                whole.update(content)
    return whole.hexdigest()[:32]
