"""Kernel programs as source text; nothing here is executed."""
