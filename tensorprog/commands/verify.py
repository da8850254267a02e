"""`tensorprog verify FILE`: the limit against sampled networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import tensorprog as tp
from tensorprog.commands.data import read_data, take_rows
from tensorprog.commands.options import (
    DIMENSIONS,
    JSON,
    LABEL,
    PROGRAM,
    SETTINGS,
    InputFile,
    OutputFile,
    combine,
    integers,
)
from tensorprog.commands.progress import progress_bar
from tensorprog.commands.reporting import CHECK_FAILED, answer, reports_errors, written_whole
from tensorprog.commands.sizes import check_sizes
from tensorprog.program import Program
from tensorprog.verify.run import default_widths

__all__ = ["command"]

TAKEN = 8


@click.command("verify")
@PROGRAM
@click.option(
    "--data", "data_file", type=InputFile(), help=f"Samples; the first {TAKEN} are used. [default: three are drawn]"
)
@click.option(
    "--widths",
    type=integers,
    metavar="WIDTHS",
    help="Widths of the sampled networks, comma-separated. [default: 256,1024,4096; with axes 64,256,1024]",
)
@click.option(
    "--samples", type=click.IntRange(min=8), default=64, show_default=True, help="Networks of the largest width."
)
@click.option("--plot", type=OutputFile(".svg", ".png", ".pdf"), metavar="FIG", help="Draw the convergence.")
@combine(LABEL, SETTINGS, DIMENSIONS, JSON)
@reports_errors
def command(
    file: Path,
    data_file: Path | None,
    widths: tuple[int, ...] | None,
    samples: int,
    plot: Path | None,
    label: str | None,
    settings: dict[str, Any],
    sizes: dict[str, int],
    as_json: bool,
) -> None:
    """Compare the limit with networks of finite width, quantity by quantity.

    The exit code is 3 if they disagree by more than chance allows.
    """
    net = tp.load(file, **settings)
    data = _samples(net, data_file, label, sizes)
    with progress_bar("sampling networks") as advance:
        verification = net.verify(
            data, widths=widths or default_widths(net.core()), samples=samples, seed=0, sizes=sizes, progress=advance
        )
    if plot is not None:
        with written_whole(plot) as part:
            verification.plot(part)
    if as_json:
        answer(verification.to_dict())
    else:
        click.echo(str(verification).rstrip("\n"))
    if not verification.passed:
        click.get_current_context().exit(CHECK_FAILED)


def _samples(net: Program, data_file: Path | None, label: str | None, sizes: dict[str, int]) -> Any:
    """Return the first samples of a file, or None if there is no file."""
    core = net.core()
    check_sizes(core, sizes)
    if data_file is None:
        return None
    data = read_data(data_file, label).data
    check_sizes(core, sizes, data)
    return take_rows(data, TAKEN)
