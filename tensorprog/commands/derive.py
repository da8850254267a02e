"""`tensorprog derive FILE`: the limit as formulas."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import tensorprog as tp
from tensorprog.commands.options import DIMENSIONS, JSON, PROGRAM, SETTINGS, combine
from tensorprog.commands.reporting import answer, reports_errors
from tensorprog.commands.sizes import check_sizes

if TYPE_CHECKING:
    from tensorprog.limit.derivation import Derivation

__all__ = ["command"]


@click.command("derive")
@PROGRAM
@click.option("--latex", is_flag=True, help="Print LaTeX.")
@combine(SETTINGS, DIMENSIONS, JSON)
@reports_errors
def command(file: Path, latex: bool, settings: dict[str, Any], sizes: dict[str, int], as_json: bool) -> None:
    """Print the recursive formulas of the limit, each with its rule and source line."""
    net = tp.load(file, **settings)
    check_sizes(net.core(), sizes)
    derivation = net.derive(sizes=sizes)
    if as_json:
        answer(_record(derivation, latex))
    else:
        click.echo(derivation.latex() if latex else str(derivation))


def _record(derivation: Derivation, latex: bool) -> dict[str, Any]:
    equations = [
        {
            "name": equation.name,
            "lhs": str(equation.lhs),
            "rhs": str(equation.rhs),
            "rule": equation.rule,
            "line": equation.line,
        }
        for equation in derivation.equations
    ]
    assumptions = [{"name": each.name, "statement": each.statement} for each in derivation.assumptions]
    record: dict[str, Any] = {"equations": equations, "assumptions": assumptions}
    return {**record, "latex": derivation.latex()} if latex else record
