"""What the checks of a provider work with: agents, sessions, turns that are followed."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import CawError
from caw_core.events import Event, TextDelta, TextDone
from caw_testkit.conformance.base import broken
from caw_testkit.conformance.provider_script import CannotScriptError, ProviderScript

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from caw_core import Agent, Prompt, Session
    from caw_core.trajectory import Turn
    from caw_testkit.conformance.provider_recorder import Recorder

_POLL_SECONDS = 0.02


class Followed:
    """A turn that is read event by event.

    Attributes:
        events: what was read so far.
        error: what the turn ended with, None while it runs and if it did not fail.
    """

    def __init__(self, session: Session, prompt: str | Prompt) -> None:
        self.events: list[Event] = []
        self.error: CawError | None = None
        self._stream = session.stream(prompt)

    def until(self, what: str, happened: Callable[[list[Event]], bool]) -> None:
        """Read until *happened*; fail the check if the turn ends before that."""
        if not happened(self.events):
            for event in self._stream:
                self.events.append(event)
                if happened(self.events):
                    return
            broken(
                f"the turn ended before {what}: {kinds(self.events)}",
                "check that the script's step does what it says, and that every event is yielded",
            )

    def until_said(self, text: str) -> None:
        """Read until the agent has said *text*."""
        self.until(f"{text!r} was said", lambda events: text in said(events))

    def to_end(self) -> Turn:
        """Read the rest and return the turn; a failure is in `error`."""
        try:
            self.events += self._stream
        except CawError as error:
            self.error = error
        turn = self._stream.turn
        if turn is None:
            broken("the turn ended without a record", f"look at the error: {self.error!r}")
        return turn


class Stage:
    """One check's agents and sessions.

    Args:
        script: makes the agent do things.
        cannot: the steps that it cannot be made to do, with the reason.
        recorder: hears the provider.
        make: makes an agent with more options.
        patience: how many seconds to wait for what comes by itself, e.g. the end of a process.
    """

    def __init__(
        self,
        script: ProviderScript,
        cannot: Mapping[str, str],
        recorder: Recorder,
        make: Callable[..., Agent],
        patience: float,
    ) -> None:
        self.script = script
        self.recorder = recorder
        self.agent = make
        self._cannot = cannot
        self._patience = patience
        self._sessions: list[Session] = []

    def step(self, name: str, *arguments: Any) -> Any:
        """Have the script prepare a step, and return the prompt; skip the check if it cannot."""
        self.need(name)
        try:
            return getattr(self.script, name)(*arguments)
        except CannotScriptError:
            broken(
                f"the script {type(self.script).__name__} has no step {name!r}",
                f"write it, or declare cannot = {{{name!r}: 'why'}}",
            )

    def can(self, name: str) -> bool:
        """Tell whether *name* is not declared as impossible."""
        return name not in self._cannot

    def need(self, name: str) -> None:
        """Skip the check if *name* is declared as impossible."""
        if name in self._cannot:
            pytest.skip(f"cannot {name}: {self._cannot[name]}")

    def start(self, **options: Any) -> Session:
        """Open a session, which is ended after the check."""
        return self.keep(self.agent(**options).start_session())

    def keep(self, session: Session) -> Session:
        """End *session* after the check."""
        self._sessions.append(session)
        return session

    def follow(self, session: Session, prompt: str | Prompt) -> Followed:
        """Send *prompt* and return the turn to read."""
        return Followed(session, prompt)

    def completed(self, session: Session, prompt: str | Prompt) -> Followed:
        """Send *prompt*, read the turn to its end, and demand that it completed."""
        followed = self.follow(session, prompt)
        turn = followed.to_end()
        if turn.status != "completed":
            broken(
                f"the turn is {turn.status}, not completed: {followed.error!r}; "
                f"{kinds(followed.events)}",
                "an agent that came to its own end makes prompt() return or yield a TurnEnded",
            )
        return followed

    def answered(self, session: Session, text: str = "quince") -> Followed:
        """Have the agent answer *text*, and demand that the answer arrives."""
        followed = self.completed(session, self.step("answer", text))
        if text not in said(followed.events):
            broken(
                f"the agent answered {text!r} and the turn says {said(followed.events)!r:.300}",
                "yield a TextDelta or TextDone for all that the agent says, character by character",
            )
        return followed

    def stalled(self, session: Session, text: str = "medlar") -> Followed:
        """Have the agent say *text* and stall; return when it does."""
        followed = self.follow(session, self.step("stall", text))
        followed.until_said(text)
        self.script.wait_stalled()
        return followed

    def busy(self, session: Session, folder: Path, before: str, after: str) -> Followed:
        """Have the agent run *before* and *after* in its shell; return when it comes to *after*."""
        note = folder / f"started-{len(self.recorder.turns)}"
        command = f"{before}\necho started > {shlex.quote(str(note))}\n{after}"
        followed = self.follow(session, self.step("run_command", command))
        self.wait_until("the command's start", note.exists, "check the script's step run_command")
        return followed

    def wait_for(self, happened: Callable[[], bool]) -> bool:
        """Wait for what comes by itself; False if it does not come in time."""
        deadline = time.monotonic() + self._patience
        while not happened():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def wait_until(self, what: str, happened: Callable[[], bool], advice: str) -> None:
        """Do as `wait_for`, and fail the check if it does not come."""
        if not self.wait_for(happened):
            broken(f"{what} did not come within {self._patience:g} s", advice)

    def close(self) -> None:
        """End all sessions."""
        for session in self._sessions:
            session.end()


def said(events: list[Event]) -> str:
    """Return what the agent said, each piece once or twice."""
    deltas = "".join(event.text for event in events if isinstance(event, TextDelta))
    whole = "\n".join(event.text for event in events if isinstance(event, TextDone))
    return f"{deltas}\n{whole}"


def kinds(events: list[Event]) -> str:
    """Return the kinds of *events*, for a message."""
    names = [event.type for event in events]
    if len(names) > 40:  # noqa: PLR2004 - what a person reads
        names = [*names[:20], "…", *names[-20:]]
    return ", ".join(names) or "no events"
