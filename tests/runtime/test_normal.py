"""The functions around the normal distribution in compiled code: against mpmath, against numpy, in programs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import sympy as sp
from numba import njit, vectorize

from tensorprog.dual.distribution import plus_product
from tensorprog.dual.numeric import SPECIALS
from tensorprog.dual.special import (
    Angle,
    Bump,
    Opening,
    Orthant,
    Standard,
    Tail,
    WaveTailIm,
    WaveTailRe,
)
from tensorprog.kernel.ir import KernelIR, Op
from tensorprog.limit.equations import LimitSystem, X, Y
from tensorprog.runtime import faddeeva, load, orthant, tails
from tensorprog.runtime.gram import Kernel
from tests.codegen.array_programs import data as vectors
from tests.codegen.array_programs import image_program, run_compiled, run_interpreted
from tests.kernel.handmade import Program, spatial
from tests.kernel.systems import GRAM, core, data, equation, system
from tests.references import normal
from tests.references.normal_points import (
    BUMPS,
    ORTHANTS,
    SCALED_ORTHANTS,
    STANDARDS,
    TAILS,
    VARIANCES,
    WAVES,
    corner_distance,
    wave_rounding,
)

COMPILED = {
    Standard: tails.standard,
    Bump: tails.bump,
    Tail: tails.tail,
    Opening: tails.opening,
    Orthant: orthant.orthant,
    WaveTailRe: faddeeva.wave_tail_re,
    WaveTailIm: faddeeva.wave_tail_im,
}


@pytest.fixture(scope="module", params=COMPILED, ids=lambda kind: kind.__name__)
def compiled(request: pytest.FixtureRequest) -> tuple[type[sp.Function], Callable[..., Any], int]:
    """A function in compiled code, over arrays, and how many arguments it has."""
    kind = request.param
    count, scalar = next(iter(kind.nargs)), COMPILED[kind]
    wrapped = {
        1: lambda a: scalar(a),
        2: lambda a, b: scalar(a, b),
        3: lambda a, b, c: scalar(a, b, c),
        4: lambda a, b, c, d: scalar(a, b, c, d),
    }[count]
    return kind, vectorize([f"float64({', '.join(['float64'] * count)})"])(wrapped), count


def test_compiled_code_agrees_with_numpy(compiled: tuple[type[sp.Function], Callable[..., Any], int]) -> None:
    kind, function, count = compiled
    random = np.random.default_rng(0)
    first, second, third = random.standard_normal((3, 20000)) * random.choice([0.1, 1.0, 6.0], (3, 20000))
    theta = np.pi * random.random(20000)
    arguments = {
        1: (theta,),
        2: (first, np.abs(second)),
        3: (first, second, third**2),
        4: (first, second, third, theta),
    }
    expected = SPECIALS[kind](*arguments[count])
    scale = np.abs(expected)
    if kind in (WaveTailRe, WaveTailIm):
        scale = np.hypot(*(SPECIALS[part](*arguments[count]) for part in (WaveTailRe, WaveTailIm)))
    with np.errstate(all="ignore"):
        found = function(*arguments[count])
    assert np.all(np.abs(found - expected) <= 2e-13 * scale + 1e-15)


def test_nan_stays_nan(compiled: tuple[type[sp.Function], Callable[..., Any], int]) -> None:
    _, function, count = compiled
    for place in range(count):
        arguments = [0.3] * count
        arguments[place] = math.nan
        with np.errstate(invalid="ignore"):
            assert math.isnan(function(*arguments)), place


@pytest.mark.parametrize("point", STANDARDS)
def test_standard(point: tuple[float, float]) -> None:
    assert tails.standard(*point) == pytest.approx(float(normal.standard(*point)), rel=4e-16, abs=0)


@pytest.mark.parametrize("point", BUMPS)
def test_bump(point: tuple[float, float, float]) -> None:
    expected = normal.bump(*point)
    assert tails.bump(*point) == pytest.approx(float(expected), rel=1e-15 + 2e-16 * _depth(expected), abs=0)


@pytest.mark.parametrize("point", TAILS)
def test_tail(point: tuple[float, float]) -> None:
    expected = normal.tail(*point)
    assert tails.tail(*point) == pytest.approx(float(expected), rel=2e-15 + 2e-16 * _depth(expected), abs=0)


def test_scaled_complement_of_the_error_function() -> None:
    points = [*np.linspace(0, 8, 161), *np.logspace(-8, 8, 33)]
    for x in points:
        with mp.workdps(60):
            expected = (
                mp.exp(mp.mpf(x) ** 2) * mp.erfc(x)
                if x < 1e4
                else (1 - 1 / (2 * mp.mpf(x) ** 2)) / (x * mp.sqrt(mp.pi))
            )
        assert tails.erfcx(x) == pytest.approx(float(expected), rel=1e-15, abs=0)


def test_opening() -> None:
    for theta in np.linspace(0, np.pi, 200):
        assert tails.opening(theta) == pytest.approx(float(normal.opening(theta)), rel=1.2e-15, abs=0)


@pytest.mark.slow
@pytest.mark.parametrize("point", ORTHANTS)
def test_orthant(point: tuple[float, float, float]) -> None:
    assert orthant.orthant(0.0, *point) == pytest.approx(float(normal.orthant(0.0, *point)), rel=0, abs=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("point", SCALED_ORTHANTS)
def test_scaled_orthant(point: tuple[float, float, float, float]) -> None:
    expected = float(normal.orthant(*point))
    bound = 4e-16 * (4 + corner_distance(*point[1:]) ** 2)
    assert orthant.orthant(*point) == pytest.approx(expected, rel=bound, abs=1e-15)


@pytest.mark.parametrize("number", range(0, 100, 12))
def test_some_orthants(number: int) -> None:
    test_orthant(ORTHANTS[2 * number])
    test_scaled_orthant(SCALED_ORTHANTS[number])


def test_orthants_of_points() -> None:
    assert orthant.orthant(0.0, 1e30, 1e30, 1.0) == 1.0
    assert orthant.orthant(0.0, -1e30, 1e30, 1.0) == orthant.orthant(5.0, -1e30, 0.3, 0.0) == 0.0
    for theta in (0.0, 1.0, 3.0, math.pi):
        assert orthant.orthant(0.0, 0.0, 0.0, theta) == (math.pi - theta) / (2 * math.pi)
        assert orthant.orthant(0.0, 1e30, 0.3, theta) == pytest.approx(tails.tail(0.0, 0.3), rel=1e-15)


@pytest.mark.parametrize(("q1", "q2"), VARIANCES)
def test_scaled_orthants_of_parallel_vectors(q1: float, q2: float) -> None:
    a, b = math.sqrt(q1), math.sqrt(q2)
    along, against = 0.5 * (a + b) ** 2, 0.5 * (a - b) ** 2
    expected = float(normal.tail(along, -(a + b)))
    assert orthant.orthant(along, -(a + b), -(a + b), 0.0) == pytest.approx(expected, rel=1e-15)
    assert orthant.orthant(against, b - a, a - b, math.pi) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("point", WAVES)
def test_wave_tail(point: tuple[float, float, float, float]) -> None:
    expected = complex(normal.wave_tail(*point))
    found = complex(faddeeva.wave_tail_re(*point), faddeeva.wave_tail_im(*point))
    assert abs(found - expected) <= (2e-15 + wave_rounding(*point)) * abs(expected)


def test_faddeeva() -> None:
    """Across the boundaries between the rules: |y| against |x|, π/h, the nodes, the far region."""
    sizes = [0.0, 1e-12, 1e-3, 0.25, 0.5, 0.7, 1.3, 3.1, 5.5, 6.1, 6.2, 9.6, 40.0, 1e3, 0.999e6, 1.001e6, 1e20]
    for x in [*sizes, *(-size for size in sizes)]:
        for y in sizes:
            with mp.workdps(60):
                z = mp.mpc(x, y)
                far = mp.j / (mp.sqrt(mp.pi) * z) * (1 + 1 / (2 * z**2) + 3 / (4 * z**4)) if abs(z) > 1e4 else None
                expected = complex(far if far is not None else mp.exp(-z * z) * mp.erfc(-mp.j * z))
            assert abs(complex(*faddeeva.faddeeva(x, y)) - expected) <= 1.5e-15 * abs(expected), (x, y)


def test_faddeeva_on_the_real_axis() -> None:
    for x in np.linspace(-6, 6, 241):
        assert faddeeva.faddeeva(x, 0.0)[0] == pytest.approx(math.exp(-x * x), rel=0, abs=3e-16)


def test_sums_in_exponents_are_rounded_once() -> None:
    for e, a, b in [(1e3 + 1 / 3, -50.0, 20.0 + 1 / 7), (0.1, 0.1, 0.1), (-1e30, 1e15, 1e15), (0.0, 1e160, 1e160)]:
        with mp.workdps(80):
            expected = float(mp.mpf(e) + mp.mpf(a) * mp.mpf(b))
        assert tails.plus_product(e, a, b) == pytest.approx(expected, rel=3e-16, abs=0)
        if expected < math.inf:
            assert float(plus_product(e, a, b)) == pytest.approx(expected, rel=3e-16, abs=0)


def _value(q1: sp.Expr, q2: sp.Expr, c: sp.Expr) -> sp.Expr:
    """Something of everything."""
    theta, h, k = Angle(q1, q2, c), Standard(c - 1, q1), Standard(-c, q2)
    waves = WaveTailRe(-q1, c, h, q2 / 3) * WaveTailIm(-q2, q1, k, c)
    return Orthant(c / 4, h, k, theta) + Tail(q1 / 2, -sp.sqrt(q1)) * Bump(-c, h, 1 + q2) + waves + Opening(theta)


def _system() -> LimitSystem:
    k, f = sp.Function("K_h"), sp.Function("K_f")
    blocks = []
    for x, y in ((X, X), (X, Y)):
        law = k(x, x), k(y, y), k(x, y)
        blocks.append((equation(k(x, y), GRAM(x, y) / 3 + sp.Rational(1, 10)), equation(f(x, y), _value(*law))))
    return system(*blocks, {"nngp": (f(X, X), f(X, Y))}, {})


def test_generated_programs() -> None:
    x1, x2 = data(6), data(5, seed=1)
    found, expected = (Kernel(core(), _system(), backend)(x1, x2, "nngp") for backend in ("cpu", "interpret"))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


def _over_an_axis() -> KernelIR:
    def write(program: Program) -> str:
        program.contract("K_g", "i i′", ("", (program.ref("<x>", "i, i′"),)))
        q1, q2, c = program.law("K_g", "i", "i′")
        theta, h, k = Op("Angle", (q1, q2, c)), Op("Standard", (c, q1)), Op("Standard", (Op("neg", (c,)), q2))
        waves = Op("mul", (Op("WaveTailRe", (Op("neg", (q1,)), c, h, k)), Op("WaveTailIm", (c, q1, k, h))))
        bumps = Op("mul", (Op("Bump", (Op("neg", (q2,)), h, q1)), Op("Tail", (h, k)), Op("Opening", (theta,))))
        program.let("K_a", "i i′", Op("add", (Op("Orthant", (h, h, k, theta)), waves, bumps)))
        program.contract("K_f", "", ("i i′", (program.ref("K_a", "i, i′"),)))
        return "K_f"

    return image_program({"i": spatial()}, {"<x>": "i i′"}, write)


def test_generated_programs_over_axes() -> None:
    x1, x2 = vectors(3, 4, 3), vectors(2, 5, 3, seed=1)
    found, expected = run_compiled(_over_an_axis(), x1, x2), run_interpreted(_over_an_axis(), x1, x2)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_they_are_called_from_compiled_code() -> None:
    @njit
    def call(h: float) -> float:
        return orthant.orthant(0.0, h, h, 1.0) + tails.tail(0.0, h) + faddeeva.wave_tail_re(0.0, 0.0, h, 1.0)

    assert call(0.0) == pytest.approx((math.pi - 1) / (2 * math.pi) + 1.0, abs=1e-15)


def test_the_cache_of_compiled_code_knows_their_modules() -> None:
    folder = Path(load.__file__).parent
    text = "from tensorprog.runtime.faddeeva import faddeeva\nimport tensorprog.runtime.orthant\n"
    found = set(load.sources_of(text))
    names = ("faddeeva", "orthant", "tails", "elementary/circular", "elementary/floats", "elementary/large")
    for name in names:
        assert (folder / f"{name}.py").read_text(encoding="utf-8") in found, name


def _depth(value: Any) -> float:
    return abs(float(mp.log(value))) if value != 0 else 0.0
