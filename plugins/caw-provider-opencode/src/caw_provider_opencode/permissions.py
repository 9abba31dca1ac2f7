"""What the caller allows, as rules of opencode.

opencode takes the last rule that matches: first the agent's (its defaults and the user's
configuration), then the session's. So a session's rule could widen what the user has forbidden.
Therefore the session gets the agent's own rules again, each cut down to what the caller allows.

Subagents inherit the denials of their parent, but neither its "ask" nor its "allow" (opencode
1.18.33, observed). So nobody would be asked for what they do, and under anything but ``full``
there are none.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import UnsupportedError
from caw_core.json_fields import text
from caw_core.tools import ToolGroup
from caw_provider_opencode.errors import NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from caw_core.blocks import JSON
    from caw_core.permissions import PermissionKind
    from caw_core.provider import Permissions, StartRequest

Rule = dict[str, "JSON"]

EXTERNAL: Final = "external_directory"
QUESTION: Final = "question"
TASK: Final = "task"
FORM: Final = "StructuredOutput"
"""The tool by which a model gives an answer in a form that was asked for."""

GROUPS: Final[dict[ToolGroup, tuple[str, ...]]] = {
    ToolGroup.READER: ("read", "glob", "grep", "list", "lsp", "skill"),
    ToolGroup.WRITER: ("edit",),
    ToolGroup.EXEC: ("bash",),
    ToolGroup.WEB: ("webfetch", "websearch", "codesearch"),
    ToolGroup.PARALLEL: (TASK,),
    ToolGroup.INTERACTION: (QUESTION,),
}
"""opencode's permissions by the kind of tool that needs them."""

_NEUTRAL: Final = ("todoread", "todowrite")
_CONDITIONS: Final = (EXTERNAL, "doom_loop")
"""Permissions that go with other tools and bring none."""

_EDITING: Final = frozenset({"edit", "write", "multiedit", "patch", "apply_patch"})
_READING: Final = (*GROUPS[ToolGroup.READER], *_NEUTRAL)
_ALLOWED: Final[dict[Permissions, tuple[str, ...]]] = {
    "read-only": _READING,
    "ask": _READING,
    "auto-edit": (*_READING, "edit"),
}
_PLANS: Final = ("plan_enter", "plan_exit")
"""Tools that change to another agent once a person has agreed."""

_KINDS: Final[dict[ToolGroup, PermissionKind]] = {
    ToolGroup.READER: "read",
    ToolGroup.WRITER: "edit",
    ToolGroup.EXEC: "exec",
    ToolGroup.WEB: "web",
    ToolGroup.INTERACTION: "question",
}


@attrs.frozen(kw_only=True)
class Leave:
    """What a caller allows, as far as rules follow from it; fields as in `StartRequest`.

    Attributes:
        permissions: the mode.
        attended: whether somebody answers what the mode leaves open.
        tools: the kinds of tools that there may be; None for all.
        folders: patterns for what lies in the additional folders.
        servers: the names of the tool servers that the caller gave.
        trusted: those whose tools need no permission.
    """

    permissions: Permissions
    attended: bool = False
    tools: ToolGroup | None = None
    folders: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: StartRequest) -> Leave:
        """Read what matters out of *request*.

        Raises:
            UnsupportedError: the rules cannot tell a tool server from something of opencode's own.
        """
        folders = dict.fromkeys(
            str(path / "*")
            for given in request.additional_dirs
            for path in (given, given.resolve())
        )
        servers = tuple(server.name for server in request.mcp_servers)
        for name in servers:
            for own in (*_CONDITIONS, *_PLANS):
                if fnmatchcase(own, f"{name}_*"):
                    msg = (
                        f"opencode needs another name for the MCP server {name!r}: {own} is its own"
                    )
                    raise UnsupportedError(msg, provider=NAME, options=("mcp_servers",))
        return cls(
            permissions=request.permissions,
            attended=request.permission_desk.attended,
            tools=request.tools,
            folders=tuple(folders),
            servers=servers,
            trusted=tuple(server.name for server in request.mcp_servers if server.trusted),
        )

    @property
    def is_open(self) -> bool:
        """Whether what is not named stays as the user has it, so that subagents can work."""
        tools = ToolGroup.ALL if self.tools is None else self.tools
        return self.permissions == "full" and ToolGroup.PARALLEL in tools


def session_rules(
    agent_rules: Sequence[Rule], leave: Leave, own_folder: str, known: Iterable[str] = ()
) -> list[Rule]:
    """Return the rules of a session: what the agent's rules allow, and the caller allows too.

    Args:
        agent_rules: the rules of the agent, as ``GET /agent`` lists them.
        leave: what the caller allows.
        own_folder: opencode's folder for its own data, below which it keeps the output of tools
            that was too long for the model; reading that stays possible.
        known: the permissions that the tools need which opencode has now.
    """
    rules: list[Rule] = []
    if leave.is_open:
        rules += [_rule("*", "*", "ask"), *(_copied(rule) for rule in agent_rules)]
        # By name, for subagents inherit each denial.
        wanted = _wanted(leave)
        if leave.tools is not None:
            rules += [_rule(name, "*", "deny") for name in known if not _any(name, wanted)]
    else:
        rules.append(_rule("*", "*", "deny"))
        for rule in agent_rules:
            rules += _cut_down(rule, leave, own_folder)
    for folder in leave.folders:
        if last_action(agent_rules, EXTERNAL, folder) != "deny":
            rules.append(_rule(EXTERNAL, folder, "allow"))
    ask = leave.attended and last_action(agent_rules, QUESTION, "*") != "deny"
    wanted_question = leave.tools is None or ToolGroup.INTERACTION in leave.tools
    rules.append(_rule(QUESTION, "*", "allow" if ask and wanted_question else "deny"))
    rules += [_rule(name, "*", "deny") for name in _PLANS]
    return [*rules, _rule(FORM, "*", "allow")]


def last_action(rules: Sequence[Rule], name: str, pattern: str) -> str:
    """Return what the last rule says that matches, ``"ask"`` if none does."""
    found = [
        text(rule, "action")
        for rule in rules
        if fnmatchcase(name, text(rule, "permission"))
        and fnmatchcase(pattern, text(rule, "pattern"))
    ]
    return found[-1] if found else "ask"


def permission_of(tool: str) -> str:
    """Return the permission that a tool needs."""
    return "edit" if tool in _EDITING else tool


def kind_of(permission: str, servers: Iterable[str]) -> PermissionKind:
    """Return what sort of thing needs *permission*; *servers* names the tool servers."""
    for group, kind in _KINDS.items():
        if permission in GROUPS[group]:
            return kind
    return "mcp" if _any(permission, [f"{name}_*" for name in servers]) else "other"


def _wanted(leave: Leave) -> list[str]:
    """Return the names, or patterns of names, of the permissions that there may be."""
    tools = ToolGroup.ALL if leave.tools is None else leave.tools
    wanted = [*_NEUTRAL, *_CONDITIONS, *(f"{name}_*" for name in leave.servers)]
    for group, names in GROUPS.items():
        if group in tools and (group is not ToolGroup.PARALLEL or leave.permissions == "full"):
            wanted += names
    return wanted


def _cut_down(rule: Rule, leave: Leave, own_folder: str) -> list[Rule]:
    name, pattern, action = (text(rule, key) for key in ("permission", "pattern", "action"))
    asks = leave.attended and leave.permissions in ("ask", "auto-edit")
    # What nobody can be asked for is denied.
    otherwise = "ask" if asks and action != "deny" else "deny"
    rules: list[Rule] = []
    if leave.tools is None:
        rules.append(_rule(name, pattern, otherwise))
    for wanted in _wanted(leave):
        if fnmatchcase(wanted, name):
            one = wanted
        elif fnmatchcase(name, wanted):
            one = name
        else:
            continue
        granted = action if _is_granted(wanted, leave) and action == "allow" else otherwise
        if leave.permissions == "full":
            granted = action
        rules.append(_rule(one, pattern, granted))
    if leave.tools is None and fnmatchcase(TASK, name):
        rules.append(_rule(TASK, pattern, "deny"))
    if name == EXTERNAL and own_folder and pattern.startswith(own_folder):
        rules.append(_rule(EXTERNAL, pattern, action if action == "allow" else otherwise))
    return rules


def _is_granted(name: str, leave: Leave) -> bool:
    if leave.permissions == "full" or name in _ALLOWED[leave.permissions]:
        return True
    # Whoever gives a tool server means it to be used.
    meant = leave.servers if leave.permissions == "auto-edit" else leave.trusted
    return name in {f"{one}_*" for one in meant}


def _copied(rule: Rule) -> Rule:
    return _rule(text(rule, "permission"), text(rule, "pattern"), text(rule, "action"))


def _any(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _rule(name: str, pattern: str, action: str) -> Rule:
    return {"permission": name, "pattern": pattern, "action": action}
