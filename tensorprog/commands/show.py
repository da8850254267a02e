"""`tensorprog show FILE --stage …`: any stage as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import tensorprog as tp
from tensorprog.commands.options import DIMENSIONS, JSON, PROGRAM, SETTINGS, combine
from tensorprog.commands.reporting import answer, reports_errors
from tensorprog.commands.sizes import check_sizes
from tensorprog.core.text import core_text
from tensorprog.program import Program

__all__ = ["STAGES", "command"]

STAGES: dict[str, Callable[[Program, dict[str, int]], str]] = {
    "syntax": lambda net, sizes: str(net),
    "core": lambda net, sizes: core_text(net.core()),
    "backward": lambda net, sizes: core_text(net.backward()),
    "limit": lambda net, sizes: str(net.derive(sizes=sizes)),
    "source": lambda net, sizes: str(net.compile().source),
}


@click.command("show")
@PROGRAM
@click.option("--stage", type=click.Choice(list(STAGES)), default="syntax", show_default=True, help="What to print.")
@combine(SETTINGS, DIMENSIONS, JSON)
@reports_errors
def command(file: Path, stage: str, settings: dict[str, Any], sizes: dict[str, int], as_json: bool) -> None:
    """Print a stage of a program: its canonical text, its core, its backward pass, its limit, or generated source."""
    net = tp.load(file, **settings)
    check_sizes(net.core(), sizes)
    text = STAGES[stage](net, sizes).rstrip("\n")
    if as_json:
        answer({"stage": stage, "text": text})
    else:
        click.echo(text)
