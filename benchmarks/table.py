"""The outcomes as tables of text, which are Markdown as well."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.cases import GROWTHS, Growth
from benchmarks.measure import Missing, Outcome, Timing
from benchmarks.peak import Peak
from benchmarks.work import multiply_adds, result_bytes

__all__ = ["compilations", "growths", "line", "profiles", "resources", "speeds"]

LARGEST = 5
"""How many modules a profile names."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its heading, and the text of an outcome in it."""

    heading: str
    text: Callable[[Outcome], str]


def speeds(outcomes: Sequence[Outcome]) -> str:
    """Return the table of results and times."""
    return _table(
        outcomes,
        _Column("beside", lambda o: o.case.rival),
        _Column("difference", lambda o: _power(o.difference)),
        _Column("ours", lambda o: _of(o.ours, lambda t: duration(t.call))),
        _Column("theirs", lambda o: _of(o.theirs, lambda t: duration(t.call), reason=True)),
        _Column("ratio", lambda o: "" if o.ratio is None else rounded(o.ratio)),
        _Column("aim", lambda o: f"≥ {o.case.aim:g}"),
        _Column("reached", _reached),
    )


def compilations(outcomes: Sequence[Outcome]) -> str:
    """Return the table of what comes before the first result."""
    return _table(
        outcomes,
        _Column("ours, new", lambda o: _of(o.ours, lambda t: duration(t.compilation))),
        _Column("ours, again", lambda o: _of(o.ours, lambda t: "" if t.restart is None else duration(t.restart))),
        _Column("theirs", lambda o: _of(o.theirs, lambda t: duration(t.compilation))),
        _Column("imports, ours", lambda o: _of(o.ours, lambda t: duration(t.imports))),
        _Column("imports, theirs", lambda o: _of(o.theirs, lambda t: duration(t.imports))),
    )


def resources(outcomes: Sequence[Outcome], peak: Peak) -> str:
    """Return the table of errors, memory and the relation to the machine's peak."""
    return _table(
        outcomes,
        _Column("error, ours", lambda o: _of(o.ours, lambda t: _power(t.error))),
        _Column("error, theirs", lambda o: _of(o.theirs, lambda t: _power(t.error))),
        _Column("result", lambda o: _megabytes(result_bytes(o.case) / 2**20)),
        _Column("memory, ours", lambda o: _of(o.ours, lambda t: _megabytes(t.memory))),
        _Column("memory, theirs", lambda o: _of(o.theirs, lambda t: _megabytes(t.memory))),
        _Column("of triad", lambda o: _of(o.ours, lambda t: _share(result_bytes(o.case) / peak.triad / t.call))),
        _Column("of FMA", lambda o: _of(o.ours, lambda t: _share(multiply_adds(o.case) / peak.fused / t.call))),
    )


def profiles(outcomes: Sequence[Outcome]) -> str:
    """Return where the time goes of the cases that miss their aim; empty if there are none."""
    missed = [outcome for outcome in outcomes if outcome.ratio is not None and outcome.ratio < outcome.case.aim]
    column = _Column("shares of the time", lambda o: _of(o.ours, _largest))
    return _table(missed, column) if missed else ""


def _largest(timing: Timing) -> str:
    return ", ".join(f"{name} {_share(share)}" for name, share in list(timing.profile.items())[:LARGEST])


def growths(outcomes: Sequence[Outcome]) -> str:
    """Return the table of how times grow, empty if no series has two cases; the exponent is that of the last two."""
    known = {outcome.case.name: outcome for outcome in outcomes}
    rows = [row for growth in GROWTHS for row in _growth(growth, known)]
    return _text(("growing", "at", "ours", "exponent", "theirs", "exponent"), rows) if rows else ""


def line(outcome: Outcome) -> str:
    """Return an outcome in one line, to be read while others are measured."""
    ours = _of(outcome.ours, lambda t: f"{duration(t.call)}, compiled in {duration(t.compilation)}", reason=True)
    theirs = _of(outcome.theirs, lambda t: f"{duration(t.call)}, compiled in {duration(t.compilation)}", reason=True)
    ratio = "" if outcome.ratio is None else f"; ratio {rounded(outcome.ratio)}"
    difference = "" if outcome.difference is None else f"; difference {_power(outcome.difference)}"
    return f"{outcome.case.name}: ours {ours}; {outcome.case.rival} {theirs}{ratio}{difference}"


def _growth(growth: Growth, known: dict[str, Outcome]) -> list[tuple[str, ...]]:
    points = [(number, known[name]) for number, name in growth.cases if name in known]
    if len(points) < 2:
        return []
    cells = [cell for side in ("ours", "theirs") for cell in _times(points, side)]
    return [(growth.what, ", ".join(f"{number:g}" for number, _ in points), *cells)]


def _times(points: list[tuple[float, Outcome]], name: str) -> tuple[str, str]:
    sides: list[tuple[float, Timing | Missing]] = [(number, getattr(outcome, name)) for number, outcome in points]
    times = ", ".join(_of(side, lambda t: duration(t.call)) for _, side in sides)
    timed = [(number, side.call) for number, side in sides if isinstance(side, Timing)]
    if len(timed) < 2:
        return times, ""
    (before, short), (after, long) = timed[-2:]
    return times, f"{math.log(long / short) / math.log(after / before):.1f}"


def _reached(outcome: Outcome) -> str:
    if outcome.ratio is None:
        return ""
    return "yes" if outcome.ratio >= outcome.case.aim else "**no**"


def _of(side: Timing | Missing, text: Callable[[Timing], str], *, reason: bool = False) -> str:
    if isinstance(side, Missing):
        return side.reason if reason else "–"
    return text(side)


def duration(seconds: float) -> str:
    """Return a time with three digits."""
    if not seconds:
        return "0 s"
    if seconds >= 1:
        return f"{rounded(seconds)} s"
    return f"{rounded(seconds * 1e3)} ms" if seconds >= 1e-3 else f"{rounded(seconds * 1e6)} µs"


def rounded(number: float) -> str:
    """Return a number with three digits, without an exponent."""
    digits = max(0, 2 - math.floor(math.log10(number))) if number > 0 else 0
    return f"{number:.{digits}f}"


def _power(number: float | None) -> str:
    return "" if number is None else f"{number:.0e}"


def _megabytes(number: float | None) -> str:
    return "" if number is None else f"{number:.0f} MB" if number >= 1 else "< 1 MB"


def _share(number: float) -> str:
    return f"{100 * number:.2g} %" if number < 1 else f"{100 * number:.0f} %"


def _table(outcomes: Sequence[Outcome], *columns: _Column) -> str:
    rows = [(outcome.case.name, *(column.text(outcome) for column in columns)) for outcome in outcomes]
    return _text(("case", *(column.heading for column in columns)), rows)


def _text(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[place]) for row in (headings, *rows)) for place in range(len(headings))]

    def joined(cells: Sequence[str]) -> str:
        texts = [cell.ljust(width) if not place else cell.rjust(width) for place, (cell, width) in cells_of(cells)]
        return f"| {' | '.join(texts)} |"

    def cells_of(cells: Sequence[str]) -> enumerate[tuple[str, int]]:
        return enumerate(zip(cells, widths, strict=True))

    rule = [("-" * width if not place else "-" * (width - 1) + ":") for place, width in enumerate(widths)]
    return "\n".join([joined(headings), joined(rule), *(joined(row) for row in rows)])
