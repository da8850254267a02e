"""Errors are part of the language: sources, spans, diagnostics and their caret pictures.

Every complaint of tensorprog is a `Diagnostic`: a code, a sentence, a place and a hint. An exception carries all the
diagnostics that were found and describes the first. Nothing else in the project formats an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

__all__ = [
    "CheckError",
    "DataError",
    "Diagnostic",
    "LimitError",
    "ParseError",
    "PrecisionWarning",
    "Source",
    "Span",
    "TensorProgramError",
]


@dataclass(frozen=True, slots=True)
class Source:
    """A program text and the name under which it is known to its author."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Return line `number` (from 1) without its line end; the empty string past the last line."""
        lines = self.text.splitlines()
        return lines[number - 1] if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source: lines and columns count from 1, `end_column` is one past the last character."""

    source: Source = field(repr=False)
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of `other`."""
        return Span(self.source, self.line, self.column, other.end_line, other.end_column)

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: what is wrong, where, and what to do about it."""

    code: str
    message: str
    span: Span | None = None
    hint: str | None = None

    def __str__(self) -> str:
        return "\n".join([f"error[{self.code}]: {self.message}", *_picture(self.span), *_hint(self.span, self.hint)])


def _gutter(span: Span | None) -> str:
    return " " * len(str(span.line)) if span is not None else ""


def _picture(span: Span | None) -> list[str]:
    """Return the offending line with carets beneath it, in the manner of rustc."""
    if span is None:
        return []
    gutter, text = _gutter(span), span.source.line(span.line)
    last = span.end_column if span.end_line == span.line else len(text) + 1
    before = "".join("\t" if character == "\t" else " " for character in text[: span.column - 1])
    carets = "^" * max(1, last - span.column)
    return [f"{gutter}--> {span}", f"{gutter} |", f"{span.line} | {text}", f"{gutter} | {before}{carets}"]


def _hint(span: Span | None, hint: str | None) -> list[str]:
    return [f"{_gutter(span)} = hint: {hint}"] if hint else []


class TensorProgramError(Exception):
    """The base of all errors that tensorprog raises on bad input.

    Attributes: `code`, `message`, `span`, `hint` of the first finding, and `diagnostics`, all of them.
    """

    fallback_code: ClassVar[str] = "TP000"

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic] | str, hint: str | None = None) -> None:
        if isinstance(diagnostics, str):
            diagnostics = Diagnostic(self.fallback_code, diagnostics, hint=hint)
        if isinstance(diagnostics, Diagnostic):
            diagnostics = (diagnostics,)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        if not self.diagnostics:
            raise ValueError("an error needs at least one diagnostic")
        super().__init__(*self.diagnostics)

    @property
    def code(self) -> str:
        """The code of the first finding."""
        return self.diagnostics[0].code

    @property
    def message(self) -> str:
        """The sentence of the first finding."""
        return self.diagnostics[0].message

    @property
    def span(self) -> Span | None:
        """The place of the first finding, if it has one."""
        return self.diagnostics[0].span

    @property
    def hint(self) -> str | None:
        """What to do about the first finding, if that is known."""
        return self.diagnostics[0].hint

    def __str__(self) -> str:
        return "\n\n".join(str(diagnostic) for diagnostic in self.diagnostics)


class PrecisionWarning(UserWarning):
    """A numerical expectation missed its tolerance; the message states the error, `Kernel.report` where."""


class ParseError(TensorProgramError):
    """The text is not a program of the grammar."""

    fallback_code = "TP100"


class CheckError(TensorProgramError):
    """The text parses, but names, shapes or indices do not fit."""

    fallback_code = "TP200"


class LimitError(TensorProgramError):
    """The program runs at finite width, but its limit is outside the implemented theory, or infinite."""

    fallback_code = "TP300"


class DataError(TensorProgramError):
    """Data, hyperparameters or options that do not fit the program."""

    fallback_code = "TP400"
