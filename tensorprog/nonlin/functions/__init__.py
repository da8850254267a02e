"""The elementwise functions of the language, one module per family, each exporting `PRIMITIVES`."""
