"""What a subagent gets from its parent: settings that are never wider than the parent's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import attrs

from caw_core.display.choice import check_display
from caw_core.provider import Permissions
from caw_core.settings import Settings

if TYPE_CHECKING:
    from caw_core.agent_spec import AgentSpec
    from caw_core.permissions import Decision, PermissionCallback, PermissionRequest
    from caw_core.session_core import SessionCore

_WIDTHS = get_args(Permissions)
"""From narrow to wide."""


def child_settings(spec: AgentSpec, parent: SessionCore) -> Settings:
    """Return the settings of a session that runs in a tool call of *parent*.

    It has no storage: its record is a part of the parent's.

    Raises:
        ConfigError: an option of the spec makes no sense.
    """
    own = Settings.checked(spec.agent_options())
    above, request = parent.settings, parent.request
    same = spec.provider is None or (
        isinstance(spec.provider, str) and parent.plugins.answers_to(spec.provider)
    )
    given: dict[str, Any] = {
        **own.given,
        "cwd": own.given.get("cwd", request.cwd),
        "env": {**request.env, **own.given.get("env", {})},
        "permissions": _narrower(spec.permissions, request.permissions),
        "tools": spec.tools or request.tools,
        "additional_dirs": request.additional_dirs,
        # Not what the environment says of the parent's provider.
        "model": spec.model or (request.model if same else None),
        "reasoning": spec.reasoning or (request.reasoning if same else None),
    }
    depth = above.max_subagent_depth - 1
    if spec.max_depth is not None:
        depth = min(depth, spec.max_depth)
    return attrs.evolve(
        own,
        given={name: value for name, value in given.items() if value not in (None, "", {}, ())},
        extra=own.extra or (above.extra if same else {}),
        python_tools=own.python_tools if depth else attrs.evolve(own.python_tools, subagents=()),
        max_subagent_depth=depth,
        deadlines=spec.deadlines or above.deadlines,
        on_permission=_asking(spec.name, above.on_permission),
        auto_wait=above.auto_wait,
        keep_output=above.keep_output,
        strict=above.strict,
        # Its parent's display shows what it does, too.
        display=check_display("off"),
    )


def _narrower(wanted: Permissions | None, bound: Permissions) -> Permissions:
    return min(wanted or bound, bound, key=_WIDTHS.index)


def _asking(name: str, callback: PermissionCallback | None) -> PermissionCallback | None:
    """Return a callback that says who asks; of a subagent's subagent the whole way, with ``/``."""
    if callback is None:
        return None

    def ask(request: PermissionRequest) -> Decision | bool:
        asked_by = f"{name}/{request.asked_by}" if request.asked_by else name
        return callback(attrs.evolve(request, asked_by=asked_by))

    return ask
