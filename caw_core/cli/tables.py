"""Tables: for people on a terminal, tab-separated lines anywhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from caw_core.cli.plain import one_line, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

_CELL = 2000


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print *rows* on stdout; the last column may be cut on a terminal, the others never are."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            click.echo("\t".join(one_line(cell, _CELL) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, column in enumerate(columns):
        last = place == len(columns) - 1
        table.add_column(column, no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console(highlight=False).print(table)
