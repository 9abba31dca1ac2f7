"""What codex is answered when it asks its client something.

The methods and the forms of their answers are those of ``ServerRequest`` in codex's own schema.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal

from caw_provider_codex.fields import mapping, text

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.provider import Permissions

Decision = Literal["accept", "decline"]

APPROVALS: Final = frozenset(
    {
        "applyPatchApproval",
        "execCommandApproval",
        "item/commandExecution/requestApproval",
        "item/fileChange/requestApproval",
        "item/permissions/requestApproval",
        "mcpServer/elicitation/request",
    },
)
"""Requests that a person would answer with yes or no."""

_METHOD_NOT_FOUND: Final = -32601


def decide(message: dict[str, JSON], permissions: Permissions) -> Decision:
    """Say yes or no to one of `APPROVALS`. Every permission that is given is given here.

    Only ``full`` says yes, and only to what needs no further input: a form that a server wants
    to have filled in is declined.
    """
    if permissions != "full":
        return "decline"
    if text(message, "method") == "mcpServer/elicitation/request":
        meta = mapping(mapping(message, "params"), "_meta")
        return "accept" if text(meta, "codex_approval_kind") == "mcp_tool_call" else "decline"
    return "accept"


def answer_without_asking(message: dict[str, JSON]) -> dict[str, JSON]:
    """Return the answer where nobody can be asked: no."""
    return answer(message, "decline")


def answer(message: dict[str, JSON], decision: Decision) -> dict[str, JSON]:
    """Return the ``result`` or ``error`` member that answers a request of codex.

    Args:
        message: the request.
        decision: what to say where it is a matter of yes or no.
    """
    yes = decision == "accept"
    result: dict[str, JSON]
    match text(message, "method"):
        case "item/commandExecution/requestApproval" | "item/fileChange/requestApproval":
            result = {"decision": decision}
        case "execCommandApproval" | "applyPatchApproval":
            result = {"decision": "approved" if yes else {"denied": {"rejection": "not allowed"}}}
        case "item/permissions/requestApproval":
            asked = mapping(mapping(message, "params"), "permissions")
            result = {"permissions": asked if yes else {}}
        case "mcpServer/elicitation/request":
            result = {"action": decision, "content": {}} if yes else {"action": decision}
        case "item/tool/requestUserInput":
            result = {"answers": {}}
        case "item/tool/call":
            said = {"type": "inputText", "text": "this client has no such tool"}
            result = {"contentItems": [said], "success": False}
        case "currentTime/read":
            result = {"currentTimeAt": int(time.time())}
        case method:
            reason = f"this client does not know {method!r}"
            return {"error": {"code": _METHOD_NOT_FOUND, "message": reason}}
    return {"result": result}


def describe(message: dict[str, JSON]) -> str:
    """Say in a few words what was asked, for a notice."""
    params = mapping(message, "params")
    what = text(params, "command") or text(params, "message") or text(params, "reason")
    kind = text(message, "method").removesuffix("/requestApproval").removeprefix("item/")
    return f"{kind}: {what}" if what else kind
