"""One playing of a cassette, from its beginning, with the recorded provider's own code."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.errors import ProviderError
from caw_core.mcp import McpServer
from caw_core.plugins import AgentPlugins
from caw_core.programs import OPTION
from caw_core.provider import Prompt, ResumeRequest, StartRequest
from caw_core.registry import default_registry
from caw_core.tools import ToolGroup
from caw_testkit.cassettes.desk import PlayedDesk
from caw_testkit.cassettes.errors import CassetteMismatchError
from caw_testkit.cassettes.places import Places
from caw_testkit.cassettes.player import Player
from caw_testkit.cassettes.standin import StandIn
from caw_testkit.cassettes.tape import CALLER_KINDS
from caw_testkit.cassettes.wire import Ids, fresh_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.provider import ProviderSession
    from caw_core.registry import PluginRegistry
    from caw_testkit.cassettes.tape import Cassette, Frame


@attrs.frozen(kw_only=True)
class Playing:
    """How a cassette is played.

    Attributes:
        any_prompt: whether a prompt may differ from the one that was recorded.
        speed: 1 for the pace of the recording, 2 for twice that, 0 for no waiting.
        wait_for_interrupt: leave the interrupts that were recorded to the caller; otherwise they
            happen by themselves.
        recorded_answers: answer requests for permission as when it was recorded, and do not ask.
        registry: where the recorded provider is found; default those installed.
    """

    any_prompt: bool = False
    speed: float = 0
    wait_for_interrupt: bool = False
    recorded_answers: bool = False
    registry: PluginRegistry | None = None


class Performance:
    """Plays a cassette: its program is a stand-in, its sessions are those of its provider.

    Attributes:
        session: the provider's session.
        ids: which ids of now stand for the cassette's.
        played: how many turns were played.

    Args:
        cassette: what is played.
        playing: how.
        request: what was asked for. What shapes the wire is taken from the cassette instead.
        turns: how many turns are played first, unseen.
        key: what the conversation goes by; None for a new one.
        on_interrupt: called when it is time for an interrupt that was recorded.

    Raises:
        UnknownProviderError, PluginError: the recorded provider cannot be had.
        CassetteMismatchError: it has fewer turns, or the provider says now what it did not say.
        ProviderError: as the provider raises.
    """

    session: ProviderSession

    def __init__(
        self,
        cassette: Cassette,
        playing: Playing,
        request: StartRequest,
        *,
        turns: int,
        key: str | None,
        on_interrupt: Callable[[Frame], None],
    ) -> None:
        self.played = 0
        self.ids = Ids()
        self._cassette = cassette
        self._places = Places.of(request)
        header = cassette.header
        registry = playing.registry or default_registry()
        self._provider = AgentPlugins(header.provider, registry.load_provider(header.provider))
        if cassette.resume_key:
            # Two that play one cassette at the same time hold two conversations.
            self.ids.put(cassette.resume_key, key or fresh_id(cassette.resume_key))
        self._calls = [frame for frame in cassette.frames if frame.kind in CALLER_KINDS]
        self._desk = PlayedDesk(
            request.permission_desk,
            cassette.frames,
            attended=header.settings.get("attended", False),
        )
        self._player = Player(cassette, self._places, self.ids)
        self._stand_in = StandIn(header.program or "agent", "", self._player.attend)
        self._request = self._as_recorded(request)
        try:
            self._begin(turns)
        except BaseException as error:
            self.leave()
            raise (self.mismatch or error) from error
        self._desk.recorded = playing.recorded_answers
        self._player.go_on(speed=playing.speed)
        if not playing.wait_for_interrupt:
            self._player.on_interrupt = on_interrupt

    @property
    def mismatch(self) -> CassetteMismatchError | None:
        """What the client did that the cassette does not have."""
        return self._player.mismatch

    @property
    def upcoming(self) -> Frame | None:
        """The prompt that comes next; None at the end."""
        return next((frame for frame in self._calls if frame.kind == "prompt"), None)

    def prompt_of(self, frame: Frame) -> Prompt:
        """Return a prompt as it was recorded; what was attached to it is not kept."""
        said = frame.facts["prompt"]
        return Prompt(
            text=self._places.expanded(said["text"]),
            commands=said["commands"],
            output_schema=said["output_schema"],
        )

    def advance(self) -> None:
        """Do what the caller did before the next prompt, and let that be said."""
        while self._calls:
            frame = self._calls.pop(0)
            self._player.do()
            if frame.kind == "prompt":
                self.played += self._cassette.turns_of(frame)
                return
            key = self.session.resume_key or ""
            self.session.close()
            self.session = self._provider.resume_session(
                ResumeRequest(**request_fields(self._request), resume_key=key)
            )

    def break_off(self) -> None:
        """Do as `leave` in the middle of a turn, which then fails."""
        # First, because a provider would wait for the end of its turn, which does not come.
        self._player.close()
        self.leave()

    def leave(self) -> None:
        """Let go of everything; idempotent."""
        self._player.leave()
        try:
            if hasattr(self, "session"):
                self.session.close()
        finally:
            self._player.close()
            self._stand_in.close()

    def _begin(self, turns: int) -> None:
        self._calls.pop(0)
        self._player.do()
        self._player.on_interrupt = self._interrupt
        self.session = self._provider.start_session(self._request)
        while self.played < turns:
            frame = self.upcoming
            if frame is None:
                msg = f"{self._cassette.name} has {self.played} turns, not {turns}"
                raise CassetteMismatchError(msg, provider=self._cassette.header.provider)
            self.advance()
            with contextlib.suppress(ProviderError):
                for _ in self.session.prompt(self.prompt_of(frame)):
                    pass
            if self.mismatch is not None:
                raise self.mismatch

    def _interrupt(self, _: Frame) -> None:
        self.session.interrupt()

    def _as_recorded(self, request: StartRequest) -> StartRequest:
        settings = self._cassette.header.settings
        tools = settings.get("tools")
        return attrs.evolve(
            # What a request to resume holds besides is not for the program that is played.
            StartRequest(**request_fields(request)),
            permissions=settings.get("permissions", "auto-edit"),
            model=settings.get("model"),
            reasoning=settings.get("reasoning"),
            tools=None if tools is None else ToolGroup(tools),
            # They are not started: their names alone go over the wire.
            mcp_servers=tuple(
                McpServer(name=name, command="true") for name in settings.get("mcp_servers", ())
            ),
            options={**settings.get("options", {}), OPTION: str(self._stand_in.path)},
            permission_desk=self._desk,
        )


def request_fields(request: StartRequest) -> dict[str, Any]:
    """Return the fields that every request has."""
    return {field.name: getattr(request, field.name) for field in attrs.fields(StartRequest)}
