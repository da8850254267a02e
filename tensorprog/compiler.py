"""The spine: the stages from a `.tp` text to a kernel, in order, each a function from one type to the next.

    Source ─syntax─▶ SyntaxTree ─core─▶ Core ─limit─▶ LimitSystem ─kernel─▶ KernelIR ─source─▶ KernelSource ─▶ Kernel
                                         └─backward─▶ Core ─sample─▶ FiniteNetwork

There is no mathematics here. A stage's room is imported when the stage first runs, so that reading a program does not
pay for sympy, nor printing a formula for numba.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["STAGES", "Stage", "stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what it is called, the function that does it, and the types it goes between."""

    name: str
    path: str
    takes: str
    gives: str
    purpose: str

    @property
    def function(self) -> Callable[..., Any]:
        """The function of the stage, its room imported on first use."""
        module, _, name = self.path.partition(":")
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return function


STAGES = (
    Stage("syntax", "tensorprog.syntax.parser:parse", "Source", "SyntaxTree", "parse the text"),
    Stage("use", "tensorprog.syntax.use:inline_uses", "SyntaxTree", "SyntaxTree", "put in what `use` names"),
    Stage("core", "tensorprog.core.build:build", "SyntaxTree", "Core", "check, and lower to NETSOR⊤+"),
    Stage("backward", "tensorprog.backprop.adjoint:differentiate", "Core", "Core", "write the backward pass"),
    Stage("limit", "tensorprog.limit.derive:derive", "Core", "LimitSystem", "apply the Master Theorem"),
    Stage("kernel", "tensorprog.kernel.lower:lower", "LimitSystem", "KernelIR", "lower the equations to scalar code"),
    Stage("source", "tensorprog.codegen.cpu:emit", "KernelIR", "KernelSource", "print numba source"),
    Stage("run", "tensorprog.runtime.gram:Kernel", "LimitSystem", "Kernel", "compile, and fill Gram matrices"),
    Stage(
        "sample", "tensorprog.finite.network:FiniteNetwork", "Core", "FiniteNetwork", "draw a network of finite width"
    ),
    Stage("verify", "tensorprog.verify.run:verify", "LimitSystem", "Verification", "compare limit and samples"),
    Stage("draw", "tensorprog.plots.draw:draw", "Core", "str", "draw the program as SVG"),
    Stage("graph", "tensorprog.core.graph:graph", "Core", "MultiDiGraph", "view the program as a graph"),
)

_BY_NAME = {entry.name: entry for entry in STAGES}


def stage(name: str) -> Callable[..., Any]:
    """Return the function of a stage.

    Raises:
        KeyError: there is no such stage.
    """
    return _BY_NAME[name].function
