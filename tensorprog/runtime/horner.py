"""Polynomials in a correlation for 32 neighbouring entries at once, for compiled code, in the processor's own vectors.

The vectors are written out, since no compiler keeps the sums of 32 polynomials in registers of its own accord: a term
of eight entries then costs one product and one fused multiply-add, both at the full rate. LLVM splits vectors of eight
numbers where the processor has narrower ones.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from tensorprog.runtime.series_layout import LANES

__all__ = ["always_inline", "correlate", "sum_parities"]

_WIDTH = 8
_DOUBLE, _INTEGER = ir.DoubleType(), ir.IntType(64)
_VECTOR = ir.VectorType(_DOUBLE, _WIDTH)
_FIRST = ir.Constant(ir.VectorType(ir.IntType(32), _WIDTH), [0] * _WIDTH)


class _Block:
    """Writes instructions on the 32 entries, four vectors of eight."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder = context, builder
        self.args = dict(enumerate(zip(signature.args, args, strict=True)))

    def number(self, position: int) -> Any:
        """Return an argument that is a number."""
        return self.args[position][1]

    def pointer(self, position: int, offset: Any = None) -> Any:
        """Return the address of an entry of an argument that is a contiguous array."""
        kind, value = self.args[position]
        data = self.context.make_array(kind)(self.context, self.builder, value).data
        return data if offset is None else self.builder.gep(data, [offset])

    def load(self, pointer: Any) -> list[Any]:
        """Return 32 numbers."""
        vectors = [self.builder.load(place) for place in self._places(pointer)]
        for vector in vectors:
            vector.align = 8
        return vectors

    def store(self, vectors: list[Any], pointer: Any) -> None:
        """Write 32 numbers."""
        for vector, place in zip(vectors, self._places(pointer), strict=True):
            self.builder.store(vector, place).align = 8

    def _places(self, pointer: Any) -> list[Any]:
        offsets = (ir.Constant(_INTEGER, start) for start in range(0, LANES, _WIDTH))
        return [self.builder.bitcast(self.builder.gep(pointer, [start]), _VECTOR.as_pointer()) for start in offsets]

    def spread(self, number: Any) -> Any:
        """Return a vector with a number in all places."""
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        single = self.builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(single, undefined, _FIRST)

    def constant(self, value: float) -> Any:
        """Return a vector of a constant."""
        return ir.Constant(_VECTOR, [value] * _WIDTH)

    def call(self, name: str, *vectors: Any) -> Any:
        """Return the value of an intrinsic function of LLVM on vectors."""
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(vectors))
        return self.builder.call(
            get_or_insert_function(self.builder.module, kind, f"llvm.{name}.v{_WIDTH}f64"), vectors
        )

    def clipped(self, vector: Any) -> Any:
        """Return a vector cut to [−1, 1]; NaN stays."""
        for sign, bound in (("<", -1.0), (">", 1.0)):
            outside = self.builder.fcmp_ordered(sign, vector, self.constant(bound))
            vector = self.builder.select(outside, self.constant(bound), vector)
        return vector

    def largest(self, vectors: list[Any]) -> Any:
        """Return the largest absolute value, 0 for NaN."""
        found = self.constant(0.0)
        for vector in vectors:
            found = self.call("maxnum", found, self.call("fabs", vector))
        kind = ir.FunctionType(_DOUBLE, [_VECTOR])
        name = f"llvm.vector.reduce.fmax.v{_WIDTH}f64"
        return self.builder.call(get_or_insert_function(self.builder.module, kind, name), [found])

    def polynomial(self, count: Any, coefficients: Any, rows: Any, argument: list[Any]) -> list[Any]:
        """Return Σ_{n < count} a[n] rows[n] xⁿ by Horner's scheme, 0 for count = 0."""
        builder = self.builder
        before, loop, after = builder.block, *(builder.append_basic_block(f"horner.{name}") for name in ("loop", "end"))
        top = builder.sub(count, ir.Constant(_INTEGER, 1))
        zero = ir.Constant(_INTEGER, 0)
        builder.cbranch(builder.icmp_signed(">", count, zero), loop, after)
        builder.position_at_end(loop)
        place = builder.phi(_INTEGER)
        sums = [builder.phi(_VECTOR) for _ in argument]
        factor = self.spread(builder.load(builder.gep(coefficients, [place])))
        row = self.load(builder.gep(rows, [builder.mul(place, ir.Constant(_INTEGER, LANES))]))
        new = [
            self.call("fma", total, x, builder.fmul(factor, other))
            for total, x, other in zip(sums, argument, row, strict=True)
        ]
        steps, nothing = list(zip(sums, new, strict=True)), self.constant(0.0)
        following = builder.sub(place, ir.Constant(_INTEGER, 1))
        for value, start, step in ((place, top, following), *((old, nothing, last) for old, last in steps)):
            value.add_incoming(start, before)
            value.add_incoming(step, loop)
        builder.cbranch(builder.icmp_signed(">=", following, zero), loop, after)
        builder.position_at_end(after)
        result = [builder.phi(_VECTOR) for _ in sums]
        for value, last in zip(result, new, strict=True):
            value.add_incoming(nothing, before)
            value.add_incoming(last, loop)
        return result


@intrinsic
def always_inline(typing_context: Any) -> Any:
    """Have the function that calls this compiled into its own callers: to hand over many arrays costs 50 ns."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("alwaysinline")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def correlate(typing_context: Any, c: Any, at: Any, scale: Any, scales: Any, rho: Any) -> Any:
    """Set rho[at + s] = c[at + s] · scale · scales[s], cut to [−1, 1], for s < 32, and return the largest |rho|.

    What is not a number stays so, and does not count.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = _Block(context, builder, signature, args)
        covariances = block.load(block.pointer(0, block.number(1)))
        factor, others = block.spread(block.number(2)), block.load(block.pointer(3))
        pairs = zip(covariances, others, strict=True)
        found = [block.clipped(builder.fmul(builder.fmul(one, factor), other)) for one, other in pairs]
        block.store(found, block.pointer(4, block.number(1)))
        return block.largest(found)

    return types.float64(c, types.int64, types.float64, scales, rho), generate


@intrinsic
def sum_parities(typing_context: Any, a: Any, b: Any, odd_at: Any, even: Any, odd: Any, value: Any, at: Any) -> Any:
    """Replace ρ = value[at + s] by Σ_{n < even} a[n] b[n, s] ρ²ⁿ + ρ Σ_{n < odd} a[o + n] b[o + n, s] ρ²ⁿ, s < 32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        block = _Block(context, builder, signature, args)
        place, offset = block.pointer(5, block.number(6)), block.number(2)
        rho = block.load(place)
        squares = [builder.fmul(one, one) for one in rho]
        lines = builder.mul(offset, ir.Constant(_INTEGER, LANES))
        evens = block.polynomial(block.number(3), block.pointer(0), block.pointer(1), squares)
        odds = block.polynomial(block.number(4), block.pointer(0, offset), block.pointer(1, lines), squares)
        block.store([block.call("fma", *three) for three in zip(rho, odds, evens, strict=True)], place)
        return context.get_dummy_value()

    integer = types.int64
    return types.void(a, b, integer, integer, integer, value, integer), generate
