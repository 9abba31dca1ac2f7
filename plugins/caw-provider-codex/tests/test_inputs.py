"""Attachments, answers in a form, more folders: what the real codex and its model get."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core import Attachment
from caw_core.errors import StructuredOutputError, UnsupportedError
from caw_core.events import StructuredDone
from caw_core.provider import Prompt
from caw_provider_codex.answer_form import strict_schema
from caw_testkit.modelserver import call, echo, reply, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
IMAGE = Attachment(name="dot.png", mime_type="image/png", data=PNG)
NOTES = Attachment(name="no\ntes.txt", mime_type="text/plain", data="ä\n</x> @y".encode())
BINARY = Attachment(name="a.zip", mime_type="application/zip", data=b"PK\xff\xfe")

real = pytest.mark.real_codex


def parts(model_server: ModelServer) -> list[dict[str, Any]]:
    """Return the parts of the last thing that the user said."""
    content: list[dict[str, Any]] = model_server.requests[-1].body["input"][-1]["content"]
    return content


@real
def test_image_and_text_file_reach_the_model(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    with desk.agent().start_session() as session:
        turn = session.send(Prompt(text="look", attachments=(IMAGE, NOTES)))
    image, notes = parts(model_server)[1:]
    assert parts(model_server)[0]["text"] == "look"
    assert image["image_url"] == IMAGE.data_url
    assert notes["text"] == ('<attached_file name="no\\ntes.txt">\nä\n</x> @y\n</attached_file>')
    assert [entry["kind"] for entry in turn.attachments] == ["image", "file"]


@real
@pytest.mark.parametrize(
    "item", [BINARY, Attachment(name="x.tiff", mime_type="image/tiff", data=b"II")]
)
def test_what_codex_cannot_read_is_refused_before_anything_is_sent(
    desk: Desk, model_server: ModelServer, item: Attachment
) -> None:
    model_server.respond(echo)
    session = desk.start()
    with pytest.raises(UnsupportedError, match=item.name):
        list(session.prompt(Prompt(text="look", attachments=(item,))))
    assert not model_server.requests
    assert desk.fold(desk.ask(session, "on")).result == "echo: on"


@attrs.frozen
class City:
    name: str
    people: int = 0


@real
def test_answer_in_a_form_comes_as_a_value(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text('{"name": "Oslo", "people": 7}')))
    with desk.agent().start_session() as session:
        answer = session.json("where", schema=City)
    assert answer.value == City("Oslo", 7)
    form = model_server.requests[-1].body["text"]["format"]
    assert (form["type"], form["strict"]) == ("json_schema", True)
    assert form["schema"]["additionalProperties"] is False
    assert form["schema"]["required"] == ["name", "people"]


@real
def test_form_is_that_of_its_turn_alone(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text('{"a": 1}')), reply(text('{"a": 2}')))
    session = desk.start()
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    events = list(session.prompt(Prompt(text="a", output_schema=schema)))
    assert [event.value for event in events if isinstance(event, StructuredDone)] == [{"a": 1}]
    assert not any(isinstance(event, StructuredDone) for event in desk.ask(session, "b"))
    assert "format" not in model_server.requests[-1].body.get("text", {})


@real
def test_form_without_a_strict_one_is_asked_for_in_words(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("[1, 2]")))
    schema = {"type": "array", "items": {"type": "integer"}}
    with desk.agent().start_session() as session:
        assert session.json("count", schema=schema).value == [1, 2]
    asked, form = parts(model_server)
    assert asked["text"] == "count"
    assert '{"type": "array", "items": {"type": "integer"}}' in form["text"]


@real
def test_answer_of_the_wrong_form_is_asked_for_again(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("Oslo!")), reply(text('{"name": "Oslo", "people": 1}')))
    model_server.script(reply(text("Oslo!")))
    with desk.agent().start_session() as session:
        assert session.json("where", schema=City).value.name == "Oslo"
        with pytest.raises(StructuredOutputError):
            session.json("where", schema=City, repairs=0)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {}},
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}]}}},
        {"type": "object", "properties": {}, "anyOf": []},
    ],
)
def test_schema_that_leaves_something_open_has_no_strict_form(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None


def test_strict_form_closes_every_object() -> None:
    inner = {"type": ["object", "null"], "properties": {"b": {"type": "string", "default": ""}}}
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/Inner"}}},
        "$defs": {"Inner": inner},
    }
    assert strict_schema(schema) == {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/Inner"}}},
        "required": ["a"],
        "additionalProperties": False,
        "$defs": {
            "Inner": {
                "type": ["object", "null"],
                "properties": {"b": {"type": "string"}},
                "required": ["b"],
                "additionalProperties": False,
            },
        },
    }
    assert "required" not in inner


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    # codex's sandbox lets commands write below /tmp, where pytest's folders are.
    with TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@real
@pytest.mark.parametrize("protocol", ["live", "spawn"])
def test_commands_may_write_in_additional_folders(
    desk: Desk, model_server: ModelServer, elsewhere: Path, protocol: str
) -> None:
    step = reply(call("exec_command", {"cmd": f"touch {elsewhere}/made"}))
    model_server.script(step, reply(text("done")), step, reply(text("done")))
    agent = desk.agent(additional_dirs=[elsewhere], options={"protocol": protocol})
    with agent.start_session() as session:
        session.send("go")
        assert [file.name for file in elsewhere.iterdir()] == ["made"]
        handle = session.resume_handle
    (elsewhere / "made").unlink()
    with agent.resume_session(handle) as session:
        session.send("again")
    assert [file.name for file in elsewhere.iterdir()] == ["made"]
