"""codex's own interface in the user's terminal.

The interface joins a conversation that is open already, in an app-server of ours that listens on a
Unix socket. So the conversation's id is known whatever happens, all that was asked for is told
over the protocol and not in argv, and the conversation is free again once that server has ended.
Started by itself, the interface leaves a daemon behind that keeps the conversation locked. What is
said of codex here was observed with 0.169.0; 0.151.0 does as well once there is a first prompt.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.deadlines import Deadline
from caw_core.errors import ProcessError
from caw_core.interactive import InteractiveResult
from caw_core.json_fields import mapping, objects, text
from caw_core.provider import Prompt
from caw_core.terminal.handover import check_terminal, hand_over
from caw_provider_codex.errors import NAME
from caw_provider_codex.inputs import user_input
from caw_provider_codex.program import CODEX
from caw_provider_codex.rpc import RpcError
from caw_provider_codex.server import AppServer
from caw_provider_codex.socket_process import SocketProcess, address
from caw_provider_codex.threads import ask, resume_thread, start_thread, turn_settings

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.interactive import InteractiveRequest
    from caw_core.json_lines import Line
    from caw_core.terminal.handover import HandedOver
    from caw_provider_codex.rpc import Peer
    from caw_provider_codex.server import Launch

_LONGEST_FOLDER: Final = 80
"""The path of a Unix socket may be 104 bytes long, on some systems a few more."""

_FOR_TURNS: Final = ("network_retries", "protocol")
"""Options about turns that caw runs."""

_LEFT: Final = re.compile(r"\bresume ([0-9a-f]{8}-[0-9a-f-]{27})")
"""What codex shows when the user leaves it: the conversation that was open last."""


def hold_conversation(launch: Launch, request: InteractiveRequest) -> InteractiveResult:
    """Run codex's own interface until the user leaves it.

    Args:
        launch: the program and its environment.
        request: what was asked for.

    Raises:
        NoTerminalError: there is no terminal; nothing was started.
        NotResumableError: codex does not have the conversation.
        SessionBusyError: another process has it open.
        ProviderError: codex could not be started, refused, or did not answer in time.
    """
    check_terminal()
    stop = request.deadlines.stop
    with tempfile.TemporaryDirectory(prefix="caw-codex-", dir=_short_folder()) as folder:
        socket = Path(folder) / "socket"
        server = AppServer(launch, partial(SocketProcess, socket=socket))
        try:
            deadline = Deadline("start", request.deadlines.start, provider=NAME)
            peer = server.peer(deadline, stop)
            shown = _Shown(peer, request, deadline)
            try:
                done = hand_over(
                    request,
                    [
                        *(launch.program, "resume", shown.thread_id),
                        *("--remote", address(socket), "--cd", str(request.cwd)),
                    ],
                    env=dict(launch.env),
                    install_hint=CODEX.install_hint,
                )
            finally:
                shown.interrupt(stop)
            key = shown.left(done, stop)
        finally:
            server.stop(stop)
    unheeded = [
        f"the option {name!r} has no effect in codex's own interface"
        for name in _FOR_TURNS
        if name in request.options
    ]
    return InteractiveResult(
        exit_code=done.exit_code,
        output=done.output,
        resume_key=key,
        notices=(*filter(None, [shown.notice]), *unheeded),
    )


class _Shown:
    """The conversation that the interface shows; questions are left to whoever sits there.

    Args:
        peer: the app-server.
        request: what was asked for.
        deadline: bounds the opening.
    """

    def __init__(self, peer: Peer, request: InteractiveRequest, deadline: Deadline) -> None:
        self._peer = peer
        self._is_new = request.resume_key is None
        self._turn_id = ""
        self._idle = threading.Event()
        self._idle.set()
        if request.resume_key is None:
            thread = start_thread(peer, request, "", self, deadline)
        else:
            thread = resume_thread(peer, request, request.resume_key, "", self, deadline)
        self.thread_id, self.notice = thread.id, thread.notice
        settings = turn_settings(request, thread)
        here: dict[str, JSON] = {"threadId": thread.id}
        if request.prompt:
            words = user_input(Prompt(text=request.prompt))
            ask(peer, "turn/start", {**here, **settings, "input": words}, deadline)
            return
        if settings:
            ask(peer, "thread/settings/update", {**here, **settings}, deadline)
        if self._is_new:
            # codex writes a thread down with its first turn or its name; it shows no other.
            ask(peer, "thread/name/set", {**here, "name": f"caw {request.session_id}"}, deadline)

    def receive(self, line: Line) -> bool:
        """Follow the turns; see `caw_provider_codex.rpc.Sink`."""
        method = text(line.message, "method")
        if method == "turn/started":
            self._turn_id = text(mapping(mapping(line.message, "params"), "turn"), "id")
            self._idle.clear()
        elif method == "turn/completed":
            self._idle.set()
        return True

    def ended(self, peer: Peer, error: ProcessError) -> None:
        """Take note that the app-server is gone; see `caw_provider_codex.rpc.Sink`."""
        del peer, error
        self._idle.set()

    def interrupt(self, seconds: float) -> None:
        """End the turn that runs, if one does; an app-server that is to end would wait for it."""
        if self._idle.is_set():
            return
        turn: dict[str, JSON] = {"threadId": self.thread_id, "turnId": self._turn_id}
        with contextlib.suppress(RpcError, ProcessError, TimeoutError):
            self._peer.call("turn/interrupt", turn, timeout=seconds)
            self._idle.wait(seconds)

    def left(self, done: HandedOver, seconds: float) -> str | None:
        """Return the conversation that the user left last, None where nothing was said in any."""
        # The user may have begun another one there, or gone back to an older one.
        named = [self.thread_id, *_LEFT.findall(done.output)]
        try:
            kept = [thread_id for thread_id in named if self._has_turns(thread_id, seconds)]
            if self._is_new and self.thread_id not in kept:
                with contextlib.suppress(RpcError):
                    self._peer.call("thread/delete", {"threadId": self.thread_id}, timeout=seconds)
        except (ProcessError, TimeoutError):
            # It was opened for certain.
            return self.thread_id
        return kept[-1] if kept else None

    def _has_turns(self, thread_id: str, seconds: float) -> bool:
        params: dict[str, JSON] = {"threadId": thread_id, "includeTurns": True}
        try:
            found = self._peer.call("thread/read", params, timeout=seconds)
        except RpcError:
            return False
        return bool(objects(mapping(found, "thread"), "turns"))


def _short_folder() -> str | None:
    return "/tmp" if len(tempfile.gettempdir()) > _LONGEST_FOLDER else None  # noqa: S108 - see above
