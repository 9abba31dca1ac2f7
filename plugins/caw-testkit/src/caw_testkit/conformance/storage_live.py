"""Checks of live events: what a session does, as somebody in another process follows it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import ConfigError
from caw_core.events import (
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
    UnknownEvent,
)
from caw_core.storage import LiveEvent, SessionQuery
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_processes import WriterProcess
from caw_testkit.conformance.storage_samples import head, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from caw_core.events import Event

_STRANGE = "a\0b \ud800 \u65e5\u672c\n\r\u2028 \"x\" 'y'"
_MANY, _AT_ONCE = 20_000, 500
_HELD_AT_LEAST, _HELD_AT_MOST = 500, 10_000
_LARGE = 1 << 20
_LARGE_HELD_AT_MOST = 24
_NAMES = ("a", "ab", "a.b", "a-1", "a-10")

_live = needs("publish_events", "read_events")


class LiveChecks(StorageSuite):
    """``publish_events`` and ``read_events``."""

    @_live
    def test_events_come_in_order_and_as_they_were(self, store: Store) -> None:
        """Of every kind, also of one that this caw does not know, with any text."""
        published = _numbered(
            TurnStarted(index=0),
            TextDelta(text=_STRANGE, block_id="b", extra={"from_the_future": [1, None]}),
            ToolStarted(call_id="1", name="x", arguments={_STRANGE: [True, 1.5, {}]}),
            ToolFinished(call_id="1", output="o" * 100_000),
            UnknownEvent(raw={"type": "hologram", "turn": 9, "number": 9}),
            TurnEnded(),
        )
        store.storage.publish("a", published[:2])
        store.storage.publish("a", published[2:])
        another = store.open() if "durable" in self.capabilities else store.storage
        for storage in (store.storage, another):
            found = storage.read_events("a")
            if found != published:
                broken(
                    f"Published were {len(published)} events, read were {found!r:.500}",
                    "Keep turn, number and what caw_core.serialize.event_to_dict makes.",
                )

    @_live
    def test_reading_goes_on_after_a_cursor(self, store: Store) -> None:
        """And it ends at the limit; turns and numbers are compared as numbers."""
        published = [
            *_texts(12),
            *(LiveEvent(turn=turn, number=0, event=TurnStarted(index=turn)) for turn in (1, 2, 10)),
        ]
        store.storage.publish("a", published)
        for place, event in enumerate(published):
            for limit in (1, 3, 100):
                found = store.storage.read_events("a", event.cursor, limit)
                _must_be(found, published[place + 1 :][:limit], f"{limit} after {event.cursor}")
        _must_be(store.storage.read_events("a", "", 2), published[:2], "the first two")
        _must_be(store.storage.read_events("a", "0.99"), published[12:], "those after turn 0")
        _must_be(store.storage.read_events("a", "1"), published[12:], "those of turn 1 and later")
        _must_be(store.storage.read_events("a", "2"), published[13:], "those of turn 2 and later")
        _must_be(store.storage.read_events("a", "99.0"), [], "those after all")

    @_live
    def test_nothing_published_is_nothing_read(self, store: Store) -> None:
        """Of a session that nobody knows, too; it is not made by looking, nor by publishing."""
        _must_be(store.storage.read_events("never-stored"), [], "an unknown session's")
        store.storage.publish("a", _texts(1))
        store.storage.publish("a", [])
        _must_be(store.storage.read_events("never-stored"), [], "an unknown session's")
        for name in ("a", "never-stored"):
            if store.storage.load(name) is not None:
                broken(f"Events made a record of {name!r}.", "Keep them apart from the records.")
        if "list_sessions" in self.capabilities:
            page = store.storage.list_sessions(SessionQuery())
            if page.sessions or page.unreadable:
                broken(f"Events alone are listed: {page!r:.300}", "List what has a head.")

    @_live
    def test_events_of_sessions_do_not_mix(self, store: Store) -> None:
        """Ids are whole here too."""
        published = {name: _numbered(TextDelta(text=name)) for name in _NAMES}
        for name in _NAMES:
            store.storage.publish(name, published[name])
        for name in _NAMES:
            _must_be(store.storage.read_events(name), published[name], f"those of {name!r}")

    @_live
    def test_what_was_left_out_shows_in_the_numbers(self, store: Store) -> None:
        """Publishing may be too slow for an agent; whoever follows must see the gap."""
        published = _texts(10)
        left = [event for event in published if event.number not in (2, 3, 7)]
        for event in left:
            store.storage.publish("a", [event])
        _must_be(store.storage.read_events("a"), left, "those around a gap")
        _must_be(store.storage.read_events("a", "0.2", 2), left[2:4], "those after a lost one")

    @_live
    def test_only_so_many_events_are_kept(self, store: Store) -> None:
        """A session runs for days. What is dropped is the oldest, and that shows."""
        published = _texts(_MANY)
        for start in range(0, _MANY, _AT_ONCE):
            store.storage.publish("a", published[start : start + _AT_ONCE])
        held = store.storage.read_events("a")
        if not _HELD_AT_LEAST <= len(held) <= _HELD_AT_MOST:
            broken(
                f"Of {_MANY} small events {len(held)} are held.",
                "Hold about the last thousand, or 4 MB.",
            )
        _must_be(held, published[-len(held) :], "those that are held")
        after_gap = store.storage.read_events("a", published[5].cursor, 1)
        _must_be(after_gap, held[:1], "the one after a cursor that is gone")

    @_live
    def test_only_so_many_bytes_are_kept(self, store: Store) -> None:
        """A tool may print megabytes a second; the last event is there, however large."""
        large = [
            LiveEvent(turn=0, number=number, event=TextDelta(text="x" * _LARGE))
            for number in range(40)
        ]
        for event in large:
            store.storage.publish("a", [event])
        held = store.storage.read_events("a")
        if len(held) > _LARGE_HELD_AT_MOST:
            broken(f"{len(held)} events of 1 MB are held.", "Hold about 4 MB of a session.")
        last = _texts(50)[41:]
        store.storage.publish("a", last)
        _must_be(store.storage.read_events("a", large[-1].cursor), last, "those after a large one")

    @_live
    def test_events_of_a_finished_session_can_still_be_read(self, store: Store) -> None:
        """Whoever follows would always miss the last ones otherwise."""
        published = _texts(5)
        store.storage.write(head("a"), simple_turn(0))
        store.storage.publish("a", published)
        ended = head("a", completed_at="2026-01-02T04:00:00+00:00")
        if "persist_session" in self.capabilities:
            store.storage.write_head(ended)
        for storage in (store.storage, store.reopened()):
            _must_be(storage.read_events("a", "0.3"), published[4:], "the last one after the end")

    @needs("publish_events", "read_events", "delete_session")
    def test_events_go_with_their_session(self, store: Store) -> None:
        """A deleted session leaves nothing, and a new one of its name begins at its beginning."""
        store.storage.write(head("a"), simple_turn(0))
        store.storage.publish("a", [*_texts(3), LiveEvent(turn=1, number=0, event=TurnEnded())])
        store.release()
        store.storage.delete("a")
        for storage in (store.storage, store.reopened()):
            _must_be(storage.read_events("a"), [], "those of a deleted session")
        new = _numbered(TextDelta(text="new"))
        store.storage.publish("a", new)
        _must_be(store.storage.read_events("a"), new, "those of a new session of that name")

    @_live
    @pytest.mark.parametrize("cursor", ["later", "1.", "-1.0", "1.x", "\ud800", "1.0' OR '1"])
    def test_cursor_of_no_event_is_refused(self, store: Store, cursor: str) -> None:
        """A cursor that cannot be read is a mistake, not the beginning."""
        store.storage.publish("a", _texts(2))
        try:
            found = store.storage.read_events("a", cursor)
        except ConfigError:
            return
        broken(f"The cursor {cursor!r} gave {found!r:.200}.", "Use caw_core.storage.place_of.")

    @_live
    def test_wait_ends_with_the_first_event(self, store: Store) -> None:
        """In another thread of this process: the wait locks nobody out."""
        found: list[LiveEvent] = []

        def follow() -> None:
            while not found and not over.is_set():
                found.extend(store.storage.read_events("a", "", 10, self.wake_up))

        over = threading.Event()
        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        published = _texts(1)
        store.storage.publish("a", published)
        thread.join(self.wake_up)
        over.set()
        _must_be(found, published, "what a waiting reader got")

    @needs("publish_events", "read_events", "durable")
    def test_reader_in_another_process_wakes_up(self, store: Store) -> None:
        """It waits without a lease, and sees each event once, in order."""
        published = _texts(6)
        store.storage.publish("a", published[:2])
        with WriterProcess(store, "a", "follow") as reader:
            reader.line()
            for event in published[2:]:
                store.storage.publish("a", [event])
                said = reader.line(self.wake_up)
                if said != f"seen {event.cursor}":
                    broken(
                        f"A reader that waited for {event.cursor} said {said!r}.",
                        "Wake those who wait in read_events, in other processes too, or look again "
                        "several times a second.",
                    )

    @needs("publish_events", "read_events", "durable")
    def test_events_of_another_process_can_be_read(self, store: Store) -> None:
        """While it runs, and by somebody who has no lease."""
        with WriterProcess(store, "a", "publish") as writer:
            writer.line()
            writer.ask(3)
            for number in range(3):
                if writer.line() != f"published {number}":
                    broken("publish_events did not return.", "See the other checks.")
            found = [
                event.cursor for event in store.storage.read_events("a", "", 100, self.wake_up)
            ]
        if found != ["0.0", "0.1", "0.2"]:
            broken(f"Of '0.0' to '0.2' of another process {found} was read.", "Share them.")


def _numbered(*of_a_turn: Event) -> list[LiveEvent]:
    return [LiveEvent(turn=0, number=number, event=event) for number, event in enumerate(of_a_turn)]


def _texts(count: int) -> list[LiveEvent]:
    return _numbered(*(TextDelta(text=f"piece {number}") for number in range(count)))


def _must_be(found: list[LiveEvent], expected: list[LiveEvent], what: str) -> None:
    if found != expected:
        shown = [event.cursor for event in found[:20]]
        wanted = [event.cursor for event in expected[:20]]
        broken(
            f"Asked for {what}, read_events gave {len(found)} events {shown}, expected "
            f"{len(expected)} {wanted}.",
            "Return what was published, each once, by turn and number, after the cursor.",
        )
