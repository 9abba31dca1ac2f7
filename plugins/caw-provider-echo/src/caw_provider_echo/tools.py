"""The tools that the echo pretends to have, and whether it may use them."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from caw_core.errors import ProviderError
from caw_core.events import Event, ToolFinished, ToolOutput, ToolStarted
from caw_core.permissions import Decision, PermissionKind, PermissionRequest, deny
from caw_core.tools import ToolGroup
from caw_provider_echo.directives import Step, name_json_and_rest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.provider import StartRequest
    from caw_provider_echo.turn import RunningTurn

NAMES: Mapping[ToolGroup, tuple[str, ...]] = MappingProxyType(
    {
        ToolGroup.READER: ("read", "ls", "glob", "grep", "search"),
        ToolGroup.WRITER: ("write", "edit", "patch"),
        ToolGroup.EXEC: ("shell", "bash", "exec"),
        ToolGroup.WEB: ("web_search", "web_fetch"),
        ToolGroup.PARALLEL: ("task",),
        ToolGroup.INTERACTION: ("ask_user",),
    },
)
"""Which names belong to which group. Any other name can be used too, and belongs to none."""

_KINDS: Mapping[ToolGroup, PermissionKind] = MappingProxyType(
    {
        ToolGroup.READER: "read",
        ToolGroup.WRITER: "edit",
        ToolGroup.EXEC: "exec",
        ToolGroup.WEB: "web",
        ToolGroup.INTERACTION: "question",
    },
)


def group_of(name: str) -> ToolGroup | None:
    """Return the group of a tool; None for a name that is in none."""
    return next((group for group, names in NAMES.items() if name in names), None)


class Toolbox:
    """Runs pretended tools, as far as the request for the session lets it."""

    def __init__(self, request: StartRequest) -> None:
        """Begin.

        :param request: says which tools there are, what is permitted, and who is asked.
        """
        self._tools = request.tools
        self._permissions = request.permissions
        self._desk = request.permission_desk
        self._always: set[str] = set()
        self._asked = 0

    def run(self, step: Step, turn: RunningTurn) -> Iterator[Event]:
        """Do ``!tool``, ``!tool-error`` or ``!ask``.

        A denial that also stops sets ``turn.stop``.

        :raises ProviderError: the directive cannot be read.
        """
        name, given, tail = name_json_and_rest(step.rest)
        arguments = {} if given is None else given
        if not name or not isinstance(arguments, dict):
            message = f"!{step.word} needs a name and a JSON object, not {step.rest!r}"
            raise ProviderError(message)
        call_id = turn.new_id("call")
        yield ToolStarted(call_id=call_id, name=name, arguments=arguments)
        decision = self._decision(step.word, name, arguments, call_id, turn)
        if decision is None:
            return
        if not decision.allowed:
            yield ToolFinished(call_id=call_id, output=decision.reason, status="declined")
            if decision.stop:
                turn.stop = "cancelled"
            return
        arguments = arguments if decision.arguments is None else dict(decision.arguments)
        output = tail.removeprefix("=>").strip() if tail else json.dumps(arguments)
        failed = step.word == "tool-error"
        yield ToolOutput(call_id=call_id, delta=output)
        yield ToolFinished(
            call_id=call_id,
            output=output,
            is_error=failed,
            status="failed" if failed else "completed",
            arguments=arguments,
        )

    def _decision(
        self,
        word: str,
        name: str,
        arguments: Mapping[str, Any],
        call_id: str,
        turn: RunningTurn,
    ) -> Decision | None:
        group = group_of(name)
        if self._tools is not None and (group is None or group not in self._tools):
            return deny(f"there is no tool {name!r} in this session")
        if word != "ask" or self._permissions == "full" or name in self._always:
            return Decision(allowed=True)
        if self._permissions == "read-only":
            return deny("permissions are read-only")
        self._asked += 1
        request = PermissionRequest(
            request_id=f"ask-{self._asked}",
            tool=name,
            arguments=arguments,
            kind="other" if group is None else _KINDS.get(group, "other"),
            reason="the prompt told the echo to ask",
            call_id=call_id,
            can_always=True,
        )
        decision = turn.decision_of(self._desk, request)
        if decision is not None and decision.allowed and decision.always:
            self._always.add(name)
        return decision
