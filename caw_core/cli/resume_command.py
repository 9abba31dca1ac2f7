"""``caw resume``: one prompt more in an earlier session."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.agent_options import agent_options, open_agent
from caw_core.cli.prompt_text import (
    STDIN,
    attach_option,
    prompt_file_option,
    read_prompt,
    with_files,
)
from caw_core.cli.record_options import open_store
from caw_core.cli.session_names import find_session
from caw_core.cli.session_turn import converse
from caw_core.handles import looks_like_handle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from caw_core.cli.person import Person
    from caw_core.session import Session

HANDLE_VARIABLE = "CAW_RESUME_HANDLE"


@click.command("resume")
@click.argument("session")
@click.argument("prompt", required=False)
@prompt_file_option
@attach_option
@agent_options
def command(
    session: str,
    prompt: str | None,
    prompt_file: Path | None,
    attach: tuple[Path, ...],
    **given: Any,
) -> None:
    """Ask one thing more in an earlier session.

    SESSION is its id, at least four characters of the id's beginning, "last", or a resume handle.
    "-" reads a handle, which is a secret, from the variable CAW_RESUME_HANDLE or else from stdin.
    The agent, its model, system prompt, permissions and folder are the session's unless given.
    """
    from_stdin = session == STDIN and not os.environ.get(HANDLE_VARIABLE)
    text = read_prompt(prompt, prompt_file, stdin_taken=from_stdin)
    name = read_handle() if session == STDIN else session

    def resume(storage: list[str], say: Callable[[str], None], person: Person | None) -> Session:
        return resume_named(given, name, storage, say, person)

    converse(given, with_files(text, attach), resume)


def read_handle() -> str:
    """Return the handle from the environment, else from stdin.

    Raises:
        click.UsageError: there is none, or something else.
    """
    variable = os.environ.get(HANDLE_VARIABLE)
    handle = variable or sys.stdin.buffer.read().decode(errors="replace")
    if not handle.strip():
        msg = f"there is no handle in {HANDLE_VARIABLE} or on stdin"
        raise click.UsageError(msg)
    if not looks_like_handle(handle):
        # What it is instead is not repeated: it may be another secret.
        where = f"in {HANDLE_VARIABLE}" if variable else "on stdin"
        msg = f"what is {where} is no resume handle; --save-handle writes one"
        raise click.UsageError(msg)
    return handle


def resume_named(
    given: Mapping[str, Any],
    name: str,
    storage: list[str],
    say: Callable[[str], None],
    person: Person | None,
) -> Session:
    """Resume the session that a handle, an id or the beginning of one means."""
    agent = open_agent(given, storage, say=say, person=person, resuming=True)
    if looks_like_handle(name):
        return agent.resume_session(name)
    if given["no_record"]:
        msg = "--no-record takes a resume handle: a session's id is found only in its record"
        raise click.UsageError(msg)
    return agent.resume_session(find_session(open_store(given), name))
