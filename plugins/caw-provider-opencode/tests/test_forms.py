"""Answers of the real opencode in a form that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core.errors import StructuredOutputError
from caw_testkit.modelserver import call, reply, text

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize("permissions", ["read-only", "full"])
def test_answer_has_the_form(desk: Desk, model_server: ModelServer, permissions: str) -> None:
    model_server.script(reply(call("StructuredOutput", {"a": 1})))
    with desk.agent(permissions=permissions).start_session() as session:
        answer = session.json("go", schema=SCHEMA)
    assert answer.value == {"a": 1}
    assert (answer.turn.structured, answer.turn.tool_calls) == ({"a": 1}, ())
    assert answer.turn.stop_reason == "end_turn"


@pytest.mark.parametrize("wrong", [text("no json"), call("StructuredOutput", {"a": "x"})])
def test_answer_without_the_form_is_asked_for_again(
    desk: Desk, model_server: ModelServer, wrong: object
) -> None:
    model_server.script(reply(wrong), reply(call("StructuredOutput", {"a": 2})))  # type: ignore[arg-type]
    with desk.agent().start_session() as session:
        assert session.json("go", schema=SCHEMA).value == {"a": 2}
    assert "does not fit" in model_server.requests[-1].last_user_text()


def test_text_that_has_the_form_counts(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text('{"a": 3}')))
    with desk.agent().start_session() as session:
        assert session.json("go", schema=SCHEMA).value == {"a": 3}


def test_answer_that_never_fits_is_an_error_with_the_text(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("no")), reply(text("never")))
    with desk.agent().start_session() as session:
        with pytest.raises(StructuredOutputError) as caught:
            session.json("go", schema=SCHEMA)
        assert caught.value.text == "never"
        model_server.script(reply(text("fine")))
        assert session.send("free").result == "fine"
