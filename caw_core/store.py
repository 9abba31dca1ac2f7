"""`Store`: the recorded sessions, without an agent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from caw_core.annotations import annotated
from caw_core.copying import Copied, copy_sessions
from caw_core.errors import ConfigError, SessionBusyError, UnsupportedError
from caw_core.handles import check_session_id
from caw_core.leases import SessionLeases
from caw_core.listing import every_page, next_query
from caw_core.plugin_check import check_plugin
from caw_core.record_plugins import RecordPlugins
from caw_core.registry import PluginRegistry, default_registry
from caw_core.searching import search_records
from caw_core.storage import SearchPage, SearchQuery, SessionPage, SessionQuery, TurnRange
from caw_core.twins import call_in_thread
from caw_core.watching import Watch

if TYPE_CHECKING:
    from caw_core.storage import SessionSummary
    from caw_core.trajectory import SessionInfo, Trajectory

PAGE = 200
"""How many sessions are asked for at a time where all are wanted."""


@attrs.frozen(kw_only=True)
class PruneReport:
    """What `Store.prune` did.

    Attributes:
        deleted: the ids of the sessions that are gone, or would be.
        busy: those that somebody writes, which stay.
        unreadable: those that could not be read, with the reason, which stay.
    """

    deleted: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()


class Store:
    """Recorded sessions in one storage, or in several of which the first that has one answers.

    Each method ``x`` has an awaitable twin ``x_async``.

    Args:
        storages: storage URLs such as ``"sqlite:///sessions.db"``, or storage plugins.
        registry: where to find plugins; default those installed and registered.

    Raises:
        ConfigError: none was given, or a URL makes no sense.
        UnknownStorageError, PluginError: a storage is not installed, or broken.
    """

    def __init__(self, *storages: object, registry: PluginRegistry | None = None) -> None:
        if not storages:
            msg = "a Store needs a storage: give it a URL such as 'sqlite:///sessions.db'"
            raise ConfigError(msg)
        source = registry or default_registry()
        self._records = RecordPlugins(
            [named_storage(source, item) for item in storages],
            source.load_observers(),
        )

    @classmethod
    def of(cls, records: RecordPlugins) -> Store:
        """Return the store of storages that are open already."""
        store = cls.__new__(cls)
        store._records = records  # noqa: SLF001 - its own
        return store

    @property
    def records(self) -> RecordPlugins:
        """The storages, for calls of single hooks."""
        return self._records

    # --------------------------------------------------------------------------- to find and read

    def load(self, session_id: str, turns: TurnRange | None = None) -> Trajectory | None:
        """Read a session's record.

        Args:
            session_id: the session.
            turns: which of its turns; default all.

        Returns:
            The record, or None if no storage has the session.

        Raises:
            StorageError: a storage could not tell.
            TrajectoryError: the record is damaged.
        """
        _check("turns", turns, TurnRange)
        return self._records.load_trajectory(check_session_id(session_id), turns)

    def list(self, query: SessionQuery | None = None) -> SessionPage:
        """Return one page of the sessions, newest first; default the first 50.

        Raises:
            UnsupportedError: no storage can list.
            ConfigError: the cursor is of another storage.
        """
        _check("query", query, SessionQuery)
        page = self._records.list_sessions(query or SessionQuery())
        if page is None:
            msg = "this storage cannot list its sessions; name one by its whole id"
            raise UnsupportedError(msg, options=("list_sessions",))
        return page

    def sessions(self, query: SessionQuery | None = None) -> Iterator[SessionSummary]:
        """Yield all sessions that *query* asks for, newest first, page by page.

        Those that cannot be read are left out; the pages of `list` name them.

        Args:
            query: the filter; its ``limit`` is how many are asked for at a time.
        """
        for page in every_page(self.list, query or SessionQuery(limit=PAGE)):
            yield from page.sessions

    def search(self, query: SearchQuery | str) -> SearchPage:
        """Find turns by words in their prompt and in what the agent wrote.

        Args:
            query: the words, or a whole query.

        Raises:
            UnsupportedError: the storage can neither search nor list.
        """
        asked = SearchQuery(text=query) if isinstance(query, str) else query
        _check("query", asked, SearchQuery)
        page = self._records.search_sessions(asked)
        return search_records(self, asked) if page is None else page

    def watch(self, session_id: str, from_cursor: str = "") -> Watch:
        """Follow a session that runs, perhaps in another process, event by event.

        Args:
            session_id: the session.
            from_cursor: the `caw_core.storage.LiveEvent.cursor` after which to begin; default the
                oldest event that is still there.

        Returns:
            What to iterate over, with ``for`` or ``async for``.

        Raises:
            ConfigError: there is no such session, or the cursor is none.
            UnsupportedError: the storage keeps no events.
        """
        return Watch(self, check_session_id(session_id), from_cursor)

    # ------------------------------------------------------------------------------- to change

    def annotate(
        self,
        session_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
    ) -> SessionInfo:
        """Change metadata and tags of a session that nobody has open.

        Args:
            session_id: the session.
            metadata: members to set; the others stay.
            tags: what its tags are from now on; None leaves them.

        Returns:
            The head of the record as it is now.

        Raises:
            ConfigError: there is no such session, or a value is not JSON.
            SessionBusyError: somebody has it open; ask `Session.annotate` there.
        """
        with self.leased(session_id):
            record = self.load(session_id, TurnRange(last=0))
            if record is None:
                msg = f"no storage has a session {session_id!r}"
                raise ConfigError(msg)
            info = annotated(record.info, metadata, tags)
            for sink in self._records.storages:
                if self._records.has(sink, session_id):
                    self._records.persist_session(sink, info)
        return info

    def delete(self, session_id: str) -> bool:
        """Delete a session's record, all of it, in every storage; tell whether there was one.

        Raises:
            SessionBusyError: somebody has it open.
            StorageError: a storage could not tell.
        """
        return self._records.delete_session(check_session_id(session_id))

    def prune(
        self,
        *,
        older_than: timedelta | None = None,
        keep: int | None = None,
        query: SessionQuery | None = None,
        dry_run: bool = False,
    ) -> PruneReport:
        """Delete old sessions.

        Args:
            older_than: only those last written longer ago than this; default any.
            keep: how many of the newest stay in any case; default none.
            query: only sessions that it asks for; its page does not count.
            dry_run: delete nothing, and say what would be deleted.

        Returns:
            What was deleted, and what was not although it is old.

        Raises:
            ConfigError: neither a time nor a number was given, or one of them makes no sense.
        """
        if older_than is None and keep is None:
            msg = "prune needs older_than or keep: without them every session would go"
            raise ConfigError(msg)
        if older_than is not None and not (
            isinstance(older_than, timedelta) and older_than >= timedelta()
        ):
            msg = f"prune: older_than is a timedelta, not negative, not {older_than!r}"
            raise ConfigError(msg)
        if keep is not None and (isinstance(keep, bool) or not isinstance(keep, int) or keep < 0):
            msg = f"prune: keep is a number from 0, not {keep!r}"
            raise ConfigError(msg)
        _check("query", query, SessionQuery)
        asked = attrs.evolve(query or SessionQuery(), limit=PAGE, cursor="")
        oldest = datetime.now(UTC) - (older_than or timedelta())
        old: list[str] = []
        unreadable: list[tuple[str, str]] = []
        seen = 0
        for page in every_page(self.list, asked):
            unreadable += page.unreadable
            for summary in page.sessions:
                seen += 1
                written = datetime.fromisoformat(summary.updated_at)
                if seen > (keep or 0) and (older_than is None or written < oldest):
                    old.append(summary.info.session_id)
        deleted, busy = [], []
        for session_id in old:
            try:
                if dry_run or self.delete(session_id):
                    deleted.append(session_id)
            except SessionBusyError:
                busy.append(session_id)
        return PruneReport(deleted=tuple(deleted), busy=tuple(busy), unreadable=tuple(unreadable))

    def copy_to(
        self,
        target: Store,
        session_ids: Iterable[str] | None = None,
        *,
        replace: bool = False,
        told: Callable[[Copied], object] | None = None,
    ) -> Sequence[Copied]:
        """Copy records to another store; see `caw_core.copying.copy_sessions`."""
        _check("target", target, Store)
        return copy_sessions(self, target, session_ids, replace=replace, told=told)

    def leased(self, session_id: str) -> SessionLeases:
        """Take the right to write a session, as a context manager.

        Raises:
            SessionBusyError: somebody has it open.
        """
        checked = check_session_id(session_id)
        return SessionLeases(checked, self._records.lease_session(checked))

    # ------------------------------------------------------------------------------- the twins

    async def load_async(
        self, session_id: str, turns: TurnRange | None = None
    ) -> Trajectory | None:
        """Do as `load`."""
        return await call_in_thread(self.load, session_id, turns)

    async def list_async(self, query: SessionQuery | None = None) -> SessionPage:
        """Do as `list`."""
        return await call_in_thread(self.list, query)

    async def sessions_async(
        self, query: SessionQuery | None = None
    ) -> AsyncIterator[SessionSummary]:
        """Do as `sessions`."""
        page_query: SessionQuery | None = query or SessionQuery(limit=PAGE)
        while page_query is not None:
            page = await self.list_async(page_query)
            for summary in page.sessions:
                yield summary
            page_query = next_query(page_query, page)

    async def search_async(self, query: SearchQuery | str) -> SearchPage:
        """Do as `search`."""
        return await call_in_thread(self.search, query)

    async def annotate_async(
        self,
        session_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
    ) -> SessionInfo:
        """Do as `annotate`."""
        return await call_in_thread(self.annotate, session_id, metadata=metadata, tags=tags)

    async def delete_async(self, session_id: str) -> bool:
        """Do as `delete`."""
        return await call_in_thread(self.delete, session_id)

    async def copy_to_async(
        self,
        target: Store,
        session_ids: Iterable[str] | None = None,
        *,
        replace: bool = False,
        told: Callable[[Copied], object] | None = None,
    ) -> Sequence[Copied]:
        """Do as `copy_to`; *told* is called in another thread."""
        return await call_in_thread(self.copy_to, target, session_ids, replace=replace, told=told)

    async def prune_async(
        self,
        *,
        older_than: timedelta | None = None,
        keep: int | None = None,
        query: SessionQuery | None = None,
        dry_run: bool = False,
    ) -> PruneReport:
        """Do as `prune`."""
        return await call_in_thread(
            self.prune, older_than=older_than, keep=keep, query=query, dry_run=dry_run
        )


def _check(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        msg = f"{name} is a {kind.__name__}, not {value!r:.80}"
        raise ConfigError(msg)


def named_storage(registry: PluginRegistry, item: object) -> tuple[str, object]:
    """Return the name and the plugin of a storage that was given as a URL or as a plugin.

    Raises:
        ConfigError: it is neither, or the URL makes no sense.
        UnknownStorageError, PluginError: the storage is not installed, or broken.
    """
    if isinstance(item, str):
        return item.partition(":")[0], registry.load_storage(item)
    name = type(item).__name__
    check_plugin(item, name=name, kind="storage")
    return name, item
