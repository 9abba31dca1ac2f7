"""One turn on the command line, and what shows it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Protocol

from caw_core.cli.person import person_is_there
from caw_core.cli.signals import signals_held
from caw_core.cli.turn_lines import TurnLines
from caw_core.cli.turn_screen import TurnScreen
from caw_core.errors import CawError, SessionStateError, TurnInterruptedError
from caw_core.events import PermissionAsked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from caw_core.cli.person import Person
    from caw_core.events import Event
    from caw_core.interactive import InteractiveResult
    from caw_core.provider import Prompt
    from caw_core.session import Session
    from caw_core.trajectory import Turn


class View(Protocol):
    """Shows turns, for people or for programs."""

    def say(self, message: str) -> None:
        """Tell something that is no part of a turn."""

    def begin(self, provider: str) -> None:
        """A turn begins."""

    def show(self, event: Event) -> None:
        """Something happened in it."""

    def end(self, session: Session, turn: Turn) -> None:
        """It came to its end."""

    def fail(self, error: BaseException, session: Session | None, turn: Turn | None) -> None:
        """It, or opening its session, failed; the error itself is told elsewhere."""

    def close(self) -> None:
        """Leave the terminal as it was; idempotent."""


def make_view(given: Mapping[str, Any]) -> View:
    """Return the view that ``--json``, ``--stream`` and ``--quiet`` ask for."""
    stream: bool | None = given["stream"]
    if given["as_json"]:
        return TurnLines(deltas=bool(stream), quiet=given["quiet"])
    return TurnScreen(
        stream=stream is not False,
        quiet=given["quiet"],
        asks=person_is_there(),
    )


def run_turn(
    session: Session,
    prompt: str | Prompt,
    view: View,
    person: Person | None = None,
) -> Turn:
    """Send *prompt* and show what happens.

    Args:
        session: the session.
        prompt: the prompt.
        view: shows it.
        person: is asked for permission when the agent wants it; None: nobody is.

    Raises:
        CawError: as `Session.send` does.
        TurnInterruptedError: the turn was interrupted by the agent's side.
        KeyboardInterrupt: the turn was interrupted and has ended.
    """
    turn: Turn | None = None
    try:
        view.begin(session.provider)
        with contextlib.ExitStack() as opened:
            with signals_held():
                # Between a turn's beginning and our knowing of it Ctrl-C would leave it running.
                stream = opened.enter_context(session.stream(prompt))
            try:
                for event in stream:
                    view.show(event)
                    if person is not None and isinstance(event, PermissionAsked):
                        person.ask(event.request_id)
            finally:
                stream.close()
                turn = stream.turn
        if turn is None or turn.status == "interrupted":
            msg = "the turn was interrupted"
            raise TurnInterruptedError(msg)
    except BaseException as error:
        view.fail(error, session, turn)
        raise
    finally:
        if person is not None:
            person.dismiss()
        view.close()
    view.end(session, turn)
    return turn


def save_handle(session: Session | InteractiveResult, file: Path | None) -> None:
    """Write the resume handle, if there is one, to *file*, readable by its owner alone.

    Where that fails while an error is under way, the error gets a note and stays what is told.

    Raises:
        CawError: the file cannot be written.
    """
    if file is None:
        return
    try:
        handle = session.resume_handle
    except SessionStateError:
        # The turn failed before the agent gave its key; that failure is what is told.
        return
    if handle is None:
        return
    failure = sys.exception()
    try:
        _write_secret(file, handle)
    except OSError as error:
        msg = f"--save-handle: the handle could not be written: {error}"
        if failure is None:
            raise CawError(msg) from error
        failure.add_note(msg)


def _write_secret(file: Path, text: str) -> None:
    import os

    # A new file under the final name: an old one might be readable by others.
    part = file.with_name(f"{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text + "\n")
    part.replace(file)
