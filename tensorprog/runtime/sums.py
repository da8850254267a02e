"""Inner products for compiled code: of features, and along arrays."""

from __future__ import annotations

from typing import Any

from tensorprog.runtime.compiled import compiled

__all__ = ["dot", "fill_gram", "fill_versine", "total"]


@compiled(
    "float64(float64[::1], int64, int64, float64[::1], int64, int64, int64)",
    fastmath={"contract", "nsz", "reassoc"},
)
def dot(one: Any, a: int, step_a: int, other: Any, b: int, step_b: int, count: int) -> float:
    """Return Σ_m one[a + m step_a] other[b + m step_b]."""
    total = 0.0
    if step_a == 1 and step_b == 1:
        left, right = one[a : a + count], other[b : b + count]
        for m in range(count):
            total += left[m] * right[m]
    else:
        for m in range(count):
            total += one[a + m * step_a] * other[b + m * step_b]
    return total


@compiled("float64(float64[::1], int64, int64, int64)", fastmath={"contract", "nsz", "reassoc"})
def total(one: Any, a: int, step: int, count: int) -> float:
    """Return Σ_m one[a + m step]."""
    found = 0.0
    for m in range(count):
        found += one[a + m * step]
    return found


@compiled(
    "void(float64[::1], int64[::1], int64, int64, int64, float64[::1], int64, int64, int64, float64[::1], int64, int64,"
    " int64, int64)",
    fastmath={"contract", "nsz"},
)
def fill_gram(
    work: Any,
    tables: Any,
    target: int,
    outer: int,
    inner: int,
    left: Any,
    left_at: int,
    left_outer: int,
    left_inner: int,
    right: Any,
    right_at: int,
    right_outer: int,
    right_inner: int,
    depth: int,
) -> None:
    """Set an array to inner products ⟨u_p, v_q⟩ of the features (positions, depth) of both samples."""
    for o in range(outer):
        a = left_at + depth * tables[left_outer + o]
        b = right_at + depth * tables[right_outer + o]
        for r in range(inner):
            first = a + depth * tables[left_inner + r]
            second = b + depth * tables[right_inner + r]
            product = 0.0
            if depth < 8:
                for k in range(depth):
                    product += left[first + k] * right[second + k]
            else:
                product = dot(left, first, 1, right, second, 1, depth)
            work[target + o * inner + r] = product


@compiled(
    "void(float64[::1], int64[::1], int64, int64, int64, float64[::1], int64, int64, int64, float64[::1], int64, int64,"
    " int64, int64)",
    fastmath={"contract", "nsz"},
)
def fill_versine(
    work: Any,
    tables: Any,
    target: int,
    outer: int,
    inner: int,
    left: Any,
    left_at: int,
    left_outer: int,
    left_inner: int,
    right: Any,
    right_at: int,
    right_outer: int,
    right_inner: int,
    depth: int,
) -> None:
    """Set an array to ½‖u_p − v_q‖² of the features (positions, depth) of both samples, which are unit vectors."""
    for o in range(outer):
        a = left_at + depth * tables[left_outer + o]
        b = right_at + depth * tables[right_outer + o]
        for r in range(inner):
            first = a + depth * tables[left_inner + r]
            second = b + depth * tables[right_inner + r]
            total = 0.0
            for k in range(depth):
                difference = left[first + k] - right[second + k]
                total += difference * difference
            work[target + o * inner + r] = 0.5 * total
