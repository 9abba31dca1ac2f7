"""The echo through `Agent`, found by its entry point."""

from __future__ import annotations

import pytest

from caw_core import Agent
from caw_core.errors import LimitError


def test_agent_answers() -> None:
    with Agent("echo").start_session() as session:
        turn = session.send("Hello")
    assert (turn.result, turn.status, turn.stop_reason) == ("echo: Hello", "completed", "end_turn")


def test_tool_call_becomes_a_block() -> None:
    with Agent("echo").start_session() as session:
        [call] = session.send('!tool ls {"path": "."} => a.txt').tool_calls
    assert (call.name, call.arguments, call.output) == ("ls", {"path": "."}, "a.txt")


def test_failed_turn_keeps_what_was_said() -> None:
    agent = Agent("echo", auto_wait=False)
    with agent.start_session() as session, pytest.raises(LimitError) as caught:
        session.send("before\n!fail usage")
    assert caught.value.turn is not None
    assert (caught.value.turn.status, caught.value.turn.result) == ("failed", "echo: before")


def test_handle_resumes_without_a_storage() -> None:
    agent = Agent("echo")
    with agent.start_session() as session:
        session.send("one")
        handle = session.resume_handle
    with agent.resume_session(handle) as session:
        assert session.send("!history").result == "!history"
