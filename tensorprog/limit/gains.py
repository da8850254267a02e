"""Gains: parameters without variance, as the gain of a layer normalization, which training moves all the same.

A vector g ~ N(m, 0) is the constant m in every moment; in a tangent it stands with its learning rate. To first order in
g − m, which is all that a tangent sees, a variable v(g, y) is v(m, y) + (g − m) · ∂v/∂g(m, y). This pass rewrites a
program so: constants in place of gains, their sensitivities carried forward through elementwise maps (forward-mode
differentiation), and the two put together where a matrix, a loop or an output reads the variable. The rewritten program
has the same outputs and the same gradients at any width, and its factors are independent: the rules of `limit.moments`
apply to relu(g · y + c) as they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

from tensorprog.core.ir import Carry, Core, Gather, Instruction, Load, Map, Moment, Parameter, Scan, Type, walk
from tensorprog.limit.affine import affine_form
from tensorprog.limit.scaling import Asymptotics
from tensorprog.nonlin.derivative import derivative, has_surrogate
from tensorprog.nonlin.expression import ONE, Expr, Operand
from tensorprog.nonlin.simplify import bind, simplify

__all__ = ["linearize_gains"]


@dataclass(frozen=True, slots=True)
class _Linear:
    """A variable as main + Σ_g (g − m) · sensitivities[g], expressions over the variables `bases`."""

    bases: tuple[str, ...]
    main: Expr
    sensitivities: Mapping[str, Expr]


@dataclass
class _Pass:
    """What the pass knows and what it has made."""

    core: Core
    constants: Mapping[str, Parameter]
    moving: frozenset[str]
    linear: dict[str, _Linear] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)


def linearize_gains(core: Core) -> Core:
    """Return an equivalent program in which no parameter of variance zero stands inside a nonlinearity."""
    asymptotics = Asymptotics(core)
    loads = {i.target: core.parameters[i.parameter] for i in walk(core.body) if isinstance(i, Load)}
    vectors = {name: made for name, made in loads.items() if core.types[name].dimension is not None}
    constants = {name: made for name, made in vectors.items() if _is_constant(made, asymptotics)}
    if not any(_has_gain(i, constants, core) for i in walk(core.body)):
        return core
    moving = frozenset(name for name, made in constants.items() if _is_moving(made, asymptotics))
    state = _Pass(core, constants, moving)
    return replace(core, body=_rewrite_block(core.body, state), types={**core.types, **state.types})


def _is_constant(parameter: Parameter, asymptotics: Asymptotics) -> bool:
    return asymptotics.is_zero(parameter.variance) and not asymptotics.has_width(parameter.mean)


def _is_moving(parameter: Parameter, asymptotics: Asymptotics) -> bool:
    return parameter.trained and not asymptotics.is_zero(parameter.multiplier)


def _has_gain(instruction: Instruction, constants: Mapping[str, Parameter], core: Core) -> bool:
    """Return whether a map reads a constant otherwise than as a summand (surrogate derivatives excepted)."""
    if not isinstance(instruction, Map) or not any(name in constants for name in instruction.operands):
        return False
    if has_surrogate(instruction.expression):
        return False
    vectors = [i for i, name in enumerate(instruction.operands) if core.types[name].dimension is not None]
    return affine_form(instruction.expression, frozenset(vectors)) is None


def _rewrite_block(body: tuple[Instruction, ...], state: _Pass) -> tuple[Instruction, ...]:
    return tuple(new for instruction in body for new in _rewrite(instruction, state))


def _rewrite(instruction: Instruction, state: _Pass) -> tuple[Instruction, ...]:
    if isinstance(instruction, Map):
        return (_rewrite_map(instruction, state),)
    if isinstance(instruction, Scan):
        inner = _rewrite_block(instruction.body, state)
        made, carries = _carried(instruction, state)
        before, carries = _initials(instruction, carries, state)
        return (*before, replace(instruction, body=(*inner, *made), carries=carries))
    if isinstance(instruction, Load | Moment):
        return (instruction,)
    read = "source" if isinstance(instruction, Gather) else "operand"
    made, name = _total(getattr(instruction, read), instruction, state)
    return (*made, replace(instruction, **{read: name}))  # type: ignore[arg-type]


def _carried(scan: Scan, state: _Pass) -> tuple[tuple[Instruction, ...], tuple[Carry, ...]]:
    """Return the instructions that put together what a loop hands on, and the carries that read them."""
    made: list[Instruction] = []
    outside = {i.source for i in walk(state.core.body) if isinstance(i, Gather)}
    for inner in scan.body:
        if inner.target in outside:
            made += _total(inner.target, scan, state)[0]
    carries = []
    for carry in scan.carries:
        new, name = _total(carry.source, scan, state)
        made += new
        carries.append(replace(carry, source=name))
    return tuple(made), tuple(carries)


def _initials(
    scan: Scan, carries: tuple[Carry, ...], state: _Pass
) -> tuple[tuple[Instruction, ...], tuple[Carry, ...]]:
    made: list[Instruction] = []
    changed = []
    for carry in carries:
        if carry.initial is not None:
            new, name = _total(carry.initial, scan, state)
            made += new
            carry = replace(carry, initial=name)
        changed.append(carry)
    return tuple(made), tuple(changed)


def _rewrite_map(instruction: Map, state: _Pass) -> Map:
    """Return the map with constants in place of gains; its sensitivities are remembered."""
    inherits = any(name in state.linear for name in instruction.operands)
    if not inherits and not _has_gain(instruction, state.constants, state.core):
        return instruction
    parts = [state.linear.get(name) or _leaf(name, state) for name in instruction.operands]
    bases = tuple(dict.fromkeys(base for part in parts for base in part.bases))
    placed = [_over(part, bases) for part in parts]
    mains = tuple(part.main for part in placed)
    gains = dict.fromkeys(name for part in placed for name in part.sensitivities)
    sensitivities = {gain: _sensitivity(instruction.expression, placed, mains, gain) for gain in gains}
    main = simplify(bind(instruction.expression, mains))
    state.linear[instruction.target] = _Linear(bases, main, sensitivities)
    return replace(instruction, expression=main, operands=bases)


def _leaf(name: str, state: _Pass) -> _Linear:
    """Return a variable that depends on no gain, or a gain itself."""
    if name not in state.constants:
        return _Linear((name,), Operand(0), {})
    return _Linear((), state.constants[name].mean, {name: ONE} if name in state.moving else {})


def _over(part: _Linear, bases: tuple[str, ...]) -> _Linear:
    """Return the same over a longer list of variables."""
    places = tuple(Operand(bases.index(base)) for base in part.bases)
    moved = {gain: bind(expr, places) for gain, expr in part.sensitivities.items()}
    return _Linear(bases, bind(part.main, places), moved)


def _sensitivity(expr: Expr, parts: list[_Linear], mains: tuple[Expr, ...], gain: str) -> Expr:
    """Return ∂expr/∂gain by the chain rule."""
    terms = [
        bind(derivative(expr, index), mains) * part.sensitivities[gain]
        for index, part in enumerate(parts)
        if gain in part.sensitivities
    ]
    return simplify(reduce(lambda left, right: left + right, terms))


def _total(name: str, reader: Instruction, state: _Pass) -> tuple[tuple[Instruction, ...], str]:
    """Return the variable with its sensitivities put in, and the instructions that make it (once)."""
    known = state.linear.get(name)
    if known is None or not known.sensitivities:
        return (), name
    if name in state.totals:
        return (), state.totals[name]
    total, made = f"{name}.moved", list[Instruction]()
    operands: list[str] = [name]
    expr: Expr = Operand(0)
    for number, (gain, sensitivity) in enumerate(known.sensitivities.items(), 1):
        slope = f"{name}.slope{number}"
        made.append(Map(slope, sensitivity, known.bases, span=reader.span))
        state.types[slope] = state.core.types[name]
        change = Operand(len(operands)) - state.constants[gain].mean
        expr = expr + change * Operand(len(operands) + 1)
        operands += [gain, slope]
    made.append(Map(total, simplify(expr), tuple(operands), span=reader.span))
    state.types[total], state.totals[name] = state.core.types[name], total
    return tuple(made), total
