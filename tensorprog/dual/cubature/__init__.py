"""Numerical expectations over several Gaussian variables."""
