"""Turns for programs: one JSON object per line on stdout."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.exit_codes import OK, exit_code_for
from caw_core.serialize import event_to_dict, turn_to_dict
from caw_core.trajectory import ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.events import Event
    from caw_core.session import Session
    from caw_core.trajectory import Turn

_DELTAS = {"text_delta", "thinking_delta", "tool_arguments", "tool_output"}


def print_line(document: Mapping[str, Any]) -> None:
    """Print one object as one line, at once."""
    # ASCII only, so that no terminal, encoding or lone surrogate can damage it.
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


class TurnLines:
    """Prints every event of a turn, and the turn at its end.

    Args:
        deltas: print also pieces of texts, arguments and outputs.
        quiet: say nothing on stderr.
    """

    def __init__(self, *, deltas: bool, quiet: bool) -> None:
        self._deltas = deltas
        self._quiet = quiet

    def say(self, message: str) -> None:
        """Tell something on stderr, which is no part of the output."""
        if not self._quiet:
            click.echo(message, err=True)

    def begin(self, provider: str) -> None:
        """Do nothing: the event ``turn_started`` says it."""

    def show(self, event: Event) -> None:
        """Print the event."""
        if self._deltas or event.type not in _DELTAS:
            print_line(event_to_dict(event))

    def end(self, session: Session, turn: Turn) -> None:
        """Print the turn."""
        print_line(_result(session, turn, OK))

    def fail(self, error: BaseException, session: Session | None, turn: Turn | None) -> None:
        """Print the turn as far as it came; without one, the error."""
        if isinstance(error, BrokenPipeError):
            return
        code = exit_code_for(error)
        info = ErrorInfo.of(error)
        problem = {"type": info.type, "message": info.message, "data": dict(info.data)}
        if session is None or turn is None:
            print_line({"type": "error", "exit_code": code, "error": problem})
            return
        result = _result(session, turn, code)
        print_line({**result, "error": result.get("error") or problem})

    def close(self) -> None:
        """Do nothing: nothing was changed."""


def _result(session: Session, turn: Turn, code: int) -> dict[str, Any]:
    return {
        "type": "result",
        "exit_code": code,
        "session_id": session.session_id,
        "provider": session.provider,
        "result": turn.result,
        **turn_to_dict(turn),
    }
