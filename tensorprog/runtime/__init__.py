"""Running kernels on arrays: compiled code and its cache, tiles, and the `Kernel` that users call."""
