"""``python -m caw_storage_wrappers``: make a key, and seal a store anew with another one."""

from __future__ import annotations

import sys

import click

from caw_core.errors import CawError, ConfigError, SessionBusyError, TrajectoryError
from caw_core.listing import every_page
from caw_core.storage import SessionQuery
from caw_core.store import PAGE
from caw_storage_wrappers import open_encrypted
from caw_storage_wrappers.keys import new_key


@click.group()
def main() -> None:
    """Keys for encrypted storages."""


@main.command("new-key")
@click.argument("key_id", default="k1")
def make(key_id: str) -> None:
    """Print a new random key under the name KEY_ID. Keep it like a password."""
    click.echo(new_key(key_id))


@main.command()
@click.argument("url")
def rotate(url: str) -> None:
    """Seal with the first key whatever in the storage URL another one had sealed.

    Can be broken off and run again. When it has ended well, older keys are not needed any more.
    """
    storage = open_encrypted(url)
    ids: list[str] = []
    left: list[tuple[str, str]] = []
    for page in every_page(storage.inner_store.list, SessionQuery(limit=PAGE)):
        ids += [summary.info.session_id for summary in page.sessions]
        left += page.unreadable
    total = len(ids) + len(left)
    changed = 0
    # Oldest first, so that lists show them in the same order afterwards.
    for session_id in reversed(ids):
        try:
            changed += storage.rotate(session_id)
        except (SessionBusyError, ConfigError, TrajectoryError) as error:
            left.append((session_id, str(error)))
    for session_id, reason in left:
        click.echo(f"{session_id}: {reason}", err=True)
    click.echo(f"{changed} of {total} sessions were sealed anew", err=True)
    if left:
        msg = f"{len(left)} sessions are left, so keep all keys; run it again when that is mended"
        raise ConfigError(msg)


if __name__ == "__main__":
    try:
        main()
    except CawError as error:
        sys.exit(str(error))
