"""The tools of one session: which servers there are, and their opening and end."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_core.errors import ConfigError
from caw_core.mcp import McpServer
from caw_tools.http_server import HOST
from caw_tools.kit import ToolKit, ToolSource
from caw_tools.lane import Lane
from caw_tools.one_at_a_time import OneAtATime, one_at_a_time
from caw_tools.shared_server import SHARED
from caw_tools.signature import PythonTool
from caw_tools.subagents import SUBAGENTS, subagent_tool

if TYPE_CHECKING:
    from caw_core.tool_serving import GivenTools, ToolScope

log = logging.getLogger("caw.tools")

FUNCTIONS: Final = "tools"
"""The server of functions without a kit."""


@attrs.frozen(kw_only=True)
class Plan:
    """A server of tools as it will be.

    Attributes:
        name: how its tools are told from others.
        title: a name for people.
        tools: what it offers.
        source: the kit; None for functions.
    """

    name: str
    title: str
    tools: tuple[PythonTool, ...]
    source: ToolSource | None = None

    @property
    def one_at_a_time(self) -> OneAtATime | None:
        """What lets its calls in; None where they may run at once."""
        if self.source is None or self.source.thread_safe:
            return None
        return one_at_a_time(self.source)


def planned(tools: GivenTools) -> list[Plan]:
    """Return the servers for a session, of new instances where a class is given.

    Raises:
        ConfigError: something in it cannot be served.
    """
    plans = []
    if tools.functions:
        offered = _read(tools.functions, "stateless_tools")
        plans.append(Plan(name=FUNCTIONS, title="", tools=offered))
    if tools.subagents:
        offered = _read(map(subagent_tool, tools.subagents), "subagents")
        plans.append(Plan(name=SUBAGENTS, title="", tools=offered))
    plans += [plan_of(_instance(given)) for given in tools.servers]
    return list(_told_apart(plans))


def plan_of(source: ToolSource) -> Plan:
    """Return the server for one kit.

    Raises:
        ConfigError: it has no tools, or one of them is badly defined.
    """
    offered = _read(source.tool_functions(), f"the toolkit {type(source).__name__}")
    if not offered:
        msg = f"the toolkit {type(source).__name__} has no tools: mark methods with @tool"
        raise ConfigError(msg)
    # For its errors: a name that no agent could use is told now.
    McpServer(name=source.server_name, url=f"http://{HOST}/")
    title = source.display_name or source.server_name
    return Plan(name=source.server_name, title=title, tools=offered, source=source)


class SessionTools:
    """A `caw_core.tool_serving.ServedTools`.

    Args:
        tools: what the caller gave.
        scope: the session.

    Raises:
        ConfigError: something in it cannot be served.
    """

    def __init__(self, tools: GivenTools, scope: ToolScope) -> None:
        self._scope = scope
        self._opened: list[ToolSource] = []
        self._lanes: list[Lane] = []
        try:
            for plan in planned(tools):
                if plan.source is not None:
                    plan.source.session_opened(scope)
                    self._opened.append(plan.source)
                self._lanes.append(
                    Lane(
                        name=plan.name,
                        title=plan.title,
                        tools=_allowed(plan.tools, scope),
                        scope=scope,
                        redact=scope.redact,
                        one_at_a_time=plan.one_at_a_time,
                    )
                )
            self.servers: tuple[McpServer, ...] = SHARED.open(self._lanes)
        except BaseException:
            self.close()
            raise

    @property
    def running(self) -> bool:
        """Whether a call runs now."""
        return any(lane.running for lane in self._lanes)

    def cancel_calls(self) -> None:
        """Cancel the calls that run."""
        for lane in self._lanes:
            lane.cancel_calls()

    def close(self) -> None:
        """Stop serving; idempotent."""
        SHARED.close(self._lanes)
        while self._opened:
            source = self._opened.pop()
            try:
                source.session_closed(self._scope)
            except Exception:
                log.exception("the toolkit %s did not close", source.server_name)


def check(tools: GivenTools) -> None:
    """Look at tools without making an instance of a class.

    Raises:
        ConfigError: something in it cannot be served.
    """
    _read(tools.functions, "stateless_tools")
    for given in tools.servers:
        if not inspect.isclass(given):
            plan_of(_instance(given))
            continue
        try:
            inspect.signature(given).bind()
        except TypeError as error:
            msg = f"tool_servers: {given.__name__} cannot be made without arguments: {error}; "
            raise ConfigError(f"{msg}give an instance") from error
        if issubclass(given, ToolKit) and given.tool_functions is ToolKit.tool_functions:
            # The base class looks at the methods alone, which are there before __init__.
            plan_of(given.__new__(given))


def _instance(given: Any) -> ToolSource:
    made = given() if inspect.isclass(given) else given
    if not isinstance(made, ToolSource):
        msg = f"tool_servers: {given!r} is no ToolKit, nor has it what caw_tools.ToolSource names"
        raise ConfigError(msg)
    return made


def _read(functions: Iterable[Callable[..., Any]], where: str) -> tuple[PythonTool, ...]:
    found: dict[str, PythonTool] = {}
    for function in functions:
        tool = PythonTool.of(function)
        if tool.offer.name in found:
            msg = f"{where}: two tools are called {tool.offer.name!r}; name one with @tool('…')"
            raise ConfigError(msg)
        found[tool.offer.name] = tool
    return tuple(found.values())


def _allowed(tools: tuple[PythonTool, ...], scope: ToolScope) -> list[PythonTool]:
    """Return the tools without those that say they destroy, where nothing may be changed."""
    hints = [(tool, tool.offer.annotations) for tool in tools]
    careful = scope.request.permissions == "read-only"
    return [tool for tool, hint in hints if not (careful and hint and hint.destructive_hint)]


def _told_apart(plans: Iterable[Plan]) -> Iterator[Plan]:
    """Number the servers that have a name in common, such as two instances of one kit."""
    seen: set[str] = set()
    for plan in plans:
        name, number = plan.name, 1
        while name in seen:
            number += 1
            name = f"{plan.name}_{number}"
        seen.add(name)
        yield attrs.evolve(plan, name=name)
