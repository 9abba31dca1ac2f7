"""Asking a person what the real opencode may do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.events import PermissionAsked
from caw_core.permissions import Decision, PermissionRequest, allow, allow_always, deny
from caw_testkit.modelserver import call, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.provider import Permissions
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode

QUESTION = {
    "question": "Which?",
    "header": "Choice",
    "options": [{"label": "A", "description": "a"}, {"label": "B", "description": "b"}],
}


def touch(name: str) -> Any:
    return call("bash", {"command": f"touch {name}", "description": "touch"})


class Person:
    """Answers each request by *answers*, in order, and keeps what it was asked."""

    def __init__(self, *answers: Decision) -> None:
        self.answers = list(answers)
        self.asked: list[PermissionRequest] = []

    def __call__(self, request: PermissionRequest) -> Decision:
        self.asked.append(request)
        return self.answers.pop(0)


@pytest.mark.parametrize("permissions", ["ask", "auto-edit"])
def test_command_runs_when_a_person_allows_it(
    desk: Desk, model_server: ModelServer, tmp_path: Path, permissions: Permissions
) -> None:
    model_server.script(reply(touch("made")), reply(text("done")))
    person = Person(allow())
    agent = desk.agent(cwd=tmp_path, permissions=permissions, on_permission=person)
    with agent.start_session() as session:
        turn = session.send("go")
    assert (tmp_path / "made").exists()
    assert [use.status for use in turn.tool_calls] == ["completed"]
    [request] = person.asked
    assert (request.tool, request.kind) == ("bash", "exec")
    assert request.arguments["command"] == "touch made"
    assert request.call_id == turn.tool_calls[0].id


def test_read_only_asks_for_nothing_that_changes(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(touch("made")), reply(text("done")))
    person = Person()
    agent = desk.agent(cwd=tmp_path, permissions="read-only", on_permission=person)
    with agent.start_session() as session:
        session.send("go")
    assert person.asked == []
    assert list(tmp_path.iterdir()) == []


def test_reason_of_a_no_reaches_the_model_and_the_turn_goes_on(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(touch("made")), reply(text("went on")))
    agent = desk.agent(cwd=tmp_path, permissions="ask", on_permission=Person(deny("not today")))
    with agent.start_session() as session:
        turn = session.send("go")
    assert turn.result == "went on"
    assert [use.status for use in turn.tool_calls] == ["declined"]
    assert "not today" in model_server.requests[-1].tool_results()[0].text
    assert list(tmp_path.iterdir()) == []


def test_denial_does_not_take_the_other_requests_with_it(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(touch("one"), touch("two")), reply(text("went on")))
    denied = threading.Event()

    def person(request: PermissionRequest) -> Decision:
        if request.arguments["command"] == "touch one":
            denied.set()
            return deny("not this")
        assert denied.wait(20)
        return allow()

    agent = desk.agent(cwd=tmp_path, permissions="ask", on_permission=person)
    with agent.start_session() as session:
        turn = session.send("go")
    assert turn.result == "went on"
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    assert sorted(use.status for use in turn.tool_calls) == ["completed", "declined"]


def test_two_denials_at_once_do_not_end_the_turn(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(touch("one"), touch("two")), reply(text("went on")))
    person = Person(deny("first"), deny("second"))
    agent = desk.agent(cwd=tmp_path, permissions="ask", on_permission=person)
    with agent.start_session() as session:
        turn = session.send("go")
    assert (turn.status, turn.result) == ("completed", "went on")
    assert [use.status for use in turn.tool_calls] == ["declined", "declined"]


def test_always_holds_for_the_like_in_this_session_alone(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(touch("one")), reply(touch("two")), reply(text("done")))
    person = Person(allow_always(), deny())
    agent = desk.agent(cwd=tmp_path, permissions="ask", on_permission=person)
    with agent.start_session() as session, agent.start_session() as other:
        session.send("go")
        assert [request.can_always for request in person.asked] == [True]
        model_server.script(reply(touch("three")), reply(text("done")))
        other.send("go")
    assert len(person.asked) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_stop_ends_the_turn(desk: Desk, model_server: ModelServer, tmp_path: Path) -> None:
    model_server.script(reply(touch("made")))
    agent = desk.agent(cwd=tmp_path, permissions="ask", on_permission=Person(deny("no", stop=True)))
    with agent.start_session() as session:
        assert session.send("go").status == "interrupted"
        model_server.script(reply(text("fine")))
        assert session.send("again").result == "fine"
    assert list(tmp_path.iterdir()) == []


def test_interrupt_withdraws_what_waits(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(reply(touch("made")))
    waits = threading.Event()

    def person(_: PermissionRequest) -> Decision:
        waits.wait(60)
        return allow()

    agent = desk.agent(cwd=tmp_path, permissions="ask", on_permission=person)
    with agent.start_session() as session:
        events = []
        for event in session.stream("go"):
            events.append(event)
            if isinstance(event, PermissionAsked):
                session.interrupt()
        waits.set()
        assert [event.type for event in events].count("permission_settled") == 1
        model_server.script(reply(text("fine")))
        assert session.send("again").result == "fine"
    assert list(tmp_path.iterdir()) == []


def test_edit_outside_the_folder_is_asked_for(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    inside, file = tmp_path / "inside", tmp_path / "outside" / "a"
    inside.mkdir()
    file.parent.mkdir()
    write = call("write", {"filePath": str(file), "content": "made\n"})
    model_server.script(reply(write), reply(text("done")))
    person = Person(allow())
    agent = desk.agent(cwd=inside, permissions="auto-edit", on_permission=person)
    with agent.start_session() as session:
        session.send("go")
    assert file.read_text() == "made\n"
    [request] = person.asked
    assert request.tool == "write"
    assert request.reason.startswith("external_directory")


@pytest.mark.parametrize("arguments", [{"Which?": "B"}, {"answers": [["B"]]}, {"Choice": ["B"]}])
@pytest.mark.parametrize("permissions", ["full", "read-only"])
def test_question_gets_the_persons_answer(
    desk: Desk,
    model_server: ModelServer,
    permissions: Permissions,
    arguments: dict[str, Any],
) -> None:
    model_server.script(reply(call("question", {"questions": [QUESTION]})), reply(text("done")))
    person = Person(allow(arguments=arguments))
    agent = desk.agent(permissions=permissions, on_permission=person)
    with agent.start_session() as session:
        turn = session.send("go")
    assert '"Which?"="B"' in turn.tool_calls[0].output
    [request] = person.asked
    assert request.kind == "question"
    assert request.arguments["questions"][0]["question"] == "Which?"


@pytest.mark.parametrize("decision", [deny(), allow()])
def test_question_without_an_answer_does_not_end_the_turn(
    desk: Desk, model_server: ModelServer, decision: Decision
) -> None:
    model_server.script(reply(call("question", {"questions": [QUESTION]})), reply(text("went on")))
    agent = desk.agent(on_permission=Person(decision))
    with agent.start_session() as session:
        turn = session.send("go")
    assert turn.result == "went on"
    assert turn.tool_calls[0].is_error


def test_subagents_that_nobody_would_be_asked_about_are_not_there(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(reply(text("ok")))
    agent = desk.agent(permissions="ask", on_permission=Person())
    with agent.start_session() as session:
        session.send("go")
    tools = set(model_server.requests[-1].tools)
    assert {"bash", "edit", "webfetch", "question"} <= tools
    assert "task" not in tools
