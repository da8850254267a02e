"""Dual activations: expectations of functions of Gaussian variables, in closed form and numerically.

* `expectation`: E φ(u), E[φ(u) ψ(u)], E[φ(u) ψ(v)]; closed forms first, numerical ones otherwise.
* `closed`: the closed forms: families of functions, steps, seeds, and the derivation.
* `pairs`: quadrature and Hermite series for one and two Gaussians.
* `joint`: functions of several Gaussians: what is exact (polynomials, blocks, gates), and what is left.
* `cubature`: the numerical rules for what is left.
* `special`: the special functions in which results are written; `numeric`: their values.
"""
