"""Conversations in an agent's own store, as ``caw sessions --native`` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.agent import Agent
from caw_core.cli.tables import print_table
from caw_core.cli.turn_lines import print_line
from caw_core.display.plain import local_time

if TYPE_CHECKING:
    from pathlib import Path


def list_native(provider: str, cwd: Path | None, limit: int, *, as_json: bool) -> None:
    """Print the conversations that the agent itself holds for a folder, newest first.

    Args:
        provider: its name; ``""`` for the one that caw takes.
        cwd: the folder; None for the current one.
        limit: how many at most.
        as_json: print one JSON object per line.

    Raises:
        UnsupportedError: the provider cannot list them.
        CawError: as `caw_core.Agent.find_sessions` does.
    """
    found = Agent(provider or None, cwd=cwd).find_sessions()[:limit]
    if as_json:
        for each in found:
            # Without the key, which is a secret, and lists end up in logs.
            print_line(
                {
                    "type": "native_session",
                    "provider": each.provider,
                    "cwd": each.cwd,
                    "title": each.title,
                    "updated_at": each.updated_at,
                    "path": each.path,
                },
            )
        return
    rows = [(local_time(each.updated_at), each.provider, each.cwd, each.title) for each in found]
    print_table(("UPDATED", "PROVIDER", "FOLDER", "TITLE"), rows, cut=True)
