"""What codex asks its client, as requests for permission, and the answers as codex takes them.

The methods and the forms of their answers are those of ``ServerRequest`` in codex's own schema;
what each answer leads to was observed with codex 0.169.0.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from caw_core.json_fields import mapping, objects, strings, text
from caw_core.permissions import Decision, PermissionRequest, allow, deny

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.blocks import JSON
    from caw_core.permissions import PermissionKind
    from caw_core.provider import Permissions

Message = dict[str, "JSON"]

COMMAND: Final = "item/commandExecution/requestApproval"
CHANGE: Final = "item/fileChange/requestApproval"
WIDER: Final = "item/permissions/requestApproval"
ELICITATION: Final = "mcpServer/elicitation/request"
QUESTION: Final = "item/tool/requestUserInput"
OLD_COMMAND: Final = "execCommandApproval"
OLD_CHANGE: Final = "applyPatchApproval"

_ASKED: Final = frozenset(
    {COMMAND, CHANGE, WIDER, ELICITATION, QUESTION, OLD_COMMAND, OLD_CHANGE},
)
_METHOD_NOT_FOUND: Final = -32601


def is_for_a_person(message: Message) -> bool:
    """Tell whether a person would answer this, and not a program."""
    return text(message, "method") in _ASKED


def decide(message: Message, permissions: Permissions) -> Decision | None:
    """Return the answer that *permissions* give by themselves; None where a person is to be asked.

    A question is no permission, so it is always a person's. Everything else is settled under
    ``full`` and, where codex asks all the same, under ``read-only`` and ``auto-edit``.
    """
    if _is_question(message) or permissions == "ask":
        return None
    if permissions == "full":
        return allow()
    return deny(f"this is not allowed under the permissions {permissions!r}")


def request_of(message: Message, arguments: Mapping[str, JSON]) -> PermissionRequest:
    """Return what codex asks as a request for permission.

    Args:
        message: the request.
        arguments: those of the tool call that it names, where codex told them before.
    """
    params = mapping(message, "params")
    kind: PermissionKind = "other"
    always = True
    match text(message, "method"):
        case "item/commandExecution/requestApproval" | "execCommandApproval":
            tool, kind = "command_execution", "exec"
            names = ("command", "cwd", "networkApprovalContext", "additionalPermissions")
            arguments = {name: params[name] for name in names if params.get(name)}
        case "item/fileChange/requestApproval" | "applyPatchApproval":
            tool, kind = "file_change", "edit"
            if not arguments:
                arguments = {"changes": params.get("fileChanges") or []}
            if text(params, "grantRoot"):
                arguments = {**arguments, "grantRoot": params["grantRoot"]}
        case "item/permissions/requestApproval":
            tool = "request_permissions"
            arguments = mapping(params, "permissions")
        case "item/tool/requestUserInput":
            tool, kind, always = "request_user_input", "question", False
            arguments = {"questions": objects(params, "questions")}
        case _:
            tool, kind, arguments, always = _elicitation(params)
    return PermissionRequest(
        request_id=str(message.get("id")),
        tool=tool,
        arguments=arguments,
        kind=kind,
        reason=text(params, "reason") or text(params, "message"),
        call_id=text(params, "itemId") or text(params, "callId"),
        can_always=always,
    )


def answer(message: Message, decision: Decision) -> Message:
    """Return the ``result`` or ``error`` member that answers a request of codex.

    Args:
        message: the request.
        decision: what to say where it is a matter of yes or no.
    """
    params = mapping(message, "params")
    result: Message
    match text(message, "method"):
        case "item/commandExecution/requestApproval" | "item/fileChange/requestApproval":
            result = {"decision": _word(decision, "accept", "acceptForSession", "decline")}
        case "execCommandApproval" | "applyPatchApproval":
            no: JSON = {"denied": {"rejection": decision.reason or "not allowed"}}
            result = {"decision": _word(decision, "approved", "approved_for_session", no, "abort")}
        case "item/permissions/requestApproval":
            result = {"permissions": {}}
            if decision.allowed:
                result = {
                    "permissions": mapping(params, "permissions"),
                    "scope": "session" if decision.always else "turn",
                }
        case "mcpServer/elicitation/request":
            result = _elicitation_answer(params, decision)
        case "item/tool/requestUserInput":
            result = {"answers": _answers(params, decision) if decision.allowed else {}}
        case "item/tool/call":
            said = {"type": "inputText", "text": "this client has no such tool"}
            result = {"contentItems": [said], "success": False}
        case "currentTime/read":
            result = {"currentTimeAt": int(time.time())}
        case method:
            reason = f"this client does not know {method!r}"
            return {"error": {"code": _METHOD_NOT_FOUND, "message": reason}}
    return {"result": result}


def answer_without_asking(message: Message) -> Message:
    """Return the answer where nobody can be asked: no."""
    return answer(message, deny("nobody is there to ask"))


def ends_turn(message: Message) -> bool:
    """Tell whether codex ends the turn itself when it is told to stop."""
    return text(message, "method") in (COMMAND, CHANGE, OLD_COMMAND, OLD_CHANGE)


def describe(message: Message) -> str:
    """Say in a few words what was asked, for a notice."""
    params = mapping(message, "params")
    what = text(params, "command") or text(params, "message") or text(params, "reason")
    kind = text(message, "method").removesuffix("/requestApproval").removeprefix("item/")
    return f"{kind}: {what}" if what else kind


def _word(decision: Decision, yes: JSON, always: JSON, no: JSON, stop: JSON = "cancel") -> JSON:
    if decision.allowed:
        return always if decision.always else yes
    return stop if decision.stop else no


def _is_tool_call(params: Message) -> bool:
    return text(mapping(params, "_meta"), "codex_approval_kind") == "mcp_tool_call"


def _is_question(message: Message) -> bool:
    method = text(message, "method")
    if method == ELICITATION:
        return not _is_tool_call(mapping(message, "params"))
    return method == QUESTION


def _elicitation(params: Message) -> tuple[str, PermissionKind, Mapping[str, JSON], bool]:
    server, meta = text(params, "serverName"), mapping(params, "_meta")
    if _is_tool_call(params):
        tool = f"{server}.{text(meta, 'tool_name')}"
        return tool, "mcp", mapping(meta, "tool_params"), "session" in strings(meta, "persist")
    names = ("mode", "message", "requestedSchema", "url")
    asked = {name: params[name] for name in names if params.get(name)}
    return server, "question", asked, False


def _elicitation_answer(params: Message, decision: Decision) -> Message:
    if not decision.allowed:
        return {"action": "cancel" if decision.stop else "decline"}
    if _is_tool_call(params):
        meta: Message = {"_meta": {"persist": "session"}} if decision.always else {}
        return {"action": "accept", "content": {}, **meta}
    content = dict(decision.arguments or {})
    if any(name not in content for name in strings(mapping(params, "requestedSchema"), "required")):
        # A yes to a form that nobody filled in would be an answer that nobody gave.
        return {"action": "decline"}
    return {"action": "accept", "content": content}


def _answers(params: Message, decision: Decision) -> Message:
    given = decision.arguments or {}
    given = mapping(given, "answers") or given
    answers: Message = {}
    for question in objects(params, "questions"):
        name = text(question, "id")
        said = given.get(name, given.get(text(question, "question")))
        if said is not None:
            answers[name] = {
                "answers": [str(one) for one in said] if isinstance(said, list) else [str(said)]
            }
    return answers
