"""The plugin: what caw calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from caw_core.deadlines import Deadline, Deadlines
from caw_core.hookspecs import hookimpl
from caw_core.process import child_environment
from caw_core.programs import ProgramVersions
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo
from caw_provider_opencode.configuration import served
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.models import TIER_VARIABLES
from caw_provider_opencode.program import OPENCODE
from caw_provider_opencode.protocols import Sessions
from caw_provider_opencode.server import Launch, ServerPool
from caw_provider_opencode.session import MAX_RETRIES
from caw_provider_opencode.tool_servers import given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from caw_core.credentials import ContainerCredentials
    from caw_core.interactive import InteractiveRequest, InteractiveResult
    from caw_core.mcp import McpServer
    from caw_core.provider import (
        NativeSession,
        ProviderSession,
        Readiness,
        ResumeRequest,
        StartRequest,
    )
    from caw_core.trajectory import Trajectory
    from caw_provider_opencode.live import LiveServer

_INFO = ProviderInfo(
    name=NAME,
    description="opencode over its HTTP server, one process for all sessions",
    capabilities=frozenset(
        {
            "file_changes",
            "files",
            "fork",
            "images",
            "interactive",
            "interrupt",
            "models",
            "permissions",
            "plans",
            "restart",
            "resume",
            "set_model",
            "steer",
            "streaming",
            "structured",
            "thinking",
            "tool_output",
            "tools",
            "usage",
        },
    ),
    options={
        "cwd": NATIVE,
        "env": NATIVE,
        "model": OptionSupport(support="native", how="named 'provider/model'"),
        "reasoning": OptionSupport(support="native", how="the model's variant of that name"),
        "system_prompt": OptionSupport(
            support="native",
            how="added to the prompt of opencode's agent, which stays",
        ),
        "permissions": OptionSupport(
            support="native",
            how=(
                "opencode's rules, which are no sandbox: what a mode leaves open is asked where "
                "somebody answers, else denied; subagents need 'full'. A yes for always is kept by "
                "this session; of several noes at once opencode tells the model the first reason"
            ),
        ),
        "additional_dirs": NATIVE,
        "mcp_servers": OptionSupport(
            support="native",
            how="sessions with other servers get a process of their own",
        ),
        "tools": OptionSupport(
            support="native",
            how="as rules, by opencode's names; the list of things to do always stays",
        ),
    },
    extra_options={
        "binary": "path of the opencode program to use",
        "config": "dict of opencode.json settings, merged over the user's",
        "agent": "name of the opencode agent that answers (default: the user's)",
        "max_retries": (
            "how often opencode may repeat a failed request before the turn fails "
            f"(default {MAX_RETRIES}; by itself it would never give up)"
        ),
        "protocol": (
            "'live' (opencode's server), 'spawn' (one opencode run per turn), or 'auto' (default): "
            "the server where the program's version has one that does all that is needed"
        ),
    },
    tier_variables=TIER_VARIABLES,
    program=OPENCODE.name,
    install_hint=OPENCODE.install_hint,
)


class OpencodeProvider:
    """caw's provider for opencode; one instance has its own servers."""

    caw_api: ClassVar[str] = "1.0"

    def __init__(self) -> None:
        self._pool = ServerPool()
        self._versions = ProgramVersions()
        self._sessions = Sessions(self._pool, self._versions)

    @hookimpl
    def start_session(self, request: StartRequest) -> ProviderSession:
        """Open a new session; see `caw_core.hookspecs.ProviderSpecs.start_session`."""
        return self._sessions.open(_launched(request), request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Open the session again; see `caw_core.hookspecs.ProviderSpecs.resume_session`."""
        return self._sessions.open(_launched(request), request, request.resume_key)

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return the session's id, which records of other wrappers hold in their metadata."""
        if trajectory.resume_key:
            return trajectory.resume_key
        session_id = trajectory.metadata.get("opencode_session_id")
        return session_id if isinstance(session_id, str) and session_id else None

    @hookimpl
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        """Run opencode's own interface in the user's terminal."""
        from caw_provider_opencode.interactive import hold_conversation

        return hold_conversation(_launched(request), request)

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return _INFO

    @hookimpl
    def find_sessions(
        self,
        cwd: Path,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> list[NativeSession]:
        """List opencode's own conversations in a folder, those of its other interfaces too."""
        from caw_provider_opencode.store import find_conversations

        with self._lent(env, options) as live:
            return find_conversations(live, cwd, env)

    @hookimpl
    def read_session(self, native: NativeSession, options: Mapping[str, Any]) -> Trajectory:
        """Read one of opencode's own conversations into a record."""
        from caw_provider_opencode.store import read_conversation

        with self._lent(native.env, options) as live:
            return read_conversation(live, native)

    @hookimpl
    def check_ready(
        self,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> Readiness:
        """Look for the program and for credentials; neither network nor tokens are used."""
        from caw_core.readiness import program_readiness
        from caw_provider_opencode.readiness import LOGIN_HINT, seen_credentials

        return program_readiness(
            OPENCODE,
            self._versions,
            env,
            options,
            credentials=seen_credentials,
            login_hint=LOGIN_HINT,
        )

    @hookimpl
    def container_credentials(self, env: Mapping[str, str | None]) -> ContainerCredentials:
        """Say where the logins lie; they are not read but for when they run out."""
        from caw_provider_opencode.login import container_credentials

        return container_credentials(env)

    def _lent(
        self, env: Mapping[str, str | None], options: Mapping[str, Any]
    ) -> AbstractContextManager[LiveServer]:
        limits = Deadlines()
        launch = _launch(env, options)
        return self._pool.lent(launch, Deadline("start", limits.start, provider=NAME), limits.stop)


def _launched(request: StartRequest) -> Launch:
    return _launch(request.env, request.options, request.mcp_servers)


def _launch(
    env: Mapping[str, str | None],
    options: Mapping[str, Any],
    servers: Iterable[McpServer] = (),
) -> Launch:
    whole = child_environment(env)
    program = OPENCODE.find(whole, options)
    return Launch.of(program, served(whole, options.get("config")), given(servers))
