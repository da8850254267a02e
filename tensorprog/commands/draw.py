"""`tensorprog draw FILE --out FIG.svg`: a picture of a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import tensorprog as tp
from tensorprog.commands.options import DIMENSIONS, JSON, PROGRAM, SETTINGS, OutputFile, combine
from tensorprog.commands.reporting import answer, reports_errors, written_whole
from tensorprog.commands.sizes import check_sizes
from tensorprog.plots.draw import draw

__all__ = ["command"]


@click.command("draw")
@PROGRAM
@click.option("--out", type=OutputFile(".svg"), required=True, metavar="FIG.svg", help="Where the picture goes.")
@click.option("--backward", is_flag=True, help="Draw the backward pass too.")
@combine(SETTINGS, DIMENSIONS, JSON)
@reports_errors
def command(
    file: Path, out: Path, backward: bool, settings: dict[str, Any], sizes: dict[str, int], as_json: bool
) -> None:
    """Draw a program downwards: vectors, matrices, nonlinearities, scalars; the backward pass beside it, upwards."""
    net = tp.load(file, **settings)
    check_sizes(net.core(), sizes)
    picture = draw(net.core(), net.backward() if backward else None)
    with written_whole(out) as part:
        part.write_text(picture, encoding="utf-8")
    if as_json:
        answer({"out": str(out)})
    else:
        click.echo(str(out))
