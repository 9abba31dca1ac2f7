"""``caw sessions``: the recorded sessions."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.native_sessions import list_native
from caw_core.cli.option_types import ProviderNames
from caw_core.cli.plain import local_time, plain
from caw_core.cli.published import published
from caw_core.cli.record_options import open_records, record_options
from caw_core.cli.session_names import list_page
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.serialize import session_info_to_dict
from caw_core.storage import SessionQuery

if TYPE_CHECKING:
    from caw_core.storage import SessionPage

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHORT = 8


@click.command("sessions")
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "-p",
    "--provider",
    type=ProviderNames(),
    metavar="NAME",
    help="Only sessions with this one.",
)
@click.option("--cursor", default="", help="Go on where an earlier list ended.")
@click.option(
    "--native",
    is_flag=True,
    help="Instead, those that the agent itself keeps for a folder, also from its own interface.",
)
@click.option(
    "-C",
    "--cwd",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder for --native. Default: this one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@record_options[0]
@record_options[1]
def command(
    *,
    limit: int,
    provider: str | None,
    cursor: str,
    native: bool,
    cwd: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """List the recorded sessions, newest first.

    On a terminal long ids are cut to what 'caw resume' and 'caw show' need.
    """
    if native:
        if cursor or any(given.values()):
            msg = "--native excludes --cursor, --data-dir and --storage"
            raise click.UsageError(msg)
        list_native(provider or "", cwd, limit, as_json=as_json)
        return
    if cwd is not None:
        msg = "--cwd goes with --native"
        raise click.UsageError(msg)
    query = SessionQuery(limit=limit, provider=provider or "", cursor=cursor)
    page = list_page(open_records(given), query)
    if as_json:
        _print_lines(page)
        return
    ids = [each.info.session_id for each in page.sessions]
    shown = _short(ids) if sys.stdout.isatty() else ids
    rows = [
        (name, local_time(each.updated_at), each.info.provider, str(each.num_turns), each.title)
        for name, each in zip(shown, page.sessions, strict=True)
    ]
    print_table(("ID", "UPDATED", "PROVIDER", "TURNS", "TITLE"), rows, cut=True)
    for session_id, reason in page.unreadable:
        click.echo(plain(f"unreadable: {session_id}: {reason}"), err=True)
    if page.next_cursor:
        click.echo(plain(f"more with: --cursor {page.next_cursor}"), err=True)


def _short(ids: list[str]) -> list[str]:
    length = _SHORT
    while len({name[:length] for name in ids}) < len(set(ids)):
        length += 4
    return [name[:length] if _UUID.fullmatch(name) else name for name in ids]


def _print_lines(page: SessionPage) -> None:
    for each in page.sessions:
        print_line(
            {
                "type": "session",
                "num_turns": each.num_turns,
                "title": each.title,
                "updated_at": each.updated_at,
                **published(session_info_to_dict(each.info)),
            },
        )
    for session_id, reason in page.unreadable:
        print_line({"type": "unreadable", "session_id": session_id, "reason": reason})
    print_line({"type": "page", "next_cursor": page.next_cursor})
