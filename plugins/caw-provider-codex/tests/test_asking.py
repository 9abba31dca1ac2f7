"""What the real codex asks for, answered by a person through the desk."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import McpServer
from caw_core.events import PermissionAsked, PermissionSettled
from caw_core.permissions import (
    Decision,
    PermissionDesk,
    PermissionRequest,
    allow,
    allow_always,
    deny,
)
from caw_core.provider import Prompt
from caw_testkit.modelserver import call, echo, reply, text
from caw_testkit.toolserver import STDIO_COMMAND

if TYPE_CHECKING:
    from caw_core.events import Event
    from caw_core.permissions import PermissionCallback
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

PATCH = "*** Begin Patch\n*** Add File: patched\n+x\n*** End Patch"
TOUCH = reply(call("exec_command", {"cmd": "touch inside"}))
DONE = reply(text("done"))
WAIT = 20.0


class Person:
    """Answers each request with the same decision and remembers it."""

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.asked: list[PermissionRequest] = []

    def __call__(self, request: PermissionRequest) -> Decision:
        self.asked.append(request)
        return self.decision


def asking(desk: Desk, person: PermissionCallback, **changes: Any) -> list[Event]:
    """Hold one turn under 'ask' in which *person* is asked."""
    session = desk.start(permissions="ask", permission_desk=PermissionDesk(person), **changes)
    return desk.ask(session, "go")


def written(desk: Desk) -> set[str]:
    return {file.name for file in desk.home.cwd.iterdir()}


def test_allowed_command_really_runs(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(TOUCH, DONE)
    person = Person(allow())
    events = asking(desk, person)
    [request] = person.asked
    [use] = desk.fold(events).tool_calls
    assert written(desk) == {"inside"}
    assert (request.tool, request.kind, request.call_id) == ("command_execution", "exec", use.id)
    assert request.arguments["command"].endswith("'touch inside'")
    assert request.can_always


def test_patch_is_asked_for_with_its_files(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(call("apply_patch", PATCH)), DONE)
    person = Person(allow())
    asking(desk, person)
    [request] = person.asked
    path = str(desk.home.cwd / "patched")
    assert (request.tool, request.kind) == ("file_change", "edit")
    assert request.arguments == {"changes": [{"path": path, "kind": "add"}]}
    assert written(desk) == {"patched"}


def test_always_is_not_asked_again(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(TOUCH, TOUCH, DONE)
    person = Person(allow_always())
    asking(desk, person)
    assert len(person.asked) == 1
    assert written(desk) == {"inside"}


def test_once_is_asked_again(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(TOUCH, TOUCH, DONE)
    person = Person(allow())
    asking(desk, person)
    assert len(person.asked) == 2


@pytest.mark.parametrize("step", [TOUCH, reply(call("apply_patch", PATCH))])
def test_reason_of_a_no_reaches_the_model_with_it(
    desk: Desk, model_server: ModelServer, step: Any
) -> None:
    model_server.script(step, DONE)
    events = asking(desk, Person(deny("Use the staging folder.")))
    request = model_server.requests[-1]
    assert request.last_user_text() == "Use the staging folder."
    assert desk.fold(events).tool_calls[0].status == "declined"
    assert written(desk) == set()


def test_no_without_a_reason_says_nothing_more(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(TOUCH, DONE)
    events = asking(desk, Person(deny()))
    assert model_server.requests[-1].last_user_text() == "go"
    assert desk.fold(events).result == "done"


@pytest.mark.parametrize("step", [TOUCH, reply(call("apply_patch", PATCH))])
def test_stop_ends_the_turn_and_the_session_goes_on(
    desk: Desk, model_server: ModelServer, step: Any
) -> None:
    model_server.script(step)
    model_server.respond(echo)
    with desk.agent(
        permissions="ask", on_permission=Person(deny("no", stop=True))
    ).start_session() as session:
        assert session.send("go").status == "interrupted"
        assert session.send("on").result == "echo: on"
    assert written(desk) == set()


def test_asked_and_settled_are_events_of_the_turn(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(TOUCH, DONE)
    with desk.agent(permissions="ask", on_permission=Person(allow())).start_session() as session:
        events = list(session.stream("go"))
    kinds = [event.type for event in events]
    asked = next(event for event in events if isinstance(event, PermissionAsked))
    settled = next(event for event in events if isinstance(event, PermissionSettled))
    assert kinds.index("tool_started") < kinds.index("permission_asked")
    assert settled.request_id == asked.request_id
    assert settled.allowed
    assert written(desk) == {"inside"}


def test_interrupt_while_a_person_thinks_ends_the_turn(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.script(TOUCH)
    model_server.respond(echo)
    asked, go_on = threading.Event(), threading.Event()

    def think(_: PermissionRequest) -> bool:
        asked.set()
        return go_on.wait(WAIT)

    with desk.agent(permissions="ask", on_permission=think).start_session() as session:
        stream = session.stream("go")
        assert asked.wait(WAIT)
        session.interrupt()
        events = list(stream)
        go_on.set()
        assert events[-1].type == "turn_ended"
        assert stream.result().status == "interrupted"
        assert session.send("on").result == "echo: on"
    assert len([event for event in events if isinstance(event, PermissionSettled)]) <= 1
    assert written(desk) == set()


def test_question_is_answered(desk: Desk, model_server: ModelServer) -> None:
    options = [{"label": "Red", "description": "r"}, {"label": "Blue", "description": "b"}]
    question = {"id": "colour", "header": "Colour", "question": "Which?", "options": options}
    model_server.script(reply(call("request_user_input", {"questions": [question]})), DONE)
    person = Person(allow(arguments={"colour": "Red"}))
    # codex offers the tool in its plan mode alone, unless it is told otherwise.
    config = {"features.default_mode_request_user_input": True}
    session = desk.start(
        permissions="auto-edit",
        permission_desk=PermissionDesk(person),
        options={"config": config},
    )
    desk.ask(session, "go")
    [request] = person.asked
    assert (request.tool, request.kind) == ("request_user_input", "question")
    assert request.arguments["questions"][0]["question"] == "Which?"
    [result] = model_server.requests[-1].tool_results()
    assert result.text == '{"answers":{"colour":{"answers":["Red"]}}}'


def test_wider_permissions_are_granted_when_allowed(desk: Desk, model_server: ModelServer) -> None:
    wanted = {"network": {"enabled": True}}
    step = reply(call("request_permissions", {"reason": "a download", "permissions": wanted}))
    model_server.script(step, DONE)
    person = Person(allow())
    asking(desk, person, options={"config": {"features": {"request_permissions_tool": True}}})
    [request] = person.asked
    assert (request.tool, request.reason) == ("request_permissions", "a download")
    [result] = model_server.requests[-1].tool_results()
    assert '"network":{"enabled":true}' in result.text


SERVER = McpServer(
    name="sums",
    command=STDIO_COMMAND[0],
    args=STDIO_COMMAND[1:],
)
ADD = reply(call("add", {"a": 1, "b": 2}, namespace="mcp__sums"))


@pytest.mark.parametrize(
    ("decision", "asked", "said"),
    [
        (allow(), 2, "3"),
        (allow_always(), 1, "3"),
        (deny("Count yourself."), 2, "user rejected MCP tool call"),
    ],
)
def test_mcp_tool_is_asked_for(
    desk: Desk, model_server: ModelServer, decision: Decision, asked: int, said: str
) -> None:
    model_server.script(ADD, ADD, DONE)
    person = Person(decision)
    asking(desk, person, mcp_servers=(SERVER,))
    assert [request.tool for request in person.asked] == ["sums.add"] * asked
    assert (person.asked[0].kind, person.asked[0].arguments) == ("mcp", {"a": 1, "b": 2})
    results = model_server.requests[-1].tool_results()
    assert [result.text.rpartition("\n")[2] for result in results] == [said, said]
    assert ("Count yourself." in model_server.requests[-1].user_texts()) is not decision.allowed


def test_stop_at_an_mcp_tool_ends_the_turn(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(lambda request: ADD if request.last_user_text() == "go" else DONE)
    with desk.agent(
        permissions="ask", on_permission=Person(deny(stop=True)), mcp_servers=[SERVER]
    ).start_session() as session:
        assert session.send("go").status == "interrupted"
        assert session.send("on").result == "done"


def test_leaving_the_turn_answers_what_is_open(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(TOUCH)
    model_server.respond(echo)
    go_on = threading.Event()
    asked = threading.Event()

    def think(_: PermissionRequest) -> bool:
        asked.set()
        return go_on.wait(WAIT)

    session = desk.start(permissions="ask", permission_desk=PermissionDesk(think))
    for event in session.prompt(Prompt(text="go")):
        if event.type == "tool_started":
            break
    go_on.set()
    assert desk.fold(desk.ask(session, "on")).result == "echo: on"
    assert written(desk) == set()
