"""``caw chat``: a conversation in the terminal."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.agent_options import agent_options, open_agent
from caw_core.cli.complaints import complain
from caw_core.cli.person import Person, person_is_there
from caw_core.cli.record_options import urls_to_write
from caw_core.cli.resume_command import read_handle, resume_named
from caw_core.cli.session_turn import resume_hint
from caw_core.cli.turn import make_view, run_turn, save_handle
from caw_core.errors import CawError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.cli.turn import View
    from caw_core.session import Session

HELP = """\
/exit  end the chat (so do Ctrl-D and, at the prompt, Ctrl-C)
/help  this text
//x    send "/x": a line that begins with one slash is never sent
Ctrl-C while the agent works ends its turn, and the chat goes on."""

_PROMPT = "> "


@click.command("chat")
@click.option(
    "--resume",
    "resumed",
    metavar="SESSION",
    help="Go on with an earlier session, named as for 'caw resume'.",
)
@agent_options
def command(resumed: str | None, **given: Any) -> None:
    """Talk with an agent, one line at a time, in one session.

    /help in the chat tells what may be typed. From a pipe, every line is a message, and the first
    turn that fails ends the chat.
    """
    view = make_view(given)
    person = Person() if person_is_there() else None
    name = read_handle() if resumed == "-" else resumed
    try:
        storage = urls_to_write(given, say=view.say)
        if name is None:
            session = open_agent(given, storage, say=view.say, person=person).start_session()
        else:
            session = resume_named(given, name, storage, view.say, person)
    except Exception as error:
        view.fail(error, None, None)
        raise
    with session:
        try:
            _talk(session, view, person)
        finally:
            if storage and session.trajectory.resume_key:
                view.say(resume_hint(session.session_id, given))
            save_handle(session, given["save_handle"])


def _talk(session: Session, view: View, person: Person | None) -> None:
    typed = sys.stdin.isatty()
    if typed:
        view.say(
            f"session {session.session_id} with {session.provider}; /help tells what may be typed"
        )
    for message in _messages(typed=typed):
        try:
            run_turn(session, message, view, person)
        except KeyboardInterrupt:
            if not typed:
                raise
        except CawError as error:
            if not typed or session.ended:
                raise
            complain(error, writes_record=True)


def _messages(*, typed: bool) -> Iterator[str]:
    for line in _typed() if typed else sys.stdin:
        text = line.rstrip("\n")
        match text.strip():
            case "":
                continue
            case "/exit" | "/quit":
                return
            case "/help":
                click.echo(HELP, err=True)
            case command_ if command_.startswith("/") and not command_.startswith("//"):
                word = command_.split()[0]
                click.echo(f"there is no {word}; to send it, write /{word}. See /help", err=True)
            case message if message.startswith("//"):
                yield message[1:]
            case _:
                yield text


def _typed() -> Iterator[str]:
    # Gives input() line editing and a history; some systems' Python lacks it.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
    while True:
        try:
            line = input(_PROMPT)
        except (EOFError, KeyboardInterrupt):
            click.echo(err=True)
            return
        yield line
