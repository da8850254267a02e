"""The limit: from a core program to the recursive formulas of its kernels."""
