"""How wide the vectors are that a compiled function works in."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

__all__ = ["prefer_wide_vectors"]


@intrinsic
def prefer_wide_vectors(typing_context: Any) -> Any:
    """Let the function that calls this use vectors of 512 bits where the processor has them.

    By default LLVM stays at 256 bits even there, for the sake of programs with little to vectorize. llvmlite knows no
    name for the attribute, so it goes past the names that `AttributeSet.add` admits.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), generate
