"""What goes with a prompt to the real opencode: images, files, and its own commands."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING

import pytest

from caw_core.attachments import Attachment
from caw_core.errors import UnsupportedError
from caw_core.provider import Prompt
from caw_testkit.modelserver import reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PIXEL = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\0\0\0"))
    + _chunk(b"IEND", b"")
)


def test_image_reaches_a_model_that_sees(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("seen")))
    image = Attachment(name="a.png", mime_type="image/png", data=PIXEL)
    with desk.agent(model="testkit/priced").start_session() as session:
        turn = session.send(Prompt(text="look", attachments=(image,)))
    assert image.base64 in json.dumps(model_server.requests[-1].body["messages"][-1])
    assert turn.attachments[0]["sha256"]


@pytest.mark.parametrize("mime", ["text/plain", "application/json", "text/x-python"])
def test_text_of_any_kind_reaches_the_model(
    desk: Desk, model_server: ModelServer, mime: str
) -> None:
    model_server.script(reply(text("read")), reply(text("fine")))
    file = Attachment(name="a.txt", mime_type=mime, data='{"ü": 1}'.encode())
    with desk.agent().start_session() as session:
        session.send(Prompt(text="look", attachments=(file,)))
        assert '{"ü": 1}' in model_server.requests[-1].user_texts()
        assert session.send("again").result == "fine"


def test_file_that_would_spoil_the_conversation_is_refused(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("fine")))
    file = Attachment(name="a.bin", mime_type="application/zip", data=b"\xff\xfe\x00")
    with desk.agent().start_session() as session:
        with pytest.raises(UnsupportedError, match=r"a\.bin"):
            session.send(Prompt(text="look", attachments=(file,)))
        assert session.send("again").result == "fine"


def test_command_runs_only_when_commands_are_wanted(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    folder = tmp_path / ".opencode" / "command"
    folder.mkdir(parents=True)
    (folder / "greet.md").write_text("Say hello to $ARGUMENTS\n")
    model_server.script(*[reply(text("ok"))] * 3)
    with desk.agent(cwd=tmp_path, model="testkit/priced").start_session() as session:
        turn = session.send(Prompt(text="/greet the world", commands=True))
        assert "Say hello to the world" in model_server.requests[-1].last_user_text()
        assert (turn.result, turn.model) == ("ok", "testkit/priced")
        session.send("/greet the world")
        assert model_server.requests[-1].last_user_text() == "/greet the world"
        session.send(Prompt(text="/nosuch thing", commands=True))
        assert model_server.requests[-1].last_user_text() == "/nosuch thing"


def test_command_that_would_lose_the_system_prompt_is_refused(desk: Desk) -> None:
    session = desk.start(system_prompt="You are terse.")
    with pytest.raises(UnsupportedError, match="system prompt"):
        list(session.prompt(Prompt(text="/init", commands=True)))


def test_file_that_is_mentioned_is_read_only_when_that_is_wanted(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("secret of a\n")
    model_server.script(*[reply(text("ok"))] * 2)
    for wanted in (True, False):
        session = desk.start(cwd=tmp_path)
        list(session.prompt(Prompt(text="read @a.txt now", commands=wanted)))
        said = "\n".join(model_server.requests[-1].user_texts())
        assert ("secret of a" in said) is wanted
