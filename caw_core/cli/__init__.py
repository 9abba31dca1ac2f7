"""The command line, ``caw``. Nothing else in caw imports it, and it holds no logic of caw's."""

from __future__ import annotations


def main() -> None:
    """Run the command line with the arguments of this process; ends the process."""
    from caw_core.cli.root import cli

    cli()
