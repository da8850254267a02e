"""Records: what is written is read again, and nothing but data is ever made of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tensorprog as tp
from tensorprog.errors import Diagnostic, LimitError
from tensorprog.kernel.text import ir_text
from tensorprog.runtime.backends import source_text
from tensorprog.runtime.lowered import lower_system
from tensorprog.runtime.records import UnknownRecordError, read_record, write_record

EXAMPLES = Path(__file__).parents[2] / "examples"
SOME = ("mlp", "deep_mlp", "cnn", "rnn", "fourier", "spiking", "transformer", "positional")


@pytest.mark.parametrize("name", SOME)
def test_programs_are_read_as_they_were_written(name: str) -> None:
    derivation = tp.load(EXAMPLES / f"{name}.tp").derive()
    lowered = lower_system(derivation.core, derivation.system)
    content = write_record(lowered)
    found = read_record(content)
    assert found.core == lowered.core
    assert ir_text(found.ir) == ir_text(lowered.ir)
    assert source_text(found.ir, "cpu") == source_text(lowered.ir, "cpu")
    assert write_record(found) == content
    assert [entry.span for entry in found.core.outputs] == [entry.span for entry in lowered.core.outputs]


def test_refusals_are_read_as_they_were_written() -> None:
    derivation = tp.load(EXAMPLES / "mlp.tp").derive()
    span = derivation.core.outputs[0].span
    refused = {("f", "ntk"): LimitError(Diagnostic("TP300", "no\nlimit", span, "a hint"))}
    found = read_record(write_record(refused))
    assert found.keys() == refused.keys()
    assert str(found["f", "ntk"]) == str(refused["f", "ntk"])
    assert type(found["f", "ntk"]) is LimitError


def test_numbers_keep_their_type_and_their_bits() -> None:
    values = (1, 1.0, True, None, -0.0, 5e-324, float("inf"), 2**70, 0.1 + 0.2, "ρ\ud800", frozenset({"b", "a"}))
    found = read_record(write_record(values))
    assert [*map(repr, found)] == [*map(repr, values)]


@pytest.mark.parametrize("value", [object(), [1], {"a": {1, 2}}, b"bytes", (len,), {"f": lambda: 1}])
def test_other_things_are_not_written(value: object) -> None:
    with pytest.raises(UnknownRecordError):
        write_record(value)


@pytest.mark.parametrize(
    "record",
    [
        [["d", "os:system", "true"], [0]],
        [["d", "builtins:eval", "1"], [0]],
        [["d", "tensorprog.errors:dataclass", "1"], [0]],
        [["d", "tensorprog.errors:Iterable", "1"], [0]],
        [["d", "tensorprog.core.ir:walk", "1"], [0]],
        [["x", "tensorprog.errors:Span", "1"], [0]],
        [["e", "tensorprog.kernel.ir:Copy", "NONE"], [0]],
        [["d", "tensorprog.kernel.ir:Index", "l"], [0]],
        [["?", 1], [0]],
        [["t", [1]], [0]],
        [],
        7,
    ],
    ids=str,
)
def test_records_of_anything_else_are_refused(record: object) -> None:
    with pytest.raises(UnknownRecordError):
        read_record(json.dumps(record).encode())


@pytest.mark.parametrize("content", [b"", b"[", b"\xff\xfe", b"nonsense"])
def test_texts_that_are_no_records_are_refused(content: bytes) -> None:
    with pytest.raises(UnknownRecordError):
        read_record(content)
