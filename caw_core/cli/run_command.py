"""``caw run``: one prompt in a new session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.agent_options import agent_options, open_agent
from caw_core.cli.prompt_text import prompt_file_option, read_prompt
from caw_core.cli.session_turn import converse

if TYPE_CHECKING:
    from pathlib import Path


@click.command("run")
@click.argument("prompt", required=False)
@prompt_file_option
@agent_options
def command(prompt: str | None, prompt_file: Path | None, **given: Any) -> None:
    """Ask an agent one thing, in a new session.

    PROMPT is the prompt; "-", or nothing, reads it from stdin. Write "--" before one that begins
    with a dash.
    """
    text = read_prompt(prompt, prompt_file)
    converse(
        given,
        text,
        lambda storage, say: open_agent(given, storage, say=say).start_session(),
    )
