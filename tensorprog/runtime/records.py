"""Programs as JSON and back: the data of the core language and of the kernel IR.

A record is a list of nodes, each after those that it holds; what occurs twice is written once. A number, a text, True,
False and None stand for themselves, a list of one number for the node of that number. Nodes:

    ["t", item…]                a tuple
    ["m", key, value, …]        a mapping, in order
    ["s", item…]                a frozenset
    ["e", class, name]          a member of an enumeration
    ["x", class, diagnostics]   an error
    ["d", class, field…]        a dataclass: the values of its fields

Reading makes nothing but dataclasses, enumerations and errors of the modules in `_MODULES`: it runs no other code.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any

from tensorprog.errors import TensorProgramError
from tensorprog.kernel.ir import Note

__all__ = ["UnknownRecordError", "read_record", "write_record"]

_MODULES = (
    "tensorprog.errors",
    "tensorprog.nonlin.expression",
    "tensorprog.core.ir",
    "tensorprog.limit.ranks",
    "tensorprog.kernel.ir",
    "tensorprog.runtime.lowered",
)


class UnknownRecordError(Exception):
    """There is something that cannot be written or read."""


def write_record(value: Any) -> bytes:
    """Return a value as JSON; the sides of a `Note` become texts.

    Raises:
        UnknownRecordError: there is something in it that is none of the above.
    """
    writer = _Writer()
    root = writer.write(value)
    return json.dumps([*writer.nodes, root], separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


class _Writer:
    """Writes nodes, of the same object once."""

    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []
        self._known: dict[int, list[int]] = {}
        self._kept: list[Any] = []

    def write(self, value: Any) -> Any:
        if value is None or type(value) in (bool, int, float, str):
            return value
        if id(value) not in self._known:
            node = self._node(value)
            self._kept.append(value)
            self._known[id(value)] = [len(self.nodes)]
            self.nodes.append(node)
        return self._known[id(value)]

    def _node(self, value: Any) -> list[Any]:
        match value:
            case tuple():
                return ["t", *map(self.write, value)]
            case Mapping():
                return ["m", *(self.write(part) for item in value.items() for part in item)]
            case frozenset():
                return ["s", *map(self.write, sorted(value, key=repr))]
            case Enum():
                return ["e", _name(type(value)), value.name]
            case TensorProgramError():
                return ["x", _name(type(value)), self.write(value.diagnostics)]
            case Note():
                return ["d", _name(Note), str(value.left), str(value.right), value.rule, value.line]
            case _ if dataclasses.is_dataclass(value):
                kind: type = type(value)
                return ["d", _name(kind), *(self.write(getattr(value, name)) for name in _fields(kind))]
        raise UnknownRecordError(type(value).__name__)


def read_record(text: bytes) -> Any:
    """Return the value that was written.

    Raises:
        UnknownRecordError: the text is no record, or one of something that there is no more.
    """
    try:
        *nodes, root = json.loads(text.decode("utf-8", "surrogatepass"))
        values: list[Any] = []
        for node in nodes:
            values.append(_READERS[node[0]]([values[part[0]] if type(part) is list else part for part in node[1:]]))
        return values[root[0]] if type(root) is list else root
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnknownRecordError(str(error)) from error


def _mapping(parts: list[Any]) -> dict[Any, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _member(parts: list[Any]) -> Any:
    return _class(parts[0], Enum)[parts[1]]


def _error(parts: list[Any]) -> Any:
    return _class(parts[0], TensorProgramError)(parts[1])


def _data(parts: list[Any]) -> Any:
    kind = _class(parts[0], object)
    return kind(**dict(zip(_fields(kind), parts[1:], strict=True)))


_READERS: Mapping[str, Callable[[list[Any]], Any]] = {
    "t": tuple,
    "m": _mapping,
    "s": frozenset,
    "e": _member,
    "x": _error,
    "d": _data,
}


def _name(kind: type) -> str:
    """Return what a class is called in a record."""
    if kind.__module__ not in _MODULES or getattr(importlib.import_module(kind.__module__), kind.__name__) is not kind:
        raise UnknownRecordError(kind.__name__)
    return f"{kind.__module__}:{kind.__name__}"


@cache
def _class(name: str, base: type) -> Any:
    """Return the class of a name."""
    module, _, own = name.partition(":")
    if module not in _MODULES:
        raise UnknownRecordError(name)
    kind = getattr(importlib.import_module(module), own)
    if kind.__module__ != module or not issubclass(kind, base):
        raise UnknownRecordError(name)
    if base is object and not dataclasses.is_dataclass(kind):
        raise UnknownRecordError(name)
    return kind


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    fields: Iterable[dataclasses.Field[Any]] = dataclasses.fields(kind)
    return tuple(field.name for field in fields if field.init)
