"""Plays the wire of a cassette: says what the agent said, when the client has said its part."""

from __future__ import annotations

import functools
import queue
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_testkit.cassettes.errors import CassetteMismatchError
from caw_testkit.cassettes.http_relay import STREAM, Handler, LoopbackServer
from caw_testkit.cassettes.tape import CALLER_KINDS
from caw_testkit.cassettes.wire import Ids, moved_times, name_of, read_object, request_name
from caw_testkit.cassettes.wire_log import listening_port, with_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_testkit.cassettes.places import Places
    from caw_testkit.cassettes.standin import Link
    from caw_testkit.cassettes.tape import Cassette, Frame

CLIENT_KINDS: Final = frozenset({"start", "client", "eof", "signal", "request"})
_MISMATCH_STATUS: Final = 70


@attrs.frozen
class _Arrival:
    """Something that the client has done: its message, and where an answer over HTTP goes."""

    message: dict[str, Any]
    answers: queue.SimpleQueue[Frame | None] | None = None


class Player:
    """Plays one cassette once, from its beginning.

    Attributes:
        mismatch: set when the client did what the cassette does not have.
        on_interrupt: called in a thread of its own when it is time for an interrupt.

    Args:
        cassette: what to play.
        places: the folders of now.
        ids: which ids stand for the cassette's.
    """

    def __init__(self, cassette: Cassette, places: Places, ids: Ids) -> None:
        self.on_interrupt: Callable[[Frame], None] = lambda _: None
        self.mismatch: CassetteMismatchError | None = None
        self._cassette = cassette
        self._frames = cassette.frames
        self._names = [_frame_name(frame) for frame in cassette.frames]
        self._places = places
        self._ids = ids
        self._speed = 0.0
        recorded = datetime.fromisoformat(cassette.header.recorded_at).timestamp()
        self._recorded_ms = int(recorded * 1000)
        self._moved_by_ms = 0
        self._moving = True
        self._changed = threading.Condition()
        self._place = 0
        self._done = 0
        self._arrivals: dict[int, _Arrival] = {}
        self._links: dict[int, Link] = {}
        self._ended: set[int] = set()
        self._exchanges: dict[tuple[int, int], queue.SimpleQueue[Frame | None]] = {}
        self._asked: dict[tuple[int, int], str] = {}
        self._last: dict[str, Frame] = {}
        self._servers: list[LoopbackServer] = []
        self._leaving = self._closed = False
        self._thread = threading.Thread(target=self._play, name="caw-cassette-play", daemon=True)
        self._thread.start()

    # ----------------------------------------------------------------------------- for the session

    def do(self) -> None:
        """Take note that the caller has done its next thing of `CALLER_KINDS`."""
        with self._changed:
            self._done += 1
            self._changed.notify_all()

    def go_on(self, *, speed: float) -> None:
        """Play the rest at a pace: 1 for that of the recording, 0 for no waiting."""
        self.on_interrupt = lambda _: None
        self._speed = speed

    def leave(self) -> None:
        """Take note that the session is being closed: what the client says now matters no more."""
        with self._changed:
            self._leaving = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop playing; idempotent."""
        with self._changed:
            self._leaving = self._closed = True
            self._changed.notify_all()
            links, arrivals = list(self._links.values()), list(self._arrivals.values())
        for link in links:
            link.close()
        for arrival in arrivals:
            if arrival.answers is not None:
                arrival.answers.put(None)
        self._thread.join(10)
        for server in self._servers:
            server.close()

    # ------------------------------------------------------------------- in the stand-ins' threads

    def attend(self, link: Link) -> None:
        """Hear what is said to one process of the stand-in."""
        process = 0
        for message in link.messages():
            kind = message["kind"]
            if kind == "start":
                link.send()
                with self._changed:
                    process = len(self._links) + 1
                    self._links[process] = link
                self._arrived(process, "start", _Arrival({"argv": message["argv"]}))
                continue
            data = message.get("data", b"")
            name = _name(kind, self._as_recorded(data), message)
            self._arrived(process, name, _Arrival(read_object(data)))
        with self._changed:
            self._ended.add(process)
            for (server, _), exchange in self._exchanges.items():
                if server == process:
                    exchange.put(None)
            self._changed.notify_all()

    def _requested(
        self,
        process: int,
        method: str,
        path: str,
        body: bytes,
        answers: queue.SimpleQueue[Frame | None],
    ) -> None:
        name = request_name(method, self._ids.to_cassette(path), self._as_recorded(body))
        self._arrived(process, name, _Arrival(read_object(body), answers=answers))

    def _as_recorded(self, data: bytes) -> dict[str, Any]:
        return read_object(self._ids.to_cassette(data.decode(errors="replace")).encode())

    def _arrived(self, process: int, name: str, arrival: _Arrival) -> None:
        with self._changed:
            place = self._expected(process, name)
            if name == "eof" and (place is None or self._leaving):
                # It ends before the cassette does.
                self._links[process].send(kind="end", code=0)
            elif place is not None:
                self._arrivals[place] = arrival
                self._changed.notify_all()
            else:
                # What is asked again and again, until something has happened, gets what it got.
                again = self._last.get(name) if arrival.answers is not None else None
                if again is None and not self._leaving:
                    self._refuse(name)
                if arrival.answers is not None:
                    arrival.answers.put(again)
                    arrival.answers.put(None)

    def _expected(self, process: int, name: str) -> int | None:
        done = 0
        for place, frame in enumerate(self._frames):
            if frame.kind in CALLER_KINDS:
                done += 1
                # What was said just before it may have been written down just after it.
                if done > self._done + 1:
                    return None
            elif (
                place not in self._arrivals
                and frame.process == process
                and frame.kind in CLIENT_KINDS
                and self._names[place] == name
            ):
                return place
        return None

    def _refuse(self, name: str) -> None:
        """Say what is wrong, and end the agent's program."""
        said = f"{self._cassette.name}: the client said {name!r}"
        frame = next(self._outstanding(), None)
        if frame is None:
            wanted = "the cassette has come to its end"
        else:
            wanted = f"line {frame.number} of the cassette has {_frame_name(frame)!r} there"
        if self.mismatch is None:
            msg = f"{said}, and {wanted}"
            provider = self._cassette.header.provider
            number = frame.number if frame else 0
            self.mismatch = CassetteMismatchError(msg, frame=number, provider=provider)
        self._leaving = True
        for link in self._links.values():
            link.send(kind="stderr", data=f"{self.mismatch}\n".encode())
            link.send(kind="end", code=_MISMATCH_STATUS)
        self._changed.notify_all()

    def _outstanding(self) -> Iterator[Frame]:
        """Yield what the client and the caller have still to say."""
        done = 0
        for place, frame in enumerate(self._frames):
            if frame.kind in CALLER_KINDS:
                done += 1
                if done > self._done:
                    yield frame
            elif (
                frame.kind in CLIENT_KINDS and place >= self._place and place not in self._arrivals
            ):
                yield frame

    # ---------------------------------------------------------------------------- in its own thread

    def _play(self) -> None:
        done, before = 0, 0.0
        for place, frame in enumerate(self._frames):
            with self._changed:
                self._place = place
            if frame.kind in CALLER_KINDS:
                done += 1
                if not self._wait(functools.partial(self._have_done, done)):
                    return
                self._moving = True
            elif frame.kind in CLIENT_KINDS:
                if not self._wait(functools.partial(self._has_come, place, frame.process)):
                    return
                self._take(place, frame)
            elif frame.kind == "interrupt":
                threading.Thread(
                    target=self.on_interrupt,
                    args=(frame,),
                    name="caw-cassette-interrupt",
                    daemon=True,
                ).start()
            else:
                if self._speed and not self._pause((frame.at - before) / self._speed):
                    return
                self._say(frame)
            before = frame.at

    def _have_done(self, count: int) -> bool:
        return self._done >= count

    def _has_come(self, place: int, process: int) -> bool:
        return place in self._arrivals or process in self._ended

    def _wait(self, true: Callable[[], bool]) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or true())
            return not self._closed

    def _pause(self, seconds: float) -> bool:
        with self._changed:
            return not self._changed.wait_for(lambda: self._closed, max(0.0, seconds))

    def _take(self, place: int, frame: Frame) -> None:
        arrival = self._arrivals.get(place)
        if arrival is None:
            return
        if frame.kind == "start":
            self._ids.learn({"argv": frame.facts["argv"]}, arrival.message)
        else:
            self._ids.learn(read_object(frame.data), arrival.message)
        if arrival.answers is not None:
            self._exchanges[frame.process, frame.exchange] = arrival.answers
            self._asked[frame.process, frame.exchange] = self._names[place]
        if self._moving and frame.kind != "start":
            # An agent's messages are told from older ones by their times.
            at = self._recorded_ms + int(frame.at * 1000)
            self._moved_by_ms = time.time_ns() // 1_000_000 - at + 1
            self._moving = False

    def _say(self, frame: Frame) -> None:
        where = (frame.process, frame.exchange)
        if frame.exchange:
            self._answer(frame, self._exchanges.get(where), self._asked.get(where, ""))
            return
        link = self._links.get(frame.process)
        if link is None or frame.kind not in {"agent", "stderr", "end"}:
            return
        if frame.kind == "end":
            link.send(kind="end", code=frame.facts.get("code") or 0)
            return
        data = self._ready(frame.data)
        if frame.kind == "agent" and listening_port(data):
            server = self._serve(frame.process)
            data = with_port(data, server.port)
        link.send(kind=frame.kind, data=data)

    def _answer(
        self, frame: Frame, exchange: queue.SimpleQueue[Frame | None] | None, asked: str
    ) -> None:
        if exchange is None:
            return
        ready = attrs.evolve(frame, data=self._ready(frame.data))
        exchange.put(ready)
        if _is_whole(frame):
            self._last[asked] = ready
        if _is_whole(frame) or frame.kind == "closed":
            exchange.put(None)

    def _ready(self, data: bytes) -> bytes:
        text = self._places.expanded(data.decode(errors="surrogateescape"))
        text = moved_times(text, self._recorded_ms, self._moved_by_ms)
        return self._ids.to_client(text).encode(errors="surrogateescape")

    def _serve(self, process: int) -> LoopbackServer:
        player = self

        class Played(Handler):
            def take(self, body: bytes) -> None:
                answers: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
                player._requested(process, self.command, self.path, body, answers)
                while (frame := answers.get()) is not None:
                    if frame.kind == "response":
                        length = len(frame.data) if _is_whole(frame) else None
                        self.begin(frame.facts["status"], frame.facts["type"], length)
                    self.wfile.write(frame.data)

        server = LoopbackServer(Played)
        self._servers.append(server)
        return server


def _is_whole(frame: Frame) -> bool:
    return frame.kind == "response" and not frame.facts["type"].startswith(STREAM)


def _name(kind: str, content: dict[str, Any], facts: Any) -> str:
    if kind == "client":
        return name_of(content)
    return f"signal {facts['number']}" if kind == "signal" else kind


def _frame_name(frame: Frame) -> str:
    if frame.kind == "request":
        content = read_object(frame.data)
        return request_name(frame.facts["method"], frame.facts["path"], content)
    return _name(frame.kind, read_object(frame.data), frame.facts)
