"""What opencode asks, as requests for permission, and the answers as opencode takes them.

The events and the answers are those of the schema at ``/doc`` (1.18.33).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from caw_core.json_fields import mapping, objects, strings, text
from caw_core.permissions import Decision, PermissionRequest
from caw_provider_opencode.permissions import QUESTION, kind_of
from caw_provider_opencode.tool_servers import display_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from caw_core.blocks import JSON

Request = dict[str, "JSON"]

NOBODY: Final = (
    "Nobody is there to ask, so the answer is no. Go on without it, or say why you need it."
)

_ASKED: Final = ("permission.asked", "question.asked")
_SETTLED: Final = ("permission.replied", "question.replied", "question.rejected")


def is_request(kind: str) -> bool:
    """Whether an event of this kind waits for an answer."""
    return kind in _ASKED


def is_settled(kind: str) -> bool:
    """Whether an event of this kind says that a request has its answer, whoever gave it."""
    return kind in _SETTLED


def request_of(
    kind: str, request: Request, call: Request, servers: Collection[str]
) -> PermissionRequest:
    """Return what opencode asks as a request for permission.

    Args:
        kind: the event's type.
        request: its properties.
        call: the part of the tool call that waits, as far as known.
        servers: the names of the tool servers.
    """
    call_id = text(mapping(request, "tool"), "callID")
    if kind == "question.asked":
        return PermissionRequest(
            request_id=text(request, "id"),
            tool=QUESTION,
            kind="question",
            arguments={"questions": objects(request, "questions")},
            call_id=call_id,
        )
    permission, patterns = text(request, "permission"), strings(request, "patterns")
    known = {**mapping(mapping(call, "state"), "input"), **mapping(request, "metadata")}
    return PermissionRequest(
        request_id=text(request, "id"),
        tool=display_name(text(call, "tool") or permission, servers),
        kind=kind_of(permission, servers),
        arguments=known or {"patterns": patterns},
        reason=f"{permission}: {', '.join(patterns)}",
        call_id=call_id,
        can_always=bool(strings(request, "always")),
    )


def answer(kind: str, request: Request, decision: Decision) -> tuple[tuple[str, ...], Request]:
    """Return the path and the body of the request that brings the answer."""
    request_id = text(request, "id")
    if kind == "question.asked":
        answers = _answers(request, decision)
        if answers is None:
            return ("question", request_id, "reject"), {}
        return ("question", request_id, "reply"), {"answers": answers}
    if decision.allowed:
        return ("permission", request_id, "reply"), {"reply": "once"}
    # Without a message opencode says less to the model.
    message = decision.reason or "The user does not allow this."
    return ("permission", request_id, "reply"), {"reply": "reject", "message": message}


def describe(kind: str, request: Request) -> str:
    """Say in a few words what was asked for."""
    if kind == "question.asked":
        questions = [text(entry, "question") for entry in objects(request, "questions")]
        return "question: " + "; ".join(filter(None, questions))
    command = text(mapping(request, "metadata"), "command")
    return f"{text(request, 'permission')}: {command or ', '.join(strings(request, 'patterns'))}"


def _answers(request: Request, decision: Decision) -> list[list[str]] | None:
    """Return the answers in the order of the questions; None where nobody gave any.

    They are looked for under ``answers`` as a list, or under each question's text or header.
    """
    given = decision.arguments or {}
    if not decision.allowed or not given:
        # A yes to a question is no answer to it.
        return None
    ordered = given.get("answers")
    if isinstance(ordered, list):
        return [_words(one) for one in ordered]
    named = ordered if isinstance(ordered, dict) else given
    return [
        _words(named.get(text(entry, "question"), named.get(text(entry, "header"))))
        for entry in objects(request, "questions")
    ]


def _words(said: JSON) -> list[str]:
    if said is None:
        return []
    return [str(one) for one in said] if isinstance(said, list) else [str(said)]
