"""A program whose agent says a great deal, and that prints by how many MiB its memory grew.

    python tests/flooding.py text 1000 /some/empty/folder

The first argument is one of `WAYS`, the second how many MiB the agent says in one turn.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final

from caw_core import Agent, ProviderInfo, StartRequest, hookimpl, register_provider
from caw_core.events import Event, TextDelta, TextDone, ToolFinished, ToolOutput, ToolStarted
from caw_core.sizes import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.provider import Prompt

KEPT: Final = 1_000_000
MIB: Final = 1024 * 1024
LINE: Final = "0123456789abcde\n" * 64
"""A KiB."""


def text(mebibytes: int) -> Iterator[Event]:
    """Write one text in small pieces."""
    for _ in range(mebibytes * 1024):
        yield TextDelta(text=LINE)


def texts(mebibytes: int) -> Iterator[Event]:
    """Write many texts, each in one piece."""
    for number in range(mebibytes):
        yield TextDone(text=LINE * 1024, block_id=str(number))


def small_tools(mebibytes: int) -> Iterator[Event]:
    """Call many tools that say a little."""
    for number in range(mebibytes * 128):
        yield ToolStarted(call_id=str(number), name="read", arguments={"number": number})
        yield ToolFinished(call_id=str(number), output=LINE * 8)


def parts(mebibytes: int) -> Iterator[Event]:
    """Call many tools that have large arguments and answer with images."""
    for number in range(mebibytes // 2):
        yield ToolStarted(call_id=str(number), name="draw", arguments={"of": LINE * 1024})
        image = {"type": "image", "data": LINE * 1024}
        yield ToolFinished(call_id=str(number), content=(image,))


def one_tool(mebibytes: int) -> Iterator[Event]:
    """Call one tool that prints for long."""
    yield ToolStarted(call_id="1", name="build")
    for _ in range(mebibytes):
        yield ToolOutput(call_id="1", delta=LINE * 1024)
    yield ToolFinished(call_id="1")


def parallel_tools(mebibytes: int) -> Iterator[Event]:
    """Run eight tools at a time."""
    for number in range(8):
        yield ToolStarted(call_id=str(number), name="build")
    for number in range(mebibytes * 4):
        yield ToolOutput(call_id=str(number % 8), delta=LINE * 256)
    for number in range(8):
        yield ToolFinished(call_id=str(number))


WAYS: Final = {
    way.__name__: way for way in (text, texts, small_tools, parts, one_tool, parallel_tools)
}


class FloodingSession:
    """Says in each turn as many MiB as the prompt's number."""

    resume_key = None

    def __init__(self) -> None:
        self._interrupted = threading.Event()

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Say it."""
        way, mebibytes = prompt.text.split()
        for event in WAYS[way](int(mebibytes)):
            if self._interrupted.is_set():
                return
            yield event

    def interrupt(self) -> None:
        """Stop."""
        self._interrupted.set()

    def close(self) -> None:
        """Hold nothing."""


class FloodingProvider:
    """Opens `FloodingSession`s."""

    caw_api = "1.0"

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what it is."""
        return ProviderInfo(name="flooding", auto="never")

    @hookimpl
    def start_session(self, request: StartRequest) -> FloodingSession:
        """Open one."""
        del request
        return FloodingSession()


def peak() -> float:
    """Return the most memory that this process ever had, in MiB."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / MIB if sys.platform == "darwin" else most / 1024


def flood(way: str, mebibytes: int, folder: str) -> float:
    """Have one turn flooded while its events are read and stored; return the growth in MiB."""
    register_provider("flooding", FloodingProvider())
    agent = Agent("flooding", data_dir=folder, keep_output=KEPT)
    with agent.start_session() as session:
        session.send(f"{way} 1")
        before = peak()
        heard = sum(size_of(event) for event in session.stream(f"{way} {mebibytes}"))
        growth = peak() - before
        turn = session.trajectory.turns[-1]
        assert heard >= mebibytes * MIB > KEPT >= size_of(turn.output)
        stored = agent.load_trajectory(session.session_id)
    assert stored is not None
    assert stored.turns[-1] == turn
    return growth


if __name__ == "__main__":
    sys.stdout.write(f"{flood(sys.argv[1], int(sys.argv[2]), sys.argv[3]):.1f}\n")
