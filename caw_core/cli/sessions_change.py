"""``caw sessions annotate``, ``delete`` and ``prune``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from caw_core.cli.option_types import Age, Member, ProviderNames
from caw_core.cli.record_options import open_store, record_options
from caw_core.cli.session_names import find_session
from caw_core.cli.turn_lines import print_line
from caw_core.display.plain import plain
from caw_core.errors import SessionBusyError
from caw_core.storage import SessionQuery


@click.command("annotate")
@click.argument("session")
@click.option("--metadata", type=Member(), multiple=True, help="Set this member. Repeatable.")
@click.option("--tag", "tags", multiple=True, help="Its tags from now on. Repeatable.")
@click.option("--no-tags", is_flag=True, help="Take all tags away.")
@record_options[0]
@record_options[1]
def annotate(
    session: str,
    *,
    metadata: tuple[tuple[str, Any], ...],
    tags: tuple[str, ...],
    no_tags: bool,
    **given: Any,
) -> None:
    """Change metadata and tags of a session that nobody has open."""
    if tags and no_tags:
        msg = "--no-tags excludes --tag"
        raise click.UsageError(msg)
    if not (metadata or tags or no_tags):
        msg = "nothing to change: give --metadata, --tag or --no-tags"
        raise click.UsageError(msg)
    store = open_store(given)
    store.annotate(
        find_session(store, session),
        metadata=dict(metadata),
        tags=tags if tags or no_tags else None,
    )


@click.command("delete")
@click.argument("sessions", nargs=-1, required=True)
@record_options[0]
@record_options[1]
def delete(sessions: tuple[str, ...], **given: Any) -> None:
    """Delete the records of SESSIONS, named as for 'caw show'."""
    store = open_store(given)
    # All are found before one is gone, so that "last" means the same one throughout.
    for session_id in dict.fromkeys(find_session(store, session) for session in sessions):
        store.delete(session_id)
        click.echo(f"deleted {session_id}", err=True)


@click.command("prune")
@click.option("--older-than", type=Age(), help="Last written longer ago than this: 30d, 12h.")
@click.option("--keep", type=click.IntRange(0), help="How many of the newest stay in any case.")
@click.option(
    "-p",
    "--provider",
    type=ProviderNames(),
    metavar="NAME",
    help="Only sessions with this one.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing; say what would be deleted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@record_options[0]
@record_options[1]
def prune(
    *,
    older_than: timedelta | None,
    keep: int | None,
    provider: str | None,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Delete old sessions; those that somebody has open stay."""
    report = open_store(given).prune(
        older_than=older_than,
        keep=keep,
        query=SessionQuery(provider=provider or ""),
        dry_run=dry_run,
    )
    for session_id in report.deleted:
        if as_json:
            print_line({"type": "deleted", "session_id": session_id, "dry_run": dry_run})
        else:
            click.echo(session_id)
    for session_id in report.busy:
        click.echo(plain(f"{session_id}: somebody has it open, so it stays"), err=True)
    for session_id, reason in report.unreadable:
        click.echo(plain(f"unreadable, so it stays: {session_id}: {reason}"), err=True)
    what = "would be deleted" if dry_run else "deleted"
    click.echo(f"{len(report.deleted)} {what}", err=True)
    if report.busy and not report.deleted:
        msg = "every session that is old enough is open somewhere"
        raise SessionBusyError(msg)
