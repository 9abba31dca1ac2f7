"""What the caller allows, as an agent of opencode's with rules of its own. No I/O.

``opencode run`` has no rules per session: it uses those of the agent. So the agent that would
answer is given again under a name of caw's, with its own rules cut down to what the caller allows,
as the server's sessions get them (see `caw_provider_opencode.permissions`). The name is new, so
nothing of the user's settings is merged into it, but for those that hold for every agent; these
come first, and the last rule counts.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import UnsupportedError
from caw_core.json_fields import mapping, objects, text
from caw_core.tools import ToolGroup
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.permissions import (
    EXTERNAL,
    QUESTION,
    Leave,
    Rule,
    permission_of,
    session_rules,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from caw_core.blocks import JSON
    from caw_core.provider import StartRequest

PREFIX: Final = "caw-"
"""What the names of such agents begin with."""

Settings = dict[str, dict[str, str]]
"""Rules as opencode's settings have them: actions by permission and pattern, the last counts."""

_SAME: Final = {
    "color": "color",
    "options": "options",
    "prompt": "prompt",
    "steps": "steps",
    "temperature": "temperature",
    "topP": "top_p",
    "variant": "variant",
}
"""What is taken over of an agent: its name in ``opencode debug agent``, and in the settings."""


def allowed_rules(
    agent: Mapping[str, JSON], request: StartRequest, own_folder: str, servers: Iterable[str]
) -> list[Rule]:
    """Return the rules that hold where nobody can be asked.

    Args:
        agent: what ``opencode debug agent`` says of the agent that would answer.
        request: what the caller wants.
        own_folder: as for `caw_provider_opencode.permissions.session_rules`.
        servers: the names of all tool servers.

    Raises:
        UnsupportedError: this opencode does not say which tools there are to be forbidden.
    """
    leave = attrs.evolve(Leave.of(request), attended=False)
    known: list[str] = []
    if leave.is_open and leave.tools is not None:
        if not mapping(agent, "tools"):
            msg = (
                "this opencode does not tell which tools it has, so some of them cannot be taken "
                f"away; leave out {ToolGroup.PARALLEL.name}, or all tools in"
            )
            raise UnsupportedError(msg, provider=NAME, options=("tools",))
        known += [permission_of(tool) for tool in mapping(agent, "tools")]
        known += [f"{name}_*" for name in servers]
    return session_rules(objects(agent, "permission"), leave, own_folder, known)


def holds_already(kept: Sequence[Rule], wanted: Sequence[Rule], *, full: bool) -> bool:
    """Tell whether the rules that a conversation keeps are those that the caller wants.

    A conversation that was held over the server keeps rules, and they come after the agent's.

    Args:
        kept: the conversation's rules, the last ones first to count.
        wanted: what `allowed_rules` returns.
        full: what a rule wants to have asked gets a yes.
    """
    return _unattended(kept[-len(wanted) :], full=full) == _unattended(wanted, full=full)


def keeps_denials_only(kept: Iterable[Rule]) -> bool:
    """Tell whether what a conversation keeps can only forbid, as what ``opencode run`` writes."""
    return all(text(rule, "action") == "deny" for rule in kept)


def rule_settings(rules: Sequence[Rule], *, full: bool) -> Settings:
    """Return rules as the settings of an agent.

    In settings the order among permissions is lost, so each gets all the rules that hold for it.

    Args:
        rules: what `allowed_rules` returns.
        full: what a rule wants to have asked gets a yes.

    Raises:
        UnsupportedError: a permission's name is a pattern whose place among others matters.
    """
    names = dict.fromkeys(text(rule, "permission") for rule in rules)
    for name in names:
        if "?" in name or "*" in name[:-1]:
            msg = (
                f"opencode's settings have a rule for {name!r}, which opencode run could not be "
                "given again; use opencode's server, or permissions='full' without tools"
            )
            raise UnsupportedError(msg, provider=NAME, options=("permissions",))
    settings: Settings = {}
    # What is more general comes first: the last one counts.
    for name in sorted(names, key=lambda one: ("*" not in one, len(one))):
        patterns = settings.setdefault(name, {})
        for rule in rules:
            if fnmatchcase(name, text(rule, "permission")):
                pattern, action = text(rule, "pattern"), text(rule, "action")
                if pattern == "*":
                    patterns.clear()
                patterns.pop(pattern, None)
                patterns[pattern] = "allow" if full and action == "ask" else action
    return settings


def agent_settings(agent: Mapping[str, JSON], rules: Settings) -> dict[str, JSON]:
    """Return the settings of an agent that is *agent*, but for its rules."""
    model = mapping(agent, "model")
    names = [text(model, "providerID"), text(model, "modelID")]
    return {
        **{ours: agent[theirs] for theirs, ours in _SAME.items() if theirs in agent},
        **({"model": "/".join(names)} if all(names) else {}),
        "mode": "primary",
        "description": "What caw allows.",
        # Some permissions take no patterns.
        "permission": {
            name: patterns["*"] if list(patterns) == ["*"] else patterns
            for name, patterns in rules.items()
        },
    }


def is_in_force(resolved: Mapping[str, JSON], rules: Settings) -> bool:
    """Tell whether opencode has understood *rules* as they were meant.

    Args:
        resolved: what ``opencode debug agent`` says of the agent with these rules.
        rules: what it was given.
    """
    wanted = [(name, *one) for name, patterns in rules.items() for one in patterns.items()]
    found = [
        (text(rule, "permission"), text(rule, "pattern"), text(rule, "action"))
        for rule in objects(resolved, "permission")
    ]
    for start in range(len(found) - len(wanted), -1, -1):
        if found[start : start + len(wanted)] == wanted:
            # opencode adds its own folders for what tools put out, and nothing else.
            rest = found[start + len(wanted) :]
            return all(name == EXTERNAL for name, _, _ in rest)
    return False


def can_talk(agent: Mapping[str, JSON]) -> bool:
    """Tell whether an agent can be talked to, as opposed to one for other agents to call."""
    return text(agent, "mode") != "subagent" and agent.get("hidden") is not True


def _unattended(rules: Iterable[Rule], *, full: bool) -> list[tuple[str, str, str]]:
    plain = []
    for rule in rules:
        name, action = text(rule, "permission"), text(rule, "action")
        # Nobody answers: a question is a no, and the tool for questions is not offered.
        if name == QUESTION or (action == "ask" and not full):
            action = "deny"
        plain.append((name, text(rule, "pattern"), action))
    return plain
