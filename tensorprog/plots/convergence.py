"""The picture of a verification: how far sampled networks are from their limit, against the width."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, cast

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
    """Draw against the width: fluctuations with the n^-½ law beside them, and mean distances in standard errors.

    Args:
        verification: what `Program.verify` returns.
        path: where to write the figure; its suffix says in which format.
    """
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
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
    errors = np.array([abs(values.mean()) / (values.std(ddof=1) / np.sqrt(len(values))) for values in curve.values()])
    (line,) = left.loglog(widths, spread, "o-", markersize=3, linewidth=0.9, label=label)
    right.semilogx(widths, errors, "o-", markersize=3, linewidth=0.7, color=line.get_color(), alpha=0.8)


def _finish(left: Axes, right: Axes, verification: Verification, curves: int) -> None:
    widths = np.array(verification.widths, dtype=float)
    guide = widths ** (-0.5) * widths[0] ** 0.5 * float(left.get_ylim()[1]) * 0.7
    left.loglog(widths, guide, "k--", linewidth=0.8, label="slope −1/2")
    left.set(xlabel="width n", ylabel="standard deviation over networks, relative", title="fluctuations")
    right.axhspan(0, 2, color="0.9", zorder=0)
    right.set(
        xlabel="width n", ylabel="|mean distance| / standard error", title="distance from the limit", ylim=(0, None)
    )
    title = None if curves <= LABELLED else f"the first {LABELLED} of {curves}"
    figure = cast("Figure", left.figure)
    figure.legend(loc="outside right center", fontsize=7, frameon=False, title=title, title_fontsize=7)
    verdict = "passed" if verification.passed else "failed"
    figure.suptitle(
        f"{verification.program}: {verdict}, fluctuations fall as n^{verification.rate.exponent:.2f}", fontsize=10
    )
