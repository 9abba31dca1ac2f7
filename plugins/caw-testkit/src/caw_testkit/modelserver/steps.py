"""The words that scripts are written in: what the server answers to one request."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, overload

from caw_testkit.modelserver.request import RecordedRequest
from caw_testkit.modelserver.usage import Usage

Stop: TypeAlias = Literal["end_turn", "tool_use", "max_tokens", "refusal"]

_MOST_DELTAS = 64


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text that the model says."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Think:
    """A text that the model thinks."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """A tool call that the model makes."""

    name: str
    arguments: str
    freeform: bool = False
    namespace: str | None = None
    id: str | None = None


Part: TypeAlias = Text | Think | Call


@dataclass(frozen=True, kw_only=True)
class StreamError:
    """An error that the vendor reports inside a stream that began well."""

    message: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer of the model."""

    parts: tuple[Part, ...]
    usage: Usage = field(default_factory=Usage)
    stop: Stop | None = None
    deltas: int | None = None
    seconds: float = 0.0
    before: float = 0.0
    cut_after: int | None = None
    error: StreamError | None = None

    @property
    def stop_reason(self) -> Stop:
        """Why the model stopped: as scripted, else because of a call, else at its end."""
        if self.stop is not None:
            return self.stop
        return "tool_use" if any(isinstance(part, Call) for part in self.parts) else "end_turn"

    @property
    def text(self) -> str:
        """All that the model says, without thoughts and calls."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thoughts(self) -> str:
        """All that the model thinks."""
        return "".join(part.text for part in self.parts if isinstance(part, Think))

    @property
    def calls(self) -> tuple[Call, ...]:
        """The tool calls, in order."""
        return tuple(part for part in self.parts if isinstance(part, Call))

    def pieces(self, content: str) -> list[str]:
        """Cut *content* into what the stream sends one after the other."""
        if self.deltas is None:
            return _words(content)
        size = max(1, math.ceil(len(content) / self.deltas))
        return [content[at : at + size] for at in range(0, len(content), size)]


@dataclass(frozen=True, kw_only=True)
class Fail:
    """An HTTP error in place of an answer."""

    status: int
    message: str
    kind: str | None = None
    body: Mapping[str, Any] | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    before: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Drop:
    """No answer at all: the connection closes after ``before`` seconds."""

    before: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """Bytes that are sent as they are, as the body of a successful answer."""

    data: bytes
    content_type: str = "text/event-stream"
    before: float = 0.0


Answer: TypeAlias = Reply | Fail | Drop | Garbage
Responder: TypeAlias = Callable[[RecordedRequest], Answer]
Step: TypeAlias = Answer | Responder


def text(content: str) -> Text:
    """Let the model say *content*."""
    return Text(text=content)


def big(n_bytes: int) -> Text:
    """Let the model say *n_bytes* of ASCII text, in numbered words of 16 bytes."""
    words = (f"word-{number:010d}" for number in range(n_bytes // 16 + 1))
    return Text(text=" ".join(words)[:n_bytes])


def think(content: str) -> Think:
    """Let the model think *content*."""
    return Think(text=content)


def call(
    name: str,
    arguments: Mapping[str, Any] | str,
    *,
    namespace: str | None = None,
    id: str | None = None,  # noqa: A002 - the word all three APIs use
) -> Call:
    """Let the model call a tool.

    Args:
        name: the tool's name, as the program offers it.
        arguments: a mapping, or a string for a free-form tool (``custom_tool_call`` of the
            Responses API; the other APIs send it as their raw argument text).
        namespace: the namespace of the tool (Responses API only).
        id: the call's id; without it the server makes one that is unique.
    """
    if isinstance(arguments, str):
        return Call(name=name, arguments=arguments, freeform=True, namespace=namespace, id=id)
    return Call(name=name, arguments=json.dumps(arguments), namespace=namespace, id=id)


def reply(
    *parts: Part,
    usage: Usage | None = None,
    stop: Stop | None = None,
    deltas: int | None = None,
) -> Reply:
    """Answer with *parts*, in their order.

    Args:
        parts: what ``text``, ``think``, ``call`` and ``big`` return.
        usage: the token counts to report.
        stop: why the model stopped; without it ``tool_use`` when there is a call, else
            ``end_turn``.
        deltas: in how many pieces each text is streamed; without it word by word, in at most
            64 pieces.
    """
    if deltas is not None and deltas < 1:
        message = f"deltas must be at least 1, not {deltas}"
        raise ValueError(message)
    return Reply(parts=parts, usage=usage or Usage(), stop=stop, deltas=deltas)


@overload
def slow(step: Reply, *, seconds: float = ..., before: float = ...) -> Reply: ...
@overload
def slow(step: Fail, *, before: float) -> Fail: ...
@overload
def slow(step: Garbage, *, before: float) -> Garbage: ...
def slow(
    step: Reply | Fail | Garbage, *, seconds: float = 0.0, before: float = 0.0
) -> Reply | Fail | Garbage:
    """Make an answer slow.

    Args:
        step: the answer.
        seconds: over how many seconds the stream is spread evenly (a ``Reply`` only; one that
            is not streamed comes after that time).
        before: how many seconds pass before the first byte.
    """
    if isinstance(step, Reply):
        return replace(step, seconds=seconds, before=before)
    return replace(step, before=before)


def fail(
    status: int,
    message: str = "scripted failure",
    *,
    kind: str | None = None,
    body: Mapping[str, Any] | bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Fail:
    """Answer with an HTTP error.

    Args:
        status: the HTTP status.
        message: the message in the error body that the API would send.
        kind: the error's ``type`` in that body; without it the API's own for this status.
        body: a body to send in place of the API's form.
        headers: more response headers, such as ``retry-after``.
    """
    return Fail(status=status, message=message, kind=kind, body=body, headers=dict(headers or {}))


@overload
def drop() -> Drop: ...
@overload
def drop(step: Reply, *, after_bytes: int) -> Reply: ...
def drop(step: Reply | None = None, *, after_bytes: int = 0) -> Drop | Reply:
    """Close the connection: without any response, or in the middle of *step*.

    Args:
        step: the answer to begin; without it not even a status line is sent.
        after_bytes: how many bytes of the body are sent before the cut.
    """
    return Drop() if step is None else replace(step, cut_after=after_bytes)


def hang(seconds: float = math.inf) -> Drop:
    """Send nothing for *seconds*, then close; without *seconds* until the other side leaves."""
    return Drop(before=seconds)


def fail_inside(
    step: Reply, message: str = "scripted failure", *, kind: str = "server_error"
) -> Reply:
    """Stream the first half of *step*, then report an error inside the stream.

    Args:
        step: the answer to begin.
        message: the error's message.
        kind: the error's code or type, such as ``overloaded_error``.
    """
    return replace(step, error=StreamError(message=message, kind=kind))


def garbage(data: bytes, *, content_type: str = "text/event-stream") -> Garbage:
    """Answer with status 200 and *data* as it is."""
    return Garbage(data=data, content_type=content_type)


def echo(request: RecordedRequest) -> Reply:
    """Answer ``echo: `` and the last user text; give this to ``ModelServer.respond``."""
    return reply(text(f"echo: {request.last_user_text()}"))


def _words(content: str) -> list[str]:
    words = content.split(" ")
    spaced = [f"{word} " for word in words[:-1]] + [word for word in words[-1:] if word]
    if len(spaced) <= _MOST_DELTAS:
        return spaced
    size = math.ceil(len(spaced) / _MOST_DELTAS)
    return ["".join(spaced[at : at + size]) for at in range(0, len(spaced), size)]
