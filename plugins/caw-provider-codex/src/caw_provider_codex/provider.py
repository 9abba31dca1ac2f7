"""The plugin: what caw calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from caw_core.errors import ConfigError, ProgramNotFoundError
from caw_core.hookspecs import hookimpl
from caw_core.process import child_environment
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo, Readiness
from caw_provider_codex.errors import NAME
from caw_provider_codex.program import INSTALL_HINT, find_program, program_version
from caw_provider_codex.server import Launch, ServerPool
from caw_provider_codex.session import NETWORK_RETRIES, open_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_core.provider import ProviderSession, ResumeRequest, StartRequest
    from caw_core.trajectory import Trajectory

_INFO = ProviderInfo(
    name=NAME,
    description="OpenAI Codex over its app-server protocol, one process for all sessions",
    capabilities=frozenset({"resume", "interrupt", "streaming", "tools", "thinking", "usage"}),
    options={
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
            how="codex's sandbox; what it asks for under 'ask' is declined",
        ),
    },
    extra_options={
        "binary": "path of the codex program to use",
        "config": "dict of config.toml keys for this conversation",
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
        return open_session(self._pool, self._launch(request), request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Open the thread again; see `caw_core.hookspecs.ProviderSpecs.resume_session`."""
        return open_session(self._pool, self._launch(request), request, request.resume_key)

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return the thread id, which records of other wrappers hold in their metadata."""
        if trajectory.resume_key:
            return trajectory.resume_key
        thread_id = trajectory.metadata.get("thread_id")
        return thread_id if isinstance(thread_id, str) and thread_id else None

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return _INFO

    @hookimpl
    def check_ready(self) -> Readiness:
        """Look for the program and for credentials; neither network nor tokens are used."""
        from caw_provider_codex.readiness import LOGIN_HINT, credentials

        env = child_environment({})
        try:
            program = find_program(None, env)
        except ProgramNotFoundError as error:
            return Readiness(ready=False, detail=str(error), hint=INSTALL_HINT)
        version = self._version(program)
        seen = credentials(env)
        return Readiness(
            ready=bool(version and seen),
            detail=_detail(version, seen),
            hint=("" if seen else LOGIN_HINT) if version else INSTALL_HINT,
            program_path=str(program),
            version=version,
        )

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
    }
    for name, value in options.items():
        kind, words = expected[name]
        if not isinstance(value, kind):
            # The value is not shown: a configuration may hold keys.
            msg = f"codex's option {name!r} must be {words}, not {type(value).__name__}"
            raise ConfigError(msg)
