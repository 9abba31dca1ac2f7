"""``caw gc``: end what programs that are gone left running."""

from __future__ import annotations

from typing import Any

import click

from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.process.hosts import end_leftovers


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would be ended.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per process.")
def command(*, dry_run: bool, as_json: bool) -> None:
    """End agents that outlived the programs that ran them.

    A program that is killed has its agents ended within seconds. Where whatever does that was
    killed as well, e.g. by a container's memory limit, they go on; this finds and ends them. Agents
    of programs that still run are left alone.
    """
    found = end_leftovers(dry_run=dry_run)
    if as_json:
        for leftover in found:
            document: dict[str, Any] = {
                "type": "leftover",
                "pid": leftover.pid,
                "program": leftover.program,
                "host_pid": leftover.host_pid,
                "ended": not dry_run,
            }
            print_line(document)
        return
    if not found:
        click.echo("nothing was left running", err=True)
        return
    rows = [(str(each.pid), each.program or "?", str(each.host_pid)) for each in found]
    print_table(("PID", "PROGRAM", "LEFT BY PID"), rows)
    click.echo("not ended: --dry-run" if dry_run else f"{len(found)} ended", err=True)
