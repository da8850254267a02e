"""Machine code on disk: what numba compiled, called without numba, whose import takes longer than most kernels do.

Of a compiled function the module of LLVM, without numba's wrappers around it, is kept as an object file. It is called
as numba calls it: with the addresses of the result and of an exception, then the arguments, an array as its owner and
its parent (none here), the number and the size of its items, its address, its shape and its strides; it returns a
status, 0 for success. Where anything is not as it is said to be here, nothing is kept and numba runs the function; so
it is with other versions of numba than those that this was tested with, and on other systems than Linux on x86-64.
"""

from __future__ import annotations

import base64
import ctypes
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import llvmlite.binding as llvm

__all__ = ["NOT_KEPT", "Native", "can_keep", "read_native", "write_native"]

_LIBRARY = frozenset(
    "acos asin atan atan2 cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs floor fma fmax fmin fmod free frexp"
    " hypot ldexp lgamma log log10 log1p log2 malloc memcpy memmove memset nearbyint pow remainder rint round sin sinh"
    " sqrt tan tanh tgamma trunc".split()
)
"""The functions of the C library that compiled code may call."""

_ALLOCATION = """
declare ptr @malloc(i64)
declare void @free(ptr)

define void @NRT_MemInfo_call_dtor(ptr %owner) {
  call void @free(ptr %owner)
  ret void
}

define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %alignment) {
  %step = zext i32 %alignment to i64
  %room = add i64 %step, 64
  %bytes = add i64 %size, %room
  %owner = call ptr @malloc(i64 %bytes)
  %none = icmp eq ptr %owner, null
  br i1 %none, label %done, label %fill

fill:
  %place = getelementptr i8, ptr %owner, i64 24
  %start = getelementptr i8, ptr %owner, i64 64
  %address = ptrtoint ptr %start to i64
  %beyond = urem i64 %address, %step
  %gap = sub i64 %step, %beyond
  %data = getelementptr i8, ptr %start, i64 %gap
  store i64 1, ptr %owner
  store ptr %data, ptr %place
  br label %done

done:
  ret ptr %owner
}
"""
"""What numba's runtime does for arrays that a function makes for itself: at the start of their owner stands the number
of references to it, at byte 24 the address of the data."""

_ADDRESS, _INTEGER = ("ptr", ctypes.c_void_p), ("i64", ctypes.c_int64)
_NUMBERS = {"int64": _INTEGER, "float64": ("double", ctypes.c_double)}
_RESULTS: dict[str, Any] = {
    "none": ctypes.c_void_p,
    "int64": ctypes.c_int64,
    "float64": ctypes.c_double,
    "bool": ctypes.c_bool,
}
_SUCCESS = (0, -2)

_TESTED = (["0", "68"],)
"""The versions of numba whose way to call functions and to own arrays is the one above."""

NOT_KEPT = b"null"
"""The record of a function whose machine code cannot be kept."""

_ENGINES: list[Any] = []
"""The owners of the machine code, which lives as long as the process."""


@dataclass(frozen=True, slots=True)
class _Argument:
    """A type: of a number, with dimensions None, or of a contiguous array."""

    dtype: str
    dimensions: int | None

    @property
    def types(self) -> tuple[tuple[str, Any], ...]:
        """The types, of LLVM and of C, of the numbers that stand for a value."""
        if self.dimensions is None:
            return (_NUMBERS[self.dtype],)
        return _ADDRESS, _ADDRESS, _INTEGER, _INTEGER, _ADDRESS, *((_INTEGER,) * (2 * self.dimensions))

    def flatten(self, value: Any) -> tuple[Any, ...] | None:
        """Return the numbers that stand for a value, None if it is of another type."""
        if self.dimensions is None:
            return (value,)
        if value.ndim != self.dimensions or value.dtype != self.dtype or not value.flags.carray:
            return None
        return None, None, value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides


@dataclass(frozen=True, slots=True)
class _Function:
    """One function, for one signature."""

    entry: Any
    arguments: tuple[_Argument, ...]
    result: str

    def flatten(self, values: Sequence[Any]) -> list[Any] | None:
        """Return the numbers that stand for values, None if some are of other types than those of the signature."""
        if len(values) != len(self.arguments):
            return None
        parts = [argument.flatten(value) for argument, value in zip(self.arguments, values, strict=True)]
        return None if None in parts else [number for part in parts if part is not None for number in part]

    def call(self, numbers: list[Any]) -> Any:
        """Call the function, without the lock of the interpreter."""
        result, exception = _RESULTS[self.result](), ctypes.c_void_p()
        status = self.entry(ctypes.addressof(result), ctypes.addressof(exception), *numbers)
        if status not in _SUCCESS:
            raise RuntimeError(f"compiled code failed with status {status}")
        return None if self.result == "none" else result.value


class Native:
    """A function in machine code, for one or more signatures."""

    def __init__(self, functions: tuple[_Function, ...]) -> None:
        self._functions = functions

    def __call__(self, *values: Any) -> Any:
        """Call the function for the types of the values.

        Raises:
            TypeError: there is none.
        """
        for function in self._functions:
            numbers = function.flatten(values)
            if numbers is not None:
                return function.call(numbers)
        raise TypeError("there is no machine code for arguments of these types")


def write_native(dispatcher: Any) -> bytes:
    """Return what `read_native` needs of a compiled function of numba's, `NOT_KEPT` where that does not work.

    One that numba has not compiled but found on disk is compiled again: of such a one it knows no more than the code.
    """
    if not can_keep():
        return NOT_KEPT
    try:
        if dispatcher.stats.cache_hits:
            dispatcher = _compiled_again(dispatcher)
        records = [_write_function(dispatcher.overloads[signature]) for signature in dispatcher.signatures]
    except (AttributeError, KeyError, NameError, RuntimeError, TypeError, ValueError):
        return NOT_KEPT
    return json.dumps(records).encode()


def _compiled_again(dispatcher: Any) -> Any:
    """Return a function, compiled anew."""
    again = type(dispatcher)(dispatcher.py_func, targetoptions=dispatcher.targetoptions)
    for signature in dispatcher.signatures:
        again.compile(signature)
    return again


def can_keep() -> bool:
    """Tell whether machine code can be kept on this system, by the version of numba that is installed."""
    known = version("numba").split(".")[:2] in _TESTED
    return known and sys.platform == "linux" and platform.machine() == "x86_64"


def _write_function(compiled: Any) -> dict[str, Any]:
    """Return the record of a function for one signature.

    Raises:
        ValueError: it has arguments or a result of other types, or calls what is not of the C library.
    """
    name, library = compiled.fndesc.llvm_func_name, compiled.library
    arguments, result = [_argument(kind) for kind in compiled.signature.args], str(compiled.signature.return_type)
    module = llvm.parse_bitcode(library._final_module.as_bitcode())
    function = module.get_function(name)
    if function.is_declaration or result not in _RESULTS or str(function.global_value_type) != _type_text(arguments):
        raise ValueError(name)
    called = _strip(module, name, library.codegen._tm)
    if not called <= _LIBRARY:
        raise ValueError(name)
    return {
        "name": name,
        "arguments": [[argument.dtype, argument.dimensions] for argument in arguments],
        "result": result,
        "calls": sorted(called),
        "code": base64.b64encode(library.codegen._tm.emit_object(module)).decode(),
    }


def _argument(kind: Any) -> _Argument:
    """Return a type of numba's."""
    if str(kind) in _NUMBERS:
        return _Argument(str(kind), None)
    if kind.layout != "C" or not kind.aligned or not kind.mutable:
        raise ValueError(str(kind))
    return _Argument(str(kind.dtype), kind.ndim)


def _type_text(arguments: Sequence[_Argument]) -> str:
    kinds = [name for argument in arguments for name, _ in argument.types]
    return f"i32 ({', '.join(['ptr', 'ptr', *kinds])})"


def _strip(module: Any, name: str, machine: Any) -> set[str]:
    """Leave in a module what one function needs, and return what that calls from outside."""
    allocation = llvm.parse_assembly(_ALLOCATION)
    allocation.triple, allocation.data_layout = module.triple, module.data_layout
    module.link_in(allocation)
    for part in (*module.functions, *module.global_variables):
        if not part.is_declaration and part.name != name:
            part.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=0)))
    module.verify()
    outside = {part.name for part in (*module.functions, *module.global_variables) if part.is_declaration}
    return {called for called in outside if not called.startswith("llvm.")}


def read_native(content: bytes) -> Native | None:
    """Return the function of a record; None if there is none in it, or something that it calls is not there."""
    try:
        return Native(tuple(_read_function(record) for record in json.loads(content)))
    except (KeyError, RuntimeError, TypeError, ValueError):
        return None


def _read_function(record: dict[str, Any]) -> _Function:
    arguments = tuple(_Argument(dtype, dimensions) for dtype, dimensions in record["arguments"])
    kinds = [kind for argument in arguments for _, kind in argument.types]
    entry = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *kinds)
    return _Function(entry(_load(record)), arguments, record["result"])


def _load(record: dict[str, Any]) -> int:
    """Return the address of a function.

    Raises:
        ValueError: something that it calls is not there.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    if any(llvm.address_of_symbol(name) is None for name in record["calls"]):
        raise ValueError(record["name"])
    engine.add_object_file(llvm.ObjectFileRef.from_data(base64.b64decode(record["code"])))
    engine.finalize_object()
    _ENGINES.append(engine)
    address: int = engine.get_function_address(record["name"])
    if not address:
        raise ValueError(record["name"])
    return address
