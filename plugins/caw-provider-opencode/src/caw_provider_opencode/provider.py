"""The plugin: what caw calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

from caw_core.deadlines import Deadlines
from caw_core.errors import ConfigError, ProgramNotFoundError
from caw_core.hookspecs import hookimpl
from caw_core.process import child_environment
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo, Readiness
from caw_provider_opencode.errors import INSTALL_HINT, NAME
from caw_provider_opencode.program import find_program, program_version
from caw_provider_opencode.server import Deadline, Launch, ServerPool
from caw_provider_opencode.session import MAX_RETRIES, open_session
from caw_provider_opencode.tool_servers import given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from caw_core.mcp import McpServer
    from caw_core.provider import NativeSession, ProviderSession, ResumeRequest, StartRequest
    from caw_core.trajectory import Trajectory
    from caw_provider_opencode.live import LiveServer

TESTED: Final = "1.18.33"
"""The version of opencode that this was tested with; others of 1.18 should agree."""

_CONFIG: Final = "OPENCODE_CONFIG_CONTENT"
_OURS: Final = {"experimental": {"continue_loop_on_deny": True}}
"""Without it a "no" ends the turn, if it comes without words or answers a question."""

_INFO = ProviderInfo(
    name=NAME,
    description="opencode over its HTTP server, one process for all sessions",
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
        return open_session(self._pool, _launched(request), request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Open the session again; see `caw_core.hookspecs.ProviderSpecs.resume_session`."""
        return open_session(self._pool, _launched(request), request, request.resume_key)

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
        from caw_provider_opencode.readiness import LOGIN_HINT, credentials

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

    def _version(self, program: Path) -> str:
        state = program.stat()
        key = (str(program), state.st_mtime_ns, state.st_size)
        if key not in self._versions:
            self._versions[key] = program_version(program)
        return self._versions[key]

    def _lent(
        self, env: Mapping[str, str | None], options: Mapping[str, Any]
    ) -> AbstractContextManager[LiveServer]:
        limits = Deadlines()
        launch = _launch(env, options)
        return self._pool.lent(launch, Deadline("start", limits.start), limits.stop)


def _launched(request: StartRequest) -> Launch:
    return _launch(request.env, request.options, request.mcp_servers)


def _launch(
    env: Mapping[str, str | None],
    options: Mapping[str, Any],
    servers: Iterable[McpServer] = (),
) -> Launch:
    whole = child_environment(env)
    program = find_program(options.get("binary"), whole)
    return Launch.of(program, _served(whole, options.get("config")), given(servers))


def _served(env: Mapping[str, str], config: object) -> dict[str, str]:
    """Return the environment of a server: the user's, the caller's settings, and no updates."""
    served = {**env, "OPENCODE_DISABLE_AUTOUPDATE": "1"}
    config = {} if config is None else config
    if not isinstance(config, dict):
        msg = f"opencode's option 'config' must be a dict of settings, not {type(config).__name__}"
        raise ConfigError(msg)
    try:
        users = json.loads(env.get(_CONFIG) or "{}")
    except ValueError as error:
        if not config:
            # opencode takes comments too. It may then end a turn after a "no".
            return served
        msg = f"{_CONFIG} holds no JSON, so opencode's option 'config' cannot be merged into it"
        raise ConfigError(msg) from error
    try:
        # In the environment, not in argv: it may hold keys.
        served[_CONFIG] = json.dumps(_merged(_merged(_OURS, users), config))
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
