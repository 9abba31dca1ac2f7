"""One running ``opencode serve``: its process, its HTTP client, and its events."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from typing import TYPE_CHECKING, Final, Protocol

from caw_core.errors import ProcessError, ProtocolError
from caw_core.json_fields import mapping, text
from caw_core.process import Process
from caw_provider_opencode.client import USER, Client
from caw_provider_opencode.errors import INSTALL_HINT, NAME
from caw_provider_opencode.sse import parse_message
from caw_provider_opencode.tool_servers import Given, ToolServers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_provider_opencode.client import EventSource
    from caw_provider_opencode.sse import Message

log = logging.getLogger("caw.opencode")

SILENCE_SECONDS: Final = 60.0
"""opencode 1.18.33 sends a heartbeat every 10 seconds; without any the connection is dead."""

OF_THE_SERVER: Final = frozenset(
    {
        "catalog",
        "file",
        "global",
        "ide",
        "installation",
        "integration",
        "lsp",
        "mcp",
        "models-dev",
        "plugin",
        "project",
        "pty",
        "reference",
        "server",
        "tui",
        "vcs",
        "workspace",
        "worktree",
    },
)
"""Families of events that name no session since they are about the server and its folders.

These are all that opencode 1.18.33 has. Others without a session go to every running turn."""

_LISTENING: Final = re.compile(rb"listening on http://127\.0\.0\.1:(\d+)")
_RECONNECT_SECONDS: Final = 0.1


class Sink(Protocol):
    """Who gets the events of a session. Called in the reader's thread; must not block."""

    def receive(self, message: Message) -> None:
        """Take an event of the session or of one of its subagents."""

    def missed(self) -> None:
        """Take note that events may have been lost; the history tells what happened."""

    def ended(self, error: ProcessError) -> None:
        """Take note that the server is gone; nothing more comes."""


class LiveServer:
    """A server that was started for us; `wait_ready` before anything else.

    Attributes:
        version: what it says of its version once it is ready.

    Args:
        program: the native program.
        env: its whole environment, without a password.
        cwd: the folder to start it in.
        servers: the tool servers of all its sessions.

    Raises:
        ProgramNotFoundError: there is no such program.
        ProcessError: it could not be started.
    """

    def __init__(
        self, program: str, *, env: Mapping[str, str], cwd: Path, servers: Given = ()
    ) -> None:
        self.tool_servers = ToolServers(servers)
        self.version = ""
        self._lock = threading.Lock()
        self._sinks: dict[str, Sink] = {}
        self._end: ProcessError | None = None
        self._stopping = False
        self._port = 0
        self._client: Client | None = None
        self._source: EventSource | None = None
        self._listening = threading.Event()
        self._connected = threading.Event()
        self._gone = threading.Event()
        # Without a password every process of this machine could drive the agent.
        self._password = secrets.token_urlsafe(32)
        self._process = Process(
            [program, "serve", "--hostname", "127.0.0.1", "--port", "0"],
            cwd=cwd,
            env={**env, **self.access},
            on_line=self._on_line,
            on_exit=self._on_exit,
            name=NAME,
            install_hint=INSTALL_HINT,
        )

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server takes requests."""
        return self._end is None and self._process.running

    @property
    def access(self) -> dict[str, str]:
        """The variables that let a program of opencode's in; they hold the password."""
        return {"OPENCODE_SERVER_USERNAME": USER, "OPENCODE_SERVER_PASSWORD": self._password}

    @property
    def port(self) -> int:
        """Where the server listens on 127.0.0.1; 0 before it does."""
        return self._port

    @property
    def client(self) -> Client:
        """Makes requests to the server."""
        if self._client is None:
            msg = "opencode does not listen yet"
            raise ProcessError(msg, provider=NAME)
        return self._client

    def wait_ready(self, timeout: float | None) -> None:
        """Wait until the server listens, answers us, and sends its events.

        Raises:
            TimeoutError: it did not do so in *timeout* seconds.
            ProcessError: it ended.
            ProtocolError: it is no opencode, or refused the password.
            OSError: it could not be reached.
        """
        # A request before this line can hang for ever.
        if not self._listening.wait(timeout):
            raise TimeoutError
        if self._end is not None:
            raise self._end
        self._client = Client(self._port, self._password)
        health = self._client.call("GET", "/global/health", timeout=timeout)
        if mapping({"health": health.data}, "health").get("healthy") is not True:
            msg = f"opencode does not say that it is well: {health.message}"
            raise ProtocolError(msg, provider=NAME)
        self.version = text(health.data, "version")
        log.debug("opencode %s listens, pid %s", self.version, self.pid)
        threading.Thread(
            target=self._read_events,
            name=f"caw-opencode-{self.pid}-events",
            daemon=True,
        ).start()
        if not self._connected.wait(timeout):
            raise TimeoutError
        if self._end is not None:
            raise self._end

    def subscribe(self, session_id: str, sink: Sink) -> None:
        """Let *sink* have the events of a session."""
        with self._lock:
            self._sinks[session_id] = sink
            end = self._end
        if end is not None:
            sink.ended(end)

    def unsubscribe(self, sink: Sink) -> None:
        """Give *sink* nothing more, neither of its session nor of its subagents."""
        with self._lock:
            self._sinks = {key: value for key, value in self._sinks.items() if value is not sink}

    def exit_error(self, message: str) -> ProcessError:
        """Return the error that says how the server ended."""
        return self._process.exit_error(message)

    def wait_gone(self, timeout: float) -> bool:
        """Wait until it is known that the server is gone; False if *timeout* seconds passed."""
        return self._gone.wait(timeout)

    def stop(self, step_seconds: float) -> None:
        """End the server and everything that it started."""
        self._stopping = True
        # It reads nothing from stdin, so closing that, as `Process.stop` does first, is no sign.
        if self._process.running:
            self._process.ask_to_end()
        self._process.stop(step_seconds)
        if self._source is not None:
            self._source.close()

    # ----------------------------------------------------------------------- the engine's threads

    def _on_line(self, line: bytes) -> None:
        found = _LISTENING.search(line)
        if found and not self._listening.is_set():
            self._port = int(found[1])
            self._listening.set()

    def _on_exit(self, process: Process) -> None:
        error = process.exit_error("opencode ended")
        with self._lock:
            self._end = error
            sinks = set(self._sinks.values())
        self._gone.set()
        self._listening.set()
        self._connected.set()
        for sink in sinks:
            sink.ended(error)

    # --------------------------------------------------------------------------- the reader's own

    def _read_events(self) -> None:
        while self.running and not self._stopping:
            again = self._connected.is_set()
            try:
                self._source = source = self.client.events(
                    "/global/event",
                    timeout=SILENCE_SECONDS,
                )
            except (OSError, ProtocolError) as error:
                log.debug("no events from opencode: %s", error)
                self._gone.wait(_RECONNECT_SECONDS)
                continue
            for data in source:
                message = parse_message(data)
                if message is None:
                    continue
                if message.type == "server.connected":
                    self._connected.set()
                    if again:
                        self._tell_missed()
                else:
                    self._route(message)
            source.close()

    def _tell_missed(self) -> None:
        with self._lock:
            sinks = set(self._sinks.values())
        log.warning("the events of opencode were interrupted; its history is read again")
        for sink in sinks:
            sink.missed()

    def _route(self, message: Message) -> None:
        with self._lock:
            if message.type == "session.created":
                info = mapping(message.properties, "info")
                parent = self._sinks.get(text(info, "parentID"))
                if parent is not None:
                    # A subagent: what it does belongs to the turn of its parent.
                    self._sinks[text(info, "id")] = parent
            if message.session_id:
                sinks = {sink for key, sink in self._sinks.items() if key == message.session_id}
            elif message.type.partition(".")[0] in OF_THE_SERVER:
                sinks = set()
            else:
                # Nobody knows whose it is: better that several turns have it than none.
                sinks = set(self._sinks.values())
        for sink in sinks:
            sink.receive(message)
