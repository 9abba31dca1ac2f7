"""Mirrors lag behind and catch up; a storage that is away for a moment is asked again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from caw_core import hookimpl
from caw_core import mirrors as module
from caw_core.errors import ConfigError, PersistError, SessionBusyError, StorageError
from caw_core.storage_retry import StorageRetry
from caw_core.trajectory import SessionInfo, Trajectory, Turn

WAIT = 20.0


class Mirror:
    """Keeps records, as the test lets it."""

    caw_api = "1.0"

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.asked = threading.Semaphore(0)
        self.holding: threading.Event | None = None
        self.turns: list[tuple[int, str]] = []
        self.heads: list[SessionInfo] = []
        self.ended = threading.Event()

    @hookimpl
    def persist_turn(self, session: SessionInfo, turn: Turn) -> None:
        self._answer()
        self.turns.append((turn.index, turn.status))

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        self._answer()
        self.heads.append(session)
        if session.completed_at:
            self.ended.set()

    @hookimpl
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        raise AssertionError

    def _answer(self) -> None:
        self.asked.release()
        if self.holding is not None:
            assert self.holding.wait(WAIT)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def mirror() -> Mirror:
    return Mirror()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a person would wait for is no part of what is tested.
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)


def test_mirror_gets_what_the_storage_gets(stage: Any, memory: Any, mirror: Mirror) -> None:
    with stage.agent(storage=memory, mirrors=mirror).start_session() as session:
        session.send("one")
        session.send("two")
    assert mirror.turns == [(0, "completed"), (1, "completed")]
    assert mirror.heads[-1] == memory.heads[session.session_id]
    assert mirror.heads[-1].completed_at


def test_turn_does_not_wait_for_a_mirror(stage: Any, memory: Any, mirror: Mirror) -> None:
    mirror.holding = threading.Event()
    session = stage.agent(storage=memory, mirrors=mirror).start_session()
    session.send("one")
    assert session._core.recorder.pending_turns == (0,)
    mirror.holding.set()
    session.end()
    assert mirror.turns == [(0, "completed")]


def test_mirror_that_is_down_fails_nothing_and_catches_up_in_order(
    stage: Any, memory: Any, mirror: Mirror
) -> None:
    mirror.failure = StorageError("away")
    with stage.agent(storage=memory, mirrors=[mirror]).start_session() as session:
        for words in ("one", "two"):
            session.send(words)
            assert mirror.asked.acquire(timeout=WAIT)
        assert mirror.turns == []
        mirror.failure = None
        session.send("three")
        session.flush()
        assert mirror.turns == [(0, "completed"), (1, "completed"), (2, "completed")]


def test_mirror_is_tried_again_without_being_asked(stage: Any, memory: Any, mirror: Mirror) -> None:
    mirror.failure = StorageError("away")
    with stage.agent(storage=memory, mirrors=mirror).start_session() as session:
        session.send("one")
        for _ in range(3):
            assert mirror.asked.acquire(timeout=WAIT)
        mirror.failure = None
        session._core.change_info(completed_at="only to be seen")
        session._core.recorder.record_head(session.info)
        assert mirror.ended.wait(WAIT)
        assert mirror.turns == [(0, "completed")]


def test_what_a_mirror_lacks_at_the_end_is_told(
    stage: Any, memory: Any, mirror: Mirror, caplog: pytest.LogCaptureFixture
) -> None:
    mirror.failure = StorageError("away")
    with stage.agent(storage=memory, mirrors=mirror).start_session() as session:
        session.send("one")
    (told,) = [each.message for each in caplog.records if each.levelname == "ERROR"]
    assert told == (
        f"mirror 'Mirror' lacks 1 turns of session {session.session_id}; "
        "'caw sessions repair' brings them"
    )


def test_mirror_is_never_read(stage: Any, memory: Any, mirror: Mirror) -> None:
    agent = stage.agent(storage=memory, mirrors=mirror)
    with agent.start_session(session_id="s") as session:
        session.send("one")
    assert agent.load_trajectory("none") is None
    with agent.resume_session("s") as session:
        assert session.trajectory.num_turns == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (lambda memory: {"mirrors": memory}, "there is none"),
        (lambda memory: {"storage": memory, "mirrors": [memory]}, "given twice"),
        (lambda memory: {"storage": memory, "mirrors": 5}, "mirrors is a URL"),
        (lambda memory: {"storage_retry": 3}, "storage_retry"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    stage: Any, memory: Any, options: Callable[[Any], Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        stage.agent(**options(memory))


@pytest.mark.parametrize("given", [{"attempts": 0}, {"attempts": "2"}, {"wait": -1}])
def test_retry_that_makes_no_sense_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError):
        StorageRetry(**given)


class Restarting:
    """Fails as often as the test says, then works."""

    caw_api = "1.0"

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.attempts: list[tuple[str, int]] = []

    @hookimpl
    def persist_turn(self, turn: Turn, attempt: int) -> None:
        self.attempts.append((turn.status, attempt))
        if turn.status != "running":
            self._fail()

    @hookimpl
    def load_trajectory(self, session_id: str) -> Trajectory | None:
        self._fail()
        return None

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


QUICK = StorageRetry(wait=0)


def test_finished_turn_is_tried_again(stage: Any) -> None:
    storage = Restarting(StorageError("away"), OSError("away"))
    with stage.agent(storage=storage, storage_retry=QUICK).start_session() as session:
        assert session.send("x").status == "completed"
    attempts = [("running", 1), ("completed", 1), ("completed", 2), ("completed", 3)]
    assert storage.attempts == attempts


def test_turn_that_no_attempt_stored_stays_with_the_session(stage: Any) -> None:
    storage = Restarting(*[StorageError("away")] * 3)
    with stage.agent(storage=storage, storage_retry=QUICK).start_session() as session:
        with pytest.raises(PersistError) as caught:
            session.send("x")
        assert caught.value.turn is not None
        session.flush()
    assert storage.attempts[-1] == ("completed", 4)


def test_record_is_read_again_before_it_counts_as_out_of_reach(stage: Any) -> None:
    agent = stage.agent(storage=Restarting(OSError("away")), storage_retry=QUICK)
    assert agent.load_trajectory("s") is None
    agent = stage.agent(storage=Restarting(*[OSError("away")] * 3), storage_retry=QUICK)
    with pytest.raises(StorageError, match="away"):
        agent.load_trajectory("s")


def test_session_of_somebody_else_is_told_at_once(stage: Any) -> None:
    storage = Restarting(SessionBusyError("process 7 has it"))
    agent = stage.agent(storage=storage, storage_retry=QUICK)
    with pytest.raises(SessionBusyError):
        agent.load_trajectory("s")
    assert storage.failures == []
