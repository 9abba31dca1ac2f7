"""The plugin: what caw calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from caw_core.hookspecs import hookimpl
from caw_core.programs import ProgramVersions
from caw_core.provider import NATIVE, OptionSupport, ProviderInfo
from caw_provider_claude_code import permissions
from caw_provider_claude_code.errors import NAME
from caw_provider_claude_code.models import TIER_VARIABLES, TIERS
from caw_provider_claude_code.program import CLAUDE
from caw_provider_claude_code.session import open_session
from caw_provider_claude_code.transcripts import conversation_id

if TYPE_CHECKING:
    from collections.abc import Mapping
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

_INFO: Final = ProviderInfo(
    name=NAME,
    description="Claude Code over its control protocol, one process for each session",
    capabilities=frozenset(
        {
            "agent_turns",
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
        "max_turns": OptionSupport(support="native", how="not in claude's own interface"),
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
        "structured_output": (
            "tool (default): claude keeps to the schema by its own means, which takes a restart of "
            "about a second whenever the schema changes; prompt: describe it in the prompt"
        ),
        "system_prompt_mode": "append (default) or replace; see system_prompt",
    },
    tiers=TIERS,
    tier_variables=TIER_VARIABLES,
    program=CLAUDE.name,
    install_hint=CLAUDE.install_hint,
)


class ClaudeCodeProvider:
    """caw's provider for Claude Code."""

    caw_api: ClassVar[str] = "1.0"

    def __init__(self) -> None:
        self._versions = ProgramVersions()

    @hookimpl
    def start_session(self, request: StartRequest) -> ProviderSession:
        """Open a new conversation; see `caw_core.hookspecs.ProviderSpecs.start_session`."""
        return open_session(request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Continue a conversation; see `caw_core.hookspecs.ProviderSpecs.resume_session`."""
        return open_session(request, request.resume_key)

    @hookimpl
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        """Hand over the terminal; see `caw_core.hookspecs.ProviderSpecs.start_interactive`."""
        from caw_provider_claude_code.interactive import hold_conversation

        return hold_conversation(request)

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
        from caw_core.readiness import program_readiness
        from caw_provider_claude_code.readiness import LOGIN_HINT, seen_credentials

        return program_readiness(
            CLAUDE,
            self._versions,
            env,
            options,
            credentials=seen_credentials,
            login_hint=LOGIN_HINT,
        )

    @hookimpl
    def container_credentials(self, env: Mapping[str, str | None]) -> ContainerCredentials:
        """Say where the login lies; it is not read but for when it runs out."""
        from caw_provider_claude_code.login import container_credentials

        return container_credentials(env)

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
