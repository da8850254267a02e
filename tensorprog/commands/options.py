"""The options that subcommands share, and the types of their values."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = [
    "DIMENSIONS",
    "JSON",
    "KINDS",
    "LABEL",
    "PROGRAM",
    "SETTINGS",
    "InputFile",
    "OutputFile",
    "combine",
    "integers",
    "kinds",
]

KINDS = ("nngp", "ntk", "sg_ntk")

F = TypeVar("F", bound=Callable[..., Any])


class InputFile(click.Path):
    """A file that exists and can be read; anything else is an error of usage."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, readable=True, path_type=Path)


class OutputFile(click.Path):
    """A file that can be written, in a folder that exists: noticed before the work, not after it."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {str(path.parent)!r}", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"the folder {str(path.parent)!r} cannot be written to", param, ctx)
        if self.suffixes and path.suffix.lower() not in self.suffixes:
            self.fail(f"{path.name!r} must end in {' or '.join(self.suffixes)}", param, ctx)
        return path


def setting(text: str) -> tuple[str, int | float]:
    """Return the name and the number of `p=v`, an integer if it is written as one."""
    name, _, value = text.partition("=")
    number = _number(value.strip())
    if not name.strip() or number is None:
        raise click.BadParameter(f"{text!r} is not of the form name=number")
    return name.strip(), number


def dimension(text: str) -> tuple[str, int]:
    """Return the name and the number of `d=5`, a positive integer."""
    name, _, value = text.partition("=")
    number = _number(value.strip())
    if not name.strip() or not isinstance(number, int) or number < 1:
        raise click.BadParameter(f"{text!r} is not of the form name=positive integer")
    return name.strip(), number


def kinds(text: str) -> tuple[str, ...]:
    """Return the kernels of `nngp,ntk`."""
    words = tuple(word.strip() for word in text.split(","))
    for word in words:
        if word not in KINDS:
            raise click.BadParameter(f"{word!r} is not one of {', '.join(KINDS)}")
    return words


def integers(text: str) -> tuple[int, ...]:
    """Return the positive integers of `256,1024`."""
    numbers = [_number(word.strip()) for word in text.split(",")]
    found = tuple(number for number in numbers if isinstance(number, int) and number > 0)
    if len(found) < len(numbers):
        raise click.BadParameter(f"{text!r} is not a list of positive integers with commas between them")
    return found


def _number(text: str) -> int | float | None:
    """Return the finite number that a text says, an integer if it is written as one, or None."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _as_dict(context: click.Context, parameter: click.Parameter, pairs: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """Return pairs as a dictionary; a name that is given twice is an error of usage."""
    names = [name for name, _ in pairs]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise click.BadParameter(f"{repeated[0]!r} is set twice", context, parameter)
    return dict(pairs)


PROGRAM = click.argument("file", type=InputFile())
SETTINGS = click.option(
    "--set",
    "settings",
    type=setting,
    metavar="p=v",
    multiple=True,
    callback=_as_dict,
    help="Set a hyperparameter. Repeatable.",
)
DIMENSIONS = click.option(
    "--dim",
    "sizes",
    type=dimension,
    metavar="d=5",
    multiple=True,
    callback=_as_dict,
    help="Set a size that data would bind. Repeatable.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Answer, and report errors, as JSON on standard output.")
LABEL = click.option("--label", metavar="COLUMN", help="Set a column (of .npz: an array) aside: it is no input.")


def combine(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Return the decorators as one, the first outermost."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate
