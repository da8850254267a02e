"""Operators of the kernel IR as Python text for numba."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

__all__ = ["import_lines", "intrinsic_name", "module_of", "write_call"]

_MODULES: Mapping[str, str] = {
    **dict.fromkeys(("bump", "opening", "standard", "tail"), "tails"),
    "orthant": "orthant",
    **dict.fromkeys(("wave_tail_im", "wave_tail_re"), "faddeeva"),
    **dict.fromkeys(("cosh", "exp", "expm1", "sinh", "tanh"), "elementary.exponential"),
    **dict.fromkeys(("erf", "erfc"), "elementary.error_function"),
    **dict.fromkeys(("acos", "asin", "atan", "atan2", "turn"), "elementary.inverse"),
    **dict.fromkeys(("cos", "sin", "tan"), "elementary.circular"),
    "log": "elementary.logarithm",
}


def write_call(operator: str, args: list[str], imports: set[str]) -> str:
    """Return an operator applied to arguments that are written already, and note the intrinsic that it needs."""
    if operator == "sqrt":
        return f"math.sqrt({args[0]})"
    if operator == "abs":
        return f"abs({args[0]})"
    if operator == "pow":
        return f"({args[0]}) ** ({args[1]})"
    if operator in ("max", "min"):
        return reduce(lambda left, right: f"np.{operator}imum({left}, {right})", args)
    name = intrinsic_name(operator)
    imports.add(name)
    return f"{name}({', '.join(args)})"


def intrinsic_name(operator: str) -> str:
    """Return the function of the runtime for a special function: `Det` is `det`, `Expm1` is `expm1`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operator).lstrip("_")


def module_of(name: str) -> str:
    """Return the module of `runtime` with an intrinsic."""
    return _MODULES.get(name, "intrinsics")


def import_lines(modules: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the imports of functions from modules of `runtime`."""
    return [
        f"from tensorprog.runtime.{module} import {', '.join(sorted(modules[module]))}" for module in sorted(modules)
    ]
