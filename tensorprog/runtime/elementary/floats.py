"""Steps that elementary functions are made of: single instructions on doubles, which vectorize.

`scalar` compiles a function that is always inlined, without any fast-math flag (explicitly: callees inherit what they
do not say): rounding errors that are computed are never contracted away, and an entry of an array has the same bits
whether it is computed in a vector or alone. Choices are `where`, never `if`: both sides are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    *("SHIFT", "bits", "fma", "not_negative", "number", "polynomial", "power_of_two", "rounded", "scalar"),
    *("sum_error", "where"),
]

SHIFT = 6755399441055744.0
"""1.5 · 2^52: the sum of it and x, |x| < 2^51, holds x rounded to an integer in its lowest bits."""

_WORD = ir.IntType(64)
_DOUBLE = ir.DoubleType()


def scalar(function: Callable[..., Any]) -> Any:
    """Compile a function of numbers for other compiled functions."""
    return njit(function, error_model="numpy", fastmath=False, forceinline=True)


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a·b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), generate


@intrinsic
def where(typing_context: Any, condition: Any, a: Any, b: Any) -> Any:
    """Return a if the condition holds, else b."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return types.float64(types.boolean, types.float64, types.float64), generate


@intrinsic
def not_negative(typing_context: Any, x: Any) -> Any:
    """Return x, 0 for x < 0; NaN stays."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(_DOUBLE, 0.0)
        return builder.select(builder.fcmp_ordered("<", args[0], zero), zero, args[0])

    return types.float64(types.float64), generate


@intrinsic
def bits(typing_context: Any, x: Any) -> Any:
    """Return the bits of a double."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _WORD)

    return types.int64(types.float64), generate


@intrinsic
def number(typing_context: Any, word: Any) -> Any:
    """Return the double with these bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _DOUBLE)

    return types.float64(types.int64), generate


@intrinsic
def power_of_two(typing_context: Any, shifted: Any) -> Any:
    """Return 2^n, −1023 < n < 1024, for the sum of n and `SHIFT`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        biased = builder.add(builder.bitcast(args[0], _WORD), ir.Constant(_WORD, 1023))
        return builder.bitcast(builder.shl(biased, ir.Constant(_WORD, 52)), _DOUBLE)

    return types.float64(types.float64), generate


@intrinsic
def rounded(typing_context: Any, x: Any) -> Any:
    """Return the nearest integer, the even one of two."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [_DOUBLE]), args)

    return types.float64(types.float64), generate


@intrinsic
def polynomial(typing_context: Any, x: Any, coefficients: Any) -> Any:
    """Return the polynomial with a tuple of constants, the highest power first, by Horner's rule."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place, values = args
        total = builder.extract_value(values, 0)
        for index in range(1, signature.args[1].count):
            total = builder.fma(total, place, builder.extract_value(values, index))
        return total

    return types.float64(types.float64, coefficients), generate


@scalar
def sum_error(a: float, b: float, total: float) -> float:
    """Return a + b − total exactly, for the rounded sum of a and b (Knuth's two-sum)."""
    moved = total - a
    return (a - (total - moved)) + (b - moved)
