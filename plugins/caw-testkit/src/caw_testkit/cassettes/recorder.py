"""Recording: a real agent's wire, while an application or a test talks with it."""

from __future__ import annotations

import contextlib
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import attrs

from caw_core import Agent, PluginRegistry, hookimpl
from caw_core.clock import utc_now
from caw_core.events import VendorEvent
from caw_core.permissions import Decision
from caw_core.programs import OPTION
from caw_core.redaction import session_secrets
from caw_core.registry import default_registry
from caw_core.serialize import turn_to_dict
from caw_testkit.cassettes.errors import CassetteError
from caw_testkit.cassettes.places import Places
from caw_testkit.cassettes.standin import StandIn
from caw_testkit.cassettes.tape import Header
from caw_testkit.cassettes.wire_log import WireLog
from caw_testkit.cassettes.writer import TapeWriter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from caw_core.events import Event
    from caw_core.permissions import PermissionCallback, PermissionRequest
    from caw_core.provider import Prompt, ProviderInfo, ProviderSession, Readiness, StartRequest
    from caw_core.settings import AgentOptions
    from caw_core.trajectory import SessionInfo, Turn
    from caw_testkit.cassettes.standin import Link

_NOT_RECORDED = frozenset({"fork", "models", "set_model", "steer"})


@contextlib.contextmanager
def record_cassette(
    path: str | os.PathLike[str],
    provider: str,
    *,
    registry: PluginRegistry | None = None,
    leave_out: Sequence[bytes] = (),
    **settings: Unpack[AgentOptions],
) -> Iterator[Agent]:
    """Yield an agent whose one conversation is recorded into a new cassette.

    The conversation may be resumed with the same agent. A cassette that is there already is
    replaced at the end; where the block raises, it stays as it was. The file is readable for its
    owner alone.

    Args:
        path: the cassette.
        provider: whose program is recorded.
        registry: where to find the provider; default those installed and registered.
        leave_out: keeps a cassette small: lines and events of the agent's that hold one of these
            are passed on, but not written down.
        settings: as for `caw_core.Agent`.

    Raises:
        CassetteError: the provider drives no program.
        ProgramNotFoundError, ConfigError, PluginError: as `caw_core.Agent` does.
    """
    found = registry or default_registry()
    plain = Agent(provider, registry=found, **settings)
    readiness = plain.check_ready()
    if not readiness.program_path:
        msg = f"{provider!r} has no program to record: {readiness.detail or 'it drives none'}"
        raise CassetteError(msg)
    recorder = _Recorder(Path(path), plain.provider, readiness, settings, leave_out)
    program = Path(readiness.program_path)
    stand_in = StandIn(program.name, str(program), recorder.serve)
    try:
        settings["options"] = {**(settings.get("options") or {}), OPTION: str(stand_in.path)}
        settings["on_permission"] = recorder.overheard(settings.get("on_permission"))
        listening = _ListeningRegistry(recorder)
        listening.register_provider(provider, found.load_provider(provider), replace=True)
        yield Agent(provider, registry=listening, **settings)
        recorder.finish()
    finally:
        stand_in.close()
        recorder.discard()


class _ListeningRegistry(PluginRegistry):
    """A registry whose observers are the recorder alone: nothing else shapes what is recorded."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def load_observers(self) -> list[tuple[str, object]]:
        """Return the recorder."""
        return [("cassette-recorder", self._recorder)]


class _Recorder:
    """Writes down what it hears: as an observer of the agent, and from the program's stand-in."""

    caw_api = "1.0"

    def __init__(
        self,
        path: Path,
        provider: str,
        readiness: Readiness,
        settings: AgentOptions,
        leave_out: Sequence[bytes],
    ) -> None:
        self._leave_out = leave_out
        self._attended = settings.get("on_permission") is not None
        # As they were written: what they name by reference is secret.
        self._servers = settings.get("mcp_servers", ())
        self._path = path
        self._provider = provider
        self._readiness = readiness
        self._tape: TapeWriter | None = None
        self._wire: WireLog | None = None
        self._session: ProviderSession | None = None
        self._vendor: list[str] = []
        self._last = ""

    # ------------------------------------------------------------------------- what the caller does

    @hookimpl(wrapper=True)
    def provider_info(self) -> Generator[None, ProviderInfo, ProviderInfo]:
        """Leave out what a cassette cannot hold."""
        info = yield
        return attrs.evolve(info, capabilities=info.capabilities - _NOT_RECORDED)

    @hookimpl(wrapper=True)
    def start_session(
        self, request: StartRequest
    ) -> Generator[None, ProviderSession, ProviderSession]:
        """Record a new session."""
        if self._tape is not None:
            msg = "a cassette holds one conversation; record another cassette for this one"
            raise CassetteError(msg)
        self._begin(request)
        self.add("open", how="start")
        return self._recorded((yield))

    @hookimpl(wrapper=True)
    def resume_session(self) -> Generator[None, ProviderSession, ProviderSession]:
        """Record a session that is resumed."""
        if self._tape is None:
            msg = "a cassette begins with a new conversation, not with one that is resumed"
            raise CassetteError(msg)
        self.add("open", how="resume")
        return self._recorded((yield))

    @hookimpl
    def persist_turn(self, turn: Turn) -> None:
        """Write down how a turn was folded."""
        # One whose record could not be written is handed over again.
        if turn.status != "running" and turn.started_at != self._last:
            self._last = turn.started_at
            key = self._session.resume_key if self._session else None
            vendor, self._vendor = self._vendor, []
            self.add("turn", turn=turn_to_dict(turn), resume_key=key, vendor=vendor)

    @hookimpl
    def persist_session(self, session: SessionInfo) -> None:
        """Do nothing; the head of a record is no part of a cassette."""

    def overheard(self, callback: PermissionCallback | None) -> PermissionCallback | None:
        """Return *callback*, its answers written down."""
        if callback is None:
            return None

        def decide(request: PermissionRequest) -> Decision:
            answer = callback(request)
            decision = answer if isinstance(answer, Decision) else Decision(allowed=answer is True)
            self.add("decision", tool=request.tool, decision=attrs.asdict(decision))
            return decision

        return decide

    def add(self, kind: str, **facts: Any) -> None:
        """Write down what the caller does."""
        if self._tape is not None:
            self._tape.add(kind, **facts)

    def heard(self, event: Event) -> None:
        """Take note of what the provider made of the wire."""
        if isinstance(event, VendorEvent):
            self._vendor.append(event.kind)

    def _begin(self, request: StartRequest) -> None:
        header = Header(
            provider=self._provider,
            program=Path(self._readiness.program_path).name,
            program_version=self._readiness.version,
            caw_version=version("caw-core"),
            recorded_at=utc_now(),
            settings={
                "permissions": request.permissions,
                "attended": self._attended,
                "model": request.model,
                "reasoning": request.reasoning,
                "tools": None if request.tools is None else request.tools.value,
                "mcp_servers": [server.name for server in request.mcp_servers],
                "options": {k: v for k, v in request.options.items() if k != OPTION},
            },
        )
        secrets = session_secrets(os.environ, request, self._servers)
        places = Places.of(request)
        self._tape = TapeWriter(self._path, header, places, secrets, self._leave_out)
        self._wire = WireLog(self._tape)

    def _recorded(self, session: ProviderSession) -> ProviderSession:
        self._session = session
        return _RecordedSession(session, self)

    # ------------------------------------------------------------------------------------ the wire

    def serve(self, link: Link) -> None:
        """Write down what goes through one process."""
        if self._wire is not None:
            self._wire.follow(link)

    def finish(self) -> None:
        """Put the cassette in its place, now that the block is over."""
        if self._tape is not None:
            self._tape.close()

    def discard(self) -> None:
        """Let go of everything; a cassette that is not finished goes."""
        if self._wire is not None:
            self._wire.close()
        if self._tape is not None:
            self._tape.discard()


class _RecordedSession:
    """A provider's session whose caller is overheard."""

    def __init__(self, session: ProviderSession, recorder: _Recorder) -> None:
        self._session = session
        self._recorder = recorder
        self._running = False

    @property
    def resume_key(self) -> str | None:
        return self._session.resume_key

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        schema = dict(prompt.output_schema) if prompt.output_schema is not None else None
        said = {"text": prompt.text, "commands": prompt.commands, "output_schema": schema}
        self._recorder.add("prompt", prompt=said, attachments=len(prompt.attachments))
        self._running = True
        try:
            for event in self._session.prompt(prompt):
                self._recorder.heard(event)
                yield event
        finally:
            self._running = False

    def interrupt(self) -> None:
        if self._running:
            # A second one, while the agent ends its turn, changes nothing.
            self._running = False
            self._recorder.add("interrupt")
        self._session.interrupt()

    def close(self) -> None:
        self._session.close()
