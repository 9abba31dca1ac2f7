"""What running sessions do, for those who watch them from other processes."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final

from caw_core.serialize import event_from_dict, event_to_dict
from caw_core.storage import LiveEvent, place_of
from caw_storage_postgres.listening import Listeners
from caw_storage_postgres.texts import document_of, document_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_storage_postgres.database import Database
    from caw_storage_postgres.leases import Leases

MOST: Final = 1000
"""How many events of a session are kept."""

MOST_BYTES: Final = 4 * 2**20
"""How large these are together."""

LAST_BYTES: Final = 64 * 1024
"""How large those of a session that has ended are together."""

_EARLY = 4
"""Events are cut after each such part of what is kept, not with each call."""

_ENDED_SECONDS = 120
"""How long the last events of a session stay at least, once it has ended."""

_SILENT_SECONDS = 86_400
"""How long those of a session stay that was left without its end."""

_LOOK_AGAIN = 2.0
"""How often to look for events that nobody told of: the listening connection may be down."""


class LiveEvents:
    """The events of running sessions.

    Args:
        database: where they are.
        leases: the rights to write them.
    """

    def __init__(self, database: Database, leases: Leases) -> None:
        self._database = database
        self._leases = leases
        self._channel = channel_of(database.settings.schema)
        # How much was published of a session since it was last cut, by session.
        self._grown: dict[str, tuple[int, int]] = {}

    def publish(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Keep events for a while, and tell those who wait for them."""
        if not events:
            return
        lease = self._leases.held(session_id)
        documents = [document_text(event_to_dict(each.event)) for each in events]
        values = {
            "id": session_id,
            "token": None if lease is None else lease.token,
            "turns": [each.turn for each in events],
            "numbers": [each.number for each in events],
            "documents": documents,
            "channel": self._channel,
        }
        row = self._database.row("publish events", "publish", values, make=True)
        if row is None or not row[0]:
            raise self._leases.busy(session_id)
        count, size = self._grown.get(session_id, (MOST, 0))
        self._grown[session_id] = (count + len(events), size + sum(map(len, documents)))
        if count + len(events) > MOST // _EARLY or size > MOST_BYTES // _EARLY:
            self._trim(session_id, MOST_BYTES)
            self._grown[session_id] = (0, 0)

    def read(self, session_id: str, after: str, limit: int, wait_seconds: float) -> list[LiveEvent]:
        """Return events, waiting for the first one; see the hook ``read_events``."""
        turn, number = place_of(after)
        values = {"id": session_id, "turn": turn, "number": number, "limit": min(limit, 2**31)}
        found = self._read(values)
        if found or wait_seconds <= 0:
            return found
        end = time.monotonic() + wait_seconds
        with Listeners.of_process().waiting(
            self._database.settings, self._channel, session_id
        ) as news:
            while not (found := self._read(values)):
                left = end - time.monotonic()
                if left <= 0:
                    break
                news.wait(min(left, _LOOK_AGAIN))
                news.clear()
        return found

    def end(self, session_id: str) -> None:
        """Keep no more than the last events of a session, and none of those that ended before."""
        if self._grown.pop(session_id, None) is not None:
            self._trim(session_id, LAST_BYTES)
            values = {"completed": _ENDED_SECONDS, "open": _SILENT_SECONDS}
            self._database.row("forget old events", "sweep", values)

    def _trim(self, session_id: str, size: int) -> None:
        values = {"id": session_id, "most": MOST, "size": size}
        self._database.row("forget events", "trim", values)

    def _read(self, values: dict[str, object]) -> list[LiveEvent]:
        statement = self._database.statements["read_events"]
        rows = self._database.rows("read events", statement, values)
        return [
            LiveEvent(
                turn=turn,
                number=number,
                event=event_from_dict(document_of(text, f"event {turn}.{number}")),
            )
            for turn, number, text in rows
        ]


def channel_of(schema: str) -> str:
    """Return the channel on which the events of a schema are told; a name has 63 bytes at most."""
    digest = hashlib.sha256(schema.encode("utf-8", "surrogatepass")).hexdigest()
    return f"caw_{digest[:24]}"
