"""`tensorprog kernel FILE --data X --out K.npz`: kernel matrices of data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

import tensorprog as tp
from tensorprog.commands.data import Table, read_data
from tensorprog.commands.options import (
    DIMENSIONS,
    JSON,
    KINDS,
    LABEL,
    PROGRAM,
    SETTINGS,
    InputFile,
    OutputFile,
    combine,
    kinds,
)
from tensorprog.commands.progress import progress_bar
from tensorprog.commands.reporting import answer, reports_errors, written_whole
from tensorprog.commands.sizes import check_sizes
from tensorprog.program import Backend

__all__ = ["command"]

BACKENDS: tuple[Backend, ...] = ("cpu", "cuda", "interpret")


def _flatten(
    context: click.Context, parameter: click.Parameter, groups: tuple[tuple[str, ...], ...]
) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kind for group in groups for kind in group)) or ("nngp", "ntk")


@click.command("kernel")
@PROGRAM
@click.option("--data", "data_file", type=InputFile(), required=True, help="The samples: .npy, .npz or .csv.")
@click.option("--data2", "data2_file", type=InputFile(), help="The second samples; without them K(data, data).")
@click.option(
    "--get",
    type=kinds,
    multiple=True,
    callback=_flatten,
    metavar="KERNELS",
    help=f"Which of {', '.join(KINDS)}; repeatable or comma-separated.  [default: nngp,ntk]",
)
@click.option("--output", metavar="NAME", help="Which output of the program; the first by default.")
@click.option("--backend", type=click.Choice(BACKENDS), default="cpu", show_default=True, help="What computes.")
@click.option("--out", type=OutputFile(".npz"), required=True, help="Where the matrices go, by name.")
@combine(LABEL, SETTINGS, DIMENSIONS, JSON)
@reports_errors
def command(
    file: Path,
    data_file: Path,
    data2_file: Path | None,
    get: tuple[str, ...],
    output: str | None,
    backend: Backend,
    out: Path,
    label: str | None,
    settings: dict[str, Any],
    sizes: dict[str, int],
    as_json: bool,
) -> None:
    """Compute the kernel matrices of data and write them to a .npz file, with the labels that were set aside."""
    net = tp.load(file, **settings)
    check_sizes(net.core(), sizes)
    first = read_data(data_file, label)
    second = None if data2_file is None else read_data(data2_file, label)
    for table in (first, second):
        check_sizes(net.core(), sizes, None if table is None else table.data)
    with progress_bar("compiling") as advance:
        kernel = net.compile(backend=backend)
        kernel.progress = advance
        result = kernel(first.data, None if second is None else second.data, get=get, output=output)
    arrays = {**{kind: getattr(result, kind) for kind in get}, **_labels(first, second)}
    with written_whole(out) as part, part.open("wb") as target:
        np.savez(target, **arrays)
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    if as_json:
        answer({"out": str(out), "output": output or net.outputs[0].name, "arrays": shapes})
    else:
        described = ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes.items())
        of = f" of output {output or net.outputs[0].name}" if len(net.outputs) > 1 else ""
        click.echo(f"{out}: {described}{of}")


def _labels(first: Table, second: Table | None) -> dict[str, Any]:
    labels = {"label": first.label, "label2": None if second is None else second.label}
    return {name: array for name, array in labels.items() if array is not None}
