"""What running sessions do, for those who watch them from other processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from caw_core.serialize import event_from_dict, event_to_dict
from caw_core.storage import LiveEvent, place_of
from caw_storage_redis.documents import document_bytes, document_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caw_storage_redis.leases import Leases
    from caw_storage_redis.server import Server

MOST: Final = 1000
"""How many events of a session are kept, about."""

MOST_BYTES: Final = 4 * 2**20
"""How large these are together, unless the last one alone is larger."""

SILENT_SECONDS: Final = 86_400
"""How long those of a session stay that was left without its end."""

_LAST = 2**64 - 1
"""The largest number that a place in a stream can have."""


class LiveEvents:
    """The events of running sessions, in a stream for each, with places by turn and number.

    Args:
        server: where they are.
        leases: the rights to write them.
    """

    def __init__(self, server: Server, leases: Leases) -> None:
        self._server = server
        self._leases = leases

    def publish(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Keep events for a while."""
        if not events:
            return
        token = self._leases.token(session_id)
        # A stream has no place 0-0.
        each = [
            part
            for live in events
            for part in (
                f"{live.turn + 1}-{live.number}",
                document_bytes(event_to_dict(live.event)),
            )
        ]
        answer = self._server.read(
            "publish events", "publish", session_id, token, MOST, MOST_BYTES, SILENT_SECONDS, *each
        )
        self._leases.must_be_ours(session_id, answer)

    def read(self, session_id: str, after: str, limit: int, wait_seconds: float) -> list[LiveEvent]:
        """Return events, waiting for the first one; see the hook ``read_events``."""
        turn, number = place_of(after)
        place = f"{turn + 1}-{number}" if number >= 0 else f"{turn}-{_LAST}"
        key = self._server.key(f"events:{session_id}")
        end = time.monotonic() + wait_seconds
        # The server's answer must come before this end takes it for dead.
        longest = self._server.settings.timeout / 2
        wait = 0.0
        while True:
            block = int(1000 * wait) or None
            found: Any = self._server.ask(
                "read events",
                lambda client: client.xread({key: place}, count=limit, block=block),  # noqa: B023 - called at once
            )
            wait = min(end - time.monotonic(), longest)
            if found or wait <= 0:
                return list(_events(found))


def _events(streams: Any) -> Iterator[LiveEvent]:
    for _, entries in streams or ():
        for place, fields in entries:
            turn, _, number = place.decode().partition("-")
            where = f"event {int(turn) - 1}.{number}"
            document = document_of(fields[b"event"], where)
            yield LiveEvent(turn=int(turn) - 1, number=int(number), event=event_from_dict(document))
