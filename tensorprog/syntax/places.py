"""Offsets in a text to lines and columns."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from tensorprog.errors import Source, Span

__all__ = ["Places"]


class Places:
    """The lines of a source, cut where `str.splitlines` cuts, as `Source.line` does."""

    __slots__ = ("_starts", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self._starts = [0, *accumulate(map(len, source.text.splitlines(keepends=True)))]
        if len(self._starts) > 1 and not _ends_a_line(source.text):
            self._starts.pop()

    def span(self, start: int, end: int) -> Span:
        """Return the span of the characters `start` to `end` (exclusive)."""
        return Span(self.source, *self._place(start), *self._place(end))

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def _ends_a_line(text: str) -> bool:
    return len((text[-1:] + "x").splitlines()) > 1
