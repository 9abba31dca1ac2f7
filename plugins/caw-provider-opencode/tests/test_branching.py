"""Copies of a conversation with the real opencode, and other models in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core.errors import ConfigError
from caw_core.events import Notice
from caw_testkit.homes import API_KEY
from caw_testkit.modelserver import call, echo, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode


def test_fork_begins_with_the_history_and_goes_its_own_way(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    with desk.agent().start_session() as session:
        session.send("one")
        with session.fork() as copy:
            assert copy.resume_handle != session.resume_handle
            assert copy.send("in the copy").result == "echo: in the copy"
            assert model_server.requests[-1].user_texts() == ["one", "in the copy"]
            session.send("two")
    assert model_server.requests[-1].user_texts() == ["one", "two"]


def test_fork_has_the_permissions_of_its_request(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.respond(echo)
    session = desk.start(permissions="read-only", cwd=tmp_path)
    desk.turn(session, "one")
    model_server.clear()
    command = {"command": "touch made", "description": "touch"}
    model_server.script(reply(call("bash", command)), reply(text("done")))
    copy = session.fork(session._request)
    desk.turn(copy, "go")
    copy.close()
    assert list(tmp_path.iterdir()) == []


def test_models_are_those_of_the_configuration(desk: Desk) -> None:
    models = {info.name: info for info in desk.start().models()}
    assert set(models) == {"testkit/m1", "testkit/priced"}
    assert models["testkit/m1"].is_default
    assert "high" in models["testkit/priced"].efforts


def test_keys_are_not_logged(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    models = desk.start().models()
    assert API_KEY not in caplog.text + repr(models)


def test_model_and_effort_can_be_changed_between_turns(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("one")), reply(text("two")))
    with desk.agent(model="testkit/m1").start_session() as session:
        session.send("one")
        session.set_model("testkit/priced", reasoning="high")
        assert session.send("two").model == "testkit/priced"
    body = model_server.requests[-1].body
    assert (body["model"], body["reasoning_effort"]) == ("priced", "high")


def test_model_without_its_service_is_refused_and_the_old_one_stays(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("x")))
    session = desk.start(model="testkit/priced")
    with pytest.raises(ConfigError, match="provider/model"):
        session.set_model("gpt-5", None)
    desk.turn(session)
    assert model_server.requests[-1].model == "priced"


def test_effort_that_a_new_model_does_not_have_is_told(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("x")))
    session = desk.start()
    session.set_model("testkit/priced", "huge")
    told = [event.message for event in desk.ask(session, "go") if isinstance(event, Notice)]
    assert "huge" in told[0]
