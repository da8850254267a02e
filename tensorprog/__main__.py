"""`python -m tensorprog` is the command `tensorprog`."""

from __future__ import annotations

from tensorprog.cli import main

if __name__ == "__main__":
    main(prog_name="tensorprog")
