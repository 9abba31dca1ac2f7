"""Checks of lists: newest first, each session once, however many there are and come."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import ConfigError
from caw_core.listing import title_of
from caw_core.storage import SessionPage, SessionQuery
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.storage_samples import head, running_turn, simple_turn
from caw_testkit.conformance.storage_suite import StorageSuite, Store

if TYPE_CHECKING:
    from caw_testkit.conformance.storage_opened import OpenedStorage

_SESSIONS = 7
_TRIES = 2000


class ListChecks(StorageSuite):
    """Pages, filters and summaries."""

    @needs("list_sessions")
    def test_empty_store_is_an_empty_page(self, store: Store) -> None:
        """Nothing is there, and nothing is made by looking."""
        page = store.storage.list_sessions(SessionQuery())
        if page != SessionPage():
            broken(f"An empty store lists {page!r:.200}.", "Return SessionPage().")

    @needs("list_sessions")
    def test_summary_agrees_with_the_record(self, store: Store) -> None:
        """Head, number of turns, first prompt and time are those of the record."""
        info = head(system_prompt="s" * 50_000)
        first = simple_turn(0, input="\n\n fix\tthe  test\nplease")
        store.storage.write(info, first, simple_turn(1, input="p" * 50_000))
        info = attrs.evolve(info, resume_key="key", metadata={"a": 1})
        store.storage.write(info, simple_turn(2), running_turn(3))
        (summary,) = store.reopened().list_sessions(SessionQuery()).sessions
        if (summary.info, summary.num_turns) != (info, 4):
            broken(
                f"The summary says {summary.num_turns} turns and {summary.info!r:.300}.",
                "Keep the last head and the number of turns where a list finds them.",
            )
        if summary.title != title_of(first.input):
            broken(
                f"The title is {summary.title!r:.100}, not {title_of(first.input)!r}.",
                "The title is what caw_core.listing.title_of makes of the first prompt.",
            )
        _must_be_utc(summary.updated_at)

    @needs("list_sessions")
    def test_pages_hold_each_session_once(self, store: Store) -> None:
        """Also sessions that were written at the same moment, and none is left out."""
        names = _fill(store.storage)
        for limit in (1, 3, _SESSIONS, 50):
            seen = walk(store.reopened(), SessionQuery(limit=limit))
            if sorted(seen) != sorted(names):
                broken(
                    f"Pages of {limit} showed {seen} of {sorted(names)}.",
                    "Let the cursor name the last session of the page: its time and its id.",
                )

    @needs("list_sessions")
    def test_pages_hold_each_session_once_while_others_come(self, store: Store) -> None:
        """Sessions are written while somebody turns the pages; an offset would repeat some."""
        names = _fill(store.storage)
        query = SessionQuery(limit=2)
        seen: list[str] = []
        for number in range(_SESSIONS + 2):
            page = store.storage.list_sessions(query)
            seen += [summary.info.session_id for summary in page.sessions]
            store.storage.write(head(f"new-{number}"), simple_turn(0))
            if not page.next_cursor:
                break
            query = attrs.evolve(query, cursor=page.next_cursor)
        old = [name for name in seen if name in names]
        if sorted(old) != sorted(names):
            broken(
                f"While sessions were added, pages showed {seen}; there were {sorted(names)}.",
                "Let the cursor name the last session of the page, not a number of rows.",
            )

    @needs("list_sessions")
    def test_last_written_comes_first(self, store: Store) -> None:
        """``caw resume last`` is the session that was written last, not the one made last."""
        names = _fill(store.storage)
        for index in range(1, _TRIES):
            store.storage.write(head(names[0]), simple_turn(index % 40))
            sessions = store.storage.list_sessions(SessionQuery()).sessions
            times = [_must_be_utc(summary.updated_at) for summary in sessions]
            if any(later > before for before, later in itertools.pairwise(times)):
                broken(f"The list is not in the order of time: {times}", "Newest first.")
            # The storage's clock may be coarse; what is as new as others is listed anywhere.
            if times[0] > times[1]:
                break
        first = sessions[0].info.session_id
        if first != names[0]:
            broken(f"{first!r} comes first, {names[0]!r} was written last.", "Newest first.")

    @needs("list_sessions")
    def test_only_sessions_of_one_provider(self, store: Store) -> None:
        """The filter counts before the limit does, and pages go on with it."""
        for number in range(_SESSIONS):
            provider = "codex" if number % 2 else "echo"
            store.storage.write(head(f"s{number}", provider=provider), simple_turn(0))
        for limit in (1, 50):
            seen = walk(store.reopened(), SessionQuery(limit=limit, provider="codex"))
            if sorted(seen) != ["s1", "s3", "s5"]:
                broken(f"Of 's1', 's3' and 's5' the list shows {seen}.", "Filter, then count.")
        if store.storage.list_sessions(SessionQuery(provider="code")).sessions:
            broken("The provider 'code' lists sessions of 'codex'.", "Compare whole names.")

    @needs("list_sessions")
    def test_cursor_of_somebody_else_is_refused(self, store: Store) -> None:
        """A cursor that cannot be read is a mistake, not the first or an empty page."""
        _fill(store.storage)
        for cursor in ("later", "-", "\ud800", "0' OR '1'='1"):
            try:
                page = store.storage.list_sessions(SessionQuery(cursor=cursor))
            except ConfigError:
                continue
            broken(f"The cursor {cursor!r} gave {page!r:.200}.", "Raise ConfigError.")

    @needs("list_sessions", "persist_session")
    def test_session_without_turns_is_listed(self, store: Store) -> None:
        """It exists, and somebody may look for it."""
        store.storage.write_head(head())
        sessions = store.reopened().list_sessions(SessionQuery()).sessions
        found = [(summary.info, summary.num_turns, summary.title) for summary in sessions]
        if found != [(head(), 0, "")]:
            broken(f"A session without turns is listed as {found!r:.300}.", "List it.")


def _fill(storage: OpenedStorage) -> list[str]:
    names = [f"s{number}" for number in range(_SESSIONS)]
    for name in names:
        storage.write(head(name), simple_turn(0))
    return names


def walk(storage: OpenedStorage, query: SessionQuery, *, pages: int = _SESSIONS) -> list[str]:
    """Return the ids on all pages of a list, of which there are so many at most."""
    seen: list[str] = []
    for _ in range(pages + 1):
        page = storage.list_sessions(query)
        if len(page.sessions) > query.limit:
            broken(f"A page of {query.limit} has {len(page.sessions)} sessions.", "Keep the limit.")
        seen += [summary.info.session_id for summary in page.sessions]
        if not page.next_cursor:
            break
        query = attrs.evolve(query, cursor=page.next_cursor)
    else:
        broken("The pages do not end.", "Leave next_cursor empty on the last page.")
    return seen


def _must_be_utc(text: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() != dt.timedelta():
        broken(f"updated_at is {text!r}.", "Give it in ISO 8601 with offset, in UTC.")
    return moment
