"""What is said into a running turn: in order, and with one answer for the whole turn."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from caw_core.json_fields import mapping, number, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_provider_opencode.client import Answer
    from caw_provider_opencode.sse import Message


class Spoken:
    """The messages in the user's name that opencode has taken up, as its events tell.

    Requests that run at once are taken up in any order, so each has to wait for the one before.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._arrived = threading.Condition()
        self._sending = threading.Lock()

    def receive(self, message: Message) -> None:
        """Take an event; called in the reader's thread."""
        info = mapping(message.properties, "info")
        if message.type == "message.updated" and text(info, "role") == "user":
            with self._arrived:
                self._ids.add(text(info, "id"))
                self._arrived.notify_all()

    def send(self, start: Callable[[], None], timeout: float) -> None:
        """Call *start*, and return when opencode has taken up what it sends, or after *timeout*."""
        with self._sending, self._arrived:
            known = len(self._ids)
            start()
            self._arrived.wait_for(lambda: len(self._ids) > known, timeout)


def later(one: Answer | None, other: Answer) -> Answer:
    """Return the answer with the later message; a turn that was steered has several."""
    if one is None or not one.ok:
        return other if one is None or other.ok else one
    began = [
        number(mapping(mapping(answer.data, "info"), "time"), "created") or 0
        for answer in (one, other)
    ]
    return other if other.ok and began[1] >= began[0] else one
