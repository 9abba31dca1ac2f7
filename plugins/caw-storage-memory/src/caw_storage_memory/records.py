"""The store: records in the order of their last write, and who may write them."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import SessionBusyError
from caw_core.listing import title_of, utc_text
from caw_core.serialize import (
    session_info_from_dict,
    session_info_to_dict,
    turn_from_dict,
    turn_to_dict,
)
from caw_core.storage import SessionSummary, TurnRange, as_left
from caw_core.trajectory import SessionInfo, Turn
from caw_storage_memory.live import LiveEvents

if TYPE_CHECKING:
    from collections.abc import Iterator


@attrs.define
class Record:
    """One session: its head and its turns as JSON texts, and what a list shows of them."""

    head: str
    updated: int
    turns: dict[int, str] = attrs.field(factory=dict)
    running: set[int] = attrs.field(factory=set)
    first: int = sys.maxsize
    last: int = -1
    title: str = ""
    last_status: str = ""

    @property
    def info(self) -> SessionInfo:
        """The head."""
        return session_info_from_dict(json.loads(self.head))

    def put(self, turn: Turn) -> None:
        """Take a turn, unless it is a running state that comes after the turn's end."""
        runs = turn.status == "running"
        if runs and turn.index in self.turns and turn.index not in self.running:
            return
        self.turns[turn.index] = json.dumps(turn_to_dict(turn))
        (self.running.add if runs else self.running.discard)(turn.index)
        if turn.index <= self.first:
            self.first, self.title = turn.index, title_of(turn.input)
        if turn.index >= self.last:
            self.last, self.last_status = turn.index, turn.status

    def share(self, parent: Record, stop: int) -> None:
        """Take the texts of another record's turns below *stop*."""
        self.turns = {place: text for place, text in parent.turns.items() if place < stop}
        if self.turns:
            self.first, self.last = min(self.turns), max(self.turns)
            self.title = title_of(turn_from_dict(json.loads(self.turns[self.first])).input)
            self.last_status = turn_from_dict(json.loads(self.turns[self.last])).status

    def read(self, turns: TurnRange) -> Iterator[Turn]:
        """Yield turns in order; one that was never finished is ``unknown``."""
        stop = turns.stop
        places = [
            place for place in self.turns if turns.start <= place and (stop is None or place < stop)
        ]
        places.sort()
        for place in places if turns.last is None else places[max(0, len(places) - turns.last) :]:
            yield as_left(turn_from_dict(json.loads(self.turns[place])))


class Records:
    """All records of a store, and the leases on them.

    Attributes:
        mutex: what everything here but `events` is used under.
        by_id: the records, the one that was written last at the end.
        events: what the sessions do; it has a lock of its own.
    """

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.by_id: OrderedDict[str, Record] = OrderedDict()
        # Both outlive the record, so that no token comes twice.
        self._tokens: dict[str, int] = {}
        self._held: set[str] = set()
        self._clock = 0
        self.events = LiveEvents()

    def lease(self, session_id: str) -> int:
        """Take the right to write a session; return the token."""
        if session_id in self._held:
            raise busy(session_id)
        self._held.add(session_id)
        self._tokens[session_id] = self._tokens.get(session_id, 0) + 1
        return self._tokens[session_id]

    def release(self, session_id: str, token: int) -> None:
        """Give it back; a lease that is not held any more has no effect."""
        if self._tokens[session_id] == token:
            self._held.discard(session_id)

    def check(self, session_id: str, token: int | None) -> None:
        """Refuse a write where somebody else has the lease, or has had it since."""
        if session_id in self._held if token is None else token != self._tokens[session_id]:
            raise busy(session_id)

    def write(self, session: SessionInfo) -> Record:
        """Take the head of a record, which is then the one written last."""
        head = json.dumps(session_info_to_dict(session))
        # Two writes in one microsecond have two places in a list all the same.
        self._clock = max(self._clock + 1, time.time_ns() // 1000)
        record = self.by_id.setdefault(session.session_id, Record(head, self._clock))
        record.head, record.updated = head, self._clock
        self.by_id.move_to_end(session.session_id)
        return record

    def summary(self, session_id: str, record: Record) -> SessionSummary:
        """Return a session as a list shows it."""
        lost = record.last_status == "running" and session_id not in self._held
        return SessionSummary(
            info=record.info,
            num_turns=len(record.turns),
            title=record.title,
            updated_at=utc_text(record.updated / 1e6),
            status="unknown" if lost else record.last_status,
        )


def busy(session_id: str) -> SessionBusyError:
    """Return the error for a session that another one writes."""
    msg = f"session {session_id!r} is being written by another agent of this process. End it there."
    return SessionBusyError(msg, holder="this process")
