"""Closed forms: the normal form of activations, moments reduced to seeds, and the derivation."""
