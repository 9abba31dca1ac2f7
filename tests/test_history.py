"""Histories that caw sends: no tool call in them is without a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core import Agent, Turn
from caw_core.blocks import TextBlock, ToolUse
from caw_core.errors import ProcessError
from caw_core.events import Event, ToolOutput, ToolStarted
from caw_core.history import NO_RESULT, repaired
from caw_core.provider import ResumeRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.provider import StartRequest
    from tests.conftest import MemoryStorage, PlayedSession, Stage

blocks = st.one_of(
    st.builds(TextBlock, text=st.text()),
    st.builds(
        ToolUse,
        id=st.text(min_size=1, max_size=3),
        name=st.text(max_size=3),
        output=st.text(max_size=5),
        status=st.sampled_from(["running", "completed", "failed", "declined"]),
        extra=st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    ),
)
turns = st.lists(
    st.builds(
        Turn,
        index=st.integers(min_value=0),
        input=st.text(),
        output=st.lists(blocks, max_size=5).map(tuple),
        status=st.sampled_from(["completed", "interrupted", "failed", "unknown"]),
    ),
    max_size=5,
)


@given(turns)
def test_every_call_has_a_result_and_only_what_lacked_one_is_changed(history: list[Turn]) -> None:
    whole = repaired(history)
    assert len(whole) == len(history)
    for before, after in zip(history, whole, strict=True):
        if all(call.status != "running" for call in before.tool_calls):
            assert after is before
        assert attrs.evolve(after, output=before.output) == before
        for old, new in zip(before.output, after.output, strict=True):
            if not isinstance(old, ToolUse) or old.status != "running":
                assert new is old
                continue
            assert isinstance(new, ToolUse)
            assert (new.id, new.name, new.arguments) == (old.id, old.name, old.arguments)
            assert (new.status, new.is_error) == ("failed", True)
            assert new.output.startswith(old.output)
            assert new.output.endswith(NO_RESULT)
            assert new.extra == {**old.extra, "repaired": True}


@given(turns)
def test_repairing_what_was_repaired_changes_nothing(history: list[Turn]) -> None:
    once = repaired(history)
    assert all(again is turn for again, turn in zip(repaired(once), once, strict=True))


def broken_off(_: PlayedSession, text: str) -> Iterator[Event]:
    """Die in the middle of a call."""
    yield ToolStarted(call_id="1", name="deploy")
    yield ToolOutput(call_id="1", delta=text)
    raise ProcessError("it died")


@pytest.fixture
def requests(stage: Stage) -> list[StartRequest]:
    """Return the requests for sessions, as they come."""
    seen: list[StartRequest] = []
    stage.agent(broken_off, info={"capabilities": frozenset({"record_resume"})})
    stage.provider.on_open = lambda session: seen.append(session.request)
    return seen


def history_of(request: StartRequest) -> list[tuple[str, str]]:
    assert isinstance(request, ResumeRequest)
    assert request.trajectory is not None
    calls = [call for turn in request.trajectory.turns for call in turn.tool_calls]
    return [(call.status, call.output) for call in calls]


RESULT = ("failed", f"half\n{NO_RESULT}")


def test_conversation_that_is_resumed_in_another_process_has_results_and_the_record_has_not(
    stage: Stage, memory: MemoryStorage, requests: list[StartRequest]
) -> None:
    agent = Agent("played", registry=stage.registry, storage=memory)
    with agent.start_session(session_id="s") as session, pytest.raises(ProcessError):
        session.send("half")
    with agent.resume_session("s") as session:
        assert history_of(requests[-1]) == [RESULT]
        assert session.trajectory.turns[0].tool_calls[0].status == "running"
    assert memory.turns["s"][0].tool_calls[0].status == "running"


def test_fork_and_restart_have_results_and_not_the_prompt_that_is_still_to_be_sent(
    stage: Stage, requests: list[StartRequest]
) -> None:
    with Agent("played", registry=stage.registry).start_session() as session:
        with pytest.raises(ProcessError):
            session.send("half")
        with session.fork():
            assert history_of(requests[-1]) == [RESULT]
        with pytest.raises(ProcessError):
            session.send("again")
        assert history_of(requests[-1]) == [RESULT]
