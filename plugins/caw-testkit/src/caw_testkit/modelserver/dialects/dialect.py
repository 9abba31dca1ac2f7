"""What every API must be able to do, and the small pieces all of them are made of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caw_testkit.modelserver.request import Message
    from caw_testkit.modelserver.steps import Reply, StreamError


@dataclass(frozen=True)
class Ids:
    """Makes the ids of one answer.

    They are unique between servers too: programs that resume a session on another server keep
    what they have under these ids.
    """

    token: str
    number: int

    def of(self, kind: str, part: int | str = 0) -> str:
        """Return the id of *part* of this answer, such as ``msg_5f3a_7_0``."""
        return f"{kind}_{self.token}_{self.number}_{part}"


class Dialect(Protocol):
    """One API, without any input or output."""

    def messages(self, body: Mapping[str, Any]) -> tuple[Message, ...]:
        """Return the conversation in a request *body*."""

    def tools(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the tools that a request *body* offers."""

    def events(self, reply: Reply, ids: Ids, model: str) -> list[bytes]:
        """Return *reply* as server-sent events."""

    def document(self, reply: Reply, ids: Ids, model: str) -> dict[str, Any]:
        """Return *reply* as the JSON document of a request that asked for no stream."""

    def error_body(self, status: int, message: str, kind: str | None) -> dict[str, Any]:
        """Return the body of an HTTP error; *kind* None means the API's own for *status*."""

    def error_event(self, error: StreamError, ids: Ids) -> bytes:
        """Return the server-sent event that reports *error* inside a stream."""


def sse(data: Mapping[str, Any], event: str | None = None) -> bytes:
    """Return one server-sent event that carries *data* as JSON."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def texts_in(content: object) -> tuple[str, ...]:
    """Return the texts of a message content: a string, or a list of blocks with a ``text``."""
    if isinstance(content, str):
        return (content,)
    return tuple(block["text"] for block in dicts_in(content) if isinstance(block.get("text"), str))


def dicts_in(value: object) -> Iterable[dict[str, Any]]:
    """Return the JSON objects in *value* when it is a list, else nothing."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
