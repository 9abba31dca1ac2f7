from __future__ import annotations

import threading
from typing import Any

import pytest

from caw_core.errors import PersistError
from caw_core.plugins import AgentPlugins
from caw_core.recorder import Recorder
from caw_core.redaction import Redactor
from caw_core.trajectory import SessionInfo, Turn

HEAD = SessionInfo(session_id="s", provider="p")


def turn(index: int = 0, status: Any = "completed", text: str = "x") -> Turn:
    return Turn(index=index, input=text, status=status)


@pytest.fixture
def recorder(stage: Any, memory: Any) -> Recorder:
    return Recorder(AgentPlugins("played", stage.provider, [("memory", memory)]), Redactor())


def test_turn_that_was_refused_is_kept_and_flushed(recorder: Recorder, memory: Any) -> None:
    memory.failing = OSError("full")
    with pytest.raises(PersistError) as caught:
        recorder.record_turn(HEAD, turn())
    assert caught.value.turn == turn()
    assert "session.flush()" in str(caught.value)
    assert recorder.pending_turns == (0,)
    memory.failing = None
    recorder.flush(HEAD)
    assert not recorder.pending_turns
    assert memory.turns["s"] == {0: turn()}


def test_attempts_are_counted_for_the_same_state(recorder: Recorder, memory: Any) -> None:
    memory.failing = OSError("full")
    with pytest.raises(PersistError):
        recorder.record_turn(HEAD, turn())
    for _ in range(2):
        with pytest.raises(PersistError):
            recorder.flush(HEAD)
    memory.failing = None
    recorder.flush(HEAD)
    recorder.flush(HEAD)
    assert [attempt for _, _, attempt in memory.calls] == [1, 2, 3, 4]


def test_later_state_of_a_turn_takes_the_place_of_the_refused_one(
    recorder: Recorder, memory: Any
) -> None:
    memory.failing = OSError("full")
    recorder.record_turn(HEAD, turn(status="running"))
    assert recorder.pending_turns == (0,)
    memory.failing = None
    recorder.record_turn(HEAD, turn())
    assert not recorder.pending_turns
    assert memory.calls == [(0, "running", 1), (0, "completed", 1)]


def test_running_state_that_was_refused_is_no_error_yet(recorder: Recorder, memory: Any) -> None:
    memory.failing = OSError("full")
    recorder.record_turn(HEAD, turn(status="running"))


def test_flush_goes_from_old_to_new_and_goes_on_after_a_failure(
    recorder: Recorder, memory: Any
) -> None:
    memory.failing = OSError("full")
    for index in (2, 0, 1):
        with pytest.raises(PersistError):
            recorder.record_turn(HEAD, turn(index))
    memory.calls.clear()
    with pytest.raises(PersistError) as caught:
        recorder.flush(HEAD)
    assert [index for index, _, _ in memory.calls] == [0, 1, 2]
    assert len(caught.value.exceptions) == 3
    assert recorder.pending_turns == (0, 1, 2)


def test_two_storages_of_one_kind_are_kept_apart(stage: Any, memory: Any) -> None:
    other = type(memory)()
    plugins = AgentPlugins("played", stage.provider, [("jsonl", memory), ("jsonl", other)])
    recorder = Recorder(plugins, Redactor())
    memory.failing = OSError("full")
    with pytest.raises(PersistError):
        recorder.record_turn(HEAD, turn())
    assert recorder.pending_turns == (0,)
    memory.failing = None
    recorder.flush(HEAD)
    assert memory.turns["s"] == other.turns["s"] == {0: turn()}
    assert len(other.calls) == 1, "who has it is not asked again"


def test_head_that_was_refused_is_flushed(recorder: Recorder, memory: Any) -> None:
    memory.failing = OSError("full")
    assert [str(error) for error in recorder.record_head(HEAD)] == ["full"]
    memory.failing = None
    recorder.flush(HEAD)
    assert memory.heads == {"s": HEAD}


def test_flush_never_writes_an_older_state_over_a_newer_one(
    recorder: Recorder, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.failing = OSError("full")
    recorder.record_turn(HEAD, turn(status="running"))
    memory.failing = None
    entered, release = threading.Event(), threading.Event()
    persist = recorder._plugins.persist_turn

    def slowly(sink: Any, session: Any, state: Turn, attempt: int) -> None:
        if state.status == "running":
            entered.set()
            release.wait(20)
        persist(sink, session, state, attempt)

    monkeypatch.setattr(recorder._plugins, "persist_turn", slowly)
    flushing = threading.Thread(target=recorder.flush, args=(HEAD,))
    flushing.start()
    assert entered.wait(20)
    ending = threading.Thread(target=recorder.record_turn, args=(HEAD, turn()))
    ending.start()
    release.set()
    flushing.join(20)
    ending.join(20)
    assert memory.turns["s"][0].status == "completed"


def test_recorder_without_sinks_is_idle(stage: Any) -> None:
    recorder = Recorder(AgentPlugins("played", stage.provider), Redactor())
    assert not recorder.active
    recorder.record_turn(HEAD, turn())
    recorder.flush(HEAD)


def test_next_turn_brings_the_refused_one_along(recorder: Recorder, memory: Any) -> None:
    memory.failing = OSError("full")
    with pytest.raises(PersistError):
        recorder.record_turn(HEAD, turn(0))
    memory.failing = None
    recorder.record_turn(HEAD, turn(1))
    assert memory.turns["s"] == {0: turn(0), 1: turn(1)}
    assert not recorder.pending_turns


def test_record_gets_no_hole_while_an_older_turn_is_refused(
    recorder: Recorder, memory: Any
) -> None:
    memory.failing = OSError("full")
    for index in (0, 1):
        with pytest.raises(PersistError):
            recorder.record_turn(HEAD, turn(index))
    assert {index for index, _, _ in memory.calls} == {0}
    assert recorder.pending_turns == (0, 1)
    memory.failing = None
    recorder.flush(HEAD)
    assert memory.turns["s"] == {0: turn(0), 1: turn(1)}
