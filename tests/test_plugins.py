from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Agent, hookimpl
from caw_core.errors import PersistError, StorageError
from caw_core.events import Event, ToolFinished, ToolStarted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_core.trajectory import SessionInfo


class Log:
    """A storage that writes down who was called, in a list that several share."""

    caw_api = "1.0"

    def __init__(self, name: str, calls: list[str], error: Exception | None = None) -> None:
        self.name, self.calls, self.error = name, calls, error

    @hookimpl
    def persist_turn(self, turn: Any) -> None:
        self.calls.append(f"{self.name} {turn.status}")
        if self.error:
            raise self.error

    @hookimpl
    def load_trajectory(self, session_id: str) -> Any:
        self.calls.append(f"{self.name} load")


@pytest.fixture
def observed(stage: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes an agent with observers."""

    def agent(*observers: object, **options: Any) -> Agent:
        named = [(f"observer{number}", plugin) for number, plugin in enumerate(observers)]
        monkeypatch.setattr(stage.registry, "load_observers", lambda: named)
        made: Agent = stage.agent(**options)
        return made

    return agent


def test_storages_are_called_in_order_and_then_the_listeners(observed: Any) -> None:
    calls: list[str] = []

    class Listener:
        caw_api = "1.0"

        @hookimpl
        def persist_turn(self, turn: Any) -> None:
            calls.append(f"listener {turn.status}")

    observed(Listener(), storage=[Log("a", calls), Log("b", calls)]).completion("x")
    assert calls == [
        f"{who} {status}" for status in ("running", "completed") for who in ("a", "b", "listener")
    ]


def test_failed_sink_does_not_stop_others_and_the_caller_hears_of_it(stage: Any) -> None:
    calls: list[str] = []
    storages = [Log("a", calls, OSError("full")), Log("b", calls), Log("c", calls, KeyError("bug"))]
    session = stage.agent(storage=storages).start_session()
    with pytest.raises(PersistError) as caught:
        session.send("x")
    assert [type(error) for error in caught.value.exceptions] == [OSError, KeyError]
    assert caught.value.turn == session.trajectory.turns[0]
    assert caught.value.turn is not None
    assert caught.value.turn.status == "completed"
    assert "storage 'Log'" in caught.value.exceptions[0].__notes__[0]
    assert calls.count("b completed") == 1


def test_first_storage_that_has_a_record_answers(stage: Any, memory: Any) -> None:
    calls: list[str] = []
    stage.agent(storage=memory).start_session(session_id="s").end()
    found = stage.agent(storage=[Log("a", calls), memory, Log("b", calls)]).load_trajectory("s")
    assert found is not None
    assert calls == ["a load"]


def test_listener_that_fails_is_heard_of_and_keeps_nobody_from_storing(
    observed: Any, memory: Any
) -> None:
    class Listener:
        caw_api = "1.0"

        @hookimpl
        def persist_turn(self, turn: Any) -> None:
            raise RuntimeError(turn.status)

    session = observed(Listener(), storage=memory).start_session()
    with pytest.raises(PersistError):
        session.send("x")
    assert memory.turns[session.session_id][0].status == "completed"


def test_wrapper_is_around_each_storage_and_may_change_what_it_gets(
    observed: Any, memory: Any
) -> None:
    around: list[str] = []

    class Wrapper:
        caw_api = "1.0"

        @hookimpl(wrapper=True)
        def persist_turn(self, turn: Any) -> Iterator[None]:
            around.append("before")
            try:
                return (yield)
            finally:
                around.append("after")

    calls: list[str] = []
    observed(Wrapper(), storage=[memory, Log("b", calls)]).completion("x")
    # Two states of the turn, two storages.
    assert around == ["before", "after"] * 4


def test_wrapper_is_around_the_provider(observed: Any) -> None:
    seen: list[Any] = []

    class Wrapper:
        caw_api = "1.0"

        @hookimpl(wrapper=True)
        def start_session(self, request: Any) -> Any:
            seen.append(request.session_id)
            session = yield
            seen.append(session)
            return session

    session = observed(Wrapper()).start_session(session_id="s-1")
    assert seen[0] == "s-1"
    assert seen[1] is not None
    session.end()


def test_observer_may_listen_to_one_hook_and_wrap_another(observed: Any, memory: Any) -> None:
    heads: list[SessionInfo] = []
    around: list[str] = []

    class Both:
        caw_api = "1.0"

        @hookimpl(wrapper=True)
        def persist_turn(self, turn: Any) -> Iterator[None]:
            around.append(turn.status)
            return (yield)

        @hookimpl
        def persist_session(self, session: SessionInfo) -> None:
            heads.append(session)

    calls: list[str] = []
    observed(Both(), storage=[memory, Log("b", calls)]).completion("x")
    assert around.count("completed") == 3, "two storages and the listener itself"
    assert len(heads) == 2, "at the beginning and at the end, not once for each storage"


def test_observer_that_listens_to_turns_may_wrap_loading(observed: Any, memory: Any) -> None:
    loads: list[str] = []

    class Both:
        caw_api = "1.0"

        @hookimpl
        def persist_turn(self, turn: Any) -> None: ...

        @hookimpl(wrapper=True)
        def load_trajectory(self, session_id: str) -> Iterator[None]:
            loads.append(session_id)
            return (yield)

    observed(Both(), storage=memory).load_trajectory("s")
    assert loads == ["s"]


def test_hook_may_take_a_part_of_its_arguments(stage: Any) -> None:
    class Small:
        caw_api = "1.0"
        attempts: list[int] = []  # noqa: RUF012 - one test uses it

        @hookimpl
        def persist_turn(self, attempt: int) -> None:
            self.attempts.append(attempt)

        @hookimpl
        def load_trajectory(self) -> None: ...

    stage.agent(storage=Small()).completion("x")
    assert Small.attempts == [1, 1]


def test_running_turn_is_stored_at_its_beginning_and_at_tools_but_not_each_time(
    stage: Any, memory: Any
) -> None:
    def answer(_: Any, text: str) -> Iterator[Event]:
        for number in range(50):
            yield ToolStarted(call_id=str(number), name="t")
            yield ToolFinished(call_id=str(number), output="o")

    stage.agent(answer, storage=memory).completion("x")
    statuses = [status for _, status, _ in memory.calls]
    assert statuses[0] == "running"
    assert statuses[-1] == "completed"
    assert len(statuses) < 20


def test_driver_error_of_a_storage_becomes_a_storage_error(stage: Any) -> None:
    class Down(Log):
        @hookimpl
        def lease_session(self, session_id: str) -> Any:
            msg = "connection refused"
            raise ConnectionRefusedError(msg)

    with pytest.raises(StorageError, match="connection refused"):
        stage.agent(storage=Down("a", [])).start_session()


def test_folder_of_the_session_is_asked_of_the_storages(stage: Any, tmp_path: Path) -> None:
    class Folders(Log):
        @hookimpl
        def session_dir(self, session_id: str) -> Path:
            return tmp_path / session_id

    with stage.agent(storage=[Log("a", []), Folders("b", [])]).start_session() as session:
        assert session.session_dir == tmp_path / session.session_id
    with stage.agent().start_session() as session:
        assert session.session_dir is None
