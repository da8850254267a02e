"""Reading variables, states of scans and parameters at affine indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tensorprog.core.builder import Builder, Unroll
from tensorprog.core.codes import Code
from tensorprog.core.ir import Affine, Gather, Load, Parameter, Type
from tensorprog.core.lower import lower_term
from tensorprog.core.names import point
from tensorprog.core.scope import ParameterName, StateName, VariableName, enclosing
from tensorprog.core.shapes import Value, print_size, union
from tensorprog.core.sizes import SizeError, affine
from tensorprog.errors import Span
from tensorprog.nonlin.expression import Number, Position, walk
from tensorprog.syntax.tree import Term

__all__ = ["load", "read_state", "read_variable", "weight"]


def _affine(builder: Builder, term: Term) -> Affine | None:
    value = lower_term(term, builder)
    if value is None:
        return None
    hint = "an index is a sum of integers and integer multiples of axes: `2*i + k - 1`"
    if value.operands:
        builder.report(Code.NOT_AFFINE, "an index that depends on a variable", term.span, hint)
        return None
    try:
        return affine(value.expr, builder.symbols)
    except ZeroDivisionError:
        builder.report(Code.ZERO_DIVISION, "division by zero", term.span, "the divisor is the constant 0")
    except SizeError as error:
        _unroll_if_looping(builder, value)
        builder.report(Code.NOT_AFFINE, f"an index that is not affine: {error}", term.span, hint)
    return None


def _unroll_if_looping(builder: Builder, value: Value) -> None:
    """Unroll the loop whose variable enters an index that is not affine as long as it is a variable."""
    for node in walk(value.expr):
        if isinstance(node, Position) and node.axis in builder.rolled:
            raise Unroll(node.axis)


def _indices(
    builder: Builder, name: str, own: Sequence[str], terms: tuple[Term, ...], span: Span
) -> tuple[Affine, ...] | None:
    """Return one affine index per axis that `name` has of its own."""
    found = [_affine(builder, term) for term in terms]
    if len(terms) != len(own):
        if not own:
            message, hint = f"`{name}` has no axes to index", f"read it as `{name}`"
        else:
            axes, given = "axis" if len(own) == 1 else "axes", "index" if len(terms) == 1 else "indices"
            message = f"`{name}` has {len(own)} {axes}, but is read with {len(terms)} {given}"
            hint = f"read it as `{name}[{', '.join(own)}]`"
        builder.report(Code.INDEX_COUNT, message, span, hint)
        return None
    return None if None in found else tuple(index for index in found if index is not None)


def _free(builder: Builder, indices: Sequence[Affine]) -> tuple[str, ...]:
    """Return the axes over which indices range here."""
    return tuple(axis for index in indices for axis, _ in index.terms if axis not in builder.running)


def read_variable(
    builder: Builder, name: str, binding: VariableName, terms: tuple[Term, ...], span: Span
) -> Value | None:
    """Return a variable at indices, `Gather`ed unless it is read where it is."""
    indices = _indices(builder, name, binding.own, terms, span)
    return _gather(builder, binding, indices, span) if indices is not None else None


def _gather(builder: Builder, binding: VariableName, indices: tuple[Affine, ...], span: Span) -> Value:
    kind = builder.types[binding.name]
    at = {**_by_axis(point(builder, kind.axes), kind.axes), **_by_axis(indices, binding.own)}
    if all(at[axis] == here for axis, here in zip(kind.axes, point(builder, kind.axes), strict=True)):
        if not set(kind.axes) & set(builder.running):
            return builder.leaf(binding.name)
    ordered = tuple(at[axis] for axis in kind.axes)
    axes = union((_free(builder, ordered),), builder.order)
    made = Type(axes, kind.dimension)
    return builder.emit(Gather, made, span, source=binding.name, indices=ordered, axes=axes)


def _by_axis(indices: Sequence[Affine], axes: Sequence[str]) -> Mapping[str, Affine]:
    return dict(zip(axes, indices, strict=True))


def read_state(builder: Builder, name: str, state: StateName, terms: tuple[Term, ...], span: Span) -> Value | None:
    """Return a name that the scan around defines, at this step or the one before."""
    indices = _indices(builder, name, state.own, terms, span)
    if indices is None:
        return None
    place = state.own.index(state.axis)
    variable = _step(builder, name, state, indices[place], span)
    if variable is None:
        return None
    rest = (*indices[:place], *indices[place + 1 :])
    own = (*state.own[:place], *state.own[place + 1 :])
    return _gather(builder, VariableName(span, variable, own, state.implicit), rest, span)


def _step(builder: Builder, name: str, state: StateName, index: Affine, span: Span) -> str | None:
    """Return the variable that holds a state at `index`."""
    axis = state.axis
    if index.terms != ((axis, Number(1)),) or not isinstance(index.constant, Number):
        message = f"inside `scan {axis}`, `{name}` is read at [{axis}] and [{axis} - 1] only"
        builder.report(Code.FUTURE, message, span, "other steps can be read after the scan")
        return None
    offset = index.constant.value
    if offset == -1:
        return _before(builder, name, state, span)
    if offset == 0 and state.defined:
        return state.target
    if offset == 0:
        message = f"`{name}[{axis}]` is read before this step defines it"
        hint = f"read the step before, `{name}[{axis} - 1]`, or move the definition of `{name}` up"
    elif offset > 0:
        message, hint = f"the scan reads its own future: `{name}[{axis} + {offset}]`", "a scan runs upwards"
    else:
        message = f"the scan reads `{name}` {-int(offset)} steps ago"
        hint = f"carry it on: `p[{axis}] = {name}[{axis} - 1]`, and read `p[{axis} - 1]`"
    builder.report(Code.FUTURE, message, span, hint)
    return None


def _before(builder: Builder, name: str, state: StateName, span: Span) -> str:
    """Return the variable of the state one step ago, which is carried from now on."""
    if state.before is not None:
        return state.before
    target = builder.fresh(f"{state.target}.before")
    own = tuple(axis for axis in state.own if axis != state.axis)
    builder.types[target] = Type((*state.implicit, *own), state.dimension)
    scope = next(here for here in enclosing(builder.scope) if here.names.get(name) is state)
    scope.names[name] = replace(state, before=target)
    return target


def weight(
    builder: Builder, name: str, binding: ParameterName, terms: tuple[Term, ...], span: Span
) -> tuple[Parameter, tuple[Affine, ...], tuple[str, ...]] | None:
    """Return a parameter, the indices at which it is used, and the axes over which these range.

    Raises:
        Unroll: it is declared outside a rolled loop that uses it.
    """
    indices = _indices(builder, name, binding.own, terms, span)
    if builder.rolled != binding.loops:
        raise Unroll(builder.rolled[-1])
    if indices is None:
        return None
    full = (*point(builder, binding.loops), *indices)
    return builder.parameters[binding.name], full, _free(builder, full)


def load(builder: Builder, name: str, binding: ParameterName, terms: tuple[Term, ...], span: Span) -> Value | None:
    """Return a vector or scalar parameter as a value."""
    used = weight(builder, name, binding, terms, span)
    if used is None:
        return None
    parameter, indices, free = used
    if len(parameter.shape) == 2:
        shape = ", ".join(print_size(size) for size in parameter.shape)
        builder.report(Code.MATRIX, f"`{name}` is a matrix of shape ({shape})", span, f"apply it: `{name} @ h`")
        return None
    dimension = None if parameter.shape in ((), (Number(1),)) else parameter.shape[0]
    kind = Type(union((free,), builder.order), dimension)
    return builder.emit(Load, kind, span, parameter=parameter.name, indices=indices)
