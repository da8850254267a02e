"""What a kernel chose to do, and the errors that it saw while doing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tensorprog.kernel.ir import KernelIR, Statement, definitions, expectations
from tensorprog.runtime.profile import Profile

__all__ = ["Choice", "Report", "list_choices"]


ALGEBRA = frozenset(
    {
        "linear combination",
        "matrix product",
        "random vector",
        "chain rule",
        "initial value",
        "law of large numbers",
        "second moment",
        "scalar",
        "independent factors",
    }
)
"""The rules that take no expectation of a nonlinearity."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How one quantity is computed: by the rule of its equation, in closed form or numerically.

    `error` is the largest error estimate so far, relative to √(E φ² · E ψ²), or to E |f| of a function f of several
    variables: None for closed forms, and as long as nothing has been computed.
    """

    quantity: str
    program: str
    rule: str
    line: int
    numerical: bool
    error: float | None

    def __str__(self) -> str:
        return f"{self.quantity} ({self.program}, line {self.line}): {self.rule}{self._method()}"

    def _method(self) -> str:
        if not self.numerical:
            return "" if self.rule in ALGEBRA else "; closed form"
        return "; numerical" if self.error is None else f"; numerical, error ≤ {self.error:.1e}"


@dataclass(frozen=True, slots=True)
class Report:
    """The choices of a compiled kernel.

    `files` are the cache files of the sources loaded so far, `profiles` the series in the angle between two samples
    that took the place of the recursion in the last call, by output and kind of kernel.
    """

    program: str
    backend: str
    dtype: str
    tile: tuple[int, int]
    threads: int
    files: tuple[str, ...]
    choices: tuple[Choice, ...]
    profiles: Mapping[tuple[str, str], Profile] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """The largest error of a numerical expectation seen so far, 0 if there was none."""
        return max((choice.error or 0.0 for choice in self.choices), default=0.0)

    def __str__(self) -> str:
        lines = [
            f"kernel of {self.program}: backend {self.backend}, {self.dtype}, "
            f"tiles {self.tile[0]} × {self.tile[1]}, {self.threads} thread{'s' if self.threads != 1 else ''}",
            *(f"source {file}" for file in self.files),
            *(f"{kind} of {output}: {profile}" for (output, kind), profile in self.profiles.items()),
            *(str(choice) for choice in self.choices),
        ]
        return "\n".join(lines)


def list_choices(ir: KernelIR, errors: Mapping[tuple[str, str], float]) -> tuple[Choice, ...]:
    """Return a choice for every equation; `errors` are keyed by program ("sample" or "pair") and definition."""
    return (*_choices(ir.sample, "sample", errors), *_choices(ir.pair, "pair", errors))


def _choices(
    statements: tuple[Statement, ...], program: str, errors: Mapping[tuple[str, str], float]
) -> Iterator[Choice]:
    numerical: dict[str, list[str]] = {}
    for let, _ in expectations(statements):
        numerical.setdefault(_owner(let.name), []).append(let.name)
    seen: set[str] = set()
    for definition in definitions(statements):
        name, note = definition.name, definition.note
        if note is None or name.startswith("%") or name in seen:
            continue
        seen.add(name)
        known = [errors[program, part] for part in numerical.get(name, ()) if (program, part) in errors]
        yield Choice(name, program, note.rule, note.line, name in numerical, max(known, default=None))


def _owner(name: str) -> str:
    """Return the quantity whose equation a definition belongs to: `%K_h.1` is a part of `K_h`."""
    return name[1:].rpartition(".")[0] if name.startswith("%") else name
