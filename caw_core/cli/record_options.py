"""Where the command line keeps records, and where it looks for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.option_types import Folder
from caw_core.folders import user_data_dir
from caw_core.registry import default_registry
from caw_core.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

record_options = (
    click.option(
        "--data-dir",
        type=Folder(),
        help="The folder for records. Default: a folder of yours that 'caw doctor' names.",
    ),
    click.option(
        "--storage",
        metavar="URL",
        multiple=True,
        help="A storage for records instead, such as jsonl:///folder. Repeatable. Default: what "
        "CAW_STORAGE names, blanks between several.",
    ),
)


def urls_to_write(given: Mapping[str, Any], *, say: Callable[[str], None]) -> list[str]:
    """Return the storages in which a session is to be kept.

    Args:
        given: ``data_dir``, ``storage`` and ``no_record``.
        say: is told if no record is kept because the default storage is missing or blocked.
    """
    if given["no_record"]:
        if given["data_dir"] or given["storage"]:
            msg = "--no-record excludes --data-dir and --storage"
            raise click.UsageError(msg)
        return []
    chosen = bool(given["data_dir"] or given["storage"] or _from_environment())
    if not chosen and "jsonl" not in default_registry().names("storage"):
        say(f"no record is kept: {_remedy()}, or name a --storage")
        return []
    return urls_to_read(given)


def _remedy() -> str:
    records = default_registry().records("storage")
    if any(each.name == "jsonl" and each.blocked for each in records):
        return "caw-storage-jsonl is installed but blocked: take it out of CAW_DISABLE_PLUGINS"
    return "install caw-storage-jsonl"


def urls_to_read(given: Mapping[str, Any]) -> list[str]:
    """Return the storages in which sessions are looked for: those given, else the default."""
    folder: Path | None = given["data_dir"]
    if folder is None and not given["storage"]:
        return _from_environment() or [folder_url(user_data_dir())]
    urls = [folder_url(folder)] if folder is not None else []
    return [*urls, *given["storage"]]


def _from_environment() -> list[str]:
    # A URL may hold a password, which everybody can read in a process's arguments.
    return os.environ.get("CAW_STORAGE", "").split()


def folder_url(folder: Path) -> str:
    """Return the URL by which the jsonl storage knows a folder."""
    return folder.expanduser().absolute().as_uri().replace("file:", "jsonl:", 1)


def open_store(given: Mapping[str, Any]) -> Store:
    """Open the storages for reading; no provider is needed for that.

    Raises:
        UnknownStorageError, PluginError, ConfigError: a storage is missing or broken.
    """
    return Store(*urls_to_read(given))
