"""The rights to write a session, kept for as long as it is open."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from caw_core.chores import Chores
from caw_core.errors import SessionBusyError
from caw_core.storage import ExpiringLease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.storage import Lease

log = logging.getLogger("caw.storage")

RENEWALS = 3
"""How often a lease is renewed within the time that it holds: two of them may fail."""

RETRY_SECONDS = 2.0
"""After how long a renewal that failed is tried again at the latest."""


class SessionLeases:
    """The leases of one session, one for each storage that has leases.

    Those that run out are renewed until `release`, or until nobody holds this object any more. Use
    it as a context manager, or release it.

    Args:
        session_id: the session.
        leases: what the storages gave.
    """

    def __init__(self, session_id: str, leases: Sequence[Lease]) -> None:
        self._session_id = session_id
        self._leases = tuple(leases)
        self._expiring = [lease for lease in leases if isinstance(lease, ExpiringLease)]
        self._lost: SessionBusyError | None = None
        if self._expiring:
            _renewals.add(self, self._interval)

    def check(self) -> None:
        """Raise `SessionBusyError` if somebody else writes the session now."""
        if self._lost is not None:
            raise SessionBusyError(str(self._lost), holder=self._lost.holder) from self._lost

    def release(self) -> None:
        """Give all of them back; idempotent."""
        _renewals.remove(self)
        for lease in self._leases:
            lease.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def _interval(self) -> float:
        return min(lease.expires_after for lease in self._expiring) / RENEWALS

    def work(self) -> float | None:
        """Renew them; see `caw_core.chores.Worker`."""
        pause = self._interval
        for lease in self._expiring:
            try:
                lease.renew()
            except SessionBusyError as error:
                log.warning("session %s was taken by another writer: %s", self._session_id, error)
                self._lost = error
                return None
            except Exception as error:  # noqa: BLE001 - a storage may fail in any way
                log.warning("a lease of session %s was not renewed: %s", self._session_id, error)
                pause = min(pause, RETRY_SECONDS)
        return pause


_renewals = Chores("caw-leases")
