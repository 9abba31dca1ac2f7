"""``caw sessions copy`` and ``repair``: the same records in two storages."""

from __future__ import annotations

from collections import Counter

import click

from caw_core.cli.session_names import find_session
from caw_core.cli.turn_lines import print_line
from caw_core.copying import Copied, copy_sessions
from caw_core.display.plain import plain
from caw_core.errors import StorageError
from caw_core.store import Store

_FROM = click.option("--from", "source", required=True, metavar="URL", help="Where they are.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")


@click.command("copy")
@click.argument("sessions", nargs=-1)
@_FROM
@click.option("--to", "target", required=True, metavar="URL", help="Where they are to be, too.")
@click.option("--replace", is_flag=True, help="Also where the target's record is another one.")
@_JSON
def copy(
    sessions: tuple[str, ...], *, source: str, target: str, replace: bool, as_json: bool
) -> None:
    """Copy SESSIONS, or all, from one storage to another.

    Each is read back and compared. What is there already is not copied again, so that a copy that
    was broken off goes on where it stopped.
    """
    _copy(sessions, source, target, replace=replace, as_json=as_json)


@click.command("repair")
@_FROM
@click.option(
    "--to",
    "targets",
    required=True,
    multiple=True,
    metavar="URL",
    help="A mirror that may lack something. Repeatable.",
)
@_JSON
def repair(*, source: str, targets: tuple[str, ...], as_json: bool) -> None:
    """Let mirrors have what the primary storage has.

    Sessions and turns that only a mirror has are named and left alone.
    """
    failed = 0
    for number, target in enumerate(targets, start=1):
        if len(targets) > 1:
            # By number, since a URL may hold a password.
            click.echo(f"mirror {number}:", err=True)
        try:
            _repair(source, target, as_json=as_json)
        except StorageError as error:
            # The other mirrors do not wait for this one.
            failed += 1
            click.echo(plain(str(error)), err=True)
    if failed:
        msg = f"{failed} of {len(targets)} mirrors are not repaired"
        raise StorageError(msg)


def _repair(source: str, target: str, *, as_json: bool) -> None:
    _copy((), source, target, replace=True, keep_longer=True, as_json=as_json)
    mirrored = {each.info.session_id for each in Store(target).sessions()}
    known = {each.info.session_id for each in Store(source).sessions()}
    for session_id in sorted(mirrored - known):
        click.echo(f"{session_id}: only the mirror has it", err=True)


def _copy(
    sessions: tuple[str, ...],
    source: str,
    target: str,
    *,
    replace: bool,
    keep_longer: bool = False,
    as_json: bool,
) -> None:
    origin = Store(source)
    counts: Counter[str] = Counter()

    def told(each: Copied) -> None:
        counts[each.outcome] += 1
        if as_json:
            print_line(
                {
                    "type": "copied",
                    "session_id": each.session_id,
                    "outcome": each.outcome,
                    "reason": each.reason,
                }
            )
        elif each.reason:
            click.echo(plain(f"{each.session_id}: {each.outcome}: {each.reason}"), err=True)

    chosen = [find_session(origin, name) for name in sessions] or None
    copy_sessions(
        origin, Store(target), chosen, replace=replace, keep_longer=keep_longer, told=told
    )
    words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    click.echo(words or "there is no session", err=True)
    left = counts["failed"] + counts["differs"] + counts["busy"]
    if left:
        msg = f"{left} of {counts.total()} sessions were not copied; run it again to go on"
        raise StorageError(msg)
