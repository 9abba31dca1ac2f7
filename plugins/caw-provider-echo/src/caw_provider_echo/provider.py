"""The provider: what the echo says about itself, and how its sessions begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core import hookimpl
from caw_core.blocks import SteerBlock
from caw_core.errors import ConfigError
from caw_core.provider import (
    OptionSupport,
    ProviderInfo,
    Readiness,
    ResumeRequest,
    StartRequest,
)
from caw_provider_echo.session import MODELS, EchoSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.trajectory import Trajectory, Turn

_UNUSED = OptionSupport(
    support="unsupported",
    how="nothing runs and nothing is sampled; the directive !request shows the value",
)

INFO = ProviderInfo(
    name="echo",
    description="repeats what you say; for first steps and tests",
    capabilities=frozenset(
        {
            "files",
            "images",
            "interrupt",
            "models",
            "permissions",
            "record_resume",
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
        "model": OptionSupport(
            support="native",
            how=f"any name; it is reported back; {MODELS[0].name!r} if none is given",
        ),
        "system_prompt": OptionSupport(support="native", how="the directive !system answers it"),
        "max_tokens": OptionSupport(support="native", how="counts words"),
        "cwd": OptionSupport(support="native", how="the directive !cwd answers it"),
        "permissions": OptionSupport(
            support="native",
            how="the directive !ask asks with 'ask' and 'auto-edit', is declined with 'read-only' "
            "and simply done with 'full'; nothing that it does has an effect on anything",
        ),
        "tools": OptionSupport(
            support="native",
            how="pretended calls of other tools are declined, also of tools in no group",
        ),
        "additional_dirs": _UNUSED,
        "mcp_servers": _UNUSED,
        "reasoning": _UNUSED,
        "temperature": _UNUSED,
        "env": _UNUSED,
    },
    tiers={"fast": MODELS[0].name, "strongest": MODELS[1].name},
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
            prompts=tuple(prompt for turn in turns for prompt in _prompts_of(turn)),
            resume_key=request.resume_key,
            forgot=request.trajectory is None,
        )

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Return the session's id, or None before its first turn."""
        return trajectory.session_id if trajectory.turns else None


def _prompts_of(turn: Turn) -> Iterator[str]:
    yield turn.input
    for block in turn.output:
        if isinstance(block, SteerBlock):
            yield block.text


def _check_options(request: StartRequest) -> None:
    directives = request.options.get("directives", True)
    if not isinstance(directives, bool):
        message = f"the echo's option 'directives' must be True or False, not {directives!r}"
        raise ConfigError(message)
