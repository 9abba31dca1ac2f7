"""Options of agents and sessions: those of caw-core, and the wrapper's own."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

from caw_core.errors import ConfigError
from caw_core.options import unknown_option
from caw_core.settings import AgentOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

_SANDBOXES: Final = {
    "read-only": "read-only",
    "workspace-write": "auto-edit",
    "danger-full-access": "full",
}
"""What codex's sandboxes are as `caw_core.provider.Permissions`."""

_DENIED: Final = frozenset({"disallowed_tools", "disabled_tools"})


def checked_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as `caw_core.Agent` takes them.

    Args:
        given: what a script gave; it is not changed.

    Raises:
        ConfigError: one is unknown, or cannot be kept.
    """
    options = dict(given)
    denied = _DENIED.intersection(options)
    if denied:
        message = (
            f"{', '.join(sorted(denied))}: a list of what an agent may not use leaves everything "
            "else to it, new tools too. Say what it may use: tools=ToolGroup.READER | …"
        )
        raise ConfigError(message)
    if "sandbox" in options:
        sandbox = options.pop("sandbox")
        if sandbox not in _SANDBOXES:
            message = f"sandbox is one of {', '.join(_SANDBOXES)}, not {sandbox!r}"
            raise ConfigError(message)
        options.setdefault("permissions", _SANDBOXES[sandbox])
        warnings.warn(
            f"sandbox={sandbox!r} is now permissions={_SANDBOXES[sandbox]!r}",
            DeprecationWarning,
            stacklevel=4,
        )
    unknown = set(options) - set(AgentOptions.__annotations__)
    if unknown:
        known = {*AgentOptions.__annotations__, "provider", "name", "description", "sandbox"}
        raise unknown_option(unknown, known, of="caw.Agent")
    return options
