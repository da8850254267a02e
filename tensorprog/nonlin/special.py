"""The functions of `scipy.special`, which is loaded when the first of them is called for: it takes long.

Modules import this one in its place and say `special.erf(x)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_"):
        raise AttributeError(name)
    function: Callable[..., Any] = getattr(importlib.import_module("scipy.special"), name)
    globals()[name] = function
    return function
