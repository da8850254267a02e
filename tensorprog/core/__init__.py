"""The core: NETSOR⊤+ programs as typed straight-line code with finite index axes."""
