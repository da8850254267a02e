"""The command line: names, help and exit codes. Each subcommand is a module of `commands`, imported when it is called.

Exit codes: 0 done, 1 the input is wrong, 2 usage (a missing file too), 3 a check did not hold.
"""

from __future__ import annotations

from importlib import import_module

import click

from tensorprog import __version__

__all__ = ["main"]

COMMANDS = {
    "check": "Parse and type-check programs.",
    "show": "Print any stage of a program as text.",
    "dual": "Derive the dual of an activation.",
    "derive": "Print the limit of a program as formulas.",
    "kernel": "Compute kernel matrices of data.",
    "verify": "Compare the limit with sampled networks of finite width.",
    "draw": "Draw a program as an SVG picture.",
}


class LazyCommands(click.Group):
    """A group whose subcommands are imported only when one is called, so that `--help` costs nothing."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the subcommands, in the order in which they are used."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the subcommand, from its module."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"tensorprog.commands.{name}").command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _show_version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"tensorprog {__version__}")
        context.exit()


@click.command(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Show the version."
)
def main() -> None:
    """Compile Tensor Programs: from a network to its infinite-width kernels, verified.

    Exit codes: 0 done, 1 the input is wrong, 2 usage, 3 a check did not hold.
    """
