"""`tensorprog dual PHI [PSI]`: E[φ(u) ψ(v)] of two activations, derived step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import tensorprog as tp
from tensorprog.commands.options import JSON, combine
from tensorprog.commands.reporting import answer, reports_errors

if TYPE_CHECKING:
    from tensorprog.limit.activation import DualActivation

__all__ = ["command"]


@click.command("dual")
@click.argument("phi")
@click.argument("psi", required=False)
@click.option("--mean", is_flag=True, help="Let u and v have means m1 and m2.")
@click.option("--derivative", is_flag=True, help="Take the derivatives of both functions.")
@click.option("--latex", is_flag=True, help="Print LaTeX.")
@combine(JSON)
@reports_errors
def command(phi: str, psi: str | None, mean: bool, derivative: bool, latex: bool, as_json: bool) -> None:
    """Derive E[PHI(u) PSI(v)] for Gaussian u and v, from expressions in u; PSI is PHI unless given."""
    dual = tp.dual_activation(phi, psi, mean=mean, derivative=derivative)
    if as_json:
        answer(_record(dual))
    else:
        click.echo(dual.latex() if latex else str(dual), nl=False)


def _record(dual: DualActivation) -> dict[str, Any]:
    lines = dual.proof.lines if dual.proof is not None else ()
    steps = [{"left": str(line.left), "right": str(line.right), "rule": line.rule} for line in lines]
    return {"formula": str(dual.formula), "rule": dual.rule, "error": dual.error, "steps": steps}
