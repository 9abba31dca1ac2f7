"""Claude's requests, brought to whoever may answer them, and the answers in claude's words.

The forms are those of ``can_use_tool`` in claude 2.1.197, observed with its own tools, with tools
of MCP servers and with requests of subagents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.json_fields import mapping, objects, text
from caw_core.permissions import PermissionRequest
from caw_provider_claude_code.tools import tool_name
from caw_provider_claude_code.toolsets import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core.blocks import JSON
    from caw_core.permissions import Decision, PermissionDesk
    from caw_core.provider import Permissions
    from caw_provider_claude_code.control import Ask

_DENIAL: Final = (
    "Permission to use this tool was not given, and nobody can be asked. Do not try to reach the "
    "same by other means; go on without it, or say what you would need."
)
_REFUSAL: Final = "Permission to use this tool was not given."


class Asking:
    """Settles each request of claude's exactly once.

    Args:
        desk: where requests for permission are brought.
        permissions: what the agent may do; an answer never goes beyond that.
        declined: told the id of each tool call that was not allowed, and what it was if nobody
            was asked about it, else ``""``.
    """

    def __init__(
        self,
        desk: PermissionDesk,
        permissions: Permissions,
        declined: Callable[[str, str], None],
    ) -> None:
        self._desk = desk
        self._permissions = permissions
        self._declined = declined

    def take(self, ask: Ask) -> None:
        """Answer *ask*, now or later; does not block."""
        match ask.subtype:
            case "can_use_tool":
                self._permission(ask)
            case "hook_callback":
                ask.answer({})
            case subtype:
                ask.refuse(f"this client does not know {subtype!r}")

    def _permission(self, ask: Ask) -> None:
        kind = kind_of(text(ask.request, "tool_name"))
        beyond = self._permissions == "read-only" and kind != "question"
        if beyond or not self._desk.attended:
            self._declined(text(ask.request, "tool_use_id"), _describe(ask.request))
            ask.answer({"behavior": "deny", "message": _DENIAL})
            return
        wanted = PermissionRequest(
            request_id=ask.id,
            tool=tool_name(text(ask.request, "tool_name")),
            arguments=mapping(ask.request, "input"),
            kind=kind,
            reason=text(ask.request, "decision_reason") or text(ask.request, "description"),
            call_id=text(ask.request, "tool_use_id"),
            can_always=bool(_lasting(ask.request)),
        )
        # Before it is asked, since claude may withdraw it at once.
        ask.when_withdrawn(lambda: self._desk.withdraw(ask.id))
        self._desk.ask(wanted, lambda decision: self._settle(ask, decision))
        if ask.withdrawn.is_set():
            self._desk.withdraw(ask.id)

    def _settle(self, ask: Ask, decision: Decision) -> None:
        if decision.allowed:
            ask.answer(_allowance(ask.request, decision))
            return
        self._declined(text(ask.request, "tool_use_id"), "")
        denial = {"behavior": "deny", "message": decision.reason or _REFUSAL}
        ask.answer({**denial, "interrupt": True} if decision.stop else dict(denial))


def _allowance(request: dict[str, JSON], decision: Decision) -> dict[str, JSON]:
    arguments = mapping(request, "input")
    if decision.arguments is not None:
        changed = dict(decision.arguments)
        match text(request, "tool_name"):
            case "AskUserQuestion":
                arguments = {**arguments, **_answers(changed)}
            case "ExitPlanMode":
                arguments = {**arguments, **changed}
            case _:
                arguments = changed
    answer = {"behavior": "allow", "updatedInput": arguments}
    lasting = _lasting(request) if decision.always else []
    return {**answer, "updatedPermissions": lasting} if lasting else answer


def _answers(given: dict[str, JSON]) -> dict[str, JSON]:
    """Return the answers as claude takes them: under their questions, several in one text."""
    nested = given.get("answers")
    answers = nested if isinstance(nested, dict) else given
    flat = {
        question: ", ".join(map(str, answer)) if isinstance(answer, list | tuple) else answer
        for question, answer in answers.items()
    }
    return {"answers": flat}


def _lasting(request: dict[str, JSON]) -> list[dict[str, JSON]]:
    """Return what "always" means here, for this session and on no disk.

    A rule about the same thing where claude proposes one. It also proposes to change its mode, to
    one in which far more is allowed; that is taken only where nothing else says "always".
    """
    proposed = objects(request, "permission_suggestions")
    rules = [change for change in proposed if text(change, "type") == "addRules"]
    return [{**change, "destination": "session"} for change in rules or proposed]


def _describe(request: dict[str, JSON]) -> str:
    what = text(request, "description") or text(request, "decision_reason")
    name = tool_name(text(request, "tool_name"))
    return f"{name}: {what}" if what else name
