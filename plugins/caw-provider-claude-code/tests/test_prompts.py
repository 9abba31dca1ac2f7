"""What goes with a prompt, and commands of claude's own user interface."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from caw_core.attachments import Attachment
from caw_core.errors import UnsupportedError
from caw_core.provider import Prompt
from caw_testkit.modelserver import echo, reply, text

from .conftest import ask, fold

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_claude

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVQI12P4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 3 3]>>endobj\ntrailer<</Root 1 0 R>>"
)


def test_attachments_reach_the_model_before_the_text(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    items = (
        Attachment(name="a.png", mime_type="image/png", data=PNG),
        Attachment(name="b.pdf", mime_type="application/pdf", data=PDF),
        Attachment(name="c.py", mime_type="text/x-python", data=b"print('\xc3\xa9')"),
    )
    prompt = Prompt(text="/what @is it", attachments=items)
    assert fold(list(desk.start().prompt(prompt))).result == "echo: /what @is it"
    messages = model_server.requests[-1].body["messages"]
    [content] = [
        message["content"][-4:]
        for message in messages
        if any(block["type"] == "image" for block in message["content"] if isinstance(block, dict))
    ]
    assert [block["type"] for block in content] == ["image", "document", "document", "text"]
    assert base64.b64decode(content[0]["source"]["data"]) == PNG
    assert base64.b64decode(content[1]["source"]["data"]) == PDF
    assert content[2]["source"]["data"] == "print('é')"
    assert content[2]["title"] == "c.py"


def test_attachment_that_the_model_cannot_read_is_refused_and_the_session_goes_on(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start()
    item = Attachment(name="a.zip", mime_type="application/zip", data=b"\xff\xfe\x00")
    with pytest.raises(UnsupportedError, match=r"a\.zip"):
        list(session.prompt(Prompt(text="go", attachments=(item,))))
    assert fold(ask(session, "next")).result == "echo: next"


def test_file_is_read_and_command_runs_where_commands_are_wanted(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    (desk.home.cwd / "f.txt").write_text("CONTENT-OF-F")
    session = desk.start()
    list(session.prompt(Prompt(text="see @f.txt", commands=True)))
    assert any("CONTENT-OF-F" in said for said in model_server.requests[-1].texts())
    before = len(model_server.requests)
    shown = fold(list(session.prompt(Prompt(text="/context", commands=True))))
    assert "Context Usage" in shown.result
    assert len(model_server.requests) == before


def test_compact_puts_a_summary_before_the_model(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(*[reply(text("a long answer"))] * 4, reply(text("THE-SUMMARY")))
    session = desk.start()
    for word in ("one", "two", "three", "four"):
        ask(session, word)
    list(session.prompt(Prompt(text="/compact", commands=True)))
    model_server.respond(echo)
    assert fold(ask(session, "five")).result == "echo: five"
    assert any("THE-SUMMARY" in said for said in model_server.requests[-1].texts())
