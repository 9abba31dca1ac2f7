"""`ToolKit`: tools that share a state."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from caw_tools.definition import facts_of

if TYPE_CHECKING:
    from caw_core.tool_serving import ToolScope
    from caw_tools.standalone import ToolServer


@runtime_checkable
class ToolSource(Protocol):
    """What ``Agent(tool_servers=[…])`` takes; a `ToolKit` is one."""

    @property
    def server_name(self) -> str:
        """How its tools are told from others; letters, digits, ``_`` and ``-``."""

    @property
    def display_name(self) -> str:
        """A name for people; ``""`` for the server's."""

    @property
    def thread_safe(self) -> bool:
        """Whether several of its tools may run at once."""

    def tool_functions(self) -> Iterable[Callable[..., Any]]:
        """Return its tools: functions or bound methods, marked with `caw_tools.tool` or not."""

    def session_opened(self, scope: ToolScope) -> None:
        """Get ready for a session; called in the thread that opens it."""

    def session_closed(self, scope: ToolScope) -> None:
        """Let go of what was made for a session; called once, also when it could not open."""


class ToolKit:
    """Base class of tools that share a state.

    For example::

        class Users(ToolKit, server_name="user_db", display_name="Users"):
            def __init__(self) -> None:
                self.names = ["Ada"]

            @tool
            def list_users(self) -> list[str]:
                \"\"\"List all users.\"\"\"
                return self.names

        Agent("codex", tool_servers=[Users])     # each session has users of its own
        Agent("codex", tool_servers=[Users()])   # all sessions share them

    Args:
        server_name: how its tools are told from others; default the class's name.
        display_name: a name for people; default the server's.
        thread_safe: several of its tools may run at once, sync ones in threads. By default an
            instance runs one call at a time, sync or async, over all sessions that share it; the
            others wait in order. So a tool that waits for another call of the same kit needs True.
    """

    server_name: ClassVar[str] = ""
    display_name: ClassVar[str] = ""
    thread_safe: ClassVar[bool] = False
    _given_name: ClassVar[str] = ""

    def __init_subclass__(
        cls,
        *,
        server_name: str = "",
        display_name: str = "",
        thread_safe: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the arguments of the ``class`` line."""
        super().__init_subclass__(**kwargs)
        cls._given_name = server_name or vars(cls).get("server_name") or cls._given_name
        cls.server_name = cls._given_name or _slug(cls.__name__)
        cls.display_name = display_name or cls.display_name
        if thread_safe is not None:
            cls.thread_safe = thread_safe

    def tool_functions(self) -> list[Callable[..., Any]]:
        """Return the methods that are marked with `caw_tools.tool`, in the order of their names."""
        marked = []
        for name in dir(type(self)):
            # A property is not run: looking at a kit must not make it do anything.
            static = inspect.getattr_static(self, name, None)
            if facts_of(getattr(static, "__func__", static)) is not None:
                marked.append(getattr(self, name))
        return marked

    def session_opened(self, scope: ToolScope) -> None:
        """Get ready for a session; override it. Called in the thread that opens the session.

        What it raises keeps the session from opening.
        """

    def session_closed(self, scope: ToolScope) -> None:
        """Let go of what `session_opened` made; override it. What it raises is logged."""

    def as_server(self) -> ToolServer:
        """Serve the kit without an agent, e.g. for another program on this machine.

        For example::

            with Users().as_server() as server:
                Agent("codex", mcp_servers=[server])
                print(server.url, server.headers)

        Returns:
            A context manager that gives the `caw_core.McpServer`; nothing runs before it is
            entered, and nothing after.

        Raises:
            ConfigError: one of its tools is badly defined.
        """
        from caw_tools.standalone import ToolServer

        return ToolServer(self)


def _slug(name: str) -> str:
    words: str = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9_-]", "", words.lower())[:64] or "kit"
