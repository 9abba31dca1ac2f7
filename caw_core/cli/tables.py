"""Tables: for people on a terminal, tab-separated lines anywhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from caw_core.display.plain import one_line, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

_CELL = 2000
_GAP = 2
_LEAST = 12


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    cut: bool = False,
) -> None:
    """Print *rows* on stdout.

    Args:
        columns: their names.
        rows: a cell for each column.
        cut: on a terminal, cut the last column where it does not fit, instead of folding it.
    """
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            click.echo("\t".join(one_line(cell, _CELL) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if cut:
        others = sum(
            max(map(len, cells)) + _GAP for cells in list(zip(columns, *rows, strict=True))[:-1]
        )
        room = max(console.width - others - 1, _LEAST)
        rows = [(*row[:-1], one_line(row[-1], room)) for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for place, column in enumerate(columns):
        last = place == len(columns) - 1
        table.add_column(column, no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)
