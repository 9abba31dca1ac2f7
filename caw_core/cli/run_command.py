"""``caw run``: one prompt in a new session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.agent_options import agent_options, open_agent
from caw_core.cli.prompt_text import attach_option, prompt_file_option, read_prompt, with_files
from caw_core.cli.session_turn import converse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from caw_core.cli.person import Person
    from caw_core.session import Session


@click.command("run")
@click.argument("prompt", required=False)
@prompt_file_option
@attach_option
@agent_options
def command(
    prompt: str | None,
    prompt_file: Path | None,
    attach: tuple[Path, ...],
    **given: Any,
) -> None:
    """Ask an agent one thing, in a new session.

    PROMPT is the prompt; "-", or nothing, reads it from stdin. Write "--" before one that begins
    with a dash.
    """
    text = read_prompt(prompt, prompt_file)

    def start(storage: list[str], say: Callable[[str], None], person: Person | None) -> Session:
        return open_agent(given, storage, say=say, person=person).start_session()

    converse(given, with_files(text, attach), start)
