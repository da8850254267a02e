"""The Faddeeva function w(z) = exp(−z²) erfc(−iz), and the normal distribution function at complex points."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from tensorprog.runtime.tails import plus_product

__all__ = ["faddeeva", "wave_tail_im", "wave_tail_re"]

_COUNT = 11
_STEP = math.sqrt(math.pi / (_COUNT + 1))
_MIDDLES = np.array([((k + 0.5) * _STEP) ** 2 for k in range(_COUNT + 1)])
_WHOLES = np.array([(k * _STEP) ** 2 for k in range(1, _COUNT + 1)])
_MIDDLE_WEIGHTS, _WHOLE_WEIGHTS = np.exp(-_MIDDLES), np.exp(-_WHOLES)
_ROOT_HALF = math.sqrt(0.5)


@njit(error_model="numpy", fastmath=False)
def faddeeva(x: float, y: float) -> tuple[float, float]:
    """Return the real and the imaginary part of w(x + iy) for y ≥ 0.

    The trapezoidal rules of Al Azah and Chandler-Wilde (2021), "Computation of the complex error function using
    modified trapezoidal rules", SIAM Journal on Numerical Analysis 59, 2346–2367, with 12 terms: the plain midpoint
    rule far from the real axis, else the midpoint or the trapezoidal rule with the residue of the pole, whichever has
    its nodes farther away. Beyond |z| = 1e6, i/(√π z) (1 + 1/(2z²)).
    """
    size = abs(x)
    if size > 1e6 or y > 1e6:
        re, im = _far(size, y)
    else:
        place = size / _STEP
        place -= math.floor(place)
        if y >= size and y * _STEP >= math.pi:
            re, im = _midpoint(size, y)
        elif y < size and 0.25 <= place <= 0.75:
            re, im = _trapezoid(size, y)
        else:
            re, im = _midpoint(size, y)
            pole_re, pole_im = _pole(size, y, 1.0)
            re, im = re + pole_re, im + pole_im
    return re, (-im if x < 0.0 else im)


@njit(error_model="numpy", fastmath=False)
def _far(x: float, y: float) -> tuple[float, float]:
    scale = 1.0 / (x if x > y else y)
    u, v = x * scale, y * scale
    size = u * u + v * v
    re, im = scale * u / size, -scale * v / size  # 1/z
    square_re, square_im = 1.0 + 0.5 * (re - im) * (re + im), re * im
    return (
        -(re * square_im + im * square_re) / math.sqrt(math.pi),
        (re * square_re - im * square_im) / math.sqrt(math.pi),
    )


@njit(error_model="numpy", fastmath=False)
def _midpoint(x: float, y: float) -> tuple[float, float]:
    """Return (2ihz/π) Σ exp(−t²) / (z² − t²) over t = (k + ½)h."""
    a, b = (x - y) * (x + y), 2.0 * x * y
    re, im = 0.0, 0.0
    for k in range(12):
        difference = a - _MIDDLES[k]
        share = _MIDDLE_WEIGHTS[k] / (difference * difference + b * b)
        re += share * difference
        im -= share * b
    scale = 2.0 * _STEP / math.pi
    return -scale * (x * im + y * re), scale * (x * re - y * im)


@njit(error_model="numpy", fastmath=False)
def _trapezoid(x: float, y: float) -> tuple[float, float]:
    """Return ih/(πz) + (2ihz/π) Σ exp(−t²) / (z² − t²) over t = kh, and the residue."""
    a, b = (x - y) * (x + y), 2.0 * x * y
    size = a * a + b * b
    re, im = 0.5 * a / size, -0.5 * b / size
    for k in range(11):
        difference = a - _WHOLES[k]
        share = _WHOLE_WEIGHTS[k] / (difference * difference + b * b)
        re += share * difference
        im -= share * b
    scale = 2.0 * _STEP / math.pi
    pole_re, pole_im = _pole(x, y, -1.0)
    return -scale * (x * im + y * re) + pole_re, scale * (x * re - y * im) + pole_im


@njit(error_model="numpy", fastmath=False)
def _pole(x: float, y: float, sign: float) -> tuple[float, float]:
    """Return 2 exp(−z²) / (1 ± exp(−2πiz/h)), for y ≤ max(x, π/h)."""
    turn = 2.0 * math.pi / _STEP
    size = 2.0 * math.exp((y - x) * (y + x) - turn * y)
    down_re = math.exp(-turn * y) + sign * math.cos(turn * x)
    down_im = -sign * math.sin(turn * x)
    up_re, up_im = math.cos(2.0 * x * y), -math.sin(2.0 * x * y)
    scale = size / (down_re * down_re + down_im * down_im)
    return scale * (up_re * down_re + up_im * down_im), scale * (up_im * down_re - up_re * down_im)


@njit(error_model="numpy", fastmath=False)
def _wave_tail(e: float, j: float, h: float, k: float) -> tuple[float, float]:
    """Return exp(e + ij) Φ(h + ik): ½ exp(e + ij − (h + ik)²/2) w((k − ih)/√2), for h > 0 by Φ(z) = 1 − Φ(−z)."""
    side = -1.0 if h > 0.0 else 1.0
    re, im = faddeeva(side * k * _ROOT_HALF, abs(h) * _ROOT_HALF)
    size = 0.5 * side * math.exp(plus_product(plus_product(e, 0.5 * k, k), -0.5 * h, h))
    phase = plus_product(j, -h, k)
    cosine, sine = size * math.cos(phase), size * math.sin(phase)
    total_re, total_im = cosine * re - sine * im, sine * re + cosine * im
    if h > 0.0:
        whole = math.exp(e)
        return whole * math.cos(j) + total_re, whole * math.sin(j) + total_im
    return total_re, total_im


@njit(error_model="numpy", fastmath=False)
def wave_tail_re(e: float, j: float, h: float, k: float) -> float:
    """Return Re exp(e + ij) Φ(h + ik)."""
    return _wave_tail(e, j, h, k)[0]


@njit(error_model="numpy", fastmath=False)
def wave_tail_im(e: float, j: float, h: float, k: float) -> float:
    """Return Im exp(e + ij) Φ(h + ik)."""
    return _wave_tail(e, j, h, k)[1]
