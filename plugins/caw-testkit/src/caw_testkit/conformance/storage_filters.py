"""Checks of what a list is asked for: folder, status, time, metadata and tags."""

from __future__ import annotations

import datetime as dt
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core.storage import SessionQuery
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_expiry import expiring
from caw_testkit.conformance.storage_leases import wait_for_lease
from caw_testkit.conformance.storage_lists import walk
from caw_testkit.conformance.storage_processes import WriterProcess
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.trajectory import SessionInfo, TurnStatus
    from caw_testkit.conformance.storage_opened import OpenedStorage

_STRANGE = "a\0b \ud800 'x' \"y\" $.z %_*"
_TRIES = 2000

_CWDS = {
    "folder": "/project/a_b",
    "below": "/project/a_b/c",
    "pattern": "/project/aXb",
    "case": "/Project/a_b",
    "unicode": "/w\u00f6rk/\u65e5\u672c",
    "strange": _STRANGE,
    "none": "",
}
_METADATA: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "one": {"n": 1, "both": "x"},
        "true": {"n": True, "both": "x"},
        "text": {"n": "1"},
        "zero": {"n": 0},
        "false": {"n": False},
        "null": {"n": None},
        "empty": {"n": ""},
        "nested": {"n": {"a": [1, {"b": "\u65e5\u672c"}], "c": None}},
        "more": {"n": {"a": [1, {"b": "\u65e5\u672c"}], "c": None, "d": 1}},
        "list": {"n": [1, 2]},
        "turned": {"n": [2, 1]},
        "large": {"n": 2**53 + 1},
        "near": {"n": 2**53},
        "strange": {_STRANGE: _STRANGE},
        "path": {"a.b": {"c": 1}, "": 1},
        "deep": {"a": {"b": {"c": 1}}},
        "none": {},
    },
)
_TAGS = {
    "one": ("red",),
    "two": ("blue", "red"),
    "longer": ("redder", "dark red"),
    "case": ("RED",),
    "list": ("red,blue",),
    "strange": (_STRANGE, "\u65e5\u672c"),
    "none": (),
}
_FILTERS: Mapping[str, tuple[dict[str, Any], str]] = MappingProxyType(
    {
        "folder": ({"cwd": "/project/a_b"}, "folder"),
        "folder in unicode": ({"cwd": _CWDS["unicode"]}, "unicode"),
        "folder with anything in it": ({"cwd": _STRANGE}, "strange"),
        "no such folder": ({"cwd": "/project"}, ""),
        "number": ({"metadata": {"n": 1}}, "one"),
        "truth, which is not 1": ({"metadata": {"n": True}}, "true"),
        "zero": ({"metadata": {"n": 0}}, "zero"),
        "untruth, which is not 0": ({"metadata": {"n": False}}, "false"),
        "digits": ({"metadata": {"n": "1"}}, "text"),
        "null, which is not nothing": ({"metadata": {"n": None}}, "null"),
        "empty text": ({"metadata": {"n": ""}}, "empty"),
        "whole object": ({"metadata": {"n": _METADATA["nested"]["n"]}}, "nested"),
        "part of an object": ({"metadata": {"n": {"c": None}}}, ""),
        "list in its order": ({"metadata": {"n": [1, 2]}}, "list"),
        "part of a list": ({"metadata": {"n": [1]}}, ""),
        "large number": ({"metadata": {"n": 2**53 + 1}}, "large"),
        "two members": ({"metadata": {"n": True, "both": "x"}}, "true"),
        "one member of two": ({"metadata": {"both": "x"}}, "one true"),
        "name and value with anything in them": ({"metadata": {_STRANGE: _STRANGE}}, "strange"),
        "name with a dot": ({"metadata": {"a.b": {"c": 1}}}, "path"),
        "name that is a path elsewhere": ({"metadata": {"a": {"b": {"c": 1}}}}, "deep"),
        "empty name": ({"metadata": {"": 1}}, "path"),
        "no such member": ({"metadata": {"m": 1}}, ""),
        "tag": ({"tags": ("red",)}, "one two"),
        "two tags": ({"tags": ("red", "blue")}, "two"),
        "tag with a blank": ({"tags": ("dark red",)}, "longer"),
        "tag with a comma": ({"tags": ("red,blue",)}, "list"),
        "tag in capitals": ({"tags": ("RED",)}, "case"),
        "tags with anything in them": ({"tags": ("\u65e5\u672c", _STRANGE)}, "strange"),
        "part of a tag": ({"tags": ("re",)}, ""),
    },
)


def _heads(kind: str) -> dict[str, SessionInfo]:
    """Return the heads, by their ids, among which the filter called *kind* must find its own."""
    plain = head("plain", metadata={})
    if "cwd" in _FILTERS[kind][0]:
        return {name: attrs.evolve(plain, session_id=name, cwd=cwd) for name, cwd in _CWDS.items()}
    if "tags" in _FILTERS[kind][0]:
        return {
            name: attrs.evolve(plain, session_id=name, tags=tags) for name, tags in _TAGS.items()
        }
    return {
        name: attrs.evolve(plain, session_id=name, metadata=metadata)
        for name, metadata in _METADATA.items()
    }


class FilterChecks(StorageSuite):
    """``SessionQuery`` beyond its page, and ``SessionSummary.status``."""

    @needs("list_sessions")
    @pytest.mark.parametrize("kind", _FILTERS)
    def test_list_holds_what_was_asked_for(self, store: Store, kind: str) -> None:
        """Whole values count, as JSON tells them apart; the filter counts before the limit does."""
        members, names = _FILTERS[kind]
        for info in _heads(kind).values():
            store.storage.write(info, simple_turn(0))
        later = store.reopened()
        for limit in (1, 50):
            _must_list(later, SessionQuery(limit=limit, **members), names)

    @needs("list_sessions")
    def test_all_that_is_asked_for_must_hold(self, store: Store) -> None:
        """Filters narrow each other down, and pages go on with all of them."""
        for number in range(24):
            info = head(
                f"s{number}",
                provider="codex" if number % 2 else "echo",
                cwd="/a" if number % 3 else "/b",
                metadata={"k": bool(number % 4 // 2)},
                tags=("t",) if number % 5 else (),
            )
            failed = (
                {"status": "failed", "stop_reason": None} if number not in (20, 21, 22, 23) else {}
            )
            store.storage.write(info, simple_turn(0, **failed))
        query = SessionQuery(
            provider="codex", cwd="/a", status="failed", metadata={"k": True}, tags=("t",)
        )
        for limit in (1, 2, 50):
            _must_list(store.reopened(), attrs.evolve(query, limit=limit), "s7 s11 s19")

    @needs("list_sessions", "persist_session")
    def test_metadata_and_tags_can_be_changed_later(self, store: Store) -> None:
        """A head that comes alone is found by what it says now, and no more by what it said."""
        info = head("a", metadata={"state": "new", "kept": 1}, tags=("red",))
        store.storage.write(info, simple_turn(0))
        store.storage.write_head(attrs.evolve(info, metadata={"state": "done"}, tags=("blue",)))
        later = store.reopened()
        for old in ({"metadata": {"state": "new"}}, {"metadata": {"kept": 1}}, {"tags": ("red",)}):
            _must_list(later, SessionQuery(**old), "")
        _must_list(later, SessionQuery(metadata={"state": "done"}, tags=("blue",)), "a")
        later.must_have_turns("a", [simple_turn(0)], after="changing the head alone")

    @needs("list_sessions")
    def test_sessions_of_a_time(self, store: Store) -> None:
        """``since`` is the first moment that counts and ``until`` the first that does not."""
        names = [f"s{number}" for number in range(5)]
        times = _written_apart(store.storage, names)
        later = store.reopened()
        elsewhere = dt.timezone(dt.timedelta(hours=5, minutes=30))
        for zone in (dt.UTC, elsewhere):
            since, until = times[1].astimezone(zone), times[3].astimezone(zone)
            _must_list(later, SessionQuery(since=since), "s1 s2 s3 s4")
            _must_list(later, SessionQuery(until=until), "s0 s1 s2")
            for limit in (1, 50):
                _must_list(later, SessionQuery(since=since, until=until, limit=limit), "s1 s2")
        _must_list(later, SessionQuery(since=times[4] + dt.timedelta(days=1)), "")

    @needs("list_sessions")
    def test_status_is_that_of_the_last_turn(self, store: Store) -> None:
        """Of the one with the highest index, whichever was written last."""
        ends: tuple[TurnStatus, ...] = ("completed", "interrupted", "failed", "unknown")
        for status in ends:
            last = simple_turn(2, status=status, stop_reason=None)
            store.storage.write(head(status), simple_turn(0), last)
            store.storage.write(head(status), simple_turn(1, status="failed", stop_reason=None))
        later = store.reopened()
        for status in ends:
            _must_list(later, SessionQuery(status=status), status)
        sessions = later.list_sessions(SessionQuery()).sessions
        wrong = {each.info.session_id: each.status for each in sessions}
        if any(name != status for name, status in wrong.items()):
            broken(f"By id, which names it, the status is {wrong}.", "Take the last turn's.")

    @needs("list_sessions", "persist_session")
    def test_session_without_turns_has_no_status(self, store: Store) -> None:
        """It is in no list of a status, and in the list of all."""
        store.storage.write_head(head("a"))
        later = store.reopened()
        _must_list(later, SessionQuery(), "a")
        _must_list(later, SessionQuery(status="completed"), "")
        _must_list(later, SessionQuery(status="unknown"), "")

    @needs("list_sessions", "lease_session")
    def test_turn_that_runs_is_listed_as_running(self, store: Store) -> None:
        """As long as its writer holds the lease, and to everybody who looks."""
        store.storage.write(head("a"), simple_turn(0), running_turn(1))
        another = store.open() if "durable" in self.capabilities else store.storage
        for storage in (store.storage, another):
            _must_list(storage, SessionQuery(status="running"), "a")
            _must_list(storage, SessionQuery(status="unknown"), "")
        store.release()
        for storage in (store.storage, store.reopened()):
            _must_list(storage, SessionQuery(status="unknown"), "a")
            _must_list(storage, SessionQuery(status="running"), "")

    @needs("list_sessions", "lease_session", "durable")
    def test_turn_of_a_dead_writer_is_listed_as_unknown(self, store: Store) -> None:
        """Nobody goes on with it, and nobody will ever write its end."""
        with WriterProcess(store, "a", "begin") as writer:
            writer.line()
            if writer.line() != "running 0":
                broken("The writer did not begin its turn.", "See the other checks.")
            _must_list(store.storage, SessionQuery(status="running"), "a")
        wait_for_lease(store, "a")
        for storage in (store.storage, store.reopened()):
            _must_list(storage, SessionQuery(status="unknown"), "a")
            _must_list(storage, SessionQuery(status="running"), "")

    @needs("list_sessions", "expiring_leases")
    def test_turn_of_a_writer_whose_lease_ran_out_is_listed_as_unknown(self, store: Store) -> None:
        """Before anybody else has taken it, too; once it is renewed, the turn runs again."""
        lease = expiring(store.storage.lease("a"))
        store.storage.persist_turn(head("a"), running_turn(0))
        self.let_lease_run_out(store.folder, "a")
        _must_list(store.storage, SessionQuery(status="unknown"), "a")
        _must_list(store.storage, SessionQuery(status="running"), "")
        lease.renew()
        _must_list(store.storage, SessionQuery(status="running"), "a")
        lease.release()


def _must_list(storage: OpenedStorage, query: SessionQuery, names: str) -> None:
    seen = walk(storage, query, pages=50)
    if sorted(seen) != sorted(names.split()):
        broken(
            f"{_shown(query)} lists {sorted(seen)}, expected {sorted(names.split())}.",
            "Filter by whole values as JSON has them, then count; caw_core.listing.matches tells "
            "what is meant. A running turn is unknown once its writer holds no lease.",
        )
    for summary in storage.list_sessions(query).sessions:
        if query.status not in ("", summary.status):
            broken(
                f"{_shown(query)} lists {summary.info.session_id!r} as {summary.status!r}.",
                "Show the status by which the session was found.",
            )


def _shown(query: SessionQuery) -> str:
    given = attrs.asdict(query, filter=lambda _, value: value not in ("", None, {}, ()))
    return f"The query {given!a}"


def _written_apart(storage: OpenedStorage, names: list[str]) -> list[dt.datetime]:
    """Write sessions so that each has a later time than the one before; return the times."""
    times: list[dt.datetime] = []
    for name in names:
        for index in range(_TRIES):
            storage.write(head(name), simple_turn(index % 40))
            (first,) = storage.list_sessions(SessionQuery(limit=1)).sessions
            moment = dt.datetime.fromisoformat(first.updated_at)
            # The storage's clock may be coarse.
            if first.info.session_id == name and (not times or moment > times[-1]):
                times.append(moment)
                break
        else:
            broken(
                f"{_TRIES} writes of {name!r} do not make it later.", "Note when it was written."
            )
    return times
