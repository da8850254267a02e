"""Numerical expectations of one function and of two, of one and of two Gaussian variables."""
