"""Functions that generated code calls: compiled once, when their module is first imported, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compiled"]


def compiled(signature: str | list[str], *, fastmath: Any, keep: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator that compiles a function; where nothing can be kept on disk, in every process anew.

    With `keep` numba keeps it, and finds it again as long as its module does not change.
    """

    def compile_function(function: Callable[..., Any]) -> Any:
        options = {"error_model": "numpy", "nogil": True, "fastmath": fastmath}
        try:
            return njit(signature, cache=keep, **options)(function)
        except RuntimeError:
            return njit(signature, **options)(function)

    return compile_function
