"""Which URL leads to which store, and what two storages on one store have in common."""

from __future__ import annotations

import pytest

from caw_core.errors import ConfigError, SessionBusyError
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_memory import MemoryStorage, open_storage
from caw_testkit.conformance.played import played_agent

INFO = SessionInfo(session_id="a", provider="p", metadata={"k": [1]})


def stored(storage: MemoryStorage) -> bool:
    return storage.load_trajectory("a", None) is not None


def test_name_is_one_store_in_a_process() -> None:
    open_storage("memory://stores-1").persist_session(INFO)
    assert stored(open_storage("memory://stores-1"))
    assert not stored(open_storage("memory://stores-2"))


def test_store_without_a_name_is_the_openers_own() -> None:
    open_storage("memory:").persist_session(INFO)
    assert not stored(open_storage("memory:"))


@pytest.mark.parametrize("url", ["memory://", "memory:name", "memory:/name", "jsonl://x", "memory"])
def test_url_that_names_nothing_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"memory://name"):
        open_storage(url)


def test_lease_keeps_out_another_storage_of_the_same_store() -> None:
    first, second = open_storage("memory://stores-3"), open_storage("memory://stores-3")
    lease = first.lease_session("a")
    first.persist_session(INFO)
    for refused in (
        lambda: second.lease_session("a"),
        lambda: second.persist_session(INFO),
        lambda: second.persist_turn(INFO, Turn(index=0, input="x")),
        lambda: second.delete_session("a"),
    ):
        with pytest.raises(SessionBusyError):
            refused()
    lease.release()
    assert second.lease_session("a").token > lease.token
    with pytest.raises(SessionBusyError):
        first.persist_session(INFO)


def test_what_a_caller_does_to_its_values_changes_no_record() -> None:
    values: list[int] = [1]
    storage = MemoryStorage()
    storage.persist_session(SessionInfo(session_id="a", provider="p", metadata={"k": values}))
    values.append(2)
    record = storage.load_trajectory("a", None)
    assert record is not None
    assert record.metadata == {"k": [1]}


def test_session_of_an_agent_is_there_for_another_storage_of_that_name() -> None:
    agent = played_agent(open_storage("memory://stores-4"))
    with agent.start_session(session_id="mine") as session:
        session.send("one")
    record = open_storage("memory://stores-4").load_trajectory("mine", None)
    assert record is not None
    assert [turn.input for turn in record.turns] == ["one"]
