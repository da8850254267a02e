"""The picture of a verification: how far sampled networks are from their limit, against the width."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from tensorprog.verify.report import Verification

__all__ = ["plot_convergence"]

Series = Mapping[int, npt.NDArray[np.float64]]

LABELLED = 10


def plot_convergence(verification: Verification, path: str | PathLike[str] | None = None) -> Figure:
    """Draw fluctuations and mean distances against the width, both axes logarithmic, with the n^-½ law beside them.

    Args:
        verification: what `Program.verify` returns.
        path: where to write the figure; its suffix says in which format.
    """
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    moving = {name: curve for name, curve in verification.curves.items() if all(v.std() > 1e-7 for v in curve.values())}
    for number, (name, curve) in enumerate(moving.items()):
        _draw(left, right, curve, name if number < LABELLED else None)
    _finish(left, right, verification, len(moving))
    if path is not None:
        figure.savefig(path)
    return figure


def _draw(left: Axes, right: Axes, curve: Series, label: str | None) -> None:
    widths = np.array(list(curve))
    spread = np.array([values.std(ddof=1) for values in curve.values()])
    mean = np.array([abs(values.mean()) for values in curve.values()])
    error = np.array([values.std(ddof=1) / np.sqrt(len(values)) for values in curve.values()])
    (line,) = left.loglog(widths, spread, "o-", markersize=3, linewidth=0.9, label=label)
    right.errorbar(widths, mean, yerr=2 * error, fmt="o-", markersize=3, linewidth=0.9, color=line.get_color())


def _finish(left: Axes, right: Axes, verification: Verification, curves: int) -> None:
    widths = np.array(verification.widths, dtype=float)
    guide = widths ** (-0.5) * widths[0] ** 0.5 * float(left.get_ylim()[1]) * 0.7
    left.loglog(widths, guide, "k--", linewidth=0.8, label="slope −1/2")
    left.set(xlabel="width n", ylabel="standard deviation over networks, relative", title="fluctuations")
    right.set(
        xlabel="width n", ylabel="|mean distance|, relative", title="distance from the limit (± 2 s.e.)", yscale="log"
    )
    left.legend(fontsize=6, frameon=False, title=None if curves <= LABELLED else f"the first {LABELLED} of {curves}")
    verdict = "passed" if verification.passed else "failed"
    left.figure.suptitle(f"{verification.program}: {verdict}, rate n^{verification.rate.exponent:.2f}", fontsize=10)
