"""Chebyshev series in the angle between two samples, for compiled code: a cost that does not grow with depth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorprog.runtime.entry import uncompiled
from tensorprog.runtime.intrinsics import arc
from tensorprog.runtime.simd import prefer_wide_vectors

__all__ = ["fill_series_of_angle"]

_STRIP = 128


@uncompiled(
    "void(float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], float64[:, ::1], float64[:, ::1],"
    " float64[:, ::1], float64[:, :, ::1])",
    fastmath={"contract", "nsz"},
)
def fill_series_of_angle(
    gram: Any, deviation: Any, left: Any, right: Any, left_scale: Any, right_scale: Any, series: Any, out: Any
) -> None:
    """Fill out[k, i, j] = left_scale[k, i] right_scale[k, j] Σ_m series[k, m] T_m(2θ/π − 1).

    The sum is by Clenshaw's recurrence, eight coefficients at a time.

    Args:
        gram: the inner products of the samples, (N1, N2); their signs tell on which side of π/2 the angle is.
        deviation: 1 − |cos θ|, (N1, N2).
        left: the norms of the left samples, (N1,); θ = π/2 where one is 0.
        right: those of the right samples, (N2,).
        left_scale: factors, (results, N1).
        right_scale: factors, (results, N2).
        series: the coefficients, (results, M) with M a multiple of 8; none of them is NaN.
        out: the results, (results, N1, N2).
    """
    prefer_wide_vectors()
    results, rows, columns = out.shape
    place, last, before = np.empty(_STRIP), np.empty(_STRIP), np.empty(_STRIP)
    for i in range(rows):
        for start in range(0, columns, _STRIP):
            count = min(_STRIP, columns - start)
            size = left[i]
            for s in range(count):
                angle = arc(deviation[i, start + s], gram[i, start + s], size * right[start + s])
                place[s] = angle * (4.0 / math.pi) - 2.0
            for k in range(results):
                for s in range(count):
                    last[s] = before[s] = 0.0
                for m in range(series.shape[1] - 8, -8, -8):
                    c0, c1, c2, c3 = series[k, m], series[k, m + 1], series[k, m + 2], series[k, m + 3]
                    c4, c5, c6, c7 = series[k, m + 4], series[k, m + 5], series[k, m + 6], series[k, m + 7]
                    for s in range(count):
                        x, b, a = place[s], last[s], before[s]
                        a = x * b + (c7 - a)
                        b = x * a + (c6 - b)
                        a = x * b + (c5 - a)
                        b = x * a + (c4 - b)
                        a = x * b + (c3 - a)
                        b = x * a + (c2 - b)
                        a = x * b + (c1 - a)
                        b = x * a + (c0 - b)
                        last[s], before[s] = b, a
                scale = left_scale[k, i]
                for s in range(count):
                    # Σ = b₀ − x b₁ with x = 2θ/π − 1, half of what `place` has
                    value = last[s] - 0.5 * place[s] * before[s]
                    out[k, i, start + s] = value * (scale * right_scale[k, start + s])
