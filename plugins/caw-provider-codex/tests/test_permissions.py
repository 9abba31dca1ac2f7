"""What the real codex may do under each of caw's permissions."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from caw_testkit.modelserver import call, reply, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.events import Event
    from caw_core.provider import Permissions
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

PATCH = "*** Begin Patch\n*** Add File: patched\n+x\n*** End Patch"


@pytest.fixture
def outside() -> Iterator[Path]:
    # codex's sandbox lets commands write below /tmp, where pytest's folders are.
    with TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


def work(
    desk: Desk, model_server: ModelServer, outside: Path, permissions: Permissions
) -> list[Event]:
    """Let the model write inside the folder, outside of it, and by a patch."""
    model_server.script(
        reply(call("exec_command", {"cmd": "touch inside"})),
        reply(call("exec_command", {"cmd": f"touch {outside}/outside"})),
        reply(call("apply_patch", PATCH)),
        reply(text("done")),
    )
    return desk.ask(desk.start(permissions=permissions), "go")


def written(*folders: Path) -> set[str]:
    return {file.name for folder in folders for file in folder.iterdir()}


@pytest.mark.parametrize(
    ("permissions", "files"),
    [
        ("read-only", set()),
        ("ask", set()),
        ("auto-edit", {"inside", "patched"}),
        ("full", {"inside", "outside", "patched"}),
    ],
)
def test_permissions_bound_what_is_written(
    desk: Desk, model_server: ModelServer, outside: Path, permissions: Permissions, files: set[str]
) -> None:
    work(desk, model_server, outside, permissions)
    assert written(desk.home.cwd, outside) == files


def test_what_is_asked_for_is_declined_when_nobody_is_there(
    desk: Desk, model_server: ModelServer, outside: Path
) -> None:
    uses = desk.fold(work(desk, model_server, outside, "ask")).tool_calls
    assert [(use.status, use.is_error) for use in uses] == [("declined", True)] * 3


def test_permissions_narrow_at_a_resume(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("hello")))
    session = desk.start(permissions="full")
    desk.ask(session, "hi")
    session.close()
    model_server.script(reply(call("exec_command", {"cmd": "touch inside"})), reply(text("no")))
    assert session.resume_key is not None
    desk.ask(desk.resume(session.resume_key, permissions="read-only"), "go")
    assert written(desk.home.cwd) == set()
