"""Errors as a person sees them."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

import click

from caw_core.display.plain import plain
from caw_core.errors import CawError, DeadlineError, LimitError, PersistError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator


def debugging() -> bool:
    """Tell whether ``CAW_DEBUG`` asks for tracebacks and logs."""
    return os.environ.get("CAW_DEBUG", "").strip() not in {"", "0"}


def complain(error: BaseException, *, writes_record: bool) -> None:
    """Say on stderr what went wrong, in a line or two; with ``CAW_DEBUG=1`` where, too.

    Args:
        error: what went wrong.
        writes_record: the command can also go on without a record.
    """
    if debugging():
        click.echo("".join(traceback.format_exception(error)), err=True)
    click.echo(plain("\n  ".join(_lines(error, writes_record=writes_record))), err=True)


def _lines(error: BaseException, *, writes_record: bool) -> Iterator[str]:
    if not isinstance(error, CawError):
        yield f"caw: {type(error).__name__}: {error}"
        if not debugging():
            yield "CAW_DEBUG=1 shows where"
    elif isinstance(error, PersistError):
        yield f"caw: {error.message}"
        for failure in error.exceptions:
            yield f"{': '.join([*getattr(failure, '__notes__', ()), str(failure)])}"
    elif isinstance(error, DeadlineError) and error.kind == "turn":
        # The library's hint is a Python class, which has no place on a command line.
        yield f"caw: {str(error).replace('Set Deadlines(turn=…)', 'Set --timeout')}"
    else:
        yield f"caw: {error}"
    yield from getattr(error, "__notes__", ())
    if isinstance(error, LimitError) and error.resets_at is not None:
        yield f"it ends at {error.resets_at.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    if writes_record and isinstance(error, StorageError):
        yield "--no-record goes on without a record, --data-dir keeps it elsewhere"
