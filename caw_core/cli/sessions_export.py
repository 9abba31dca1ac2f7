"""``caw sessions export`` and ``import``: records as documents."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import click

from caw_core.cli.published import published
from caw_core.cli.record_options import open_store, record_options
from caw_core.cli.session_names import find_session
from caw_core.display.plain import plain
from caw_core.errors import ConfigError, TrajectoryError
from caw_core.handles import check_new_session_id
from caw_core.serialize import trajectory_from_dict, trajectory_to_dict

if TYPE_CHECKING:
    from caw_core.store import Store
    from caw_core.trajectory import Trajectory

_FORMATS = ("caw", "atif", "markdown", "html")


@click.command("export")
@click.argument("session")
@click.option(
    "-f", "--format", "form", type=click.Choice(_FORMATS), default="caw", show_default=True
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to write. Default: stdout.",
)
@record_options[0]
@record_options[1]
def export(session: str, *, form: str, output: Path | None, **given: Any) -> None:
    """Write a session's record as a document.

    "caw" and "atif" can be imported again. None holds the key that resumes the session. What a
    format has no place for is told on stderr.
    """
    store = open_store(given)
    session_id = find_session(store, session)
    record = store.load(session_id)
    if record is None:
        msg = f"session {session_id!r} was deleted meanwhile"
        raise ConfigError(msg)
    text = _written(record, form)
    if output is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    try:
        # A record holds what prompts and tools said, so it is its owner's alone.
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(text)
    except OSError as error:
        msg = f"--output: {error}"
        raise ConfigError(msg) from error


def _written(record: Trajectory, form: str) -> bytes:
    if form == "markdown":
        from caw_core.formats.markdown import to_markdown

        return to_markdown(record).encode(errors="backslashreplace")
    if form == "html":
        from caw_core.formats.html import to_html

        return to_html(record).encode(errors="backslashreplace")
    clean = trajectory_from_dict(published(trajectory_to_dict(record)))
    if form == "caw":
        return _json(trajectory_to_dict(clean))
    from caw_core.formats.atif import to_atif

    document = to_atif(clean)
    for what in document.left_out:
        _tell(f"left out: {what}")
    for what in document.extra_only:
        _tell(f"only under 'extra': {what}")
    return _json(document.document)


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(("caw", "atif")),
    help="Default: what the document says that it is.",
)
@click.option("--session-id", help="The id in the store. Default: the document's.")
@record_options[0]
@record_options[1]
def import_(
    file: str, *, form: Literal["caw", "atif"] | None, session_id: str | None, **given: Any
) -> None:
    """Read a document into a record; FILE is one that 'caw sessions export' wrote, or ATIF.

    "-" is stdin. Prints the session's id. A session that is there already is never changed.
    """
    record = _read(file, form)
    chosen = record.session_id if session_id is None else session_id
    record = attrs.evolve(record, session_id=check_new_session_id(chosen))
    store = open_store(given)
    _store(store, record)
    click.echo(record.session_id)


def _read(file: str, form: Literal["caw", "atif"] | None) -> Trajectory:
    from caw_core.formats.reading import read_document

    try:
        with click.open_file(file, "rb") as opened:
            text = opened.read()
    except OSError as error:
        msg = f"{file}: {error}"
        raise TrajectoryError(msg) from error
    found = read_document(text, file, form)
    for what in found.left_out:
        _tell(f"left out: {what}")
    return found.trajectory


def _store(store: Store, record: Trajectory) -> None:
    session_id = record.session_id
    (first, *_) = store.records.storages
    with store.leased(session_id):
        if store.records.has(first, session_id):
            msg = f"there is a session {session_id!r} already; choose another id with --session-id"
            raise ConfigError(msg)
        store.records.persist_session(first, record.info)
        for turn in record.turns:
            store.records.persist_turn(first, record.info, turn, 1)
        # The head comes once more, for storages that write something when a session ends.
        store.records.persist_session(first, record.info)


def _tell(message: str) -> None:
    click.echo(plain(message), err=True)
