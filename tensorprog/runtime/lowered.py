"""Lowered programs, and where they are kept: what was derived once need not be derived again by the next process.

An entry is named by the hash of everything that it depends on: the program in the core language, the texts that it was
read from (which the places in it point to), the way to take expectations, the sources that derive and lower it, the
versions of Python and sympy.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorprog.core.ir import Core
from tensorprog.errors import Source
from tensorprog.kernel.ir import KernelIR
from tensorprog.runtime.records import UnknownRecordError, read_record, write_record
from tensorprog.store import (
    digest,
    keep,
    library_stamp,
    look_up,
    python_stamp,
    sources_have_changed,
    sources_stamp,
)

if TYPE_CHECKING:
    from tensorprog.limit.derivation import Derivation
    from tensorprog.limit.equations import LimitSystem

__all__ = ["Lowered", "lower_program", "lower_system"]

_ROOMS = ("errors", "store", "syntax", "nonlin", "core", "backprop", "dual", "limit", "kernel", "runtime")


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program that is ready to be run.

    `core` is the program that was derived, written out where that was necessary. `ir` has all its results,
    `refused` the reasons why others are missing.
    """

    core: Core
    ir: KernelIR
    refused: Mapping[tuple[str, str], Exception]


def lower_system(core: Core, system: LimitSystem) -> Lowered:
    """Return a limit system as a program that is ready to be run (`kernel.lower`, which needs sympy)."""
    ir: KernelIR = importlib.import_module("tensorprog.kernel.lower").lower(system)
    return Lowered(core, ir, dict(system.refused))


def lower_program(
    core: Core, sources: Iterable[Source], expectations: str, derive: Callable[[], Derivation]
) -> Lowered:
    """Return a program that is ready to be run: one that is kept, or else what comes of `derive`.

    Where sources have changed since this process began, nothing is looked up and nothing is kept.

    Args:
        core: the program.
        sources: all texts that it was read from.
        expectations: "auto" or "numeric".
        derive: derives the limit.

    Raises:
        LimitError: as `derive`.
    """
    name = None if sources_have_changed() else _name(core, sources, expectations)
    found = None if name is None else _recall(name)
    if found is None:
        derivation = derive()
        found = lower_system(derivation.core, derivation.system)
        if name is not None:
            _remember(name, found)
    return found


def _name(core: Core, sources: Iterable[Source], expectations: str) -> str:
    """Return the name under which a program is kept."""
    texts = (part for source in sources for part in (source.name, source.text))
    stamps = (sources_stamp(*_ROOMS), library_stamp("sympy"), library_stamp("mpmath"), python_stamp())
    return f"lowered-{digest((repr(core), *texts, expectations, *stamps))}"


def _recall(name: str) -> Lowered | None:
    """Return a program that is kept, None if there is none of that name."""
    content = look_up(name)
    if content is None:
        return None
    try:
        found = read_record(content)
    except UnknownRecordError:
        return None
    return found if isinstance(found, Lowered) else None


def _remember(name: str, lowered: Lowered) -> None:
    """Keep a program, if it consists of what can be kept."""
    try:
        keep(name, write_record(lowered))
    except UnknownRecordError:
        return
