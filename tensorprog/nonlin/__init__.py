"""Elementwise functions: their expressions, values and derivatives."""
