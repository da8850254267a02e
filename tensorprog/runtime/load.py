"""Generated sources become compiled functions: a file per source, compiled once across processes.

The file is named by the hash of everything that its machine code depends on: the text, the modules that it imports from
here, the versions of the compiler, the processor. Beside it lies the machine code (`runtime.native`), which needs no
numba to run, and what numba itself keeps, which it finds again since the file never changes.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite.binding

from tensorprog.codegen.source import KernelSource
from tensorprog.runtime.native import NOT_KEPT, read_native, write_native
from tensorprog.store import (
    cache_folder,
    digest,
    keep,
    library_stamp,
    look_up,
    python_stamp,
    sources_have_changed,
    write_file,
)

__all__ = ["Compiled", "cache_folder", "find_native", "load", "machine_stamps", "sources_of"]

_PACKAGE = Path(__file__).parent.parent
_IMPORT = re.compile(r"^(?:from|import) tensorprog\.([\w.]+)", re.MULTILINE)

_LOADED: dict[str, Compiled] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled source: its function `tile(grams, left, right, sizes, out)` and the file that it lives in."""

    source: KernelSource
    tile: Callable[..., Any]
    path: Path


def load(source: KernelSource) -> Compiled:
    """Return the compiled form of a source, compiling it if no process has done so before.

    A cache folder that cannot be written is replaced by a temporary one.
    """
    name = f"tp_{digest((source.text, *sources_of(source.text), *machine_stamps()))}"
    with _LOCK:
        if name not in _LOADED:
            path = _write(name, source.text)
            tile = find_native(f"{name}.native", lambda: _import(name, path).tile)
            _LOADED[name] = Compiled(source, tile, path)
        return Compiled(source, _LOADED[name].tile, _LOADED[name].path)


def sources_of(text: str) -> Iterator[str]:
    """Yield the texts of the modules of this package that a text imports, and of those that these import.

    Of a folder of modules they are all of them.
    """
    waiting, known = [text], set[Path]()
    while waiting:
        for module in _IMPORT.findall(waiting.pop()):
            place = _PACKAGE.joinpath(*module.split("."))
            for path in (place.with_suffix(".py"), *sorted(place.glob("*.py"))):
                if path not in known and path.is_file():
                    known.add(path)
                    waiting.append(path.read_text(encoding="utf-8"))
                    yield waiting[-1]


def machine_stamps() -> tuple[str, ...]:
    """Return what machine code depends on besides the source: the compiler and its settings, the processor."""
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_"))
    return (
        *(library_stamp(name) for name in ("numba", "llvmlite", "numpy")),
        python_stamp(),
        llvmlite.binding.get_host_cpu_name(),
        llvmlite.binding.get_host_cpu_features().flatten(),
        *settings,
    )


def find_native(name: str, compile_function: Callable[[], Any]) -> Callable[..., Any]:
    """Return a function in machine code: that which is kept under a name, or else that which numba makes now.

    All processes run the same code: numba's own, of the same function, may differ from it in the last bit, since it
    shares what several functions call.

    Args:
        name: the name of the entry.
        compile_function: returns the function as numba has it.
    """
    content = look_up(name)
    found = None if content is None else read_native(content)
    if found is not None:
        return found
    function: Callable[..., Any] = compile_function()
    if content != NOT_KEPT:
        content = write_native(function)
        if not sources_have_changed():
            keep(name, content)
    return read_native(content) or function


def _write(name: str, text: str) -> Path:
    """Write a source where it is not yet, and return its path."""
    try:
        return _write_in(cache_folder(), name, text)
    except OSError:
        return _write_in(Path(tempfile.mkdtemp(prefix="tensorprog-")), name, text)


def _write_in(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        _check_writable(folder)
    else:
        write_file(path, text.encode())
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
