"""The values of a program's hyperparameters: the defaults of its header, or what the caller sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real

from tensorprog.core.codes import Code
from tensorprog.core.names import nearest
from tensorprog.errors import Diagnostic, Span
from tensorprog.syntax.tree import Header

__all__ = ["set_hyperparameters"]


def set_hyperparameters(header: Header, given: Mapping[str, float]) -> tuple[dict[str, int | float], list[Diagnostic]]:
    """Return the values of all hyperparameters, and what is wrong with the given ones.

    An integer stays one where the default is one.
    """
    values: dict[str, int | float] = {name.name: number.value for name, number in header.hyperparameters}
    findings: list[Diagnostic] = []
    for name, value in given.items():
        if name not in values:
            findings.append(_unknown(header, name, list(values)))
        elif isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            message = f"the value of the hyperparameter `{name}` is not a finite number: {value!r}"
            findings.append(Diagnostic(Code.HYPERPARAMETER.value, message, _place(header, name), "give it a number"))
        else:
            values[name] = _like(values[name], value)
    return values, findings


def _unknown(header: Header, name: str, known: list[str]) -> Diagnostic:
    message = f"the program `{header.name.name}` has no hyperparameter `{name}`"
    listed = f"it has {', '.join(f'`{other}`' for other in known)}" if known else "it has none"
    return Diagnostic(Code.HYPERPARAMETER.value, message, header.span, nearest(name, known) or listed)


def _place(header: Header, name: str) -> Span:
    return next(identifier.span for identifier, _ in header.hyperparameters if identifier.name == name)


def _like(default: int | float, value: Real) -> int | float:
    whole = isinstance(value, Integral) or float(value).is_integer()
    if not (whole and isinstance(default, int)):
        return float(value)
    return int(value) if isinstance(value, Integral) else int(float(value))
