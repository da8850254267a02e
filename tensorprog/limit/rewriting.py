"""Passes over a program before its derivation: every instruction stays, or others take its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from tensorprog.core.ir import Core, Instruction, Scan, Type
from tensorprog.limit.facts import name_part
from tensorprog.limit.variables import Variables

__all__ = ["Rewriting", "rewrite"]


@dataclass
class Rewriting:
    """What a pass knows of a program, and the types of the variables that it has made."""

    variables: Variables
    types: dict[str, Type] = field(default_factory=dict)

    @property
    def known(self) -> Mapping[str, Type]:
        """The types of all variables."""
        return {**self.variables.core.types, **self.types}

    def fresh(self, target: str, like: str) -> str:
        """Return the name of an unnamed part of a variable, with the type of another one."""
        known = self.known
        name = name_part(target, known)
        self.types[name] = known[like]
        return name


Change: TypeAlias = Callable[[Instruction, Rewriting], Iterable[Instruction] | None]


def rewrite(core: Core, change: Change) -> Core:
    """Return the program with instructions, those of scans too, replaced by what `change` gives unless that is None."""
    state = Rewriting(Variables(core))
    body = tuple(_rewrite_body(core.body, state, change))
    return replace(core, body=body, types=state.known) if state.types else core


def _rewrite_body(body: tuple[Instruction, ...], state: Rewriting, change: Change) -> Iterator[Instruction]:
    for instruction in body:
        if isinstance(instruction, Scan):
            yield replace(instruction, body=tuple(_rewrite_body(instruction.body, state, change)))
        else:
            changed = change(instruction, state)
            yield from (instruction,) if changed is None else changed
