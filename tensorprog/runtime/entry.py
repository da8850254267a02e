"""Compiled functions that Python calls: their machine code is kept, and numba is imported only to make it."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tensorprog.runtime.load import find_native, machine_stamps, sources_of
from tensorprog.runtime.native import can_keep
from tensorprog.store import digest

__all__ = ["Entry", "Uncompiled", "uncompiled"]

_LOCK = threading.RLock()


@dataclass(frozen=True, slots=True)
class Uncompiled:
    """A function for numba, and how it is to be compiled."""

    function: Callable[..., Any]
    signatures: tuple[str, ...]
    fastmath: Any


def uncompiled(*signatures: str, fastmath: Any) -> Callable[[Callable[..., Any]], Uncompiled]:
    """Return the decorator of a function that an `Entry` calls, for one or more signatures."""
    return lambda function: Uncompiled(function, signatures, fastmath)


class Entry:
    """A function of a module that imports numba, by name: called, it is compiled if no process has done so before."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name
        self._function: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        if self._function is None:
            with _LOCK:
                self._function = self._function or self._find()
        return self._function(*arguments)

    def _find(self) -> Callable[..., Any]:
        text = f"import {self._module}"
        name = f"{self._name}_{digest((text, *sources_of(text), *machine_stamps()))}.native"
        return find_native(name, self._compile)

    def _compile(self) -> Any:
        """Return the function as numba has it."""
        from tensorprog.runtime.compiled import compiled

        pending: Uncompiled = getattr(importlib.import_module(self._module), self._name)
        compile_function = compiled([*pending.signatures], fastmath=pending.fastmath, keep=not can_keep())
        return compile_function(pending.function)
