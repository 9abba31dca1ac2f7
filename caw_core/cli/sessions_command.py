"""``caw sessions``: the recorded sessions, and what can be done with them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from caw_core.cli.native_sessions import list_native
from caw_core.cli.option_types import Member, Moment, ProviderNames
from caw_core.cli.published import published
from caw_core.cli.record_options import open_store, record_options
from caw_core.cli.sessions_change import annotate, delete, prune
from caw_core.cli.sessions_copy import copy, repair
from caw_core.cli.sessions_export import export, import_
from caw_core.cli.sessions_search import search
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.display.plain import local_time, plain
from caw_core.serialize import session_info_to_dict
from caw_core.storage import SessionQuery
from caw_core.trajectory import TurnStatus

if TYPE_CHECKING:
    from caw_core.storage import SessionPage

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHORT = 8
_NOT_NATIVE = ("cursor", "status", "since", "until", "tags", "metadata", "data_dir", "storage")


@click.group("sessions", invoke_without_command=True)
@click.option("-n", "--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "-p",
    "--provider",
    type=ProviderNames(),
    metavar="NAME",
    help="Only sessions with this one.",
)
@click.option(
    "-C",
    "--cwd",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Only sessions that work in this folder.",
)
@click.option("--status", type=click.Choice(get_args(TurnStatus)), help="Of the last turn.")
@click.option("--since", type=Moment(), help="Only written since then: 2d, 2026-01-31.")
@click.option("--until", type=Moment(), help="Only last written before then.")
@click.option("--tag", "tags", multiple=True, help="Only with this tag. Repeatable.")
@click.option("--metadata", type=Member(), multiple=True, help="Only with this member. Repeatable.")
@click.option("--cursor", default="", help="Go on where an earlier list ended.")
@click.option(
    "--native",
    is_flag=True,
    help="Instead, those that the agent itself keeps for a folder, also from its own interface.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@record_options[0]
@record_options[1]
@click.pass_context
def command(context: click.Context, /, **given: Any) -> None:
    """List the recorded sessions, newest first, or do something with them.

    On a terminal long ids are cut to what 'caw resume' and 'caw show' need.
    """
    if context.invoked_subcommand is None:
        _list(given)
        return
    source = click.core.ParameterSource.COMMANDLINE
    early = [name for name in given if context.get_parameter_source(name) is source]
    if early:
        msg = f"options of {context.invoked_subcommand!r} stand behind its name"
        raise click.UsageError(msg)


for subcommand in (search, annotate, delete, prune, copy, repair, export, import_):
    command.add_command(subcommand)


def _list(given: dict[str, Any]) -> None:
    if given["native"]:
        if any(given[name] for name in _NOT_NATIVE):
            msg = "--native excludes all but --provider, --cwd, --limit and --json"
            raise click.UsageError(msg)
        list_native(given["provider"] or "", given["cwd"], given["limit"], as_json=given["as_json"])
        return
    query = SessionQuery(
        limit=given["limit"],
        cursor=given["cursor"],
        provider=given["provider"] or "",
        cwd=str(given["cwd"].absolute()) if given["cwd"] else "",
        status=given["status"] or "",
        since=given["since"],
        until=given["until"],
        metadata=dict(given["metadata"]),
        tags=given["tags"],
    )
    page = open_store(given).list(query)
    if given["as_json"]:
        _print_lines(page)
        return
    ids = [each.info.session_id for each in page.sessions]
    shown = _short(ids) if sys.stdout.isatty() else ids
    rows = [
        (name, local_time(each.updated_at), each.info.provider, str(each.num_turns), each.title)
        for name, each in zip(shown, page.sessions, strict=True)
    ]
    print_table(("ID", "UPDATED", "PROVIDER", "TURNS", "TITLE"), rows, cut=True)
    if not rows:
        click.echo("no session found", err=True)
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
                "status": each.status,
                **published(session_info_to_dict(each.info)),
            },
        )
    for session_id, reason in page.unreadable:
        print_line({"type": "unreadable", "session_id": session_id, "reason": reason})
    print_line({"type": "page", "next_cursor": page.next_cursor})
