"""Generated sources become compiled functions: a file per source, compiled once across processes.

The file is named by the hash of everything that its machine code depends on: the text, the functions it imports from
here, the versions of the compiler, the processor. numba keeps its own cache beside the file and finds it again, since
the file never changes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding
import numba

from tensorprog.codegen.source import KernelSource

__all__ = ["Compiled", "cache_folder", "load"]

_IMPORTED = (
    *("intrinsics", "branchless", "exponential", "tails", "orthant", "faddeeva"),
    *("simd", "series", "compiled", "lookup", "moves", "sums", "modes", "laws"),
)
"""The modules that generated code imports."""

_LOADED: dict[str, Compiled] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled source: its function `tile(grams, left, right, sizes, out)` and the file that it lives in."""

    source: KernelSource
    tile: Callable[..., Any]
    path: Path


def cache_folder() -> Path:
    """Return the folder of compiled kernels: `TENSORPROG_CACHE` if it is set, else the platform's cache folder."""
    chosen = os.environ.get("TENSORPROG_CACHE")
    if chosen:
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "tensorprog" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "tensorprog"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "tensorprog"


def load(source: KernelSource) -> Compiled:
    """Return the compiled form of a source, compiling it if no process has done so before.

    A cache folder that cannot be written is replaced by a temporary one.
    """
    name = f"tp_{_digest(source.text)}"
    with _LOCK:
        if name not in _LOADED:
            path = _write(name, source.text)
            _LOADED[name] = Compiled(source, _import(name, path).tile, path)
        return Compiled(source, _LOADED[name].tile, _LOADED[name].path)


def _digest(text: str) -> str:
    parts = (
        text,
        *(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8") for name in _IMPORTED),
        numba.__version__,
        llvmlite.__version__,
        platform.python_version(),
        llvmlite.binding.get_host_cpu_name(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _write(name: str, text: str) -> Path:
    """Write a source where it is not yet, and return its path."""
    try:
        return _write_in(cache_folder(), name, text)
    except OSError:
        return _write_in(Path(tempfile.mkdtemp(prefix="tensorprog-")), name, text)


def _write_in(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}.py"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        _check_writable(folder)
        return path
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.replace(temporary, path)
    return path


def _check_writable(folder: Path) -> None:
    """Refuse a folder in which numba cannot keep what it compiles, unless it already has."""
    if not os.access(folder, os.W_OK) and not (folder / "__pycache__").is_dir():
        raise PermissionError(folder)


def _import(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
