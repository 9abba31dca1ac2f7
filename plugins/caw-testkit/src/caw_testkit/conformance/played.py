"""A provider without an agent: it answers by itself, so that whole sessions can be run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core import Agent, PluginRegistry, ProviderInfo, hookimpl
from caw_core.events import TextDelta, ToolFinished, ToolStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import Prompt, ResumeRequest, StartRequest
    from caw_core.events import Event


class PlayedSession:
    """Answers each prompt with one tool call and one text."""

    def __init__(self, resume_key: str | None) -> None:
        self.resume_key = resume_key

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Answer."""
        self.resume_key = self.resume_key or "played-key"
        yield ToolStarted(call_id="1", name="shell", arguments={"command": prompt.text})
        yield ToolFinished(call_id="1", output=f"output of {prompt.text}")
        yield TextDelta(text=f"answer to {prompt.text}")

    def interrupt(self) -> None:
        """Do nothing: it never waits."""

    def close(self) -> None:
        """Do nothing: it holds nothing."""


class PlayedProvider:
    """Opens `PlayedSession`s."""

    caw_api = "1.0"

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what it is."""
        return ProviderInfo(name="played", auto="never")

    @hookimpl
    def start_session(self, request: StartRequest) -> PlayedSession:
        """Open a session."""
        del request
        return PlayedSession(None)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> PlayedSession:
        """Go on with a session."""
        return PlayedSession(request.resume_key)


def played_agent(storage: object) -> Agent:
    """Return an agent that keeps its records in *storage*, without any installed plugin."""
    registry = PluginRegistry(autoload=False)
    registry.register_provider("played", PlayedProvider())
    return Agent("played", registry=registry, storage=storage)
