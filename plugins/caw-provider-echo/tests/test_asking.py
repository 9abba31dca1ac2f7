"""The directive ``!ask``, through `Agent`."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from caw_core import Agent, Decision, PermissionRequest, ToolUse, Turn, allow, allow_always, deny

Callback = Callable[[PermissionRequest], "Decision | bool"]
ASK = '!ask write {"path": "a.txt"}\nafter'
WAIT = 20.0


def asked(prompt: str, callback: Callback | None, **options: str) -> Turn:
    agent = Agent("echo", on_permission=callback, **options)  # type: ignore[arg-type]  # permissions
    with agent.start_session() as session:
        return session.send(prompt)


def the_call(turn: Turn) -> ToolUse:
    [call] = turn.tool_calls
    return call


def test_request_says_what_is_wanted() -> None:
    seen: list[PermissionRequest] = []

    def callback(request: PermissionRequest) -> bool:
        seen.append(request)
        return True

    turn = asked('!ask write {"path": "a.txt"}\n!ask odd', callback)
    assert [(each.tool, each.kind, dict(each.arguments)) for each in seen] == [
        ("write", "edit", {"path": "a.txt"}),
        ("odd", "other", {}),
    ]
    assert [each.call_id for each in seen] == [call.id for call in turn.tool_calls]
    assert seen[0].request_id != seen[1].request_id


def test_allowed_call_has_its_arguments_as_output() -> None:
    call = the_call(asked(ASK, lambda _: True))
    assert (call.status, call.output) == ("completed", '{"path": "a.txt"}')


def test_allowed_call_can_have_other_arguments() -> None:
    call = the_call(asked(ASK, lambda _: allow(arguments={"path": "b.txt"})))
    assert (call.arguments, call.output) == ({"path": "b.txt"}, '{"path": "b.txt"}')


def test_denied_call_is_declined_and_the_turn_goes_on() -> None:
    turn = asked(ASK, lambda _: deny("not today"))
    assert (the_call(turn).status, the_call(turn).output) == ("declined", "not today")
    assert (turn.result, turn.status) == ("echo: after", "completed")


def test_denial_can_end_the_turn() -> None:
    turn = asked(ASK, lambda _: deny("enough", stop=True))
    assert (the_call(turn).status, turn.status, turn.stop_reason) == (
        "declined",
        "interrupted",
        "cancelled",
    )
    assert turn.result == ""


def test_with_nobody_to_ask_the_answer_is_no() -> None:
    call = the_call(asked(ASK, None))
    assert (call.status, call.output) == ("declined", "nobody is there to give permission")


def test_allowed_always_is_not_asked_about_again() -> None:
    seen: list[str] = []

    def callback(request: PermissionRequest) -> Decision:
        seen.append(request.tool)
        return allow_always()

    with Agent("echo", on_permission=callback).start_session() as session:
        session.send("!ask write\n!ask write\n!ask shell")
        session.send("!ask write")
    assert seen == ["write", "shell"]


@pytest.mark.parametrize(
    ("permissions", "status"), [("full", "completed"), ("read-only", "declined")]
)
def test_what_is_settled_beforehand_is_not_asked(permissions: str, status: str) -> None:
    def callback(_: PermissionRequest) -> bool:
        raise AssertionError

    call = the_call(asked(ASK, callback, permissions=permissions))
    assert call.status == status


def test_interrupt_ends_a_turn_that_waits_for_an_answer() -> None:
    entered, leave = threading.Event(), threading.Event()

    def callback(_: PermissionRequest) -> bool:
        entered.set()
        return leave.wait(WAIT)

    with Agent("echo", on_permission=callback).start_session() as session:
        stream = session.stream(ASK)
        assert entered.wait(WAIT)
        session.interrupt()
        turn = stream.result()
        leave.set()
        assert (turn.status, turn.result) == ("interrupted", "")
        assert session.send("still there").result == "echo: still there"
