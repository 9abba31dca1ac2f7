"""A session that is opened for one prompt."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from caw_core.cli.person import Person, person_is_there
from caw_core.cli.record_options import urls_to_write
from caw_core.cli.turn import make_view, run_turn, save_handle
from caw_core.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.provider import Prompt

Opener = Callable[[list[str], Callable[[str], None], Person | None], Session]
"""Opens a session, given the storages for its record, what tells the user something, and who is
asked for permission."""


def converse(given: Mapping[str, Any], prompt: str | Prompt, open_session: Opener) -> None:
    """Open a session, send one prompt, show the turn and end the session.

    Args:
        given: the options of `caw_core.cli.agent_options`.
        prompt: the prompt.
        open_session: opens the session.

    Raises:
        CawError: the session could not be opened, or the turn failed.
    """
    view = make_view(given)
    person = Person() if person_is_there() else None
    try:
        storage = urls_to_write(given, say=view.say)
        session = open_session(storage, view.say, person)
    except Exception as error:
        view.fail(error, None, None)
        raise
    with session:
        try:
            run_turn(session, prompt, view, person)
        finally:
            if storage and session.trajectory.resume_key:
                view.say(resume_hint(session.session_id, given))
            save_handle(session, given["save_handle"])


def resume_hint(session_id: str, given: Mapping[str, Any]) -> str:
    """Return how to go on with a session that has a record."""
    where = ""
    if given["data_dir"] is not None:
        where = f" --data-dir {shlex.quote(str(given['data_dir']))}"
    if given["storage"]:
        # Such a URL may hold a password.
        where += " --storage URL"
    return f"resume with: caw resume {session_id}{where} PROMPT"
