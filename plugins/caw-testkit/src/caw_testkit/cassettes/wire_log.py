"""Writes down what goes through the processes of an agent's program."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final

from caw_testkit.cassettes.http_relay import HttpRelay

if TYPE_CHECKING:
    from caw_testkit.cassettes.standin import Link
    from caw_testkit.cassettes.writer import TapeWriter

LISTENING: Final = re.compile(rb"(?<!\S)(?P<before>listening on http://127\.0\.0\.1:)(?P<port>\d+)")
"""How a program says on its stdout that it serves HTTP."""


def listening_port(line: bytes) -> int:
    """Return the port on which a program says that it serves HTTP; 0 if it does not say so."""
    # A message that merely speaks of an address is JSON.
    found = None if line.lstrip().startswith(b"{") else LISTENING.search(line)
    return int(found["port"]) if found else 0


def with_port(line: bytes, port: int) -> bytes:
    """Return the line with another port."""
    return LISTENING.sub(rb"\g<before>%d" % port, line)


class WireLog:
    """Writes frames for each process that starts, and for the HTTP server that it may be."""

    def __init__(self, tape: TapeWriter) -> None:
        self._tape = tape
        self._lock = threading.Lock()
        self._processes = 0
        self._relays: list[HttpRelay] = []

    def follow(self, link: Link) -> None:
        """Follow one process to its end."""
        with self._lock:
            self._processes += 1
            process = self._processes
        ended = False
        for message in link.messages():
            kind = message.pop("kind")
            ended = ended or kind == "end"
            self._tape.add(kind, process=process, **message)
            port = listening_port(message["data"]) if kind == "agent" else 0
            if port:
                relay = HttpRelay(self._tape, process, port)
                self._relays.append(relay)
                link.send(data=with_port(message["data"], relay.port))
            else:
                # Only now may it be passed on: what comes of it stands behind it then.
                link.send()
        if not ended:
            self._tape.add("end", process=process, code=None)

    def close(self) -> None:
        """End the relays."""
        for relay in self._relays:
            relay.close()
