"""Many short sessions, of every fate, leave a service with what it began with."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import queue
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import psutil
import pytest

from caw_core import Agent, Deadlines, PluginRegistry, ProviderInfo, hookimpl
from caw_core.errors import ProcessError, ProviderError
from caw_core.events import Event, TextDelta, TurnEnded
from caw_core.process import Process, child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.provider import Prompt, ResumeRequest, StartRequest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script"),
]

SESSIONS = int(os.environ.get("CAW_SOAK_SESSIONS", "2000"))
WARM_UP = 200
"""Sessions before the first look: the pools, caches and free lists of one process fill first."""
AT_ONCE = 4
MEGABYTE = 1 << 20
ROOM = 12 * MEGABYTE
"""What memory may grow by: 6 KB a session, less than the smallest one that is kept alive takes.

Not nothing, since an allocator gives back only what is free as a whole (measured: 1 to 5 MB).
"""
WAIT = 60.0

SCRIPT = """\
while read -r word; do
    case $word in
    hang) sleep 600 & wait ;;
    crash) echo "out of order" >&2; exit 3 ;;
    *) echo "$word"; echo . ;;
    esac
done
"""


class LineSession:
    """A conversation with a shell script, through the engine that drives all agents."""

    def __init__(self, request: StartRequest, key: str) -> None:
        self.resume_key = key
        self._request = request
        self._items: queue.SimpleQueue[bytes | ProcessError | None] = queue.SimpleQueue()
        self._process = Process(
            ["sh", "-c", SCRIPT],
            cwd=request.cwd,
            env=child_environment(request.env),
            on_line=self._items.put,
            on_exit=lambda process: self._items.put(process.exit_error("it ended")),
            name="line",
        )

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        self._process.write(f"{prompt.text}\n".encode())
        while isinstance(item := self._items.get(), bytes):
            if item == b".":
                return
            yield TextDelta(text=item.decode())
        if isinstance(item, ProcessError):
            raise item
        yield TurnEnded(stop_reason="cancelled")

    def interrupt(self) -> None:
        self._items.put(None)

    def close(self) -> None:
        self._items.put(None)
        self._process.stop(0.2)


class LineProvider:
    caw_api = "1.0"

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        return ProviderInfo(
            name="line", capabilities=frozenset({"resume", "interrupt"}), auto="never"
        )

    @hookimpl
    def start_session(self, request: StartRequest) -> LineSession:
        return LineSession(request, f"key-{request.session_id}")

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> LineSession:
        return LineSession(request, request.resume_key)


# ------------------------------------------------------------------------------ what a session does


def answers(agent: Agent) -> None:
    with agent.start_session() as session:
        assert session.send("hello").status == "completed"


def fails(agent: Agent) -> None:
    word = "crash" if agent.provider == "line" else "!fail connection"
    with agent.start_session() as session, pytest.raises(ProviderError):
        session.send(word)


def is_interrupted(agent: Agent) -> None:
    with agent.start_session() as session:
        stream = session.stream(hanging(agent))
        next(iter(stream))
        session.interrupt()
        assert stream.result().status == "interrupted"


def ends_in_the_middle(agent: Agent) -> None:
    session = agent.start_session()
    stream = session.stream(hanging(agent))
    next(iter(stream))
    session.end()


def is_resumed(agent: Agent) -> None:
    with agent.start_session() as session:
        session.send("first")
        handle = session.resume_handle
    with agent.resume_session(handle) as session:
        assert session.send("second").status == "completed"


def is_awaited(agent: Agent) -> None:
    async def one() -> None:
        async with await agent.start_session_async() as session:
            assert (await session.send_async("hello")).status == "completed"

    asyncio.run(one())


def is_cancelled(agent: Agent) -> None:
    async def one() -> None:
        async with await agent.start_session_async() as session:
            started = asyncio.Event()
            task = asyncio.create_task(follow(session, started))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def follow(session: Any, started: asyncio.Event) -> None:
        async for _ in await session.stream_async(hanging(agent)):
            started.set()

    asyncio.run(one())


def is_forgotten(agent: Agent) -> None:
    """Stop reading in the middle, and leave the stream to the session's end."""
    with agent.start_session() as session:
        for _ in session.stream(hanging(agent)):
            break


def hanging(agent: Agent) -> str:
    return "hang" if agent.provider == "line" else "so far\n!slow 600"


FATES: tuple[Callable[[Agent], None], ...] = (
    answers,
    answers,
    answers,
    fails,
    is_interrupted,
    ends_in_the_middle,
    is_resumed,
    is_awaited,
    is_cancelled,
    is_forgotten,
)


# ----------------------------------------------------------------------------- what a process holds


@attrs.frozen
class Held:
    """What this process holds."""

    threads: int
    descriptors: int
    programs: tuple[str, ...]
    files: frozenset[str]
    objects: Counter[str]
    handlers: int
    memory: int

    @classmethod
    def now(cls, folder: Path) -> Held:
        gc.collect()
        process = psutil.Process()
        ours = (
            type(item) for item in gc.get_objects() if str(type(item).__module__).startswith("caw_")
        )
        loggers = [
            logging.getLogger(),
            *map(logging.getLogger, list(logging.root.manager.loggerDict)),
        ]
        return cls(
            threads=threading.active_count(),
            descriptors=process.num_fds(),
            programs=tuple(sorted(child.name() for child in process.children(recursive=True))),
            files=frozenset(file.name for file in folder.iterdir()),
            objects=Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in ours),
            handlers=sum(len(logger.handlers) for logger in loggers),
            memory=process.memory_info().rss,
        )


def run(count: int, agents: list[Agent]) -> None:
    echo, line = agents
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Each fate with each agent in turn, the slower one with a program every fifth time.
        jobs = [
            pool.submit(FATES[place // 5 % len(FATES)], echo if place % 5 else line)
            for place in range(count)
        ]
        for job in jobs:
            job.result()


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Agent]:
    monkeypatch.setenv("CAW_HOME", str(tmp_path / "home"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    registry = PluginRegistry()
    registry.register_provider("line", LineProvider())
    settings: dict[str, Any] = {
        "cwd": tmp_path,
        "storage": f"jsonl://{tmp_path / 'records'}",
        "deadlines": Deadlines(stop=WAIT),
    }
    return [Agent(name, registry=registry, **settings) for name in ("echo", "line")]


def test_thousands_of_sessions_leave_nothing_behind(tmp_path: Path, agents: list[Agent]) -> None:
    run(WARM_UP, agents)
    before = settled(tmp_path / "temporary", lambda _: True)
    run(SESSIONS, agents)

    def nothing_is_left(now: Held) -> bool:
        return (now.threads, now.descriptors) <= (before.threads, before.descriptors)

    after = settled(tmp_path / "temporary", nothing_is_left)
    assert len(list((tmp_path / "records/sessions").iterdir())) >= SESSIONS
    assert after.threads <= before.threads
    assert after.descriptors <= before.descriptors
    assert after.programs == before.programs
    assert after.files == before.files
    assert after.handlers == before.handlers
    more = {name: n - before.objects[name] for name, n in after.objects.items()}
    assert {name: n for name, n in more.items() if n > SESSIONS // 100} == {}
    assert after.memory - before.memory < ROOM
    # None where an earlier test of this process had another home: there is one file for each.
    assert len(list((tmp_path / "home/data").glob("hosts/*"))) <= 1


def settled(folder: Path, true: Callable[[Held], bool]) -> Held:
    """Return what is held as soon as it is so: threads that were told to end need a moment."""
    end = time.monotonic() + WAIT
    while not true(now := Held.now(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    return now
