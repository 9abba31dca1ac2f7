"""Tools in sessions: whose they are, when they come, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from caw_core import Agent, McpServer, PluginRegistry
from caw_core.errors import ConfigError, ProviderError, TurnInterruptedError
from caw_tools import ToolContext, ToolKit, tool

from .client import CallerProvider
from .conftest import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp import Client

    from caw_core import Session
    from caw_core.tool_serving import ToolScope

    from .conftest import Serve

WAIT = 60.0


@pytest.fixture
def provider() -> CallerProvider:
    return CallerProvider()


@pytest.fixture
def registry(provider: CallerProvider) -> Iterator[PluginRegistry]:
    registry = PluginRegistry()
    registry.register_provider("caller", provider)
    yield registry
    assert "caw-tools" not in {thread.name for thread in threading.enumerate()}


def say(session: Session, server: str, name: str, arguments: str = "{}") -> str:
    """Have the agent call a tool."""
    return session.send(f"{server} {name} {arguments}").result


def given(session: Session) -> tuple[McpServer, ...]:
    return session._core.request.mcp_servers


def is_open(server: McpServer) -> bool:
    address = urlsplit(server.url)
    with socket.socket() as caller:
        return caller.connect_ex((address.hostname or "", address.port or 0)) == 0


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Notes(ToolKit):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.sessions: list[str] = []

    def session_opened(self, scope: ToolScope) -> None:
        self.sessions.append(f"+{scope.session_id}")

    def session_closed(self, scope: ToolScope) -> None:
        self.sessions.append(f"-{scope.session_id}")

    @tool
    def note(self, text: str) -> int:
        """Write a note; return how many there are."""
        self.notes.append(text)
        return len(self.notes)


def test_fifty_sessions_of_one_agent_call_its_tools_at_once(registry: PluginRegistry) -> None:
    barrier = threading.Barrier(50)

    def meet(ctx: ToolContext) -> str:
        """Wait for all others."""
        barrier.wait(WAIT)
        return ctx.scope.session_id if ctx.scope else ""

    agent = Agent("caller", registry=registry, stateless_tools=[meet])

    async def one() -> bool:
        async with await agent.start_session_async() as session:
            turn = await session.send_async("tools meet {}")
            return turn.result == session.session_id

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(one() for _ in range(50)))

    assert asyncio.run(all_of_them()) == [True] * 50


def test_each_session_has_an_instance_of_a_class_and_all_share_an_instance(
    registry: PluginRegistry,
) -> None:
    shared = Notes()
    own = Agent("caller", registry=registry, tool_servers=[Notes])
    common = Agent("caller", registry=registry, tool_servers=[shared])
    for agent, counts in ((own, ["1", "1"]), (common, ["1", "2"])):
        with agent.start_session() as first, agent.start_session() as second:
            said = [say(session, "notes", "note", '{"text": "a"}') for session in (first, second)]
        assert said == counts
    assert shared.notes == ["a", "a"]


def test_kit_is_told_of_its_sessions(registry: PluginRegistry) -> None:
    kit = Notes()
    with Agent("caller", registry=registry, tool_servers=[kit]).start_session(session_id="s"):
        assert kit.sessions == ["+s"]
    assert kit.sessions == ["+s", "-s"]


def test_kits_of_one_name_are_numbered(registry: PluginRegistry) -> None:
    agent = Agent("caller", registry=registry, tool_servers=[Notes, Notes], stateless_tools=[add])
    with agent.start_session() as session:
        assert [server.name for server in given(session)] == ["tools", "notes", "notes_2"]
        assert say(session, "notes_2", "note", '{"text": "a"}') == "1"


def test_kits_name_comes_from_the_class_line_or_the_class() -> None:
    class UserDb(ToolKit):
        pass

    class Named(ToolKit, server_name="db", display_name="Data", thread_safe=True):
        pass

    class Below(Named):
        pass

    assert (UserDb.server_name, UserDb.thread_safe) == ("user_db", False)
    assert (Below.server_name, Below.display_name, Below.thread_safe) == ("db", "Data", True)


def test_server_runs_from_the_first_session_to_the_last(registry: PluginRegistry) -> None:
    agent = Agent("caller", registry=registry, stateless_tools=[add])
    assert "caw-tools" not in {thread.name for thread in threading.enumerate()}
    first, second = agent.start_session(), agent.start_session()
    [server] = given(first)
    assert [thread.name for thread in threading.enumerate()].count("caw-tools") == 1
    first.end()
    assert say(second, "tools", "add", '{"a": 1, "b": 2}') == "3"
    assert is_open(server)
    second.end()
    assert not is_open(server)


def test_server_starts_again_after_its_end(registry: PluginRegistry) -> None:
    agent = Agent("caller", registry=registry, tool_servers=[Notes()])
    for count in "123":
        with agent.start_session() as session:
            assert say(session, "notes", "note", '{"text": "a"}') == count


def test_session_that_does_not_open_leaves_nothing(
    registry: PluginRegistry, provider: CallerProvider
) -> None:
    kit = Notes()
    provider.broken = True
    agent = Agent("caller", registry=registry, tool_servers=[kit])
    with pytest.raises(RuntimeError, match="does not start"):
        agent.start_session(session_id="s")
    assert kit.sessions == ["+s", "-s"]


def test_resumed_and_forked_sessions_have_tools_of_their_own(
    registry: PluginRegistry, tmp_path: Any
) -> None:
    agent = Agent("caller", registry=registry, stateless_tools=[add], data_dir=tmp_path)
    with agent.start_session() as first:
        say(first, "tools", "add", '{"a": 1, "b": 2}')
        with first.fork() as other:
            assert say(other, "tools", "add", '{"a": 3, "b": 4}') == "7"
            assert [server.name for server in given(other)] == ["tools"]
            assert given(other)[0].headers != given(first)[0].headers
        handle = first.resume_handle
    with agent.resume_session(handle) as again:
        assert say(again, "tools", "add", '{"a": 5, "b": 6}') == "11"


def test_tool_may_end_its_own_session(registry: PluginRegistry) -> None:
    opened: list[Session] = []
    ended = threading.Event()

    def stop() -> None:
        """End the session."""
        opened[0].end()
        ended.set()

    with Agent("caller", registry=registry, stateless_tools=[stop]).start_session() as session:
        opened.append(session)
        with pytest.raises(TurnInterruptedError):
            say(session, "tools", "stop")
        assert ended.wait(WAIT)


def test_tools_are_in_no_record(registry: PluginRegistry, tmp_path: Any) -> None:
    agent = Agent("caller", registry=registry, stateless_tools=[add], data_dir=tmp_path)
    with agent.start_session() as session:
        token = given(session)[0].headers["Authorization"].removeprefix("Bearer ")
        say(session, "tools", "add", '{"a": 1, "b": 2}')
        with pytest.raises(ProviderError, match="not enough"):
            session.send(token)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if token.encode() in file.read_bytes()]


def test_provider_without_servers_says_so_and_nothing_is_served() -> None:
    agent = Agent("echo", stateless_tools=[add])
    with agent.start_session() as session:
        notices = [event for event in session.stream("hello") if event.type == "notice"]
    assert "mcp_servers has no effect with echo" in str(notices)


def test_name_of_a_server_that_the_caller_gave_is_not_taken(registry: PluginRegistry) -> None:
    theirs = McpServer(name="tools", url="http://127.0.0.1:9/")
    agent = Agent("caller", registry=registry, stateless_tools=[add], mcp_servers=[theirs])
    with pytest.raises(ConfigError, match="the name tools"):
        agent.start_session()


def test_without_a_plugin_that_serves_tools_the_error_says_what_to_install() -> None:
    registry = PluginRegistry(autoload=False)
    registry.register_provider("caller", CallerProvider())
    with pytest.raises(ConfigError, match=r"pip install \"caw-core\[tools\]\""):
        Agent("caller", registry=registry, stateless_tools=[add])


def test_proxy_does_not_get_the_tools_requests(
    registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:8080")
    monkeypatch.setenv("no_proxy", "internal.example")
    with Agent("caller", registry=registry, stateless_tools=[add]).start_session() as session:
        env = session._core.request.env
    assert env == dict.fromkeys(("no_proxy", "NO_PROXY"), "internal.example,127.0.0.1")


def test_kit_is_served_without_an_agent() -> None:
    async def use(client: Client) -> Any:
        return await client.call_tool("note", {"text": "a"})

    with Notes().as_server() as server:
        assert run(server, use).content[0].text == "1"
    assert not is_open(server)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork_of_the_process_serves_on_its_own_and_leaves_the_parents_alone(serve: Serve) -> None:
    [server] = serve(add).servers

    async def use(client: Client) -> Any:
        return await client.call_tool("add", {"a": 1, "b": 2})

    def child() -> int:
        with Notes().as_server() as own:
            return own.url.split("/")[2] == server.url.split("/")[2]

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = child()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert run(server, use).content[0].text == "3"
