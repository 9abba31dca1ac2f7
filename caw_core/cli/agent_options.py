"""The options that ``run``, ``resume`` and ``chat`` share, and the agent that they describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from caw_core.agent import Agent
from caw_core.budget import Budget
from caw_core.cli.option_types import NewSecretFile, ProviderNames
from caw_core.cli.record_options import record_options
from caw_core.deadlines import Deadlines
from caw_core.kept_output import LEAST
from caw_core.tools import ToolGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from caw_core.cli.person import Person

_PERMISSIONS = ("read-only", "ask", "auto-edit", "full")

_OPTIONS = (
    click.option(
        "-p",
        "--provider",
        type=ProviderNames(),
        metavar="NAME[,NAME…]",
        help="The agent, or an order of which the first that is ready is taken. Default: "
        "CAW_PROVIDER, else the first that is ready, 'local' last.",
    ),
    click.option("-m", "--model", help="The model, in the agent's words. Default: CAW_MODEL."),
    click.option(
        "--reasoning",
        "--effort",
        "reasoning",
        metavar="EFFORT",
        help="The reasoning effort, in the agent's words. Default: CAW_EFFORT.",
    ),
    click.option("--system", metavar="TEXT", help="The system prompt."),
    click.option(
        "--system-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="The system prompt, from a file.",
    ),
    click.option(
        "-C",
        "--cwd",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The folder in which the agent works. Default: this one, or the session's.",
    ),
    click.option(
        "--permissions",
        type=click.Choice(_PERMISSIONS),
        help="What the agent may do without asking you. Default: auto-edit, or the session's.",
    ),
    click.option(
        "--tools",
        metavar="GROUP[,GROUP…]",
        help="The kinds of tools that the agent may have: "
        f"{', '.join(sorted(name.lower() for name in ToolGroup.__members__))}. Default: all.",
    ),
    click.option(
        "--add-dir",
        "additional_dirs",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        multiple=True,
        help="A folder besides --cwd that the agent may work in. Repeatable.",
    ),
    click.option("--temperature", type=float, help="Sampling temperature."),
    click.option("--max-tokens", type=int, help="Bound on the tokens of an answer."),
    click.option(
        "--max-turns",
        type=click.IntRange(1),
        metavar="N",
        help="Bound on the model calls in one turn.",
    ),
    click.option(
        "--budget-tokens",
        type=click.IntRange(1),
        metavar="N",
        help="Bound on the tokens, of all kinds, that the session uses from now on. One model call "
        "can pass it.",
    ),
    click.option(
        "--budget-usd",
        type=click.FloatRange(min=0, min_open=True),
        metavar="USD",
        help="Bound on what the session costs from now on, where that is known.",
    ),
    click.option(
        "-o",
        "--option",
        "extra",
        metavar="KEY=VALUE",
        multiple=True,
        help="An option of this provider alone; VALUE is JSON if it parses, else text. Repeatable.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="How long one turn may take. Default: four hours.",
    ),
    click.option(
        "--wait/--no-wait",
        default=None,
        help="Whether a turn that meets a usage limit waits until it ends and then goes on. "
        "Default: yes, unless CAW_AUTOWAIT=0.",
    ),
    click.option("--strict", is_flag=True, help="Fail if an option would have no effect."),
    click.option("--keep-raw", is_flag=True, help="Keep the agent's raw output with the record."),
    click.option(
        "--keep-output",
        type=click.IntRange(LEAST),
        metavar="N",
        help="How many characters of the agent's output a turn keeps, about; text that is "
        "printed as it comes stays whole. Default: all.",
    ),
    *record_options,
    click.option("--no-record", is_flag=True, help="Keep no record; only a handle can resume."),
    click.option(
        "--save-handle",
        type=NewSecretFile(),
        help="Write the resume handle, a secret, to this file, for its owner alone.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line."),
    click.option(
        "--stream/--no-stream",
        default=None,
        help="Text as it comes (the default), or only the agent's last words when it is done. "
        "With --json: deltas too, or only finished pieces (the default).",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors on stderr."),
)


def agent_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of this file; it gets them as keywords."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def open_agent(
    given: Mapping[str, Any],
    storage: list[str],
    *,
    say: Callable[[str], None],
    person: Person | None,
    resuming: bool = False,
) -> Agent:
    """Make the agent that the options describe.

    Args:
        given: the options of `agent_options`.
        storage: the URLs of the storages for the record.
        say: is told which provider was taken if there was a choice.
        person: answers the agent's requests for permission; None: the answer is no.
        resuming: leave the choice of the provider to the session.

    Raises:
        CawError: as `caw_core.Agent` does, and where no provider can be had.
    """
    names = [name.strip() for name in (given["provider"] or "").split(",") if name.strip()]
    agent = Agent(
        names[0] if len(names) == 1 else names or None,
        model=given["model"],
        reasoning=given["reasoning"],
        system_prompt=_system_prompt(given),
        cwd=given["cwd"],
        storage=storage,
        additional_dirs=given["additional_dirs"],
        permissions=given["permissions"],
        on_permission=person.decide if person else None,
        tools=_tools(given["tools"]),
        temperature=given["temperature"],
        max_tokens=given["max_tokens"],
        max_turns=given["max_turns"],
        budget=Budget(tokens=given["budget_tokens"], usd=given["budget_usd"]),
        deadlines=Deadlines(turn=given["timeout"]) if given["timeout"] else None,
        auto_wait=given["wait"],
        options=_extra_options(given["extra"]),
        keep_raw=given["keep_raw"],
        keep_output=given["keep_output"],
        strict=given["strict"],
        # The command line shows the turns itself.
        display="off",
    )
    if not resuming and (len(names) != 1 or names == ["auto"]):
        why = f" ({'; '.join(agent.passed_over)})" if agent.passed_over else ""
        say(f"provider: {agent.provider}{why}")
    return agent


def _tools(names: str | None) -> ToolGroup | None:
    if names is None:
        return None
    groups = ToolGroup(0)
    for name in filter(None, (part.strip() for part in names.split(","))):
        group = ToolGroup.__members__.get(name.upper().replace("-", "_"))
        if group is None:
            known = ", ".join(sorted(known.lower() for known in ToolGroup.__members__))
            msg = f"--tools: there is no group {name!r}; there are: {known}"
            raise click.UsageError(msg)
        groups |= group
    if not groups:
        msg = "--tools takes at least one group"
        raise click.UsageError(msg)
    return groups


def _system_prompt(given: Mapping[str, Any]) -> str | None:
    if given["system"] is not None and given["system_file"] is not None:
        msg = "--system and --system-file exclude each other"
        raise click.UsageError(msg)
    if given["system_file"] is None:
        text: str | None = given["system"]
        return text
    try:
        written: str = given["system_file"].read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"--system-file cannot be read: {error}"
        raise click.UsageError(msg) from error
    return written


def _extra_options(pairs: Sequence[str]) -> dict[str, Any]:
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            msg = f"--option takes KEY=VALUE, not {pair!r}"
            raise click.UsageError(msg)
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options
