"""How the coefficients of Hermite series lie in the arrays that compiled code reads."""

from __future__ import annotations

__all__ = ["HALF", "LANES", "LAST", "LEVELS", "ROWS", "SCALE", "STEP"]

LANES = 32
"""How many entries are computed together."""

HALF = 96
"""How many coefficients of either parity there are."""

STEP = 4
"""The numbers of terms are multiples of this."""

LEVELS = HALF // STEP + 1
"""How many numbers of terms there are, 0 among them."""

SCALE, LAST, ROWS = 2 * HALF, 2 * HALF + 1, 2 * HALF + 2
"""Where the reciprocal deviation 1/√q and the remainder of all terms stand after the coefficients; how many rows."""
