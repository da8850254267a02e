"""`tensorprog check FILE...`: parse and type-check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import tensorprog as tp
from tensorprog.commands.options import DIMENSIONS, JSON, SETTINGS, InputFile, combine
from tensorprog.commands.reporting import INPUT_WRONG, report, reports_errors
from tensorprog.commands.sizes import check_sizes
from tensorprog.errors import Diagnostic, TensorProgramError

__all__ = ["command"]


@click.command("check")
@click.argument("files", type=InputFile(), nargs=-1, required=True)
@combine(SETTINGS, DIMENSIONS, JSON)
@reports_errors
def command(files: tuple[Path, ...], settings: dict[str, Any], sizes: dict[str, int], as_json: bool) -> None:
    """Parse and type-check programs; every finding of every file is printed.

    With --json the answer is the list of findings, empty if there are none.
    """
    findings = {file: _findings(file, settings, sizes) for file in files}
    if as_json:
        report([finding for found in findings.values() for finding in found], as_json=True)
    else:
        for file, found in findings.items():
            if found:
                report(found, as_json=False)
            else:
                click.echo(f"{file}: ok")
    if any(findings.values()):
        click.get_current_context().exit(INPUT_WRONG)


def _findings(file: Path, settings: dict[str, Any], sizes: dict[str, int]) -> tuple[Diagnostic, ...]:
    try:
        check_sizes(tp.load(file, **settings).core(), sizes)
    except TensorProgramError as error:
        return error.diagnostics
    return ()
