"""Versines of near-duplicates for compiled code: sums at the few entries of an array where they count."""

from __future__ import annotations

from typing import Any

from tensorprog.runtime.compiled import compiled
from tensorprog.runtime.intrinsics import NEAR

__all__ = ["add_shares", "list_near"]


@compiled("int64(float64[::1], int64, int64, int64)", fastmath=False)
def list_near(work: Any, target: int, entries: int, count: int) -> int:
    """List the entries of an array below 2⁻¹⁶ as numbers at `entries`, set them to 0, and return how many there are."""
    found = 0
    for start in range(0, count, 64):
        stop = min(start + 64, count)
        values = work[target + start : target + stop]
        near = 0
        for m in range(stop - start):
            near += 1 if values[m] < NEAR else 0
        if near:
            for m in range(stop - start):
                if values[m] < NEAR:
                    work[entries + found] = start + m
                    values[m] = 0.0
                    found += 1
    return found


@compiled(
    "float64(float64[::1], int64[::1], int64, int64, float64[::1], int64, float64[::1], int64, int64)",
    fastmath={"contract", "nsz"},
)
def _products(
    work: Any, tables: Any, plan: int, rows: int, left: Any, a: int, right: Any, b: int, source: int
) -> float:
    """Return Σ_b s_b s_b′ v_b for an array v with any number of components."""
    parts, bound, sources = tables[plan], tables[plan + 1], tables[plan + 2]
    total = 0.0
    for k in range(bound):
        place = 0
        for s in range(sources):
            part = plan + 3 + 3 * (parts + s)
            tap = tables[plan + tables[part + 2] + int(work[rows + tables[part]]) * bound + k]
            place = place + tables[part + 1] * tap if tap >= 0 and place >= 0 else -1
        if place >= 0:
            total += left[a + k] * right[b + k] * work[source + place]
    return total


@compiled(
    "void(float64[::1], int64[::1], int64, int64, int64, int64, int64, float64[::1], int64, float64[::1], int64,"
    " int64)",
    fastmath={"contract", "nsz"},
)
def add_shares(
    work: Any,
    tables: Any,
    plan: int,
    target: int,
    entries: int,
    found: int,
    rows: int,
    left: Any,
    left_at: int,
    right: Any,
    right_at: int,
    source: int,
) -> None:
    """Add Σ_b s_b s_b′ v_b, or without a source Σ_b ½ (s_b − s_b′)², to some entries.

    Args:
        work: the working space.
        tables: the tables.
        plan: where everything is read (`codegen.arrays.requests.SharePlan`).
        target: the array.
        entries: where the numbers of the entries are.
        found: how many there are.
        rows: room for the rows of an entry in each component.
        left: the quantities of x.
        left_at: where the shares s start there.
        right: those of x′.
        right_at: where the shares s′ start.
        source: the array v, or −1.
    """
    parts, bound, sources = tables[plan], tables[plan + 1], tables[plan + 2]
    head = plan + 3
    for m in range(found):
        entry = int(work[entries + m])
        rest, a, b = entry, left_at, right_at
        for back in range(parts):
            part = head + 3 * (parts - 1 - back)
            row = rest % tables[part]
            rest = rest // tables[part]
            work[rows + parts - 1 - back] = row
            a += tables[plan + tables[part + 1] + row]
            b += tables[plan + tables[part + 2] + row]
        total = 0.0
        if source < 0:
            for k in range(bound):
                gap = left[a + k] - right[b + k]
                total += 0.5 * gap * gap
        elif sources == 2:
            part = head + 3 * parts
            one = plan + tables[part + 2] + int(work[rows + tables[part]]) * bound
            two = plan + tables[part + 5] + int(work[rows + tables[part + 3]]) * bound
            stride, step = tables[part + 1], tables[part + 4]
            for k in range(bound):
                if tables[one + k] >= 0 and tables[two + k] >= 0:
                    place = source + stride * tables[one + k] + step * tables[two + k]
                    total += left[a + k] * right[b + k] * work[place]
        else:
            total = _products(work, tables, plan, rows, left, a, right, b, source)
        work[target + entry] += total
