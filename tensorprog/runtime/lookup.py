"""Where positions stand in the components of arrays, for compiled code. Tables are given by where they start."""

from __future__ import annotations

from typing import Any

from tensorprog.runtime.compiled import compiled

__all__ = ["band_row", "dense_row", "span_row", "wrapped_row"]


@compiled("int64(int64[::1], int64, int64, int64)", fastmath=False)
def band_row(tables: Any, band: int, p: int, q: int) -> int:
    """Return the row of the pair (p, q) in a band, −1 if it is not held."""
    d = q - p
    if p < tables[band] or p >= tables[band] + tables[band + 1]:
        return -1
    if q < tables[band + 2] or q >= tables[band + 2] + tables[band + 3]:
        return -1
    if d < tables[band + 4] or d > tables[band + 5]:
        return -1
    return int(tables[band + 6 + d - tables[band + 4]] + p)


@compiled("int64(int64[::1], int64, int64)", fastmath=False)
def span_row(tables: Any, span: int, p: int) -> int:
    """Return the row of the position p in a span, −1 if it is not held."""
    row = p - tables[span]
    return int(row) if 0 <= row < tables[span + 1] else -1


@compiled("int64(int64[::1], int64, int64, int64)", fastmath=False)
def dense_row(tables: Any, bounds: int, entry: int, p: int) -> int:
    """Return entry · extent + (p − start), −1 if the entry or the position is out of range."""
    row = p - tables[bounds]
    return int(entry * tables[bounds + 1] + row) if entry >= 0 and 0 <= row < tables[bounds + 1] else -1


@compiled("int64(int64[::1], int64, int64, int64)", fastmath=False)
def wrapped_row(tables: Any, bounds: int, entry: int, p: int) -> int:
    """Return the same on a circular axis."""
    extent = tables[bounds + 1]
    return int(entry * extent + (p - tables[bounds]) % extent) if entry >= 0 else -1
