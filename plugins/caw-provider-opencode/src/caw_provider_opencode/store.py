"""opencode's own conversations: listing those of a folder, and reading one into a record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.errors import CawError, NotResumableError, ProviderError
from caw_core.events import Steered, StructuredDone, TurnEnded
from caw_core.fold import TurnFold
from caw_core.json_fields import mapping, number, objects, text
from caw_core.provider import NativeSession
from caw_core.trajectory import ErrorInfo, Trajectory
from caw_provider_opencode.client import NOT_FOUND, route
from caw_provider_opencode.conversations import lost
from caw_provider_opencode.decoder import TurnDecoder
from caw_provider_opencode.errors import ABORTED, FINISHES, NAME, turn_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caw_core.blocks import JSON
    from caw_core.trajectory import Turn
    from caw_provider_opencode.live import LiveServer

_SECONDS: Final = 30.0
_MOST: Final = "100000"
"""Without a limit opencode lists the newest hundred."""

Message = dict[str, "JSON"]


def find_conversations(
    live: LiveServer, cwd: Path, env: Mapping[str, str | None]
) -> list[NativeSession]:
    """List the conversations that were held in *cwd*, the newest first.

    Args:
        live: a server whose store is the one to look at.
        cwd: the folder, absolute.
        env: what is needed to find them again.

    Raises:
        ProviderError: opencode did not say.
    """
    found: dict[str, Message] = {}
    # opencode compares texts, and its own interface writes folders without links.
    for folder in dict.fromkeys([str(cwd), str(cwd.resolve())]):
        listed = _get(live, "session", directory=folder, roots="true", limit=_MOST)
        for entry in objects({"sessions": listed}, "sessions"):
            if text(entry, "directory") == folder:
                found[text(entry, "id")] = entry
    newest = sorted(found.values(), key=_updated, reverse=True)
    return [
        NativeSession(
            provider=NAME,
            resume_key=text(entry, "id"),
            cwd=text(entry, "directory"),
            title=text(entry, "title"),
            updated_at=_time(_updated(entry)),
            env=dict(env),
        )
        for entry in newest
    ]


def read_conversation(live: LiveServer, native: NativeSession) -> Trajectory:
    """Read a conversation; see `caw_core.hookspecs.ProviderSpecs.read_session`.

    What subagents used is not in it.

    Raises:
        NotResumableError: opencode no longer has it.
        ProviderError: opencode did not say.
    """
    key = native.resume_key
    head = _get(live, "session", key)
    directory = text(head, "directory")
    messages = _get(live, "session", key, "message", directory=directory)
    servers = tuple(mapping({"mcp": _get(live, "mcp", directory=directory)}, "mcp"))
    model = mapping(head, "model")
    named = [text(model, "providerID"), text(model, "id")]
    return Trajectory(
        session_id="",
        provider=NAME,
        model="/".join(named) if all(named) else "",
        created_at=_time(number(mapping(head, "time"), "created") or 0),
        cwd=directory,
        resume_key=key,
        turns=tuple(
            _turn(index, key, group, servers)
            for index, group in enumerate(_groups(objects({"all": messages}, "all")))
        ),
    )


def _groups(messages: Iterable[Message]) -> list[list[Message]]:
    """Part the messages into turns; what was said into a turn belongs to it."""
    groups: list[list[Message]] = []
    for message in messages:
        goes_on = groups and _is_busy(groups[-1][-1])
        if _is_users(message) and _is_said(message) and not goes_on:
            groups.append([message])
        elif groups:
            groups[-1].append(message)
    return groups


def _turn(index: int, key: str, group: list[Message], servers: tuple[str, ...]) -> Turn:
    first, *rest = group
    began = _created(first)
    fold = TurnFold(
        index=index, prompt=_words(first), started_at=_time(began), attachments=_attached(first)
    )
    decoder = TurnDecoder(key, servers=servers)
    for message in rest:
        if _is_users(message):
            if _is_said(message):
                fold.add(Steered(text=_words(message)))
            continue
        for event in decoder.history([message]):
            fold.add(event)
        info = mapping(message, "info")
        if "structured" in info:
            fold.add(StructuredDone(value=info["structured"]))
    last = mapping(rest[-1], "info") if rest else {}
    fold.add(_end(last))
    ended = number(mapping(last, "time"), "completed") or began
    return fold.turn(duration_ms=max(0, ended - began))


def _end(last: Message) -> TurnEnded:
    error = mapping(last, "error")
    if text(error, "name") == ABORTED:
        return TurnEnded(stop_reason="cancelled", status="interrupted")
    if error:
        failure = ErrorInfo.of(turn_error(error))
        return TurnEnded(stop_reason=None, status="failed", error=failure)
    if number(mapping(last, "time"), "completed") is None:
        return TurnEnded(stop_reason=None, status="unknown")
    reason = FINISHES.get(text(last, "finish"), "end_turn")
    return TurnEnded(stop_reason=reason, status="completed")


def _is_users(message: Message) -> bool:
    return text(mapping(message, "info"), "role") == "user"


def _is_busy(message: Message) -> bool:
    # After the call of a tool the model goes on, unless the call was the answer itself.
    info = mapping(message, "info")
    return text(info, "finish") == "tool-calls" and "structured" not in info


def _said(message: Message) -> list[Message]:
    return [
        part
        for part in objects(message, "parts")
        if text(part, "type") == "text" and part.get("synthetic") is not True
    ]


def _is_said(message: Message) -> bool:
    # opencode itself writes messages in the user's name, e.g. when it makes a summary.
    return bool(_said(message) or _attached(message))


def _words(message: Message) -> str:
    return "\n".join(text(part, "text") for part in _said(message))


def _attached(message: Message) -> list[dict[str, JSON]]:
    return [
        {
            "kind": "image" if text(part, "mime").startswith("image/") else "file",
            "name": text(part, "filename"),
            "mime_type": text(part, "mime"),
        }
        for part in objects(message, "parts")
        if text(part, "type") == "file"
    ]


def _created(message: Message) -> int:
    return number(mapping(mapping(message, "info"), "time"), "created") or 0


def _updated(entry: Message) -> int:
    return number(mapping(entry, "time"), "updated") or 0


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat() if milliseconds else ""


def _get(live: LiveServer, *path: str, **query: str) -> JSON:
    try:
        answer = live.client.call("GET", route(*path, **query), timeout=_SECONDS)
    except CawError:
        raise
    except OSError as error:
        raise lost(live, error) from error
    if answer.status == NOT_FOUND:
        msg = f"opencode does not have the conversation: {answer.message}"
        raise NotResumableError(msg, provider=NAME)
    if not answer.ok:
        msg = f"opencode did not answer: {answer.message}"
        raise ProviderError(msg, provider=NAME)
    return answer.data
