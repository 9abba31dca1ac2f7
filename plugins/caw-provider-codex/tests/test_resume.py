"""Continuing conversations with the real codex; what the model then receives."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import NotResumableError, ProcessError, SessionBusyError, SessionStateError
from caw_core.events import Notice
from caw_core.process import Process
from caw_core.trajectory import Trajectory
from caw_provider_codex import CodexProvider
from caw_testkit.modelserver import Usage, echo, mentions, reply, slow, text

if TYPE_CHECKING:
    from caw_core.events import Event
    from caw_provider_codex.session import CodexSession
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

SYSTEM = "  You speak like a lighthouse keeper. <b>äöü</b>\n" * 500
OTHER = "You speak like a train driver."


def times_seen(model_server: ModelServer, system_prompt: str) -> int:
    """Count in the last request, and check that it never came as the user's words."""
    request = model_server.requests[-1]
    assert not any(system_prompt.strip() in said for said in request.user_texts())
    return sum(said.count(system_prompt.strip()) for said in request.system())


def key_of(session: CodexSession) -> str:
    key = session.resume_key
    assert key is not None
    return key


def kill(session: CodexSession) -> None:
    assert session.pid is not None
    os.kill(session.pid, signal.SIGKILL)


def kill_when_asked(model_server: ModelServer, session: CodexSession) -> None:
    model_server.wait_for_requests(2)
    kill(session)


def notices(events: list[Event]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def test_system_prompt_holds_on_every_turn(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt=SYSTEM)
    for prompt in ("one", "two", "three"):
        desk.ask(session, prompt)
        assert times_seen(model_server, SYSTEM) == 1


def test_system_prompt_holds_after_a_resume(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt=SYSTEM)
    desk.ask(session, "one")
    session.close()
    resumed = desk.resume(key_of(session), system_prompt=SYSTEM)
    desk.ask(resumed, "two")
    assert times_seen(model_server, SYSTEM) == 1
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "two"]


def test_system_prompt_holds_after_a_resume_without_a_record(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt=SYSTEM)
    desk.ask(session, "one")
    session.close()
    desk.ask(desk.resume(key_of(session)), "two")
    assert times_seen(model_server, SYSTEM) == 1


def test_changed_system_prompt_is_what_the_model_hears_last(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt=SYSTEM)
    desk.ask(session, "one")
    session.close()
    resumed = desk.resume(key_of(session), system_prompt=OTHER)
    for prompt in ("two", "three"):
        desk.ask(resumed, prompt)
        assert times_seen(model_server, OTHER) == 1
        assert OTHER in model_server.requests[-1].system()[-1]


def test_system_prompt_given_first_at_a_resume(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    desk.ask(session, "one")
    session.close()
    desk.ask(desk.resume(key_of(session), system_prompt=OTHER), "two")
    assert times_seen(model_server, OTHER) == 1


def test_system_prompt_survives_a_compaction(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(
        reply(text("one"), usage=Usage(input_tokens=900_000)),
        reply(text("a summary")),
        when=mentions("first"),
    )
    model_server.respond(echo)
    session = desk.start(system_prompt=OTHER)
    desk.ask(session, "first")
    events = desk.ask(session, "second")
    assert any("summarised" in message for message in notices(events))
    assert times_seen(model_server, OTHER) == 1


def test_usage_of_a_resumed_conversation_begins_at_nothing(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("a"), usage=Usage(input_tokens=700)))
    model_server.script(reply(text("b"), usage=Usage(input_tokens=30)))
    session = desk.start()
    desk.ask(session, "one")
    session.close()
    assert desk.fold(desk.ask(desk.resume(key_of(session)), "two")).usage.input_tokens == 30


def test_model_and_folder_change_at_a_resume(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    desk.ask(session, "one")
    session.close()
    other = desk.home.path / "other"
    other.mkdir()
    desk.ask(desk.resume(key_of(session), model="gpt-5-codex", cwd=other), "two")
    assert model_server.requests[-1].model == "gpt-5-codex"
    assert any(str(other) in said for said in model_server.requests[-1].user_texts())


def test_unknown_thread_is_not_resumable(desk: Desk) -> None:
    for key in ("01a1fd2a-3c51-7891-a548-acf89efcac99", "not a thread"):
        with pytest.raises(NotResumableError):
            desk.resume(key)


def test_thread_of_another_process_is_busy(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    desk.ask(session, "one")
    with pytest.raises(SessionBusyError, match="60 seconds"):
        desk.resume(key_of(session), provider=CodexProvider())


def test_thread_of_another_session_is_busy(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    desk.ask(session, "one")
    with pytest.raises(SessionBusyError):
        desk.resume(key_of(session))
    assert desk.fold(desk.ask(session, "two")).result == "echo: two"


def test_closed_thread_of_a_shared_process_is_free_at_once(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session, other = desk.start(), desk.start()
    desk.ask(session, "one")
    session.close()
    elsewhere = desk.resume(key_of(session), provider=CodexProvider())
    assert desk.fold(desk.ask(elsewhere, "two")).result == "echo: two"
    assert desk.fold(desk.ask(other, "three")).result == "echo: three"


def test_archived_thread_is_taken_out_of_the_archive(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    desk.ask(session, "one")
    peer = session._peer
    assert peer is not None
    peer.call("thread/archive", {"threadId": key_of(session)}, timeout=10)
    session.close()
    events = desk.ask(desk.resume(key_of(session)), "two")
    assert desk.fold(events).result == "echo: two"
    assert any("archive" in message for message in notices(events))


def test_killed_process_fails_the_turn_and_the_next_one_works(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("one")), slow(reply(text("never seen")), before=30))
    model_server.respond(echo)
    session = desk.start(system_prompt=OTHER)
    desk.ask(session, "first")
    killer = threading.Thread(target=kill_when_asked, args=(model_server, session))
    killer.start()
    with pytest.raises(ProcessError) as caught:
        desk.ask(session, "second")
    killer.join()
    assert caught.value.signal == signal.SIGKILL
    again = desk.ask(session, "third")
    assert desk.fold(again).result == "echo: third"
    assert any("started again" in message for message in notices(again))
    assert times_seen(model_server, OTHER) == 1


def test_process_killed_before_the_first_turn_costs_nothing(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start()
    assert session._peer is not None
    kill(session)
    process = session._peer._process
    assert isinstance(process, Process)
    process.wait(10)
    assert desk.fold(desk.ask(session, "one")).result == "echo: one"


def test_closed_session_takes_no_prompt(desk: Desk) -> None:
    session = desk.start()
    session.close()
    session.close()
    session.interrupt()
    with pytest.raises(SessionStateError):
        desk.ask(session, "one")


@pytest.mark.parametrize(
    ("record", "key"),
    [
        (Trajectory(session_id="s", provider="codex", resume_key="k"), "k"),
        (Trajectory(session_id="s", provider="codex", metadata={"thread_id": "t"}), "t"),
        (Trajectory(session_id="s", provider="codex", metadata={"thread_id": 1}), None),
        (Trajectory(session_id="s", provider="codex"), None),
    ],
)
def test_key_is_read_from_records(record: Trajectory, key: str | None) -> None:
    assert CodexProvider().resume_key_from_trajectory(trajectory=record) == key
