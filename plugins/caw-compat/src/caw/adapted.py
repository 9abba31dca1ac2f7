"""A provider that was written for the wrapper, as caw-core's contract wants one.

Such a provider has no way to be interrupted: a turn that is given up goes on in a thread of its own
until `caw.ProviderSession.send` returns, and the next one waits for it.
"""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar, Final
from weakref import WeakValueDictionary

from caw.models import (
    ContentBlock,
    MCPServer,
    ModelTier,
    TextBlock,
    ThinkingBlock,
    ToolGroup,
    ToolUse,
    Turn,
    UsageStats,
)
from caw.provider import Provider
from caw_core import events, hookimpl
from caw_core.errors import CawError, LimitError, ProviderError
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo, Readiness
from caw_core.usage import UsageStats as CoreUsage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw.provider import ProviderSession
    from caw_core import trajectory as core
    from caw_core.events import Event
    from caw_core.provider import Prompt, ResumeRequest, StartRequest

_LEFT_TO_IT = OptionSupport(support="native", how="the provider does as it was written to")


_open_sessions: Final[WeakValueDictionary[str, AdaptedSession]] = WeakValueDictionary()
"""Those of this process, by caw's id."""


def metadata_of(session_id: str) -> dict[str, Any]:
    """Return what such a provider says of an open session; empty for any other session."""
    session = _open_sessions.get(session_id)
    return session.metadata if session is not None else {}


class AdaptedProvider:
    """Plugs one in.

    Args:
        provider: the wrapper's kind of provider.
    """

    caw_api: ClassVar[str] = "1.0"

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what a provider of that kind can do."""
        capabilities = {"thinking", "tools", "usage"}
        if type(self._provider).resume_session is not Provider.resume_session:
            capabilities.add("resume")
        return ProviderInfo(
            name=self._provider.name,
            description="a provider written for coding-agent-wrapper",
            capabilities=frozenset(capabilities),
            options={
                "mcp_servers": NATIVE,
                "model": NATIVE,
                "permissions": _LEFT_TO_IT,
                "reasoning": NATIVE,
                "system_prompt": NATIVE,
                "tools": _LEFT_TO_IT,
            },
            tiers=dict(self._tiers()),
        )

    def _tiers(self) -> Iterator[tuple[str, str]]:
        for tier in ModelTier:
            # One that names no model for this tier may still be used without tiers.
            with contextlib.suppress(Exception):
                model = self._provider.resolve_model(tier)
                if model:
                    yield tier.value, model

    @hookimpl
    def check_ready(self) -> Readiness:
        """Say whether its program is here."""
        path = self._provider.find_binary()
        detail = path or f"{self._provider.binary_name} is not on PATH"
        return Readiness(ready=path is not None, detail=detail, program_path=path or "")

    @hookimpl
    def start_session(self, request: StartRequest) -> AdaptedSession:
        """Open a conversation."""
        servers, settings = self._settings(request)
        session = self._provider.start_session(
            mcp_servers=servers, session_id=request.session_id, **settings
        )
        return AdaptedSession(session, request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> AdaptedSession:
        """Continue a conversation."""
        from caw.from_core import trajectory_of

        servers, settings = self._settings(request)
        session = self._provider.resume_session(
            mcp_servers=servers,
            session_id=request.session_id,
            resume_key=request.resume_key,
            trajectory=trajectory_of(request.trajectory) if request.trajectory else None,
            **settings,
        )
        return AdaptedSession(session, request)

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: core.Trajectory) -> str | None:
        """Return the key that caw-core keeps, else the one that the provider finds."""
        from caw.from_core import trajectory_of

        found = self._provider.resume_key_from_trajectory(trajectory_of(trajectory))
        return trajectory.resume_key or found

    def _settings(self, request: StartRequest) -> tuple[list[MCPServer], dict[str, Any]]:
        servers = [
            MCPServer(
                name=server.name,
                command=server.command,
                args=list(server.args),
                env=dict(server.env),
                url=server.url,
                headers=dict(server.headers),
            )
            for server in request.mcp_servers
        ]
        given = {
            "model": request.model,
            "system_prompt": request.system_prompt or None,
            "reasoning": request.reasoning,
        }
        tools = request.tools if request.tools is not None else ToolGroup.NO_INTERACTION
        settings = {name: value for name, value in given.items() if value is not None}
        return servers, {**settings, **self._provider.resolve_tool_restrictions(tools)}


class AdaptedSession:
    """One conversation of such a provider.

    Args:
        session: the provider's.
        request: what it was opened for.
    """

    def __init__(self, session: ProviderSession, request: StartRequest) -> None:
        self._session = session
        self._keep_raw = request.keep_raw
        self._sending = threading.Lock()
        self._news: SimpleQueue[Any] = SimpleQueue()
        _open_sessions[request.session_id] = self

    @property
    def metadata(self) -> dict[str, Any]:
        """What the provider keeps in its own record of the session, such as a key of its own."""
        return dict(self._session.trajectory.metadata)

    @property
    def resume_key(self) -> str | None:
        """The agent's key."""
        return self._session.resume_key

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send it in a thread, and yield what its steps tell."""
        news: SimpleQueue[Any] = SimpleQueue()
        self._news = news
        threading.Thread(
            target=self._send, args=(prompt.text, news), name="caw-adapted", daemon=True
        ).start()
        told = _Told()
        while True:
            match news.get():
                case None:
                    yield events.TurnEnded(stop_reason="cancelled")
                    return
                case Turn() as turn:
                    yield from told.whole(turn)
                    if self._keep_raw:
                        lines = (self._session.last_raw_output or "").splitlines()
                        yield from (events.RawOutput(line=line) for line in lines)
                    self._raise_limit(turn)
                    return
                case CawError() as error:
                    raise error
                case Exception() as error:
                    kind = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
                    message = f"{kind}{error}"
                    raise ProviderError(message) from error
                case blocks:
                    yield from told.step(blocks)

    def _send(self, text: str, news: SimpleQueue[Any]) -> None:
        with self._sending:
            self._session.set_step_callback(lambda blocks: news.put(list(blocks)))
            try:
                news.put(self._session.send(text))
            except Exception as error:  # noqa: BLE001 - raised in the thread that waits for it
                news.put(error)
            finally:
                self._session.set_step_callback(None)

    def _raise_limit(self, turn: Turn) -> None:
        minutes = self._session.detect_usage_limit(turn)
        if minutes is not None:
            raise LimitError(
                turn.result or "a usage limit is reached",
                kind="usage",
                resets_at=datetime.now(UTC) + timedelta(minutes=minutes),
                source="detect_usage_limit",
            )

    def interrupt(self) -> None:
        """Give the turn up; see the module's text."""
        self._news.put(None)

    def close(self) -> None:
        """End the session, unless a turn that was given up still runs: it then ends by itself."""
        if self._sending.acquire(blocking=False):
            try:
                self._session.end()
            finally:
                self._sending.release()


class _Told:
    """Which blocks of a turn have been told; a step brings all of them again."""

    def __init__(self) -> None:
        self._started: set[str] = set()
        self._num_told = 0

    def step(self, blocks: list[ContentBlock]) -> Iterator[Event]:
        """Yield what is new; the last block may still grow."""
        for place in range(self._num_told, len(blocks)):
            yield from self._begun(place, blocks[place])
        self._num_told = len(blocks)

    def whole(self, turn: Turn) -> Iterator[Event]:
        """Yield the turn's blocks as they are at its end, over what was told before."""
        for place, block in enumerate(turn.output):
            yield from self._begun(place, block)
            if isinstance(block, ToolUse):
                yield events.ToolFinished(
                    call_id=block.id or f"call-{place}",
                    output=block.output,
                    is_error=block.is_error,
                    arguments=block.arguments,
                )
        if turn.usage != UsageStats():
            yield events.UsageReported(usage=_core_usage(turn.usage))

    def _begun(self, place: int, block: ContentBlock) -> Iterator[Event]:
        block_id = f"block-{place}"
        if isinstance(block, TextBlock):
            yield events.TextDone(text=block.text, block_id=block_id)
        elif isinstance(block, ThinkingBlock):
            yield events.ThinkingDone(text=block.text, block_id=block_id)
        elif (call_id := block.id or f"call-{place}") not in self._started:
            self._started.add(call_id)
            yield events.ToolStarted(
                call_id=call_id, name=block.name, arguments=dict(block.arguments)
            )


def _core_usage(usage: UsageStats) -> CoreUsage:
    known = usage.cost_usd > 0
    return CoreUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        # The wrapper had no word for a cost that nobody knows but 0.
        cost_usd=usage.cost_usd if known else None,
        cost_source="reported" if known else "unknown",
    )
