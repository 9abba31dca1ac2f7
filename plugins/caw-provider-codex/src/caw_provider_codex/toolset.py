"""Which of codex's tools can be taken away, and by which settings.

codex has no list of tools. What each setting removes was read from the requests that codex 0.169.0
made to its model, with every model of its catalogue. Newer models call the same tools from within
a small JavaScript tool, ``exec``, which by itself reaches neither files nor the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.errors import UnsupportedError
from caw_core.tools import ToolGroup
from caw_provider_codex.errors import NAME

if TYPE_CHECKING:
    from caw_core.blocks import JSON

_OFF: Final[dict[ToolGroup, dict[str, JSON]]] = {
    # view_image is codex's only tool for reading; all else is read by commands.
    ToolGroup.READER: {"features.view_image": False},
    # exec_command and write_stdin.
    ToolGroup.EXEC: {"features.shell_tool": False},
    # web_search; the apps of a ChatGPT account and image generation are services as well.
    ToolGroup.WEB: {
        "web_search": "disabled",
        "features.apps": False,
        "features.image_generation": False,
    },
    # spawn_agent and its kin, also where they are found by tool_search.
    ToolGroup.PARALLEL: {"agents.enabled": False},
    # request_user_input and request_user_input_async.
    ToolGroup.INTERACTION: {"tools.experimental_request_user_input.enabled": False},
}


def tool_settings(tools: ToolGroup | None) -> dict[str, JSON]:
    """Return the keys of ``config.toml`` that leave the model with *tools* and no others.

    Args:
        tools: the groups that are allowed; None for all.

    Raises:
        UnsupportedError: a group is to go that codex cannot take away.
    """
    if tools is None:
        return {}
    if ToolGroup.WRITER not in tools:
        msg = (
            "codex cannot take away WRITER: apply_patch belongs to the model. "
            "permissions='read-only' keeps it from changing anything."
        )
        raise UnsupportedError(msg, provider=NAME, options=("tools",))
    if ToolGroup.EXEC in tools and ToolGroup.READER not in tools:
        msg = "codex cannot take away READER while it has EXEC: commands read files"
        raise UnsupportedError(msg, provider=NAME, options=("tools",))
    settings: dict[str, JSON] = {}
    for group, off in _OFF.items():
        if group not in tools:
            settings |= off
    return settings
