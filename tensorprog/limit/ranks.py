"""The order in which a `scan` makes its variables."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Ranks"]


@dataclass(frozen=True, slots=True)
class Ranks:
    """When a scan makes the variables of a quantity: their places in program order, None for other sides."""

    left: int | None
    right: int | None

    def order(self) -> tuple[bool, bool, int, int]:
        """Return a key that sorts quantities of one side, which no quantity of two sides precedes, first."""
        before = -1
        return (
            self.left is not None,
            self.right is not None,
            before if self.left is None else self.left,
            before if self.right is None else self.right,
        )
