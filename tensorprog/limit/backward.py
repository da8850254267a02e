"""The NTK a second time: the double sum of Tensor Programs II over the backward pass.

    Θ(x, x') = Σ_W lr_W Σ_{uses y = W u, y' = W u'} n_y n_u E[Z^{dy} Z^{dy'}] E[Z^u Z^{u'}] + the same for vectors,

with dy = √n ∂f/∂y (Yang 2020, 2006.14548, equations 11 and 12). The backward pass is itself a tensor program; under the
gradient independence assumption its transposed matrices are independent of the plain ones, so that the rules of
`limit.moments` apply to it as they stand. This is the second witness of the tangent rules: both give the same NTK.
"""

from __future__ import annotations

from dataclasses import replace

import sympy as sp

from tensorprog.backprop.adjoint import differentiate
from tensorprog.core.ir import Core, Gradient, Instruction, Map, MatMul, Output, Parameter, Scan
from tensorprog.dual.expectation import Expectations
from tensorprog.errors import Diagnostic, LimitError
from tensorprog.limit.derive import assemble, make_systems, refuse_unsupported
from tensorprog.limit.equations import Kind, LimitSystem, Result, Subject, X
from tensorprog.limit.moments import Moments
from tensorprog.limit.scaling import NOTHING, Asymptotics, Term
from tensorprog.limit.variables import Ref, Variables
from tensorprog.limit.windows import write_out_maxima
from tensorprog.nonlin.expression import ONE, Symbol

__all__ = ["derive_backward"]


def derive_backward(core: Core, output: Output, expectations: Expectations = Expectations.AUTO) -> LimitSystem:
    """Return the NTK of one output, derived from the backward pass. Loops must be unrolled.

    Maxima over windows are taken in the forward pass as `limit.windows` writes them. Of an output over axes it is the
    NTK of the sum over its places, at every place.

    Raises:
        LimitError: as `derive`.
    """
    core = write_out_maxima(core)
    independence = refuse_unsupported(Variables(core), Asymptotics(core))
    _refuse_scans(core)
    backward = _with_independent_transposes(core, differentiate(core, output.source), output)
    variables = Variables(backward)
    asymptotics = Asymptotics(backward, variables.sizes)
    systems = make_systems(variables, asymptotics, expectations)
    one, two = (_double_sum(moments, backward, variables) for moments in (systems.one, systems.two))
    subject = Subject(Kind.TANGENT, output.source, output.source)
    results = {
        (output.name, "ntk"): Result(
            systems.one.ledger.over_axes(subject, one.coefficient, output.span),
            systems.two.ledger.over_axes(subject, two.coefficient, output.span),
        )
    }
    return assemble(backward, systems, asymptotics, independence, results, {})


def _refuse_scans(core: Core) -> None:
    for instruction in core.body:
        if isinstance(instruction, Scan):
            message = "the backward pass of a recurrence runs downwards: its limit is not derived"
            raise LimitError(Diagnostic("TP310", message, instruction.span))


def _with_independent_transposes(forward: Core, backward: Core, output: Output) -> Core:
    """Return the backward program with a fresh matrix for every transpose of its backward half, and the seed 1.

    The transposed readouts carry the factor √n of dy = √n ∂f/∂y.
    """
    seed = f"d.{output.source}"
    known = {instruction.target for instruction in forward.body}
    fresh: dict[str, Parameter] = {}
    body: list[Instruction] = [Map(seed, ONE, (), span=output.span)]
    for instruction in backward.body:
        if instruction.target not in known and isinstance(instruction, MatMul):
            parameter = _independent(instruction, backward)
            fresh[parameter.name] = parameter
            instruction = replace(instruction, parameter=parameter.name, transposed=False)
        body.append(instruction)
    inputs = tuple(item for item in backward.inputs if item.name != seed)
    return replace(backward, inputs=inputs, body=tuple(body), parameters={**backward.parameters, **fresh})


def _independent(use: MatMul, backward: Core) -> Parameter:
    """Return an independent matrix with the law of the one that the backward pass uses."""
    parameter = backward.parameters[use.parameter]
    is_readout = backward.types[use.operand].dimension is None
    width = Symbol(backward.widths[0].name)
    variance = parameter.variance * width if is_readout else parameter.variance
    shape = parameter.shape[::-1] if use.transposed else parameter.shape
    return replace(parameter, name=f"{parameter.name}ᵀ", shape=shape, variance=variance)


def _double_sum(moments: Moments, core: Core, variables: Variables) -> Term:
    """Return Σ over parameters and pairs of their uses."""
    total = NOTHING
    for left in core.gradients:
        for right in core.gradients:
            if left.parameter == right.parameter and core.parameters[left.parameter].trained:
                total = total + _pair_of_uses(moments, core, variables, left, right)
    return total


def _pair_of_uses(moments: Moments, core: Core, variables: Variables, left: Gradient, right: Gradient) -> Term:
    """Return lr Σ_{r, r'} [W_r = W_r'] E[Z^{dy_r} Z^{dy'_r'}] E[Z^{u_r} Z^{u'_r'}] over the positions of two uses."""
    parameter = core.parameters[left.parameter]
    here = {axis: variables.places.fresh(axis, X) for axis in left.axes}
    there = {axis: variables.places.fresh(axis, moments.right) for axis in right.axes}
    first, second = (
        {axis: variables.places.place(index, values) for axis, index in zip(parameter.axes, use.indices, strict=True)}
        for use, values in ((left, here), (right, there))
    )
    weight = {sp.Symbol(axis): place for axis, place in first.items()}
    term = moments.asymptotics.at(weight).evaluate(parameter.multiplier)
    term = term * moments.weights.same_at(parameter.name, first, second, parameter.span)
    adjoints = (variables.resolve(left.adjoint, None, here), variables.resolve(right.adjoint, None, there))
    term = term * _contract(moments, variables, adjoints, Term(sp.Integer(1), sp.Integer(-1)))
    if left.operand is not None and right.operand is not None:
        operands = (variables.resolve(left.operand, None, here), variables.resolve(right.operand, None, there))
        term = term * _contract(moments, variables, operands, Term(sp.Integer(1)))
    return moments.ledger.add_up(term, (*here.values(), *there.values()))


def _contract(moments: Moments, variables: Variables, refs: tuple[Ref, Ref], units: Term) -> Term:
    """Return Σ_α E[Z^left_α Z^right_α], for adjoints in units of 1/√n; ⟨u, u'⟩ for data."""
    left, right = refs
    if left.name in variables.data:
        return moments.contract_data(left, right)
    dimension = variables.core.types[left.name].dimension
    assert dimension is not None
    return moments.asymptotics.evaluate(dimension) * units * moments.second(left, right)
