"""``python -m caw_storage_wrappers``: make a key, and seal a store anew with another one."""

from __future__ import annotations

import sys

import click

from caw_core.errors import CawError, ConfigError, SessionBusyError
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
    ids = [summary.info.session_id for summary in storage.inner_store.sessions()]
    changed = busy = 0
    for session_id in ids:
        try:
            changed += storage.rotate(session_id)
        except SessionBusyError as error:
            busy += 1
            click.echo(str(error), err=True)
    click.echo(f"{changed} of {len(ids)} sessions were sealed anew", err=True)
    if busy:
        msg = f"{busy} sessions are open somewhere; run it again when they have ended"
        raise ConfigError(msg)


if __name__ == "__main__":
    try:
        main()
    except CawError as error:
        sys.exit(str(error))
