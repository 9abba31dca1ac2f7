"""What the server remembers of each request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caw_testkit.modelserver.dialects.dialect import Dialect
    from caw_testkit.modelserver.usage import Usage

Api: TypeAlias = Literal["responses", "chat", "messages", "count_tokens", "models", "other"]
"""Which API a request was for; ``other`` is a path that the server does not know."""

Outcome: TypeAlias = Literal["pending", "sent", "cut", "failed", "client_left"]
"""``sent`` whole answer, ``cut`` we dropped it, ``failed`` an error was sent as scripted."""

MODEL_APIS: frozenset[Api] = frozenset({"responses", "chat", "messages"})


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool call of the model, as the program sent it back in the history."""

    id: str
    name: str
    arguments: str
    """JSON text, or the raw input of a free-form tool."""


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """What the program reports that a tool gave."""

    call_id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """One entry of a conversation, in the same form for each API."""

    role: str
    texts: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()


_SECRET_HEADERS = frozenset(
    {"authorization", "x-api-key", "api-key", "cookie", "proxy-authorization"}
)
_REDACTED = "<redacted>"
_SHOWN = 120


@dataclass(kw_only=True)
class RecordedRequest:
    """One request that a program made, and what became of it.

    The server fills ``outcome`` and ``usage`` when it has answered; all else is fixed.
    """

    index: int
    """Number of the request on this server, from 0, asides included."""
    api: Api
    method: str
    path: str
    """With the query, without the host."""
    headers: Mapping[str, str]
    """Names in lower case; values that hold credentials are redacted."""
    body: dict[str, Any]
    """The JSON object that was sent; empty when there was none."""
    received_at: float
    """``time.monotonic()`` in seconds."""
    outcome: Outcome = "pending"
    usage: Usage | None = None
    """What the server reported; None unless the whole answer was sent."""
    credential_digests: frozenset[str] = field(default=frozenset(), repr=False)
    dialect: Dialect = field(repr=False)

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The conversation, system prompt first where the API has one apart."""
        return self.dialect.messages(self.body)

    @cached_property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that the program offers the model."""
        return self.dialect.tools(self.body)

    @property
    def model(self) -> str:
        """The model that was asked for, or an empty string."""
        return str(self.body.get("model", ""))

    def texts(self) -> list[str]:
        """Return every text in order: system, user and assistant texts and tool results."""
        return [
            text
            for message in self.messages
            for text in (*message.texts, *(result.text for result in message.results))
        ]

    def system(self) -> list[str]:
        """Return the texts of the system and developer roles, in order."""
        return self._texts_of("system", "developer")

    def user_texts(self) -> list[str]:
        """Return the texts of the user role, in order; programs add some of their own."""
        return self._texts_of("user")

    def last_user_text(self) -> str:
        """Return the last text of the user role, or an empty string."""
        texts = self.user_texts()
        return texts[-1] if texts else ""

    def tool_results(self) -> list[ToolResult]:
        """Return every tool result in the history, in order."""
        return [result for message in self.messages for result in message.results]

    def tool_calls(self) -> list[ToolCall]:
        """Return every tool call in the history, in order."""
        return [call for message in self.messages for call in message.calls]

    def used_credential(self, secret: str) -> bool:
        """Say whether *secret* came with the request, as a key or as a bearer token."""
        return _digest(secret) in self.credential_digests

    def __str__(self) -> str:
        """Say in one line what was asked, for messages to people."""
        said = self.last_user_text()
        shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
        model = f" model {self.model!r}" if self.model else ""
        last = f", last user text {shown!r}" if shown else ""
        return f"#{self.index} {self.method} {self.path}{model}{last}"

    def _texts_of(self, *roles: str) -> list[str]:
        return [
            text for message in self.messages if message.role in roles for text in message.texts
        ]


Predicate: TypeAlias = "Callable[[RecordedRequest], bool]"


def mentions(text: str) -> Predicate:
    """Return a predicate: some text of the request contains *text*."""

    def mentioned(request: RecordedRequest) -> bool:
        return any(text in candidate for candidate in request.texts())

    return mentioned


def redacted(headers: Mapping[str, str]) -> tuple[dict[str, str], frozenset[str]]:
    """Return *headers* without credentials, and digests to recognise those by."""
    shown: dict[str, str] = {}
    digests: set[str] = set()
    for name, value in headers.items():
        key = name.lower()
        if key in _SECRET_HEADERS:
            shown[key] = _REDACTED
            digests.add(_digest(value.removeprefix("Bearer ")))
        else:
            shown[key] = value
    return shown, frozenset(digests)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
