"""Elementary functions of compiled code: units in the last place against mpmath, limits, vectors."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from collections.abc import Iterable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import llvmlite.binding
import mpmath
import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

from tensorprog.runtime.elementary import circular, error_function, exponential, inverse, large, logarithm
from tensorprog.runtime.simd import prefer_wide_vectors

Array = npt.NDArray[np.float64]

MODULES = (circular, error_function, exponential, inverse, logarithm)
PAIRS = ("atan2", "turn")
PARTS = ("sin_cos", "expm1_parts", "exp_parts", "inverse_cosine", "exp_normal")
NAMES = [name for module in MODULES for name in module.__all__ if name not in (*PAIRS, *PARTS)]
RANDOM = np.random.default_rng(0)


def _over(low: float, high: float, count: int = 800) -> Array:
    return RANDOM.uniform(low, high, count)


def _sizes(low: float, high: float, count: int = 200) -> Array:
    """Numbers of all magnitudes between two powers of ten, and their negatives."""
    found = 10.0 ** RANDOM.uniform(low, high, count)
    return np.concatenate((found, -found))


def _ends(*places: float) -> Array:
    """Places and their neighbours."""
    return np.array([np.nextafter(place, side) for place in places for side in (-np.inf, place, np.inf)])


QUARTERS = _ends(*(0.5 * np.pi * np.arange(1, 60)), *(0.5 * np.pi * 2.0 ** np.arange(6, 50, 3)), 2.0**40)
TURNS = (_over(-50, 50), _sizes(-300, 5), _sizes(5, 12), _sizes(12, 308), QUARTERS)
UNIT = (_over(-1, 1, 1200), _sizes(-300, -1), 1 - np.abs(_sizes(-15, -1)), _ends(-0.5, 0.5))
EVERYWHERE = (_over(-3, 3, 1200), _sizes(-310, 308))

POINTS: dict[str, tuple[Array, ...]] = {
    "exp": (_over(-708, 709), _over(-745, -700, 200), _over(-1, 1), _sizes(-20, 0)),
    "expm1": (_over(-40, 709), _over(-2, 2), _sizes(-300, 0)),
    "sinh": (_over(-710, 710), _over(-2, 2), _sizes(-300, 0)),
    "cosh": (_over(-710, 710), _over(-2, 2), _sizes(-300, 0)),
    "tanh": (_over(-20, 20), _over(-2, 2), _sizes(-300, 0)),
    "log": (np.abs(_sizes(-323, 308)), _over(0.5, 2), 1 + _sizes(-15, -1)),
    "log1p": (np.abs(_sizes(-300, 308)), _over(-1, 2, 1200), _sizes(-300, -0.01), _ends(-0.29, 0.41)),
    **dict.fromkeys(("sin", "cos", "tan"), TURNS),
    **dict.fromkeys(("asin", "acos"), UNIT),
    "arcversine": (_over(0, 2, 1500), 2 - np.abs(_sizes(-15, -1)), np.abs(_sizes(-320, 0))),
    "atan": EVERYWHERE,
    "erf": (_over(-6, 6, 1200), _sizes(-300, 0), _ends(-1, 1)),
    "erfc": (_over(-6, 27.2, 1200), _over(0, 6), _sizes(-20, 0)),
    "erfcx": (_over(0, 30, 1200), np.abs(_sizes(-20, 10))),
}


def _erfcx(x: mpmath.mpf) -> mpmath.mpf:
    if x < 100:
        return mpmath.exp(x * x) * mpmath.erfc(x)
    terms = ((-1) ** k * mpmath.fac2(2 * k - 1) / (2 * x * x) ** k for k in range(12))
    return mpmath.fsum(terms) / (x * mpmath.sqrt(mpmath.pi))


REFERENCES = {"erfcx": _erfcx, "arcversine": lambda v: 2 * mpmath.asin(mpmath.sqrt(v / 2))}


@cache
def _loop(name: str) -> Any:
    """A loop over a function."""
    function = next(getattr(module, name) for module in MODULES if name in module.__all__)
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}
    if name in PAIRS:

        @njit("void(float64[::1], float64[::1], float64[::1])", **options)
        def pairs(x: Any, y: Any, out: Any) -> None:
            prefer_wide_vectors()
            for i in range(out.size):
                out[i] = function(x[i], y[i])

        return pairs

    @njit("void(float64[::1], float64[::1])", **options)
    def singles(x: Any, out: Any) -> None:
        prefer_wide_vectors()
        for i in range(out.size):
            out[i] = function(x[i])

    return singles


def _values(name: str, *arguments: Array) -> Array:
    out = np.empty_like(arguments[0])
    _loop(name)(*arguments, out)
    return out


def _ulps(found: Iterable[float], expected: Iterable[mpmath.mpf]) -> float:
    """The largest error, in units in the last place of what is expected."""
    return max(_error(float(a), b) for a, b in zip(found, expected, strict=True))


def _error(found: float, expected: mpmath.mpf) -> float:
    if float(expected) == found:
        return 0.5
    if not np.isfinite(found) or expected == 0:
        return np.inf
    unit = max(int(mpmath.frexp(expected)[1]) - 53, -1074)
    return abs(float(mpmath.ldexp(mpmath.mpf(found) - expected, -unit)))


@pytest.mark.parametrize("name", NAMES)
def test_values_are_right_to_two_units_in_the_last_place(name: str) -> None:
    points = np.concatenate(POINTS[name])
    function = REFERENCES.get(name) or getattr(mpmath, name)
    with mpmath.workdps(40):
        expected = [function(mpmath.mpf(float(x))) for x in points]
        assert _ulps(_values(name, points), expected) < 2


@pytest.mark.parametrize("name", PAIRS)
def test_angles_are_right_to_two_units_in_the_last_place(name: str) -> None:
    y, x = RANDOM.standard_normal((2, 1500)) * 10.0 ** RANDOM.uniform((-8,), (8,), (2, 1500))
    y[:300], x[:300] = _sizes(-150, 150, 150), _sizes(-150, 150, 150)
    y[300:600] = np.nextafter(x[300:600], RANDOM.choice((-np.inf, np.inf), 300))
    y = np.abs(y) if name == "turn" else y
    with mpmath.workdps(40):
        expected = [mpmath.atan2(*map(mpmath.mpf, point)) for point in zip(y.tolist(), x.tolist(), strict=True)]
        assert _ulps(_values(name, y, x), expected) < 2


NUMBERS = [0.0, 5e-324, 2.2250738585072014e-308, 0.5, 1.0, 2.0, 710.4, 710.5, 1e300, 1.7976931348623157e308, math.inf]
SPECIAL = np.array([*NUMBERS, *(-x for x in NUMBERS), math.nan, -math.nan])
PLAIN = {"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REFERENCES])
def test_limits_are_those_of_the_c_library(name: str) -> None:
    function = PLAIN.get(name) or getattr(np, name, None) or np.vectorize(getattr(math, name, None))
    with np.errstate(all="ignore"):
        expected = function(SPECIAL)
    found = _values(name, SPECIAL)
    np.testing.assert_allclose(found, expected, rtol=4e-16, atol=0)
    where = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[where]), np.signbit(expected[where]))


def test_angles_of_axes_and_of_infinite_points_are_those_of_the_c_library() -> None:
    y, x = np.array(list(product(SPECIAL, SPECIAL))).T.copy()
    expected = np.where((x == 0) & (y == 0), 0.0, np.arctan2(y, x))
    y_up = np.abs(y)
    expected_up = np.where((x == 0) & (y == 0), np.pi / 2, np.arctan2(y_up, x))
    np.testing.assert_allclose(_values("atan2", y, x), expected, rtol=3e-16, atol=0)
    np.testing.assert_allclose(_values("turn", y_up, x), expected_up, rtol=3e-16, atol=0)


def test_versines_beyond_their_range() -> None:
    found = _values("arcversine", np.array([-math.inf, -1e-9, 0.0, 1.0, 2.0, 2.1, math.inf, math.nan]))
    np.testing.assert_array_equal(found, [0, 0, 0, np.pi / 2, np.pi, np.pi, np.pi, np.nan])


def test_scaled_complement_of_the_error_function_at_its_ends() -> None:
    np.testing.assert_array_equal(_values("erfcx", np.array([0.0, math.inf, math.nan])), [1, 0, np.nan])


def test_the_number_nearest_to_a_multiple_of_a_quarter_turn() -> None:
    x = 6381956970095103.0 * 2.0**797
    with mpmath.workdps(400):
        expected = float(mpmath.cos(mpmath.mpf(x)))
    assert circular.cos(x) == pytest.approx(expected, rel=1e-11, abs=0)
    assert abs(expected) < 5e-19


def test_the_digits_of_two_over_pi() -> None:
    with mpmath.workprec(1400):
        assert int(mpmath.floor(mpmath.ldexp(2 / mpmath.pi, large._PLACES))) == large._TWO_OVER_PI


@pytest.mark.parametrize("name", [*NAMES, *PAIRS])
def test_an_entry_has_the_same_bits_in_a_vector_and_alone(name: str) -> None:
    points = [*SPECIAL, *EVERYWHERE[0][:100], *RANDOM.uniform(0, 1, 100), *_sizes(-300, 300, 40)]
    arguments = [np.array(points), np.roll(points, 7)][: 1 + (name in PAIRS)]
    together = _values(name, *arguments)
    alone = [_values(name, *(x[i : i + 1].copy() for x in arguments))[0] for i in range(len(points))]
    np.testing.assert_array_equal(together.view(np.int64), np.array(alone).view(np.int64))


LIBRARY = "acos asin atan atan2 cos cosh erf erfc exp expm1 fma log log1p pow rint sin sinh tan tanh".split()


@pytest.mark.skipif(not llvmlite.binding.get_host_cpu_features().get("avx2"), reason="a processor without AVX2")
@pytest.mark.parametrize("name", [*NAMES, *PAIRS])
def test_loops_are_in_vectors_without_calls(name: str) -> None:
    (assembly,) = _loop(name).inspect_asm().values()
    assert not re.findall(rf"\b(?:{'|'.join(LIBRARY)})\b", assembly)
    width = "zmm" if llvmlite.binding.get_host_cpu_features().get("avx512f") else "ymm"
    assert re.search(rf"\bvfn?m(?:add|sub)\d+pd\s.*%{width}", assembly)


def _script() -> Any:
    path = Path(__file__).parents[2] / "scripts" / "fit_elementary.py"
    specification = importlib.util.spec_from_file_location("fit_elementary", path)
    assert specification is not None and specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    sys.modules["fit_elementary"] = script
    specification.loader.exec_module(script)
    return script


@pytest.mark.slow
def test_coefficients_are_those_that_the_script_prints() -> None:
    script = _script()
    for name, target in script.FITS.items():
        kept = next(getattr(module, f"_{name}") for module in MODULES if hasattr(module, f"_{name}"))
        assert kept == tuple(script.fit(target)), name
