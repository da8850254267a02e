"""Dual activations: expectations of functions of Gaussian variables, in closed form and numerically."""
