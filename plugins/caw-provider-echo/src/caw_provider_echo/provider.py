"""The provider: what the echo says about itself, and how its sessions begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_core.errors import ConfigError
from caw_core.provider import (
    OptionSupport,
    ProviderInfo,
    Readiness,
    ResumeRequest,
    StartRequest,
)
from caw_provider_echo.session import EchoSession

if TYPE_CHECKING:
    from caw_core.trajectory import Trajectory

_NOTHING_RUNS = OptionSupport(
    support="unsupported",
    how="nothing runs and nothing is sampled; the directive !request shows the value",
)

INFO = ProviderInfo(
    name="echo",
    description="repeats what you say; for first steps and tests",
    capabilities=frozenset({"resume", "interrupt", "streaming", "tools", "thinking", "usage"}),
    options={
        "model": OptionSupport(support="native", how="any name; it is reported back"),
        "system_prompt": OptionSupport(support="native", how="the directive !system answers it"),
        "max_tokens": OptionSupport(support="native", how="counts words"),
        "cwd": OptionSupport(support="native", how="the directive !cwd answers it"),
        "permissions": OptionSupport(support="native", how="it can do nothing to anything"),
        "reasoning": _NOTHING_RUNS,
        "temperature": _NOTHING_RUNS,
        "env": _NOTHING_RUNS,
    },
    extra_options={"directives": "false: repeat lines that begin with ! too (default: true)"},
    auto="never",
)


class EchoProvider:
    """Answers ``echo: …`` at once, without a program, a network or a cost."""

    caw_api = "1.0"

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Return the facts about the echo."""
        return INFO

    @hookimpl
    def check_ready(self) -> Readiness:
        """Say yes: nothing is needed."""
        return Readiness(ready=True, detail="needs nothing")

    @hookimpl
    def start_session(self, request: StartRequest) -> EchoSession:
        """Open a conversation; raise `ConfigError` for a ``directives`` that is not a bool."""
        _check_options(request)
        return EchoSession(request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> EchoSession:
        """Go on from the record; without one only the key is known, and the next turn says so."""
        _check_options(request)
        turns = request.trajectory.turns if request.trajectory is not None else ()
        return EchoSession(
            request,
            prompts=tuple(turn.input for turn in turns),
            resume_key=request.resume_key,
            forgot=request.trajectory is None,
        )

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return the session's id, or None before its first turn."""
        return trajectory.session_id if trajectory.turns else None


def _check_options(request: StartRequest) -> None:
    directives = request.options.get("directives", True)
    if not isinstance(directives, bool):
        message = f"the echo's option 'directives' must be True or False, not {directives!r}"
        raise ConfigError(message)
