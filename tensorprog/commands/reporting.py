"""What subcommands say: answers on standard output, errors on standard error or as JSON, and the exit codes."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec

import click
import numpy as np

from tensorprog.errors import DataError, Diagnostic, TensorProgramError

__all__ = ["CHECK_FAILED", "INPUT_WRONG", "answer", "diagnostic_record", "report", "reports_errors", "written_whole"]

INPUT_WRONG, CHECK_FAILED = 1, 3

P = ParamSpec("P")


def reports_errors(function: Callable[P, None]) -> Callable[P, None]:
    """Let a subcommand end with a report and an exit code where it would end with a traceback."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except TensorProgramError as error:
            report(error.diagnostics, as_json=bool(kwargs.get("as_json")))
            click.get_current_context().exit(INPUT_WRONG)
        except MemoryError as error:
            finding = Diagnostic(
                "TP470", f"not enough memory: {error}", hint="compute the kernel in parts, with --data2"
            )
            report([finding], as_json=bool(kwargs.get("as_json")))
            click.get_current_context().exit(INPUT_WRONG)
        except OSError as error:
            raise click.UsageError(_system_message(error)) from None

    return wrapped


def _system_message(error: OSError) -> str:
    place = f" {str(error.filename)!r}" if error.filename is not None else ""
    return f"{error.strerror or error}{place}"


def report(diagnostics: Iterable[Diagnostic], *, as_json: bool) -> None:
    """Print diagnostics: a JSON list on standard output, or text with carets on standard error."""
    if as_json:
        answer([diagnostic_record(diagnostic) for diagnostic in diagnostics])
    else:
        click.echo("\n\n".join(str(diagnostic) for diagnostic in diagnostics), err=True)


def diagnostic_record(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return a diagnostic as JSON shows it; places are null where there are none."""
    span = diagnostic.span
    return {
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "file": None if span is None else span.source.name,
        "line": None if span is None else span.line,
        "column": None if span is None else span.column,
        "end_line": None if span is None else span.end_line,
        "end_column": None if span is None else span.end_column,
    }


def answer(value: Any) -> None:
    """Print a value as JSON; numbers that JSON has no word for (NaN, infinities) become null."""
    click.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to beside `path`, and put it in place of `path` at the end: never half a file is left.

    Raises:
        DataError: `path` names something that cannot be replaced.
    """
    if path.is_dir():
        raise DataError(Diagnostic("TP471", f"{str(path)!r} is a folder"))
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
