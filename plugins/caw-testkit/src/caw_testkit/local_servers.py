"""What the database servers of a test run share: where they live, and what happens without one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


class ServerMissingError(Exception):
    """No server can be started here; the text says why."""


def missing(error: ServerMissingError) -> NoReturn:
    """Skip the test, or fail it where the environment says ``CI``."""
    import pytest

    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


def url_in(variable: str, start: Callable[[], str]) -> str:
    """Return the URL in an environment variable; else that of a server to start, left there.

    So this run and the processes that it starts share one. Where none can be started the test is
    skipped; under ``CI`` it fails.
    """
    if url := os.environ.get(variable):
        return url
    try:
        url = start()
    except ServerMissingError as error:
        missing(error)
    os.environ[variable] = url
    return url


def new_folder(prefix: str, longest: int) -> Path:
    """Make a folder for a server's files, its Unix socket among them.

    Args:
        prefix: how its name begins.
        longest: how many characters its path may have: sockets have paths of at most 104 to 108.
    """
    parent = tempfile.gettempdir()
    if len(f"{parent}/{prefix}12345678") > longest and Path("/tmp").is_dir():  # noqa: S108 - it gets a name nobody can guess
        parent = "/tmp"  # noqa: S108 - the same
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
