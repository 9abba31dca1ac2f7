"""Functions and toolkits in Python, really called by each agent's own program."""

from __future__ import annotations

import asyncio
import base64
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core.events import ToolStarted
from caw_testkit.modelserver import reply, text
from caw_tools import Image, ToolContext, ToolKit, tool

from .agents import whole_body
from .conftest import WAIT, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core import Session
    from caw_core.provider import Permissions
    from caw_testkit.modelserver import RecordedRequest, Reply

    from .conftest import Trial

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

pytestmark = pytest.mark.feature("python_tools")


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: the first one.
        b: the second one.
    """
    return a + b


def picture() -> Image:
    """Show a picture."""
    return Image(PNG)


async def fails() -> None:
    """Fail."""
    message = "no such user"
    raise LookupError(message)


def who(ctx: ToolContext) -> str:
    """Tell whose session it is."""
    return ctx.scope.session_id if ctx.scope else ""


class Notes(ToolKit, server_name="my-notes"):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    @tool
    def note(self, content: str) -> str:
        """Write a note."""
        self.notes.append(content)
        return f"note {len(self.notes)}"


def test_results_images_and_errors_reach_the_model(trial: Trial) -> None:
    use = trial.kind.use
    trial.server.script(
        reply(use("tools", "add", {"a": 40, "b": 2})),
        reply(use("tools", "picture", {})),
        reply(use("tools", "fails", {})),
        reply(use("my-notes", "note", {"content": "a"})),
        reply(text("done")),
    )
    with trial.session(stateless_tools=[add, picture, fails], tool_servers=[Notes]) as session:
        uses = session.send("go").tool_calls
    assert [(use.name, use.is_error) for use in uses] == [
        ("tools.add", False),
        ("tools.picture", False),
        ("tools.fails", True),
        ("my-notes.note", False),
    ]
    offered = whole_body(trial.server.requests[0])
    assert "the second one." in offered
    assert "Write a note." in offered
    last = trial.server.requests[-1]
    told = [result.text for result in last.tool_results()]
    wanted = ["42", "", "LookupError: no such user", "note 1"]
    assert [said.endswith(want) for said, want in zip(told, wanted, strict=True)] == [True] * 4
    assert base64.b64encode(PNG).decode() in whole_body(last)


def test_two_calls_at_once_run_at_once(trial: Trial) -> None:
    barrier = threading.Barrier(2)

    # Codex runs calls at once only where they say that they change nothing.
    @tool(annotations={"readOnlyHint": True})
    def meet(name: str) -> str:
        """Wait for the other one."""
        barrier.wait(WAIT)
        return f"met {name}"

    use = trial.kind.use
    trial.server.script(
        reply(use("tools", "meet", {"name": "a"}), use("tools", "meet", {"name": "b"})),
        reply(text("done")),
    )
    with trial.session(stateless_tools=[meet]) as session:
        uses = session.send("go").tool_calls
    # They stand in the order in which the agent told of them.
    assert sorted(use.output for use in uses) == ["met a", "met b"]


def test_interrupt_cancels_the_call(trial: Trial) -> None:
    heard = threading.Event()

    def wait(ctx: ToolContext) -> None:
        """Wait for the end."""
        begun.set()
        if ctx.wait_cancelled(WAIT):
            heard.set()

    begun = threading.Event()
    trial.server.script(reply(trial.kind.use("tools", "wait", {})))
    with trial.session(stateless_tools=[wait]) as session:
        with session.stream("go") as stream:
            for event in stream:
                if isinstance(event, ToolStarted):
                    assert begun.wait(WAIT)
                    session.interrupt()
        assert stream.result().status == "interrupted"
        assert heard.wait(WAIT)


@pytest.mark.parametrize("permissions", ["read-only", "ask", "auto-edit"])
def test_the_callers_own_tools_need_no_permission(trial: Trial, permissions: Permissions) -> None:
    trial.server.script(
        reply(trial.kind.use("tools", "add", {"a": 1, "b": 2})), reply(text("done"))
    )
    with trial.session(stateless_tools=[add], permissions=permissions) as session:
        [use] = session.send("go").tool_calls
    assert (use.output, use.is_error) == ("3", False)


def test_token_is_in_no_argument_variable_log_or_record(
    trial: Trial, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    seen: list[Any] = []

    def look() -> int:
        """Look at the processes."""
        tree = psutil.Process().children(recursive=True)
        seen.extend([process.cmdline(), process.environ()] for process in tree)
        return len(seen)

    trial.server.script(reply(trial.kind.use("tools", "look", {})), reply(text("done")))
    records = tmp_path / "records"
    with trial.session(stateless_tools=[look], data_dir=records) as session:
        [server] = session._core.request.mcp_servers
        token = server.headers["Authorization"].removeprefix("Bearer ")
        session.send("go")
    assert seen
    assert token not in str(seen) + caplog.text
    files = [file for file in records.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if token.encode() in file.read_bytes()]
    assert not [request for request in trial.server.requests if token in whole_body(request)]


def test_forked_and_resumed_sessions_call_their_own_tools(trial: Trial) -> None:
    agent = trial.agent(stateless_tools=[who])

    def asked(session: Session) -> str:
        trial.server.script(reply(trial.kind.use("tools", "who", {})), reply(text("done")))
        return session.send("go").tool_calls[0].output

    with agent.start_session() as first:
        assert asked(first) == first.session_id
        with first.fork() as other:
            assert asked(other) == other.session_id
        assert asked(first) == first.session_id
        handle = first.resume_handle
    with agent.resume_session(handle) as again:
        assert asked(again) == again.session_id


def test_sessions_with_tools_call_them_at_once_in_one_process(trial: Trial) -> None:
    if trial.kind.name != "codex":
        pytest.skip("the others have a process for each session with servers of its own")
    sessions = 10
    processes: list[int] = []
    barrier = threading.Barrier(sessions, lambda: processes.append(len(trial.processes())))

    def meet(ctx: ToolContext) -> str:
        """Wait for all others."""
        barrier.wait(WAIT)
        return who(ctx)

    def answer(request: RecordedRequest) -> Reply:
        called = request.tool_results()
        return reply(text("done")) if called else reply(trial.kind.use("tools", "meet", {}))

    trial.server.respond(answer)
    agent = trial.agent(stateless_tools=[meet])

    async def one() -> bool:
        async with await agent.start_session_async() as session:
            turn = await session.send_async("go")
            return turn.tool_calls[0].output == session.session_id

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(one() for _ in range(sessions)))

    assert asyncio.run(all_of_them()) == [True] * sessions
    assert processes == [1]
    wait_until(lambda: "caw-tools" not in {thread.name for thread in threading.enumerate()})
