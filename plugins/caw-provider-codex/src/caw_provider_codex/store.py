"""codex's own conversations: listing those of a folder, and reading one into a record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.deadlines import Deadline
from caw_core.errors import ProcessError
from caw_core.events import Steered, TurnEnded, UsageReported
from caw_core.fold import TurnFold
from caw_core.json_fields import mapping, number, objects, text
from caw_core.provider import NativeSession
from caw_core.trajectory import ErrorInfo, Trajectory
from caw_core.usage import UsageStats
from caw_provider_codex import items
from caw_provider_codex.errors import NAME, refusal
from caw_provider_codex.rollout import models_by_turn, usage_by_turn
from caw_provider_codex.rpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.blocks import JSON
    from caw_core.trajectory import StopReason, Turn, TurnStatus
    from caw_provider_codex.rpc import Peer

_SOURCES: Final = ("cli", "vscode", "exec", "appServer", "unknown")
"""All of ``ThreadSourceKind`` but subagents, whose conversations are part of another one."""

_PAGE: Final = 100
_SECONDS: Final = 30.0
_ENDS: Final[dict[str, tuple[TurnStatus, StopReason | None]]] = {
    "completed": ("completed", "end_turn"),
    "interrupted": ("interrupted", "cancelled"),
    "failed": ("failed", None),
}


def find_threads(peer: Peer, cwd: Path, env: Mapping[str, str | None]) -> list[NativeSession]:
    """List the conversations that were held in *cwd*, the newest first.

    Args:
        peer: an app-server whose ``CODEX_HOME`` is the one to look at.
        cwd: the folder, absolute.
        env: what is needed to find them again.

    Raises:
        ProviderError: codex did not say.
    """
    found: list[NativeSession] = []
    params: dict[str, JSON] = {
        # codex compares texts, and its own interface writes folders without links.
        "cwd": list(dict.fromkeys([str(cwd), str(cwd.resolve())])),
        "sourceKinds": list(_SOURCES),
        "modelProviders": [],
        "sortKey": "updated_at",
        "limit": _PAGE,
    }
    while True:
        page = _call(peer, "thread/list", params)
        found += [_native(entry, env) for entry in objects(page, "data")]
        params["cursor"] = text(page, "nextCursor")
        if not params["cursor"]:
            return found


def read_thread(peer: Peer, native: NativeSession) -> Trajectory:
    """Read a conversation; see `caw_core.hookspecs.ProviderSpecs.read_session`.

    Raises:
        NotResumableError: codex no longer has it.
        ProviderError: codex did not say.
    """
    params: dict[str, JSON] = {"threadId": native.resume_key, "includeTurns": True}
    thread = mapping(_call(peer, "thread/read", params), "thread")
    file = Path(text(thread, "path")) if text(thread, "path") else None
    used = usage_by_turn(file) if file else {}
    models = models_by_turn(file) if file else {}
    turns = [
        _turn(index, entry, used.get(text(entry, "id")), models.get(text(entry, "id"), ""))
        for index, entry in enumerate(objects(thread, "turns"))
    ]
    return Trajectory(
        session_id="",
        provider=NAME,
        model=text(thread, "model"),
        reasoning=text(thread, "reasoningEffort"),
        created_at=_time(number(thread, "createdAt")),
        cwd=text(thread, "cwd"),
        resume_key=text(thread, "id"),
        turns=tuple(turns),
    )


def _native(entry: dict[str, JSON], env: Mapping[str, str | None]) -> NativeSession:
    title = text(entry, "name") or text(entry, "preview")
    return NativeSession(
        provider=NAME,
        resume_key=text(entry, "id"),
        cwd=text(entry, "cwd"),
        title=title.strip().partition("\n")[0],
        updated_at=_time(number(entry, "updatedAt")),
        path=text(entry, "path"),
        env=dict(env),
    )


def _turn(index: int, entry: dict[str, JSON], used: UsageStats | None, model: str) -> Turn:
    said = [item for item in objects(entry, "items") if text(item, "type") == "userMessage"]
    fold = TurnFold(
        index=index,
        prompt=_words(said[0]) if said else "",
        started_at=_time(number(entry, "startedAt")),
    )
    for item in objects(entry, "items"):
        if text(item, "type") == "userMessage":
            if item is not said[0]:
                fold.add(Steered(text=_words(item)))
            continue
        for event in (*items.started(item), *items.completed(item)):
            fold.add(event)
    if used or model:
        fold.add(UsageReported(usage=used or UsageStats(), model=model))
    status, reason = _ENDS.get(text(entry, "status"), ("unknown", None))
    message = text(mapping(entry, "error"), "message")
    error = ErrorInfo(type="ProviderError", message=message) if message else None
    fold.add(TurnEnded(stop_reason=reason, status=status, error=error))
    return fold.turn(duration_ms=number(entry, "durationMs") or 0)


def _words(item: dict[str, JSON]) -> str:
    return "\n".join(text(part, "text") for part in objects(item, "content") if text(part, "text"))


def _time(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ""


def _call(peer: Peer, method: str, params: dict[str, JSON]) -> dict[str, JSON]:
    try:
        return peer.call(method, params, timeout=_SECONDS)
    except RpcError as error:
        raise refusal(error) from error
    except ProcessError as error:
        raise error.again(NAME) from error
    except TimeoutError as error:
        raise Deadline("start", _SECONDS, provider=NAME).error(str(error)) from error
