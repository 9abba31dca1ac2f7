"""`AgentSpec`: an agent that another agent may call as a tool."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from caw_core.errors import ConfigError

if TYPE_CHECKING:
    from caw_core.budget import Budget
    from caw_core.deadlines import Deadlines
    from caw_core.mcp import McpServer
    from caw_core.provider import Permissions
    from caw_core.provider_order import OrderItem
    from caw_core.settings import AgentOptions
    from caw_core.tools import ModelTier, ToolGroup

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,48}")
"""What services take as the name of a function, with room for the server's that agents put before
it."""

_NO_OPTIONS: Final = frozenset({"name", "description", "provider", "max_depth"})


def _check_name(_: object, __: attrs.Attribute[Any], name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = f"a subagent's name is that of a tool: letters, digits, '_' and '-', not {name!r}"
        raise ConfigError(msg)


def _check_text(_: object, attribute: attrs.Attribute[Any], text: object) -> None:
    if not isinstance(text, str):
        msg = f"a subagent's {attribute.name} is a str, not {type(text).__name__}"
        raise ConfigError(msg)


def _check_depth(_: object, __: attrs.Attribute[Any], depth: object) -> None:
    if depth is not None and (
        isinstance(depth, bool) or not isinstance(depth, int) or not depth >= 0
    ):
        msg = f"a subagent's max_depth is a whole number not below 0, not {depth!r}"
        raise ConfigError(msg)


def _tuple(values: Any) -> Any:
    # What is no list is refused with the other options, by name.
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else values


@attrs.frozen(kw_only=True)
class AgentSpec:
    """An agent that another one may call as a tool, with a task as the argument.

    Give it to ``Agent(subagents=[…])``. Each call opens a session of its own, which ends with the
    call; the model that calls gets its last words. What is left open here is the parent's: folder,
    environment, deadlines, permissions, kinds of tools, and with the parent's provider also its
    model, effort and options.

    Attributes:
        name: what the tool is called: letters, digits, ``_`` and ``-``.
        description: what the parent's model reads to decide when to call it.
        system_prompt: holds for the subagent alone; it does not get the parent's.
        provider: as `caw_core.Agent` takes it; None for the parent's.
        model: as `caw_core.Agent` takes it.
        reasoning: likewise.
        cwd: the folder in which it works.
        env: variables to set, or with None to take away, besides the parent's.
        permissions: what it may do without asking; never more than the parent may. Where somebody
            is asked, it is the parent's ``on_permission``, with the subagent's name in
            `caw_core.PermissionRequest.asked_by`.
        tools: the kinds of tools that it may have, for it alone.
        stateless_tools: functions that it may call.
        tool_servers: toolkits that it may call.
        mcp_servers: servers of further tools; it does not get the parent's.
        subagents: agents that it may call.
        budget: bound on what one call may use; what it uses counts against the parent's, too.
        deadlines: how long things may take.
        max_turns: bound on its model calls.
        max_depth: how many levels of subagents there may be below it; None for as many as the
            parent's ``max_subagent_depth`` leaves.
        options: options of its provider alone.
        metadata: your own data for its record.
    """

    name: str = attrs.field(validator=_check_name)
    description: str = attrs.field(default="", validator=_check_text)
    system_prompt: str = attrs.field(default="", validator=_check_text)
    provider: str | Sequence[OrderItem] | None = None
    model: str | ModelTier | None = None
    reasoning: str | None = None
    cwd: str | os.PathLike[str] | None = None
    env: Mapping[str, str | None] | None = attrs.field(
        default=None, repr=lambda env: repr(sorted(env or ()))
    )
    permissions: Permissions | None = None
    tools: ToolGroup | None = None
    stateless_tools: Sequence[Callable[..., Any]] = attrs.field(default=(), converter=_tuple)
    tool_servers: Sequence[object] = attrs.field(default=(), converter=_tuple)
    mcp_servers: Sequence[McpServer] = attrs.field(default=(), converter=_tuple)
    subagents: Sequence[AgentSpec] = attrs.field(default=(), converter=_tuple)
    budget: Budget | None = None
    deadlines: Deadlines | None = None
    max_turns: int | None = None
    max_depth: int | None = attrs.field(default=None, validator=_check_depth)
    options: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    metadata: Mapping[str, Any] | None = None

    def agent_options(self) -> AgentOptions:
        """Return what of it are keyword arguments of `caw_core.Agent`."""
        names = [field.name for field in attrs.fields(AgentSpec)]
        options: Any = {name: getattr(self, name) for name in names if name not in _NO_OPTIONS}
        return cast("AgentOptions", options)


def check_subagents(specs: tuple[Any, ...]) -> tuple[AgentSpec, ...]:
    """Return *specs* if they can be told apart; raise `ConfigError` otherwise."""
    for spec in specs:
        if not isinstance(spec, AgentSpec):
            msg = f"subagents are a list of AgentSpec, and one is {type(spec).__name__}"
            raise ConfigError(msg)
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        msg = f"subagents: two of them have one name: {', '.join(sorted(names))}"
        raise ConfigError(msg)
    return specs
