"""Results and programs as pictures."""
