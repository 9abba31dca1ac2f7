"""Checks of leases that run out: renewed in time they hold, by the clock of the store."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from caw_core.storage import ExpiringLease
from caw_core.trajectory import Trajectory
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_leases import must_be_busy
from caw_testkit.conformance.storage_processes import WriterProcess
from caw_testkit.conformance.storage_samples import head, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from caw_core.storage import Lease
    from caw_testkit.conformance.storage_opened import OpenedStorage

_ID = "session-1"
_DAY = 86_400


class ExpiryChecks(StorageSuite):
    """What `caw_core.storage.ExpiringLease` promises."""

    @needs("lease_session")
    def test_lease_runs_out_if_that_is_declared(self, store: Store) -> None:
        """The core renews a lease that says how; one that runs out and does not say so is lost."""
        lease = store.storage.lease(_ID)
        lease.release()
        runs_out = isinstance(lease, ExpiringLease)
        if runs_out != ("expiring_leases" in self.capabilities):
            broken(
                f"The lease is {'an' if runs_out else 'no'} ExpiringLease, and 'expiring_leases' "
                f"is {'not ' if runs_out else ''}declared.",
                "Give it expires_after and renew(), and declare it, or neither.",
            )

    @needs("lease_session", "expiring_leases")
    def test_lease_says_how_long_it_holds(self, store: Store) -> None:
        """The core renews it three times within that time, so it must be some seconds."""
        seconds = expiring(store.storage.lease(_ID)).expires_after
        if not (1 <= seconds < math.inf):
            broken(f"expires_after is {seconds!r}.", "Give seconds, a few at least.")

    @needs("lease_session", "expiring_leases")
    def test_lease_that_ran_out_can_be_taken(self, store: Store) -> None:
        """Its holder may be dead, stopped, or cut off for good."""
        storage = store.storage
        storage.lease(_ID)
        must_be_busy(lambda: self._other(store).lease(_ID), "a lease that holds still")
        self.let_lease_run_out(store.folder, _ID)
        self._other(store).lease(_ID).release()

    @needs("lease_session", "expiring_leases")
    def test_lease_that_ran_out_and_nobody_took_still_writes(self, store: Store) -> None:
        """A pause of the network may outlast the lease; the token counts, not the time."""
        lease = expiring(store.storage.lease(_ID))
        store.storage.persist_turn(head(_ID), simple_turn(0))
        self.let_lease_run_out(store.folder, _ID)
        store.storage.persist_turn(head(_ID), simple_turn(1))
        lease.renew()
        must_be_busy(lambda: self._other(store).lease(_ID), "a lease that was renewed late")
        store.storage.persist_turn(head(_ID), simple_turn(2))
        lease.release()
        turns = [simple_turn(index) for index in range(3)]
        store.reopened().must_have_turns(_ID, turns, after="writing with a lease that ran out")

    @needs("lease_session", "expiring_leases")
    def test_renewed_lease_holds(self, store: Store) -> None:
        """It is renewed from a thread of the core's, and again and again."""
        lease = expiring(store.storage.lease(_ID))
        token = lease.token
        for _ in range(3):
            renewing = threading.Thread(target=lease.renew)
            renewing.start()
            renewing.join()
            must_be_busy(lambda: self._other(store).lease(_ID), "a lease that was renewed")
        if lease.token != token:
            broken("renew() gave another token.", "The token is the lease's for good.")
        lease.release()
        self._other(store).lease(_ID).release()

    @needs("lease_session", "expiring_leases", "durable")
    def test_lost_lease_is_told_by_its_renewal_and_by_writes(self, store: Store) -> None:
        """The loser stops then; whatever it does takes nothing from the other one."""
        lease = expiring(store.storage.lease(_ID))
        store.storage.persist_turn(head(_ID), simple_turn(0))
        self.let_lease_run_out(store.folder, _ID)
        other = store.open()
        other.write(head(_ID), simple_turn(1))
        must_be_busy(lease.renew, "renew() of a lease that was lost")
        must_be_busy(
            lambda: store.storage.persist_turn(head(_ID), simple_turn(1, input="late")),
            "a write after renew() was refused",
        )
        lease.release()
        must_be_busy(lambda: store.open().lease(_ID), "a lease after the loser's release()")
        expected = Trajectory.of(head(_ID), (simple_turn(0), simple_turn(1)))
        other.must_hold(expected, after="a lost lease")

    @needs("lease_session", "expiring_leases")
    def test_lost_lease_stays_lost_when_the_other_one_has_ended(self, store: Store) -> None:
        """The session is another one by now; to go on would write over what was done there."""
        lease = expiring(store.storage.lease(_ID))
        self.let_lease_run_out(store.folder, _ID)
        self._other(store).lease(_ID).release()
        must_be_busy(lease.renew, "renew() after another one had the lease and gave it back")

    @needs("lease_session", "expiring_leases")
    def test_released_lease_is_not_renewed(self, store: Store) -> None:
        """A renewal that was on its way at the end must not lock the session again."""
        lease = expiring(store.storage.lease(_ID))
        lease.release()
        second = self._other(store).lease(_ID)
        must_be_busy(lease.renew, "renew() of a lease that was given back")
        second.release()
        self._other(store).lease(_ID).release()

    @needs("lease_session", "server_clock", "durable")
    def test_clock_of_another_machine_does_not_end_a_lease(self, store: Store) -> None:
        """Clocks of machines differ by minutes, and now and then by days."""
        lease = store.storage.lease(_ID)
        for skew in (_DAY, -_DAY):
            with WriterProcess(store, _ID, "hold", str(skew)) as other:
                if not other.line().startswith("busy"):
                    broken(
                        f"A process whose clock is {skew} s off took a lease that holds.",
                        "Let the store compare with its own clock: now(), TIME, julianday('now').",
                    )
        lease.release()

    @needs("lease_session", "expiring_leases", "server_clock", "durable")
    def test_clock_of_the_holder_does_not_prolong_a_lease(self, store: Store) -> None:
        """Nor does it end it: the time at which it runs out is the store's too."""
        for skew in (_DAY, -_DAY):
            with WriterProcess(store, f"skew{skew}", "hold", str(skew)) as holder:
                holder.line()
                name = f"skew{skew}"
                must_be_busy(lambda: store.open().lease(name), "a lease of a skewed clock")  # noqa: B023 - called at once
                self.let_lease_run_out(store.folder, name)
                store.open().lease(name).release()

    def _other(self, store: Store) -> OpenedStorage:
        return store.open() if "durable" in self.capabilities else store.storage


def expiring(lease: Lease) -> ExpiringLease:
    """Return *lease* as one that runs out; fail if it is none."""
    if not isinstance(lease, ExpiringLease):
        broken(
            f"The lease, a {type(lease).__name__}, has no expires_after and renew().",
            "Give it both, as caw_core.storage.ExpiringLease has them.",
        )
    return lease
