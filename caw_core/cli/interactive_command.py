"""``caw interactive``: the agent's own interface, and its record afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from caw_core.cli.agent_options import agent_options, open_agent
from caw_core.cli.prompt_text import prompt_file_option, read_prompt
from caw_core.cli.record_options import open_store, urls_to_write
from caw_core.cli.resume_command import read_handle
from caw_core.cli.session_names import find_session
from caw_core.cli.session_turn import resume_hint
from caw_core.cli.turn import make_view, save_handle
from caw_core.handles import looks_like_handle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@click.command("interactive")
@click.argument("prompt", required=False)
@prompt_file_option
@click.option("--select", is_flag=True, help="Choose among the installed agents, in a menu.")
@click.option(
    "--resume",
    "resumed",
    metavar="SESSION",
    help="Go on with an earlier session, named as for 'caw resume'.",
)
@agent_options
@click.pass_context
def command(
    context: click.Context,
    /,
    prompt: str | None,
    prompt_file: Path | None,
    resumed: str | None,
    *,
    select: bool,
    **given: Any,
) -> None:
    """Open an agent's own interface in this terminal, and keep a record of the conversation.

    PROMPT, if given, is sent by itself. Options about turns that caw sends, such as --timeout and
    --json, have no effect. The exit code is the agent's; 130 if you chose none in the menu.
    """
    if select and resumed is not None:
        msg = "--select and --resume exclude each other"
        raise click.UsageError(msg)
    text = "" if prompt is None and prompt_file is None else read_prompt(prompt, prompt_file)
    view = make_view({**given, "as_json": False})
    storage = urls_to_write(given, say=view.say)
    chosen_later = select or resumed is not None
    agent = open_agent(given, storage, say=view.say, person=None, resuming=chosen_later)
    name = None if resumed is None else _session(given, resumed)
    result = agent.interactive(text, select_provider=select, resume=name)
    if storage and result.session_id is not None:
        view.say(resume_hint(result.session_id, given))
    save_handle(result, given["save_handle"])
    context.exit(result.exit_code)


def _session(given: Mapping[str, Any], name: str) -> str:
    handle = read_handle() if name == "-" else name
    if looks_like_handle(handle):
        return handle
    if given["no_record"]:
        msg = "--no-record takes a resume handle: a session's id is found only in its record"
        raise click.UsageError(msg)
    return find_session(open_store(given), handle)
