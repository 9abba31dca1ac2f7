"""The plugin: what caw calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from caw_core.errors import ProgramNotFoundError
from caw_core.hookspecs import hookimpl
from caw_core.process import child_environment
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo, Readiness
from caw_provider_claude_code import permissions
from caw_provider_claude_code.errors import NAME
from caw_provider_claude_code.launch import binary_of
from caw_provider_claude_code.models import TIERS
from caw_provider_claude_code.program import INSTALL_HINT, find_program, program_version
from caw_provider_claude_code.session import open_session
from caw_provider_claude_code.transcripts import conversation_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_core.provider import NativeSession, ProviderSession, ResumeRequest, StartRequest
    from caw_core.trajectory import Trajectory

TESTED: Final = "2.1"
"""The versions of claude that this was tested with: 2.1.197 in full, 2.1.329 where it agrees."""

_INFO: Final = ProviderInfo(
    name=NAME,
    description="Claude Code over its control protocol, one process for each session",
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
            "thinking",
            "tools",
            "usage",
        }
    ),
    options={
        "additional_dirs": NATIVE,
        "cwd": NATIVE,
        "env": NATIVE,
        "max_tokens": OptionSupport(
            support="native",
            how=(
                "CLAUDE_CODE_MAX_OUTPUT_TOKENS; claude has an answer that was cut off continued "
                "up to three times before the turn ends with max_tokens"
            ),
        ),
        "max_turns": NATIVE,
        "mcp_servers": OptionSupport(
            support="native",
            how="added to those of claude's own settings, over stdio or streamable HTTP",
        ),
        "model": NATIVE,
        "permissions": OptionSupport(support="native", how=permissions.HOW),
        "reasoning": OptionSupport(support="native", how="claude's own effort levels"),
        "system_prompt": OptionSupport(
            support="native",
            how=(
                "added to claude's own, which stays; option system_prompt_mode='replace' puts it "
                "in its place. Sent again at each start of the program, so it holds after a resume."
            ),
        ),
        "tools": OptionSupport(
            support="native",
            how=(
                "claude's own tools of these kinds; MCP servers only from mcp_servers. "
                "INTERACTION needs on_permission, which answers the agent's questions."
            ),
        ),
    },
    extra_options={
        "binary": "path of the claude program to use",
        "protocol": (
            "live: one claude for all turns, over its control protocol; spawn: one for each turn; "
            "auto (default): spawn for a claude that does not speak the control protocol"
        ),
        "settings_sources": (
            "which of claude's settings files count: some of user, project and local, as a list "
            "or separated by commas; empty for none (default: all)"
        ),
        "system_prompt_mode": "append (default) or replace; see system_prompt",
    },
    tiers=TIERS,
    program="claude",
    install_hint=INSTALL_HINT,
)


class ClaudeCodeProvider:
    """caw's provider for Claude Code."""

    caw_api: ClassVar[str] = "1.0"

    def __init__(self) -> None:
        self._versions: dict[tuple[str, int, int], str] = {}

    @hookimpl
    def start_session(self, request: StartRequest) -> ProviderSession:
        """Open a new conversation; see `caw_core.hookspecs.ProviderSpecs.start_session`."""
        return open_session(request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Continue a conversation; see `caw_core.hookspecs.ProviderSpecs.resume_session`."""
        return open_session(request, request.resume_key)

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return claude's id; records of the wrapper before caw have it as their own id."""
        if trajectory.resume_key:
            return trajectory.resume_key
        return conversation_id(trajectory.session_id)

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return _INFO

    @hookimpl
    def check_ready(self, env: Mapping[str, str | None], options: Mapping[str, Any]) -> Readiness:
        """Look for the program and for credentials; neither network nor tokens are used."""
        from caw_provider_claude_code.readiness import LOGIN_HINT, credentials

        whole = child_environment(env)
        try:
            program = find_program(binary_of(options), whole)
        except ProgramNotFoundError as error:
            detail = str(error)
            return Readiness(ready=False, detail=detail, hint=INSTALL_HINT, tested_versions=TESTED)
        version, seen = self._version(program), credentials(whole)
        return Readiness(
            ready=bool(version and seen),
            detail=_detail(version, seen),
            hint=("" if seen else LOGIN_HINT) if version else INSTALL_HINT,
            program_path=str(program),
            version=version,
            tested_versions=TESTED,
            tested=version.startswith(f"{TESTED}.") if version else None,
            credentials=seen,
        )

    @hookimpl
    def find_sessions(self, cwd: Path, env: Mapping[str, str | None]) -> list[NativeSession]:
        """List claude's conversations; see `caw_core.hookspecs.ProviderSpecs.find_sessions`."""
        from caw_provider_claude_code.native import native_sessions

        return native_sessions(cwd, env)

    @hookimpl
    def read_session(self, native: NativeSession) -> Trajectory:
        """Read a conversation; see `caw_core.hookspecs.ProviderSpecs.read_session`."""
        from caw_provider_claude_code.native import read_native

        return read_native(native)

    def _version(self, program: Path) -> str:
        state = program.stat()
        key = (str(program), state.st_mtime_ns, state.st_size)
        if key not in self._versions:
            self._versions[key] = program_version(program)
        return self._versions[key]


def _detail(version: str, seen: str) -> str:
    if not version:
        return "claude does not say its version"
    return f"claude {version}, {seen or 'no credentials seen'}"
