"""caw's permission modes as rules of opencode, and the answers to what it asks all the same.

opencode takes the last rule that matches: first the agent's (its defaults and the user's
configuration), then the session's. So a session's rule could widen what the user has forbidden.
Therefore the session gets the agent's own rules again, each cut down to what the mode allows.

What a mode does not allow is denied, not asked for: nobody is there to say yes, and in opencode
1.18.33 one "no" also rejects every other request of the session that waits, without a word, which
ends the turn. Subagents inherit the denials of their parent, but neither its "ask" nor its
"allow"; under anything but ``full`` they could do nothing, so there are none.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal

from caw_provider_opencode.fields import mapping, objects, strings, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.blocks import JSON
    from caw_core.provider import Permissions

Rule = dict[str, "JSON"]
Reply = Literal["once", "reject"]

EXTERNAL: Final = "external_directory"
NOBODY: Final = (
    "Nobody is there to ask, so the answer is no. Go on without it, or say why you need it."
)

_READING: Final = ("read", "glob", "grep", "list", "lsp", "skill", "todoread", "todowrite")
_ALLOWED: Final[dict[Permissions, tuple[str, ...]]] = {
    "read-only": _READING,
    "ask": _READING,
    "auto-edit": (*_READING, "edit"),
}
_DIALOGUE: Final = ("question", "plan_enter", "plan_exit")
"""Tools that wait for a person; without an answer they end the turn."""


def session_rules(
    agent_rules: Sequence[Rule], permissions: Permissions, own_folder: str
) -> list[Rule]:
    """Return the rules of a session: what the agent's rules allow, and the mode allows too.

    Args:
        agent_rules: the rules of the agent, as ``GET /agent`` lists them.
        permissions: the mode.
        own_folder: opencode's folder for its own data, below which it keeps the output of tools
            that was too long for the model; reading that stays possible.
    """
    rules = [_rule("*", "*", "ask" if permissions == "full" else "deny")]
    for rule in agent_rules:
        name, pattern = text(rule, "permission"), text(rule, "pattern")
        action = text(rule, "action")
        if permissions == "full":
            rules.append(_rule(name, pattern, action))
            continue
        rules.append(_rule(name, pattern, "deny"))
        # What would be asked for is denied here: see above.
        granted = "allow" if action == "allow" else "deny"
        rules += [
            _rule(allowed, pattern, granted)
            for allowed in _ALLOWED[permissions]
            if fnmatchcase(allowed, name)
        ]
        if name == EXTERNAL and own_folder and pattern.startswith(own_folder):
            rules.append(_rule(EXTERNAL, pattern, granted))
    return rules + [_rule(name, "*", "deny") for name in _DIALOGUE]


def is_request(kind: str) -> bool:
    """Whether an event of this kind waits for an answer."""
    return kind in ("permission.asked", "question.asked")


def decide(kind: str, permissions: Permissions) -> Reply:
    """Return the answer to a request.

    Under ``full`` the user's own "ask" rules get a yes: that is what the caller asked for. A
    question always gets a no, because there is nobody to answer it.
    """
    return "once" if kind == "permission.asked" and permissions == "full" else "reject"


def answer(kind: str, request_id: str, reply: Reply) -> tuple[tuple[str, ...], Rule]:
    """Return the path and the body of the request that brings the answer."""
    if kind == "question.asked":
        return ("question", request_id, "reject"), {}
    body: Rule = {"reply": reply}
    if reply == "reject":
        # Without a message opencode ends the turn.
        body["message"] = NOBODY
    return ("permission", request_id, "reply"), body


def describe(kind: str, request: dict[str, JSON]) -> str:
    """Say in a few words what was asked for."""
    if kind == "question.asked":
        questions = [text(entry, "question") for entry in objects(request, "questions")]
        return "question: " + "; ".join(filter(None, questions))
    command = text(mapping(request, "metadata"), "command")
    return f"{text(request, 'permission')}: {command or ', '.join(strings(request, 'patterns'))}"


def _rule(name: str, pattern: str, action: str) -> Rule:
    return {"permission": name, "pattern": pattern, "action": action}
