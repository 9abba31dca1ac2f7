"""From the lines of ``opencode run --format json`` to events. No I/O.

The kinds of lines are those that opencode 1.1.11, 1.2.27 and 1.18.33 print. Each holds a part of a
message as the server's events do, once it is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from caw_core.events import Event, TextDone, TurnEnded, UsageReported, VendorEvent
from caw_core.json_fields import mapping, text
from caw_core.json_lines import read_line
from caw_provider_opencode.decoder import TurnDecoder
from caw_provider_opencode.errors import (
    ABORTED,
    CONTENT_FILTER,
    FINISHES,
    OUTPUT_LENGTH,
    turn_error,
)
from caw_provider_opencode.run_log import explained

if TYPE_CHECKING:
    from collections.abc import Collection

    from caw_core.blocks import JSON

_PARTS: Final = frozenset({"reasoning", "step_start", "text", "tool_use"})


class RunDecoder:
    """Decodes what one run prints.

    Attributes:
        session_id: the conversation, as soon as opencode has named it.
        answer: the last text of the agent.

    Args:
        servers: the names of the tool servers, whose tools are told as ``server.tool``.
        model: the model that was asked for, ``""`` for the default; the lines do not name it.
    """

    def __init__(self, *, servers: Collection[str] = (), model: str = "") -> None:
        self.session_id = ""
        self.answer = ""
        self._servers = servers
        self._model = model
        self._parts: TurnDecoder | None = None
        self._finish = ""
        self._error: dict[str, JSON] = {}

    def feed(self, raw: bytes) -> list[Event]:
        """Decode one line. Never raises."""
        message = read_line(raw).message
        if message is None:
            return [VendorEvent(kind="unreadable", raw=raw.decode(errors="replace"))]
        self.session_id = text(message, "sessionID") or self.session_id
        kind, part = text(message, "type"), mapping(message, "part")
        if kind in _PARTS and part:
            events = self._message(part, {}, [part])
            for event in events:
                if isinstance(event, TextDone):
                    self.answer = event.text
            return events
        if kind == "step_finish":
            self._finish, self._error = text(part, "reason"), {}
            return self._usage(part)
        if kind == "error":
            error = mapping(message, "error")
            # opencode's own refusals have a tag in place of a name.
            self._error = {"name": text(error, "_tag"), **error}
            return []
        return [VendorEvent(kind=kind or "unreadable", raw=message)]

    def outcome(self, log: str) -> TurnEnded | None:
        """Return how the turn ended; None if opencode did not say.

        Args:
            log: the end of what opencode wrote to stderr.

        Raises:
            ProviderError: the turn failed, as precise a subclass as the facts allow.
        """
        name = text(self._error, "name")
        if name == OUTPUT_LENGTH:
            return TurnEnded(stop_reason="max_tokens")
        if name == CONTENT_FILTER:
            return TurnEnded(stop_reason="refusal")
        if name == ABORTED:
            return TurnEnded(stop_reason="cancelled")
        if self._error:
            raise turn_error(explained(self._error, log), model=self._model)
        if not self._finish or self._finish == "tool-calls":
            return None
        return TurnEnded(stop_reason=FINISHES.get(self._finish, "end_turn"))

    def _message(
        self, part: dict[str, JSON], info: dict[str, JSON], parts: list[JSON]
    ) -> list[Event]:
        """Decode parts of the message that *part* belongs to, with what is known of it."""
        if self._parts is None:
            self._parts = TurnDecoder(self.session_id, servers=self._servers)
        head = {
            "id": text(part, "messageID"),
            "role": "assistant",
            "sessionID": self.session_id,
            "time": {"created": 0},
        }
        return self._parts.history([{"info": {**head, **info}, "parts": parts}])

    def _usage(self, part: dict[str, JSON]) -> list[Event]:
        ended: dict[str, JSON] = {
            **{name: part[name] for name in part if name in ("cost", "tokens")},
            "time": {"created": 0, "completed": 0},
        }
        return [
            attrs.evolve(event, model=self._model) if isinstance(event, UsageReported) else event
            for event in self._message(part, ended, [])
        ]
