"""Where the time of a call goes, by module of tensorprog."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

__all__ = ["shares"]

PACKAGE = "tensorprog."
COMPILED = ("tp_", "tensorprog.runtime.native")
"""How the names of generated modules begin, and of the module that calls machine code."""


def shares(call: Callable[[], object]) -> dict[str, float]:
    """Return the shares of the time of a call in one thread, by module, the largest first.

    What is called outside the package, numpy say, counts for the module that called it.
    """
    clock = _Clock()
    sys.setprofile(clock.tick)
    try:
        call()
    finally:
        sys.setprofile(None)
    total = sum(clock.spent.values())
    return {module: seconds / total for module, seconds in clock.spent.most_common()}


@dataclass
class _Clock:
    """The stack of modules, the innermost one of the package at its end, and what was spent in each."""

    spent: Counter[str] = field(default_factory=Counter)
    stack: list[str] = field(default_factory=lambda: ["elsewhere"])
    last: float = field(default_factory=time.perf_counter)

    def tick(self, frame: FrameType, event: str, _: Any) -> None:
        """Take the time at every call and return of a Python function."""
        if event not in ("call", "return"):
            return
        self.spent[self.stack[-1]] += time.perf_counter() - self.last  # type: ignore[assignment]
        if event == "call":
            self.stack.append(self._module(frame))
        elif len(self.stack) > 1:
            self.stack.pop()
        self.last = time.perf_counter()

    def _module(self, frame: FrameType) -> str:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(COMPILED):
            return "compiled code"
        return name.removeprefix(PACKAGE) if name.startswith(PACKAGE) else self.stack[-1]
