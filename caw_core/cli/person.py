"""The person at the terminal, who is asked what the agent may do."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING

import click

from caw_core.display.plain import plain
from caw_core.permissions import NOBODY, Decision, allow, allow_always, deny

if TYPE_CHECKING:
    from caw_core.permissions import PermissionRequest

_LINES = 60
_CHARACTERS = 8000
_ARRIVAL_SECONDS = 10.0
"""The request comes right behind the event that tells of it."""

REFUSED = "the user said no"
NO_QUESTIONS = (
    "questions cannot be answered on this command line; write the question as your answer"
)


def person_is_there() -> bool:
    """Tell whether somebody can read questions on stderr and type answers on stdin."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class Person:
    """Brings the agent's requests to the thread that shows the turn, and the answers back.

    The agent's side calls `decide` in a thread of its own. The question is put by `ask`, in the
    thread that follows the events: nothing else then writes to the terminal, and Ctrl-C interrupts
    the turn as at any other moment.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: dict[str, PermissionRequest] = {}
        self._answers: dict[str, Decision] = {}
        self._turns = 0

    def decide(self, request: PermissionRequest) -> Decision:
        """Wait for the answer to *request*; for use as ``on_permission``."""
        with self._changed:
            turn = self._turns
            self._requests[request.request_id] = request
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: request.request_id in self._answers or self._turns != turn,
            )
            self._requests.pop(request.request_id, None)
            return self._answers.pop(request.request_id, deny("the turn is over"))

    def ask(self, request_id: str) -> None:
        """Put the question for a request that `decide` has got or is about to get."""
        with self._changed:
            self._changed.wait_for(lambda: request_id in self._requests, _ARRIVAL_SECONDS)
            request = self._requests.get(request_id)
        decision = NOBODY if request is None else _answer_of(request)
        with self._changed:
            self._answers[request_id] = decision
            self._changed.notify_all()

    def dismiss(self) -> None:
        """The turn is over: nobody waits for an answer any more."""
        with self._changed:
            self._turns += 1
            self._answers.clear()
            self._changed.notify_all()


def _answer_of(request: PermissionRequest) -> Decision:
    reason = f" ({request.reason})" if request.reason else ""
    click.echo(plain(f"? the agent wants to use {request.tool}{reason}"), err=True)
    for line in _shown(request):
        click.echo(f"    {plain(line)}", err=True)
    if request.kind == "question":
        # Each agent has its own form of answers, and yes or no is in none of them.
        return deny(NO_QUESTIONS)
    # What was typed before the question stood there is no answer to it.
    if sys.platform != "win32":
        import termios

        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    choices = "y/N/always" if request.can_always else "y/N"
    click.echo(f"  allow it? [{choices}] ", nl=False, err=True)
    typed = sys.stdin.readline()
    if not typed:
        click.echo(err=True)
    match typed.strip().lower():
        case "y" | "yes":
            return allow()
        case "a" | "always" if request.can_always:
            return allow_always()
        case _:
            return deny(REFUSED)


def _shown(request: PermissionRequest) -> list[str]:
    # Whole, unlike in the list of what the agent does: the end of a command matters too.
    values = list(request.arguments.values())
    if not values:
        return []
    if len(values) == 1 and isinstance(values[0], str):
        text = values[0]
    else:
        text = json.dumps(dict(request.arguments), ensure_ascii=False, indent=2)
    lines = text[:_CHARACTERS].splitlines()[:_LINES]
    hidden = len(text) - sum(len(line) + 1 for line in lines)
    return [*lines, f"… and {hidden} more characters"] if hidden > 0 else lines
