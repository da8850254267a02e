"""Expectations of functions of several jointly Gaussian variables: exact parts first."""
