"""Commands of the command line that other distributions bring, found by entry points.

The entry point's name is the command's; its value is a `click.Command`. It is looked for when a
name is not one of caw's own, and imported when it is run.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importlib_metadata import EntryPoint

GROUP = "caw.commands"


def other_commands() -> Mapping[str, EntryPoint]:
    """Return the commands of installed distributions by name; imports none.

    ``CAW_PLUGIN_AUTOLOAD=0`` and ``CAW_DISABLE_PLUGINS`` hold for them as for plugins.
    """
    if os.environ.get("CAW_PLUGIN_AUTOLOAD", "1").strip() == "0":
        return {}
    from importlib_metadata import entry_points

    blocked = {_normal(name) for name in os.environ.get("CAW_DISABLE_PLUGINS", "").split(",")}
    return {
        entry.name: entry
        for entry in entry_points(group=GROUP)
        if not blocked & {_normal(entry.name), _normal(entry.dist.name if entry.dist else "-")}
    }


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
