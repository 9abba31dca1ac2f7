"""Server-sent events: bytes in, the data of whole events out. No I/O."""

from __future__ import annotations

import attrs

from caw_core.blocks import JSON
from caw_core.json_fields import mapping, text
from caw_core.json_lines import read_line
from caw_core.process import LineSplitter


@attrs.frozen
class Message:
    """One event of opencode's bus.

    Attributes:
        raw: the data as it came.
        type: its kind, such as ``"message.part.updated"``; ``""`` where the data is no event.
        properties: its facts.
    """

    raw: bytes
    type: str
    properties: dict[str, JSON]

    @property
    def session_id(self) -> str:
        """The opencode session that it is about, or ``""``."""
        for holder in (
            self.properties,
            mapping(self.properties, "part"),
            mapping(self.properties, "info"),
        ):
            found = text(holder, "sessionID")
            if found:
                return found
        return ""


class SseParser:
    """Cuts a stream of server-sent events; comments, ids and names of events are passed over."""

    def __init__(self) -> None:
        self._lines = LineSplitter()
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes and return the data of the events that they complete."""
        done = []
        for line in self._lines.feed(chunk):
            if line.startswith(b"data:"):
                self._data.append(line.removeprefix(b"data:").removeprefix(b" "))
            elif not line and self._data:
                done.append(b"\n".join(self._data))
                self._data = []
        return done


def parse_message(data: bytes) -> Message | None:
    """Read the data of one event of ``GET /global/event``; never raises.

    Returns:
        The event; None for the copy of it that opencode 1.18.33 sends for its own synchronisation
        (``{"payload": {"type": "sync", …}}``).
    """
    payload = mapping(read_line(data).message, "payload")
    if text(payload, "type") == "sync":
        return None
    return Message(data, text(payload, "type"), mapping(payload, "properties"))
