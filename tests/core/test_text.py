"""The listing of core programs: golden files for hand-made programs, and a rule for every instruction."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tensorprog.core import ir
from tensorprog.core.ir import Affine, Core, Instruction, walk
from tensorprog.core.text import affine_text, core_text, instruction_text
from tensorprog.nonlin.expression import ONE, ZERO, Number, Symbol
from tests.core.handmade import convolution, gradient, mlp, recurrent

GOLDEN = Path(__file__).parent.parent / "golden" / "core"
PROGRAMS = {"mlp": mlp(2), "recurrent": recurrent(), "convolution": convolution(), "gradient": gradient()}


@pytest.mark.parametrize("name", PROGRAMS)
def test_listing_is_the_golden_one(name: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.txt", core_text(PROGRAMS[name]))


@pytest.mark.parametrize("core", PROGRAMS.values(), ids=PROGRAMS)
def test_every_name_is_defined_once_in_the_listing(core: Core) -> None:
    lines = [line.split("  #")[0].strip() for line in core_text(core).splitlines()]
    for instruction in walk(core.body):
        assert sum(line.startswith(f"{instruction.target} : ") for line in lines) == 1


def test_every_instruction_has_a_text() -> None:
    default = instruction_text.dispatch(object)
    kinds = [item for item in vars(ir).values() if isinstance(item, type) and issubclass(item, Instruction)]
    assert len(kinds) == 13
    for kind in set(kinds) - {Instruction}:
        assert instruction_text.dispatch(kind) is not default, kind.__name__


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (Affine(ZERO), "0"),
        (Affine(Number(-3)), "-3"),
        (Affine(ZERO, (("i", ONE),)), "i"),
        (Affine(Number(-1), (("o", Number(2)), ("k", ONE))), "2 * o + k - 1"),
        (Affine(Symbol("T") - 1, (("i", Number(-1)),)), "-i + (T - 1)"),
    ],
)
def test_indices_read_as_in_the_language(index: Affine, text: str) -> None:
    assert affine_text(index) == text


def test_a_changed_program_has_another_text() -> None:
    assert len({core_text(core) for core in (mlp(1), mlp(2), mlp(3), *PROGRAMS.values())}) == 6
