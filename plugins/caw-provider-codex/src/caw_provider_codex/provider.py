"""The plugin: what caw calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from caw_core.deadlines import Deadline, Deadlines
from caw_core.hookspecs import hookimpl
from caw_core.own_options import own_option
from caw_core.process import child_environment
from caw_core.programs import ProgramVersions
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo
from caw_provider_codex.choice import open_best
from caw_provider_codex.errors import NAME
from caw_provider_codex.models import TIERS
from caw_provider_codex.program import CODEX
from caw_provider_codex.server import Launch, ServerPool
from caw_provider_codex.session import NETWORK_RETRIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from caw_core.credentials import ContainerCredentials
    from caw_core.interactive import InteractiveRequest, InteractiveResult
    from caw_core.provider import (
        NativeSession,
        ProviderSession,
        Readiness,
        ResumeRequest,
        StartRequest,
    )
    from caw_core.trajectory import Trajectory
    from caw_provider_codex.rpc import Peer

_INFO = ProviderInfo(
    name=NAME,
    description="OpenAI Codex over its app-server protocol, one process for all sessions",
    capabilities=frozenset(
        {
            "file_changes",
            "files",
            "fork",
            "images",
            "import_history",
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
        "additional_dirs": NATIVE,
        "cwd": NATIVE,
        "env": NATIVE,
        "model": NATIVE,
        "reasoning": NATIVE,
        "system_prompt": OptionSupport(
            support="native",
            how="added to codex's own instructions, which stay",
        ),
        "permissions": OptionSupport(
            support="native",
            how=(
                "codex's sandbox; what it asks for under 'ask' is asked. The reason of a no is "
                "said into the turn"
            ),
        ),
        "mcp_servers": NATIVE,
        "tools": OptionSupport(
            support="native",
            how="WRITER cannot be taken away, READER not while there is EXEC",
        ),
    },
    history=frozenset({"tool_calls"}),
    tiers=TIERS,
    extra_options={
        "binary": "path of the codex program to use",
        "config": "dict of config.toml keys for this conversation",
        "protocol": (
            "'live' (the app-server), 'spawn' (one codex exec per turn), or 'auto' (default): the "
            "app-server where the program has one that works"
        ),
        "network_retries": (
            "how often codex may find no connection at all before the turn fails "
            f"(default {NETWORK_RETRIES}; by itself it would wait for ever)"
        ),
    },
    program=CODEX.name,
    install_hint=CODEX.install_hint,
)


class CodexProvider:
    """caw's provider for codex; one instance has its own app-servers."""

    caw_api: ClassVar[str] = "1.0"

    def __init__(self) -> None:
        self._pool = ServerPool()
        self._versions = ProgramVersions()

    @hookimpl
    def start_session(self, request: StartRequest) -> ProviderSession:
        """Open a new thread; see `caw_core.hookspecs.ProviderSpecs.start_session`."""
        return open_best(self._pool, self._launch(request), request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Open the thread again; see `caw_core.hookspecs.ProviderSpecs.resume_session`."""
        return open_best(self._pool, self._launch(request), request, request.resume_key)

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return the thread id, which records of other wrappers hold in their metadata."""
        if trajectory.resume_key:
            return trajectory.resume_key
        thread_id = trajectory.metadata.get("thread_id")
        return thread_id if isinstance(thread_id, str) and thread_id else None

    @hookimpl
    def find_sessions(
        self,
        cwd: Path,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> list[NativeSession]:
        """List codex's own conversations in a folder, those of its other interfaces too."""
        from caw_provider_codex.store import find_threads

        with self._server(env, options) as peer:
            return find_threads(peer, cwd, env)

    @hookimpl
    def read_session(self, native: NativeSession, options: Mapping[str, Any]) -> Trajectory:
        """Read one of codex's own conversations into a record."""
        from caw_provider_codex.store import read_thread

        with self._server(native.env, options) as peer:
            return read_thread(peer, native)

    @hookimpl
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        """Run codex's own interface in the user's terminal."""
        from caw_provider_codex.interactive import hold_conversation

        return hold_conversation(self._launch(request), request)

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return _INFO

    @hookimpl
    def check_ready(
        self,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> Readiness:
        """Look for the program and for credentials; neither network nor tokens are used."""
        from caw_core.readiness import program_readiness
        from caw_provider_codex.readiness import LOGIN_HINT, seen_credentials

        return program_readiness(
            CODEX,
            self._versions,
            env,
            options,
            credentials=seen_credentials,
            login_hint=LOGIN_HINT,
        )

    @hookimpl
    def container_credentials(self, env: Mapping[str, str | None]) -> ContainerCredentials:
        """Say where the login lies; it is not read but for when it runs out."""
        from caw_provider_codex.login import container_credentials

        return container_credentials(env)

    def _server(
        self,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> AbstractContextManager[Peer]:
        whole = child_environment(env)
        limits = Deadlines()
        launch = Launch.of(CODEX.find(whole, options), whole)
        return self._pool.lent(launch, Deadline("start", limits.start, provider=NAME), limits.stop)

    @staticmethod
    def _launch(request: StartRequest) -> Launch:
        _check_options(request.options)
        env = child_environment(request.env)
        program = CODEX.find(env, request.options)
        return Launch.of(program, env)


def _check_options(options: Mapping[str, Any]) -> None:
    own_option(options, "config", dict, "a dict of config.toml keys", provider=NAME)
    own_option(options, "network_retries", int, "a whole number", provider=NAME)
