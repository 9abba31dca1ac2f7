"""The command ``caw`` itself."""

from __future__ import annotations

import os
import sys

import click

from caw_core.cli.group import LazyGroup

_HERE = "caw_core.cli."

COMMANDS = {
    "run": (_HERE + "run_command", "Ask an agent one thing."),
    "resume": (_HERE + "resume_command", "Ask one thing more in an earlier session."),
    "chat": (_HERE + "chat_command", "Talk with an agent in the terminal."),
    "interactive": (_HERE + "interactive_command", "Open an agent's own interface."),
    "sessions": (_HERE + "sessions_command", "List, search, copy or delete recorded sessions."),
    "show": (_HERE + "show_command", "Show what happened in a session."),
    "watch": (_HERE + "watch_command", "Follow a session that runs elsewhere."),
    "providers": (_HERE + "providers_command", "List the agents that caw can run."),
    "plugins": (_HERE + "plugins_command", "List every plugin, and what is wrong with it."),
    "config": (_HERE + "config_command", "Show and set which model a tier means."),
    "auth": (_HERE + "auth_command", "Use this machine's logins in containers."),
    "gc": (_HERE + "gc_command", "End agents that outlived the programs that ran them."),
    "doctor": (_HERE + "doctor_command", "Check what is there and what is missing."),
}


@click.group(
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="caw-core", prog_name="caw")
def cli() -> None:
    """Run any coding agent: one command for all of them.

    Answers go to stdout, everything else to stderr. "caw COMMAND --help" tells more, and
    CAW_DEBUG=1 shows tracebacks and logs.
    """
    _fill_missing_streams()


def _fill_missing_streams() -> None:
    # Python has None in place of a stream that was closed before it started.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8", closefd=False))
