"""Leases that run out are renewed while the session is open, and a lost one stops the next turn."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Any

import pytest

from caw_core import hookimpl
from caw_core.errors import SessionBusyError, StorageError
from caw_core.storage import ExpiringLease

WAIT = 20.0


class ShortLease:
    """Holds for a moment; renews as the test says."""

    token = 1
    expires_after = 0.15

    def __init__(self) -> None:
        self.renewals = 0
        self.renewed = threading.Semaphore(0)
        self.failure: Exception | None = None
        self.released = threading.Event()

    def renew(self) -> None:
        self.renewals += 1
        self.renewed.release()
        if self.failure is not None:
            raise self.failure

    def release(self) -> None:
        self.released.set()


class LeasingStorage:
    """Keeps nothing, and has the lease of the test."""

    caw_api = "1.0"

    def __init__(self) -> None:
        self.lease = ShortLease()

    @hookimpl
    def persist_turn(self) -> None:
        pass

    @hookimpl
    def load_trajectory(self) -> None:
        return None

    @hookimpl
    def lease_session(self) -> ShortLease:
        return self.lease


@pytest.fixture
def storage() -> LeasingStorage:
    return LeasingStorage()


def lease_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "caw-leases"]


def wait_until_no_lease_thread() -> None:
    for thread in lease_threads():
        thread.join(WAIT)
        assert not thread.is_alive()


def renewed(lease: ShortLease, times: int = 1) -> None:
    for _ in range(times):
        assert lease.renewed.acquire(timeout=WAIT)


def test_lease_that_runs_out_is_renewed_until_the_session_ends(stage: Any, storage: Any) -> None:
    lease: object = storage.lease
    assert isinstance(lease, ExpiringLease)
    with stage.agent(storage=storage).start_session() as session:
        renewed(storage.lease, 3)
        session.send("hi")
    assert storage.lease.released.is_set()
    wait_until_no_lease_thread()


def test_renewal_that_failed_is_tried_again(stage: Any, storage: Any) -> None:
    storage.lease.failure = StorageError("the server is away")
    with stage.agent(storage=storage).start_session() as session:
        renewed(storage.lease, 2)
        storage.lease.failure = None
        renewed(storage.lease)
        assert session.send("hi").status == "completed"


def test_lost_lease_refuses_the_next_turn_before_the_agent_is_asked(
    stage: Any, storage: Any
) -> None:
    with stage.agent(storage=storage).start_session() as session:
        storage.lease.failure = SessionBusyError("process 7 has it", holder="process 7")
        renewed(storage.lease)
        wait_until_no_lease_thread()
        with pytest.raises(SessionBusyError, match="process 7") as caught:
            session.send("hi")
        assert caught.value.holder == "process 7"
        assert stage.session.prompts == []
        assert storage.lease.renewals == 1


def test_session_that_is_dropped_is_not_kept_alive_by_its_lease(stage: Any, storage: Any) -> None:
    session = stage.agent(storage=storage).start_session()
    renewed(storage.lease)
    del session
    gc.collect()
    assert storage.lease.released.wait(WAIT)
    wait_until_no_lease_thread()


def test_session_that_could_not_be_opened_gives_its_lease_back(stage: Any, storage: Any) -> None:
    agent = stage.agent(storage=storage)

    def refuse(_: object) -> None:
        raise RuntimeError

    stage.provider.on_open = refuse
    with pytest.raises(RuntimeError):
        agent.start_session()
    assert storage.lease.released.is_set()
    wait_until_no_lease_thread()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_fork_leaves_the_leases_to_its_parent(stage: Any, storage: Any) -> None:
    with stage.agent(storage=storage).start_session():
        renewed(storage.lease)
        pid = os.fork()
        if not pid:
            before = storage.lease.renewals
            time.sleep(3 * storage.lease.expires_after)  # nothing tells that nothing happens
            os._exit(int(bool(lease_threads()) or storage.lease.renewals != before))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        renewed(storage.lease)
