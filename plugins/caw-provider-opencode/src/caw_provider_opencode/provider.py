"""The plugin: what caw calls."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

from caw_core.errors import ConfigError, ProgramNotFoundError
from caw_core.hookspecs import hookimpl
from caw_core.process import child_environment
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo, Readiness
from caw_provider_opencode.errors import INSTALL_HINT, NAME
from caw_provider_opencode.program import find_program, program_version
from caw_provider_opencode.server import Launch, ServerPool
from caw_provider_opencode.session import MAX_RETRIES, open_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_core.provider import ProviderSession, ResumeRequest, StartRequest
    from caw_core.trajectory import Trajectory

TESTED: Final = "1.18.33"
"""The version of opencode that this was tested with; others of 1.18 should agree."""

_CONFIG: Final = "OPENCODE_CONFIG_CONTENT"

_INFO = ProviderInfo(
    name=NAME,
    description="opencode over its HTTP server, one process for all sessions",
    capabilities=frozenset({"resume", "interrupt", "streaming", "tools", "thinking", "usage"}),
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
                "opencode's rules, which are no sandbox: what a mode does not allow is denied, so "
                "commands and subagents need 'full'"
            ),
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
    },
    program="opencode",
    install_hint=INSTALL_HINT,
)


class OpencodeProvider:
    """caw's provider for opencode; one instance has its own servers."""

    caw_api: ClassVar[str] = "1.0"

    def __init__(self) -> None:
        self._pool = ServerPool()
        self._versions: dict[tuple[str, int, int], str] = {}

    @hookimpl
    def start_session(self, request: StartRequest) -> ProviderSession:
        """Open a new session; see `caw_core.hookspecs.ProviderSpecs.start_session`."""
        return open_session(self._pool, self._launch(request), request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Open the session again; see `caw_core.hookspecs.ProviderSpecs.resume_session`."""
        return open_session(self._pool, self._launch(request), request, request.resume_key)

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return the session's id, which records of other wrappers hold in their metadata."""
        if trajectory.resume_key:
            return trajectory.resume_key
        session_id = trajectory.metadata.get("opencode_session_id")
        return session_id if isinstance(session_id, str) and session_id else None

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return _INFO

    @hookimpl
    def check_ready(self) -> Readiness:
        """Look for the program and for credentials; neither network nor tokens are used."""
        from caw_provider_opencode.readiness import LOGIN_HINT, credentials

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
            tested_versions=TESTED,
            tested=version.split(".")[:2] == TESTED.split(".")[:2] if version else None,
            credentials=seen,
        )

    def _version(self, program: Path) -> str:
        state = program.stat()
        key = (str(program), state.st_mtime_ns, state.st_size)
        if key not in self._versions:
            self._versions[key] = program_version(program)
        return self._versions[key]

    @staticmethod
    def _launch(request: StartRequest) -> Launch:
        env = child_environment(request.env)
        binary = request.options.get("binary")
        program = find_program(os.fspath(binary) if binary else None, env)
        return Launch.of(program, _served(env, request.options.get("config")))


def _served(env: Mapping[str, str], config: object) -> dict[str, str]:
    """Return the environment of a server: the user's, the caller's settings, and no updates."""
    served = {**env, "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    if config is None:
        return served
    if not isinstance(config, dict):
        msg = f"opencode's option 'config' must be a dict of settings, not {type(config).__name__}"
        raise ConfigError(msg)
    try:
        given = json.loads(env.get(_CONFIG) or "{}")
    except ValueError as error:
        msg = f"{_CONFIG} holds no JSON, so opencode's option 'config' cannot be merged into it"
        raise ConfigError(msg) from error
    try:
        # In the environment, not in argv: it may hold keys.
        served[_CONFIG] = json.dumps(_merged(given, config))
    except TypeError as error:
        msg = f"opencode's option 'config' must be JSON: {error}"
        raise ConfigError(msg) from error
    return served


def _merged(base: Any, over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base) if isinstance(base, dict) else {}
    for name, value in over.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(value, dict) else value
    return merged


def _detail(version: str, seen: str) -> str:
    if not version:
        return "opencode does not say its version"
    return f"opencode {version}, {seen or 'no credentials seen'}"
