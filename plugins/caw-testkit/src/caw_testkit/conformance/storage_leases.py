"""Checks of leases: a session has one writer, in all processes, and a dead one blocks nobody."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from typing import TYPE_CHECKING

from caw_core.errors import SessionBusyError
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_processes import WriterProcess
from caw_testkit.conformance.storage_samples import head, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.storage import Lease
    from caw_testkit.conformance.storage_opened import OpenedStorage

_ID = "session-1"
_PAUSE = 0.2
_THREADS = 8


class LeaseChecks(StorageSuite):
    """Two writers, and what becomes of a lease that is given back, lost or left behind."""

    @needs("lease_session")
    def test_second_lease_is_refused(self, store: Store) -> None:
        """Of two writers the second one hears of it before it has done anything."""
        lease = store.storage.lease(_ID)
        for storage in (store.storage, self._another(store)):
            must_be_busy(functools.partial(storage.lease, _ID), "a second lease_session")
        lease.release()

    @needs("lease_session", "durable")
    def test_second_lease_is_refused_in_another_process(self, store: Store) -> None:
        """Two processes on one session is how records are torn."""
        lease = store.storage.lease(_ID)
        with WriterProcess(store, _ID, "hold") as other:
            said = other.line()
        if not said.startswith("busy"):
            broken(
                "Another process got the lease of a session that has a writer.",
                "Hold the lease in the store itself, not in the process; raise SessionBusyError.",
            )
        lease.release()
        with WriterProcess(store, _ID, "hold") as other:
            if other.line() != "leased":
                broken("A lease that was released stays taken.", "Let release() give it back.")
            must_be_busy(lambda: store.storage.lease(_ID), "a lease that another process holds")

    @needs("lease_session")
    def test_released_lease_can_be_taken(self, store: Store) -> None:
        """To give back is idempotent, and takes nothing from whoever came next."""
        first = store.storage.lease(_ID)
        first.release()
        first.release()
        second = store.storage.lease(_ID)
        first.release()
        another = self._another(store)
        must_be_busy(lambda: another.lease(_ID), "a lease after another one's second release()")
        second.release()

    @needs("lease_session")
    def test_lease_is_of_one_session(self, store: Store) -> None:
        """Other sessions stay free, also those with similar ids."""
        leases = [store.storage.lease(name) for name in ("a", "ab", "a.b", "a-1", "a-10")]
        for lease in leases:
            lease.release()

    @needs("lease_session")
    def test_token_grows_with_each_lease(self, store: Store) -> None:
        """By the token a late write of an older lease can be told; it never starts again."""
        store.storage.write(head(_ID), simple_turn(0))
        store.release()
        tokens = []
        for _ in range(12):
            lease = store.storage.lease(_ID)
            tokens.append(lease.token)
            lease.release()
        if any(after <= before for before, after in itertools.pairwise(tokens)):
            broken(f"The tokens of leases in a row were {tokens}.", "Count them in the store.")

    @needs("lease_session")
    def test_threads_that_ask_at_once_get_one_lease(self, store: Store) -> None:
        """To look and to take is one step."""
        storages = [self._another(store) for _ in range(_THREADS)]
        start = threading.Barrier(_THREADS)
        taken: list[Lease] = []
        problems: list[Exception] = []

        def ask(storage: OpenedStorage) -> None:
            start.wait()
            try:
                taken.append(storage.lease(_ID))
            except SessionBusyError:
                pass
            except Exception as error:  # noqa: BLE001 - shown below
                problems.append(error)

        threads = [threading.Thread(target=ask, args=(storage,)) for storage in storages]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for lease in taken:
            lease.release()
        if len(taken) != 1 or problems:
            broken(
                f"Of {_THREADS} threads {len(taken)} got the lease; errors: {problems}.",
                "Take it with one atomic operation, and raise SessionBusyError where it is taken.",
            )

    @needs("lease_session", "durable")
    def test_writer_that_gave_its_lease_back_cannot_write_late(self, store: Store) -> None:
        """A write that was held up must not land in what somebody else writes now."""
        late = store.storage
        late.write(head(_ID), simple_turn(0))
        late.release()
        other = store.open()
        other.write(head(_ID), simple_turn(1))
        self._late_writes_are_refused(late, other)

    @needs("lease_session", "delete_session", "durable")
    def test_session_that_somebody_writes_cannot_be_deleted(self, store: Store) -> None:
        """The writer would go on into nothing."""
        expected = Trajectory.of(head(_ID), (simple_turn(0),))
        store.storage.write(expected.info, *expected.turns)
        must_be_busy(lambda: store.open().delete(_ID), "delete_session while somebody writes")
        store.storage.must_hold(expected, after="a refused delete_session")

    @needs("lease_session", "durable")
    def test_lease_of_a_dead_process_becomes_free(self, store: Store) -> None:
        """A crash may not lock a session for ever; `patience` says how long it may take."""
        with WriterProcess(store, _ID, "hold") as holder:
            if holder.line() != "leased":
                broken("A free session could not be leased.", "Only a lease may refuse a lease.")
        wait_for_lease(store, _ID)

    @needs("lease_session", "fencing", "durable")
    def test_writer_whose_lease_was_taken_away_cannot_write(self, store: Store) -> None:
        """A stopped process, a lost connection: the holder does not notice and writes on.

        The lease is checked in the same step as the write.
        """
        late = store.storage
        late.write(head(_ID), simple_turn(0))
        self.take_lease_away(store.folder, _ID)
        other = store.open()
        other.write(head(_ID), simple_turn(1))
        self._late_writes_are_refused(late, other)
        late.release()
        must_be_busy(lambda: store.open().lease(_ID), "a lease after the loser's release()")

    def _late_writes_are_refused(self, late: OpenedStorage, other: OpenedStorage) -> None:
        expected = Trajectory.of(head(_ID), (simple_turn(0), simple_turn(1)))
        changed = head(_ID, metadata={})
        must_be_busy(
            lambda: late.persist_turn(changed, simple_turn(1, input="late")), "a late persist_turn"
        )
        must_be_busy(lambda: late.persist_turn(changed, simple_turn(2)), "a late new turn")
        if "persist_session" in self.capabilities:
            must_be_busy(lambda: late.persist_session(changed), "a late persist_session")
        other.must_hold(expected, after="late writes that were refused")

    def _another(self, store: Store) -> OpenedStorage:
        return store.open() if "durable" in self.capabilities else store.storage


def wait_for_lease(store: Store, session_id: str) -> None:
    """Wait until the lease of a dead process has become free."""
    deadline = time.monotonic() + store.suite.patience
    while True:
        try:
            store.storage.lease(session_id).release()
        except SessionBusyError as error:
            if time.monotonic() > deadline:
                broken(
                    f"The holder is dead for {store.suite.patience:g} s, still: {error}",
                    "Tie the lease to the process (a lock of the system, a connection) or let "
                    "it run out, and set 'patience' if that takes longer.",
                )
            # Nobody tells when a lease runs out, so it is asked for again.
            time.sleep(_PAUSE)
        else:
            return


def must_be_busy(call: Callable[[], object], what: str) -> None:
    """Fail unless *call* is refused because somebody else has the session."""
    advice = "Raise caw_core.errors.SessionBusyError, with 'holder' where it is known."
    try:
        call()
    except SessionBusyError:
        return
    except Exception as error:  # noqa: BLE001 - any other one is the finding
        broken(f"{what} raises {type(error).__name__}: {error}", advice)
    broken(f"{what} was accepted.", advice)
