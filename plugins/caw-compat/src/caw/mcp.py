"""Servers of tools in Python, by the wrapper's names, served by caw-tools.

The wrapper gave out the ``FastMCP`` object of ``mcp`` before version 2, which is no more. What
`register_tool` takes in its place is a `ToolServer`; the object has the same decorator ``tool``.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from caw_core.errors import ConfigError, SessionStateError
from caw_core.twins import call_in_thread
from caw_tools import ToolContext, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.mcp import McpServer
    from caw_core.tool_serving import ToolScope
    from caw_tools.standalone import ToolServer as Serving

__all__ = [
    "Context",
    "MCPServerHandle",
    "ToolServer",
    "create_mcp_http_server_bundle",
    "create_stateless_tool_server",
    "create_subagent_tool_server",
    "get_state_from_context",
    "mcp_tool",
    "register_tool",
]

Context = ToolContext
"""What a tool's parameter ``ctx`` takes."""

_F = TypeVar("_F", bound=Callable[..., Any])

_state: ContextVar[Any] = ContextVar("caw_tool_state", default=None)


def mcp_tool(
    name: str | None = None,
    *,
    title: str | None = None,
    description: str | None = None,
    annotations: Any | None = None,
    icons: list[Any] | None = None,
    meta: dict[str, Any] | None = None,
    structured_output: bool | None = None,
) -> Callable[[_F], _F]:
    """Mark a function as a tool; as `caw.tool`. *icons* and *meta* are not shown to agents."""
    del icons, meta
    marked: Callable[[_F], _F] = tool(
        name,
        title=title,
        description=description,
        annotations=annotations,
        structured_output=structured_output,
    )
    return marked


def get_state_from_context(ctx: Context) -> Any:
    """Return the state of the server whose tool is running; None for one without."""
    del ctx  # a call runs in one context, which knows its server
    return _state.get()


class ToolServer:
    """The tools of a `MCPServerHandle`.

    Args:
        name: a name for people.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.functions: list[Callable[..., Any]] = []

    def tool(self, name: str | None = None, **facts: Any) -> Callable[[_F], _F]:
        """Add a function; arguments as for `mcp_tool`."""

        def add(function: _F) -> _F:
            self.functions.append(mcp_tool(name, **facts)(_forwarding(function)))
            return function

        return add


@dataclass(eq=False)
class MCPServerHandle:
    """A server of tools for ``tool_servers=`` or `caw.Agent.add_tool_server`.

    Sessions serve it by themselves, any number at once. Its own methods serve it for another
    program on this machine, which needs ``url`` and, as a password, ``headers``.
    """

    server_id: str
    server: ToolServer
    _state_instance: Any = None
    _shutdown: Callable[[Any], Any] | None = None
    _serving: Serving | None = field(default=None, repr=False)
    _address: McpServer | None = field(default=None, repr=False)
    _num_open: int = 0
    server_name: str = field(init=False)
    display_name: str = field(init=False)
    thread_safe: bool = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        """Say of itself what `caw_tools.ToolSource` wants."""
        self.server_name = re.sub(r"[^A-Za-z0-9_-]", "_", self.server_id)[:64]
        self.display_name = self.server.name
        # Several of its tools may run at once only where they share no state.
        self.thread_safe = self._state_instance is None

    def tool_functions(self) -> list[Callable[..., Any]]:
        """Return its tools, each of which sees the state."""
        return [_with_state(function, self._state_instance) for function in self.server.functions]

    def session_opened(self, scope: ToolScope) -> None:
        """Count the sessions."""
        del scope
        with self._lock:
            self._num_open += 1

    def session_closed(self, scope: ToolScope) -> None:
        """Shut the state down when the last session has ended."""
        del scope
        with self._lock:
            self._num_open -= 1
            last = not self._num_open
        if last and self._shutdown is not None and self._state_instance is not None:
            result = self._shutdown(self._state_instance)
            if inspect.isawaitable(result):
                asyncio.run(_awaited(result))

    # --------------------------------------------------------------------- serving it by itself

    def get_state(self) -> Any:
        """Return the state."""
        return self._state_instance

    @property
    def url(self) -> str:
        """The address while it is served.

        Raises:
            RuntimeError: it is not; sessions of an agent give each program an address of its own.
        """
        return self._served().url

    @property
    def headers(self) -> dict[str, str]:
        """What each request must carry while it is served; a secret."""
        return dict(self._served().headers)

    def start_sync(self, timeout: float = 30.0) -> None:
        """Serve until `stop_sync`; the server is ready when this returns."""
        from caw_tools.standalone import ToolServer as Serving

        del timeout
        if self._serving is not None:
            message = "the server runs already"
            raise SessionStateError(message)
        serving = Serving(self)
        self._address = serving.start()
        self._serving = serving

    def stop_sync(self, timeout: float = 10.0) -> None:
        """Stop serving; idempotent."""
        del timeout
        serving, self._serving, self._address = self._serving, None, None
        if serving is not None:
            serving.stop()

    async def start(self, max_retries: int = 5) -> None:
        """Do as `start_sync`."""
        del max_retries
        await call_in_thread(self.start_sync)

    async def stop(self) -> None:
        """Do as `stop_sync`."""
        await call_in_thread(self.stop_sync)

    @asynccontextmanager
    async def run_in_background(self) -> AsyncIterator[None]:
        """Serve while the block runs."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    def runner(self) -> Callable[[], None]:
        """Return a function that serves until its process ends."""

        def run() -> None:
            self.start_sync()
            try:
                threading.Event().wait()
            finally:
                self.stop_sync()

        return run

    def _served(self) -> McpServer:
        if self._address is None:
            message = "the server has no address before start_sync()"
            raise SessionStateError(message)
        return self._address


def register_tool(server: ToolServer, func: Callable[..., Any]) -> None:
    """Add a function, marked or not, to the tools of a handle's ``server``."""
    server.functions.append(_forwarding(func))


def create_mcp_http_server_bundle(
    server_id: str,
    *,
    display_name: str,
    state_factory: Callable[[], Any] | None = None,
    state_instance: Any = None,
    state_display_name: str | None = None,
    state_shutdown: Callable[[Any], Awaitable[None] | None] | None = None,
    uvicorn_log_level: str | None = "error",
    state_logger: Callable[[str], None] | None = None,
    **fastmcp_kwargs: Any,
) -> MCPServerHandle:
    """Make a server of tools that share a state.

    Args:
        server_id: how its tools are told apart.
        display_name: a name for people.
        state_factory: makes the state, now; or
        state_instance: the state, for `get_state_from_context`.
        state_display_name: what *state_logger* is told that it is.
        state_shutdown: called with the state when the last session that uses it has ended.
        uvicorn_log_level: has no effect.
        state_logger: is told when the state is made and when it is shut down.
        **fastmcp_kwargs: have no effect, with a warning.

    Raises:
        ValueError: both a factory and a state are given, or a ``lifespan``.
    """
    del uvicorn_log_level
    if state_factory is not None and state_instance is not None:
        message = "give state_factory or state_instance, not both"
        raise ConfigError(message)
    if fastmcp_kwargs.pop("lifespan", None) is not None:
        message = "lifespan is FastMCP's: give state_factory and state_shutdown"
        raise ConfigError(message)
    if fastmcp_kwargs:
        warnings.warn(
            f"FastMCP's options have no effect: {', '.join(sorted(fastmcp_kwargs))}",
            DeprecationWarning,
            stacklevel=2,
        )

    def say(what: str) -> None:
        if state_logger is not None and state_display_name:
            state_logger(f"{what} {state_display_name}")

    def shut_down(state: Any) -> Any:
        say("Shutting down")
        return state_shutdown(state) if state_shutdown is not None else None

    state = state_factory() if state_factory is not None else state_instance
    if state is not None:
        say("Initializing")
    return MCPServerHandle(server_id, ToolServer(display_name), state, shut_down)


def create_stateless_tool_server(
    funcs: list[Callable[..., Any]],
    *,
    server_id: str | None = None,
    display_name: str = "stateless_tools",
) -> MCPServerHandle:
    """Make a server of plain functions."""
    handle = create_mcp_http_server_bundle(server_id or "general", display_name=display_name)
    for func in funcs:
        register_tool(handle.server, func)
    return handle


def create_subagent_tool_server(
    spec: Any, traj_dir: str, jsonl_path: str | None = None
) -> MCPServerHandle:
    """Make a server with one tool that runs a subagent.

    The subagent's record reaches the parent's only with `caw.Agent.add_subagent`, which is the way
    to give an agent subagents.

    Args:
        spec: a `caw.AgentSpec`.
        traj_dir: the folder in which each call's record is written.
        jsonl_path: has no effect.
    """
    from caw.subagents import run_alone

    del jsonl_path
    warnings.warn("use Agent.add_subagent(spec)", DeprecationWarning, stacklevel=2)

    def subagent(prompt: str) -> str:
        return run_alone(spec, prompt, traj_dir)

    handle = create_mcp_http_server_bundle("subagent", display_name=f"caw-subagent-{spec.name}")
    name = re.sub(r"[^A-Za-z0-9_-]", "_", spec.name)
    handle.server.tool(name=name, description=spec.description)(subagent)
    return handle


def _forwarding(function: _F) -> _F:
    """Return a function of its own, with a type for each argument, that calls *function*."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    made: Any = call_async if inspect.iscoroutinefunction(function) else call
    signature = inspect.signature(function, eval_str=True)
    # FastMCP took arguments without a type for anything.
    parameters = [
        parameter.replace(annotation=Any)
        if parameter.annotation is parameter.empty and parameter.name != "ctx"
        else parameter
        for parameter in signature.parameters.values()
    ]
    vars(made)["__signature__"] = signature.replace(parameters=parameters)
    return made  # type: ignore[no-any-return]  # of the same signature


def _with_state(function: Callable[..., Any], state: Any) -> Callable[..., Any]:
    """Return *function* so that `get_state_from_context` finds *state* in it."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(**kwargs: Any) -> Any:
            with _state_is(state):
                return await function(**kwargs)

        return call_async

    @functools.wraps(function)
    def call(**kwargs: Any) -> Any:
        with _state_is(state):
            return function(**kwargs)

    return call


@contextmanager
def _state_is(state: Any) -> Iterator[None]:
    token = _state.set(state)
    try:
        yield
    finally:
        _state.reset(token)


async def _awaited(result: Awaitable[Any]) -> None:
    await result
