"""The plugin: what caw calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from caw_core.deadlines import Deadlines
from caw_core.errors import ConfigError, ProgramNotFoundError
from caw_core.hookspecs import hookimpl
from caw_core.process import child_environment
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo, Readiness
from caw_provider_codex.choice import PROTOCOLS, open_best
from caw_provider_codex.errors import NAME
from caw_provider_codex.models import TIERS
from caw_provider_codex.program import INSTALL_HINT, find_program, program_version
from caw_provider_codex.server import Deadline, Launch, ServerPool
from caw_provider_codex.session import NETWORK_RETRIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from caw_core.provider import NativeSession, ProviderSession, ResumeRequest, StartRequest
    from caw_core.trajectory import Trajectory
    from caw_provider_codex.rpc import Peer

TESTED = "0.169.0"
"""The version of codex that the tests run."""

_INFO = ProviderInfo(
    name=NAME,
    description="OpenAI Codex over its app-server protocol, one process for all sessions",
    capabilities=frozenset(
        {
            "files",
            "fork",
            "images",
            "interrupt",
            "models",
            "permissions",
            "resume",
            "set_model",
            "steer",
            "streaming",
            "structured",
            "thinking",
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
    tiers=TIERS,
    extra_options={
        "binary": "path of the codex program to use",
        "config": "dict of config.toml keys for this conversation",
        "protocol": (
            "'app-server', 'exec' (one codex exec per turn), or 'auto' (default): the app-server "
            "where the program has one that works"
        ),
        "network_retries": (
            "how often codex may find no connection at all before the turn fails "
            f"(default {NETWORK_RETRIES}; by itself it would wait for ever)"
        ),
    },
    program="codex",
    install_hint=INSTALL_HINT,
)


class CodexProvider:
    """caw's provider for codex; one instance has its own app-servers."""

    caw_api: ClassVar[str] = "1.0"

    def __init__(self) -> None:
        self._pool = ServerPool()
        self._versions: dict[tuple[str, int, int], str] = {}

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
        from caw_provider_codex.readiness import LOGIN_HINT, credentials

        whole = child_environment(env)
        try:
            program = find_program(options.get("binary"), whole)
        except ProgramNotFoundError as error:
            return Readiness(ready=False, detail=str(error), hint=INSTALL_HINT)
        version = self._version(program)
        seen = credentials(whole)
        return Readiness(
            ready=bool(version and seen),
            detail=_detail(version, seen),
            hint=("" if seen else LOGIN_HINT) if version else INSTALL_HINT,
            program_path=str(program),
            version=version,
            tested_versions=TESTED,
            tested=version.split(".")[:2] == TESTED.split(".")[:2] if version else None,
            credentials=seen,
        )

    def _server(
        self,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> AbstractContextManager[Peer]:
        whole = child_environment(env)
        limits = Deadlines()
        launch = Launch.of(find_program(options.get("binary"), whole), whole)
        return self._pool.lent(launch, Deadline("start", limits.start), limits.stop)

    def _version(self, program: Path) -> str:
        state = program.stat()
        key = (str(program), state.st_mtime_ns, state.st_size)
        if key not in self._versions:
            self._versions[key] = program_version(program)
        return self._versions[key]

    @staticmethod
    def _launch(request: StartRequest) -> Launch:
        _check_options(request.options)
        env = child_environment(request.env)
        program = find_program(request.options.get("binary"), env)
        return Launch.of(program, env)


def _detail(version: str, seen: str) -> str:
    if not version:
        return "codex does not say its version"
    return f"codex {version}, {seen or 'no credentials seen'}"


def _check_options(options: Mapping[str, Any]) -> None:
    expected: dict[str, tuple[type | tuple[type, ...], str]] = {
        "binary": ((str, os.PathLike), "a path"),
        "config": (dict, "a dict of config.toml keys"),
        "network_retries": (int, "a number"),
        "protocol": (str, "a word"),
    }
    protocol = options.get("protocol", "auto")
    if protocol not in PROTOCOLS:
        known = ", ".join(map(repr, PROTOCOLS))
        msg = f"codex's option 'protocol' must be one of {known}, not {protocol!r}"
        raise ConfigError(msg)
    for name, value in options.items():
        kind, words = expected[name]
        if not isinstance(value, kind):
            # The value is not shown: a configuration may hold keys.
            msg = f"codex's option {name!r} must be {words}, not {type(value).__name__}"
            raise ConfigError(msg)
