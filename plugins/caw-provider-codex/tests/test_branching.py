"""Forks, models and settings that change between turns, with the real codex."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from caw_core import ModelTier
from caw_core.provider import StartRequest
from caw_provider_codex.models import TIERS
from caw_testkit.modelserver import echo

if TYPE_CHECKING:
    from caw_provider_codex.session import CodexSession
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex


def fork(desk: Desk, session: CodexSession, **changes: object) -> CodexSession:
    child = session.fork(StartRequest(**desk.settings(session_id="child", **changes)))
    desk._sessions.append(child)
    return child


def test_fork_has_the_history_and_goes_its_own_way(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    parent = desk.start()
    desk.ask(parent, "one")
    child = fork(desk, parent)
    assert child.resume_key != parent.resume_key
    assert child.pid == parent.pid
    desk.ask(child, "in the fork")
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "in the fork"]
    desk.ask(parent, "two")
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "two"]


def test_fork_of_nothing_is_a_new_conversation(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    parent = desk.start()
    child = fork(desk, parent)
    assert desk.fold(desk.ask(child, "hi")).result == "echo: hi"
    assert child.resume_key != parent.resume_key


def test_fork_outlives_its_parent(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    parent = desk.start(system_prompt="You are terse.")
    desk.ask(parent, "one")
    child = fork(desk, parent, system_prompt="You are terse.")
    parent.close()
    desk.ask(child, "two")
    request = model_server.requests[-1]
    assert request.user_texts()[-2:] == ["one", "two"]
    assert sum("You are terse." in said for said in request.system()) == 1


def test_fork_of_the_agent_is_a_session_of_its_own(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    with desk.agent().start_session() as session:
        session.send("one")
        with session.fork() as child:
            assert child.send("two").result == "echo: two"
            assert child.info.forked_from == session.session_id
            assert [turn.input for turn in child.trajectory.turns] == ["one", "two"]
        assert [turn.input for turn in session.trajectory.turns] == ["one"]
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "two"]


def test_models_are_those_of_codex_and_hold_the_tiers(desk: Desk) -> None:
    models = desk.start().models()
    names = [model.name for model in models]
    assert set(TIERS.values()) <= set(names)
    assert len([model for model in models if model.is_default]) == 1
    described = {model.name: model.description for model in models}
    assert described[TIERS["strongest"]].startswith("Frontier")
    assert described[TIERS["fast"]].startswith("Fast")
    assert all("high" in model.efforts for model in models)


def test_tier_names_the_model(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    with desk.agent(model=ModelTier.FAST).start_session() as session:
        session.send("go")
    assert model_server.requests[-1].model == TIERS["fast"]


@pytest.mark.parametrize("system_prompt", ["", "You are terse."])
def test_chosen_model_holds_from_the_next_turn_on(
    desk: Desk, model_server: ModelServer, system_prompt: str
) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt=system_prompt)
    desk.ask(session, "one")
    session.set_model("gpt-5", "high")
    for prompt in ("two", "three"):
        desk.ask(session, prompt)
        request = model_server.requests[-1]
        assert (request.model, request.body["reasoning"]["effort"]) == ("gpt-5", "high")
    session.set_model(None, "low")
    desk.ask(session, "four")
    request = model_server.requests[-1]
    assert (request.model, request.body["reasoning"]["effort"]) == ("gpt-5", "low")


def test_chosen_model_survives_a_crash(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    desk.ask(session, "one")
    session.set_model("gpt-5", None)
    assert session.pid is not None
    os.kill(session.pid, signal.SIGKILL)
    while session._peer is not None and session._peer.running:
        threading.Event().wait(0.001)
    desk.ask(session, "two")
    assert model_server.requests[-1].model == "gpt-5"


def test_other_model_at_a_resume_is_used(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start(model="gpt-5")
    desk.ask(session, "one")
    session.close()
    assert session.resume_key is not None
    desk.ask(desk.resume(session.resume_key, model="gpt-5-codex"), "two")
    assert model_server.requests[-1].model == "gpt-5-codex"
