"""Products of arrays with sparse matrices in one component, for compiled code.

All arrays of a pair lie in one working space `work`, tables in `tables`; both are given by where they start there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tensorprog.runtime.compiled import compiled

__all__ = ["combine_entries", "combine_rows", "expand_rows", "reduce_rows"]


@compiled(
    "void(float64[::1], int64[::1], int64, int64, int64, int64, int64, int64, int64, float64, int64)",
    fastmath={"contract", "nsz"},
)
def _add_run(
    work: Any,
    tables: Any,
    at: int,
    count: int,
    source: int,
    scale: int,
    step: int,
    target: int,
    length: int,
    factor: float,
    keep: int,
) -> None:
    """Set target[m] = factor · Σ_k source[scale · tables[at + k] + step · m], added to what is there if `keep`."""
    row = work[target : target + length]
    if keep == 0:
        for m in range(length):
            row[m] = 0.0
    done = 0
    while done < count:
        a = source + scale * tables[at + done]
        if step != 1:
            for m in range(length):
                row[m] += factor * work[a + step * m]
            done += 1
        elif count - done >= 3:
            b = source + scale * tables[at + done + 1]
            c = source + scale * tables[at + done + 2]
            one, two, three = work[a : a + length], work[b : b + length], work[c : c + length]
            for m in range(length):
                row[m] += factor * (one[m] + two[m] + three[m])
            done += 3
        else:
            one = work[a : a + length]
            for m in range(length):
                row[m] += factor * one[m]
            done += 1


@compiled(
    "void(float64[::1], int64[::1], int64, int64, int64, int64, int64, int64, int64, float64, int64)",
    fastmath={"contract", "nsz"},
)
def combine_rows(
    work: Any,
    tables: Any,
    segments: int,
    source: int,
    target: int,
    outer: int,
    sources: int,
    targets: int,
    inner: int,
    factor: float,
    keep: int,
) -> None:
    """Set target[o, t, r] = factor · Σ_s source[o, s, r] for a sparse matrix (t, s), added to what is there if `keep`.

    Args:
        work: the working space.
        tables: the tables.
        segments: the matrix, as runs of rows t with the same structure.
        source: an array (outer, sources, inner).
        target: an array (outer, targets, inner).
        outer: the number of rows before.
        sources: the number of rows of the source in this component.
        targets: the number of rows of the target.
        inner: the number of entries in a row.
        factor: a number.
        keep: 1 or 0.
    """
    for o in range(outer):
        at = segments + 1
        for _ in range(tables[segments]):
            first, length, step, count = tables[at], tables[at + 1], tables[at + 2], tables[at + 3]
            at += 4
            if inner == 1:
                _add_run(
                    work,
                    tables,
                    at,
                    count,
                    source + o * sources,
                    1,
                    step,
                    target + o * targets + first,
                    length,
                    factor,
                    keep,
                )
            else:
                for m in range(length):
                    start = source + (o * sources + step * m) * inner
                    _add_run(
                        work,
                        tables,
                        at,
                        count,
                        start,
                        inner,
                        1,
                        target + (o * targets + first + m) * inner,
                        inner,
                        factor,
                        keep,
                    )
            at += count


@compiled(
    "void(float64[::1], int64[::1], int64, int64, int64, int64, int64, int64, float64, int64, int64)",
    fastmath={"contract", "nsz"},
)
def combine_entries(
    work: Any,
    tables: Any,
    taps: int,
    source: int,
    target: int,
    outer: int,
    sources: int,
    targets: int,
    factor: float,
    keep: int,
    scratch: int,
) -> None:
    """Set target[o, t] = factor · Σ_k source[o, taps[k, t]], added to what is there if `keep` is 1.

    The table is the number of taps, then for each the entries of a row of the source, `sources` for none. A row is
    copied to `scratch` (sources + 1 numbers), where that is zero.
    """
    padded = work[scratch : scratch + sources + 1]
    for o in range(outer):
        values = work[source + o * sources : source + (o + 1) * sources]
        for s in range(sources):
            padded[s] = values[s]
        padded[sources] = 0.0
        row = work[target + o * targets : target + (o + 1) * targets]
        if keep == 0:
            for t in range(targets):
                row[t] = 0.0
        count = tables[taps]
        for k in range(count // 3):
            at = taps + 1 + 3 * k * targets
            one = tables[at : at + targets].view(np.uint64)
            two = tables[at + targets : at + 2 * targets].view(np.uint64)
            three = tables[at + 2 * targets : at + 3 * targets].view(np.uint64)
            for t in range(targets):
                row[t] += factor * (padded[one[t]] + padded[two[t]] + padded[three[t]])
        for k in range(count - count % 3, count):
            at = taps + 1 + k * targets
            one = tables[at : at + targets].view(np.uint64)
            for t in range(targets):
                row[t] += factor * padded[one[t]]


@compiled(
    "void(float64[::1], int64[::1], int64, int64, int64, int64, int64, int64, float64, int64)",
    fastmath={"contract", "nsz", "reassoc"},
)
def reduce_rows(
    work: Any,
    tables: Any,
    weights: int,
    source: int,
    target: int,
    outer: int,
    sources: int,
    inner: int,
    factor: float,
    keep: int,
) -> None:
    """Set target[o, r] = factor · Σ_s weights[s] source[o, s, r], added to what is there if `keep` is 1."""
    for o in range(outer):
        start = source + o * sources * inner
        if inner == 1:
            found = 0.0
            values, counts = work[start : start + sources], tables[weights : weights + sources]
            for s in range(sources):
                found += counts[s] * values[s] if counts[s] != 0 else 0.0
            work[target + o] = factor * found + (work[target + o] if keep == 1 else 0.0)
            continue
        row = work[target + o * inner : target + (o + 1) * inner]
        if keep == 0:
            for r in range(inner):
                row[r] = 0.0
        for s in range(sources):
            weight = factor * tables[weights + s]
            if weight != 0.0:
                values = work[start + s * inner : start + (s + 1) * inner]
                for r in range(inner):
                    row[r] += weight * values[r]


@compiled(
    "void(float64[::1], int64[::1], int64, int64, int64, int64, int64, int64, float64, int64)",
    fastmath={"contract", "nsz"},
)
def expand_rows(
    work: Any,
    tables: Any,
    weights: int,
    source: int,
    target: int,
    outer: int,
    targets: int,
    inner: int,
    factor: float,
    keep: int,
) -> None:
    """Set target[o, t, r] = factor · weights[t] source[o, r], added to what is there if `keep` is 1."""
    for o in range(outer):
        for t in range(targets):
            weight = factor * tables[weights + t]
            row = target + (o * targets + t) * inner
            for r in range(inner):
                kept = work[row + r] if keep == 1 else 0.0
                work[row + r] = kept + (weight * work[source + o * inner + r] if weight != 0.0 else 0.0)
