"""A program whose agent, a program too, floods a stream that nobody reads while it runs.

    python tests/unread_flood.py 1000

Prints by how many MiB its memory grew until the agent had said all of the given number of MiB.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Final

from caw_core import Agent, ProviderInfo, StartRequest, hookimpl, register_provider
from caw_core.events import Event, TextDelta
from caw_core.inbox import Inbox
from caw_core.permissions import Decision, PermissionRequest
from caw_core.process import Process
from tests.flooding import KEPT, MIB, peak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.provider import Prompt

LINE: Final = 1024
AGENT: Final = f"""
import sys
for _ in range(int(sys.argv[1])):
    sys.stdout.write(("x" * {LINE - 1} + "\\n") * {MIB // LINE})
"""


class UnreadSession:
    """Runs a program per turn, and asks for permission first, as a program would over stdout."""

    resume_key = None

    def __init__(self, request: StartRequest) -> None:
        self._request = request
        self.said_all = threading.Event()
        self.answers: list[Decision] = []

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Yield what it says."""
        lines: Inbox[bytes | Process] = Inbox()

        def ended(process: Process) -> None:
            lines.put(process)
            self.said_all.set()

        asked = PermissionRequest(request_id="1", tool="shell")
        self._request.permission_desk.ask(asked, self.answers.append)
        Process(
            [sys.executable, "-c", AGENT, prompt.text],
            cwd=self._request.cwd,
            env=os.environ,
            on_line=lines.put,
            on_exit=ended,
        )
        while isinstance(line := lines.get(), bytes):
            yield TextDelta(text=line.decode())

    def interrupt(self) -> None:
        """Nothing here is interrupted."""

    def close(self) -> None:
        """The program has ended by then."""


class UnreadProvider:
    """Opens `UnreadSession`s."""

    caw_api = "1.0"

    def __init__(self) -> None:
        self.sessions: list[UnreadSession] = []

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what it is."""
        return ProviderInfo(name="unread", auto="never")

    @hookimpl
    def start_session(self, request: StartRequest) -> UnreadSession:
        """Open one."""
        self.sessions.append(UnreadSession(request))
        return self.sessions[-1]


def flood(mebibytes: int) -> float:
    """Have a program say all it has to, then read it; return the growth before that in MiB."""
    provider, answer = UnreadProvider(), threading.Event()
    register_provider("unread", provider)
    agent = Agent("unread", keep_output=KEPT, on_permission=lambda _: answer.wait(100))
    with agent.start_session() as session:
        before = peak()
        stream = session.stream(str(mebibytes))
        assert provider.sessions[0].said_all.wait(100)
        growth = peak() - before
        assert not provider.sessions[0].answers
        answer.set()
        heard = sum(len(event.text) for event in stream if isinstance(event, TextDelta))
        assert heard == mebibytes * MIB // LINE * (LINE - 1)
        assert stream.result().status == "completed"
    return growth


if __name__ == "__main__":
    sys.stdout.write(f"{flood(int(sys.argv[1])):.1f}\n")
