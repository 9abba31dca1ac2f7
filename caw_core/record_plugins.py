"""The hooks of storages and observers, called through a typed front: records need no provider."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import attrs
import pluggy

from caw_core.errors import ConfigError, StorageError
from caw_core.hookspecs import PROJECT_NAME, StorageSpecs
from caw_core.plugin_check import SPECS, implementations, is_wrapper
from caw_core.storage import TurnRange
from caw_core.storage_retry import ONCE, StorageRetry
from caw_core.tool_serving import INSTALL_HINT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caw_core.storage import (
        Lease,
        LiveEvent,
        SearchPage,
        SearchQuery,
        SessionPage,
        SessionQuery,
    )
    from caw_core.tool_serving import GivenTools
    from caw_core.trajectory import SessionInfo, Trajectory, Turn


class Sink:
    """One storage or listening observer, called without the others but inside the wrappers."""

    def __init__(
        self,
        name: str,
        plugin: object,
        manager: pluggy.PluginManager,
        others: list[object],
    ) -> None:
        self.name = name
        self._plugin = plugin
        self._manager = manager
        self._others = others

    def has(self, hook: str) -> bool:
        """Tell whether this sink itself implements a hook."""
        return any(name == hook for name, _ in implementations(self._plugin))

    def call(self, hook: str, **arguments: Any) -> Any:
        """Call one hook of this sink alone."""
        # Safe to make anew each time and cheap (3 µs); a kept one would see later registrations.
        return self._manager.subset_hook_caller(hook, self._others)(**arguments)


class RecordPlugins:
    """Storages in order, and the observers: all that an agent has but its provider.

    Args:
        storages: name and plugin of each storage, the first one being asked first.
        observers: name and plugin of each observer.
        provider: the provider that shares the plugin manager, by name and plugin, if any.
        mirrors: name and plugin of storages that are written too and never read, and may lag.
        retry: how often a storage that fails is asked again.
    """

    def __init__(
        self,
        storages: Sequence[tuple[str, object]] = (),
        observers: Sequence[tuple[str, object]] = (),
        provider: tuple[str, object] | None = None,
        *,
        mirrors: Sequence[tuple[str, object]] = (),
        retry: StorageRetry = ONCE,
    ) -> None:
        manager = pluggy.PluginManager(PROJECT_NAME)
        for specs in SPECS:
            manager.add_hookspecs(specs)
        named = [
            *([(f"provider:{provider[0]}", provider[1])] if provider else ()),
            *((f"storage:{place}:{name}", plugin) for place, (name, plugin) in enumerate(storages)),
            *((f"mirror:{place}:{name}", plugin) for place, (name, plugin) in enumerate(mirrors)),
        ]
        # An observer may wrap or answer some hooks and listen to others. What wraps or answers is
        # inside every call, what listens is called by itself, so each part is a plugin of its own.
        listeners: list[tuple[str, object]] = []
        for name, plugin in observers:
            joining, listening = _parts(plugin)
            named.append((f"observer:{name}", joining))
            if vars(listening):
                listeners.append((name, listening))
                named.append((f"listener:{name}", listening))
        for name, plugin in named:
            manager.register(plugin, name=name)
        manager.check_pending()
        self._hook = manager.hook
        apart = (*([provider] if provider else ()), *storages, *mirrors, *listeners)
        alone = [plugin for _, plugin in apart]

        def sinks(plugins: Sequence[tuple[str, object]]) -> list[Sink]:
            return [
                Sink(name, plugin, manager, [other for other in alone if other is not plugin])
                for name, plugin in plugins
            ]

        self.retry = retry
        self.storages = sinks(storages)
        self.mirrors = sinks(mirrors)
        self.listeners = sinks(listeners)

    @functools.cached_property
    def publishes(self) -> bool:
        """Whether some storage tells other processes of events."""
        return any(sink.has("publish_events") for sink in self.storages)

    @property
    def sinks(self) -> list[Sink]:
        """Everybody who is told of turns at once: the storages in order, then the observers."""
        return [*self.storages, *self.listeners]

    @staticmethod
    def persist_turn(sink: Sink, session: SessionInfo, turn: Turn, attempt: int) -> None:
        """Hand one turn to one sink."""
        sink.call("persist_turn", session=session, turn=turn, attempt=attempt)

    @staticmethod
    def persist_session(sink: Sink, session: SessionInfo) -> None:
        """Hand the head of a record to one sink."""
        sink.call("persist_session", session=session)

    def load_trajectory(
        self,
        session_id: str,
        turns: TurnRange | None = None,
    ) -> Trajectory | None:
        """Ask the storages in order; the first one that has the session answers."""
        for sink in self.storages:
            found: Trajectory | None = self._ask(
                sink, "load_trajectory", session_id=session_id, turns=turns
            )
            if found is not None:
                return found if turns is None else attrs.evolve(found, turns=turns.of(found.turns))
        return None

    def has(self, sink: Sink, session_id: str) -> bool:
        """Tell whether one storage has a session."""
        nothing = TurnRange(last=0)
        return bool(self._ask(sink, "load_trajectory", session_id=session_id, turns=nothing))

    def list_sessions(self, query: SessionQuery) -> SessionPage | None:
        """Ask the first storage that can list."""
        for sink in self.storages:
            page = self._ask(sink, "list_sessions", query=query)
            if page is not None:
                return cast("SessionPage", page)
        return None

    def search_sessions(self, query: SearchQuery) -> SearchPage | None:
        """Ask the first storage that can search."""
        for sink in self.storages:
            page = self._ask(sink, "search_sessions", query=query)
            if page is not None:
                return cast("SearchPage", page)
        return None

    def share_turns(self, sink: Sink, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Have one storage begin a record with another's turns; tell whether it did."""
        answers = self._ask(sink, "share_turns", session=session, parent_id=parent_id, stop=stop)
        return any(answers)

    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Hand events of a running session to every storage that publishes them."""
        for sink in self.storages:
            # Not tried again: what happens next is published anyway.
            sink.call("publish_events", session_id=session_id, events=events)

    def read_events(
        self,
        session_id: str,
        after: str,
        limit: int,
        wait_seconds: float,
    ) -> Sequence[LiveEvent] | None:
        """Ask the first storage that publishes events."""
        for sink in self.storages:
            found = self._ask(
                sink,
                "read_events",
                session_id=session_id,
                after=after,
                limit=limit,
                wait_seconds=wait_seconds,
            )
            if found is not None:
                return cast("Sequence[LiveEvent]", found)
        return None

    def delete_session(self, session_id: str) -> bool:
        """Delete a session everywhere; tell whether anybody had it."""
        answers = [
            self._ask(sink, "delete_session", session_id=session_id) for sink in self.storages
        ]
        return any(any(answer) for answer in answers)

    def session_dir(self, session_id: str) -> Path | None:
        """Ask for the folder that holds the session."""
        for sink in self.storages:
            folder = sink.call("session_dir", session_id=session_id)
            if folder is not None:
                return cast("Path", folder)
        return None

    def lease_session(self, session_id: str) -> list[Lease]:
        """Take the session's lease in every storage that has leases, or in none."""
        leases: list[Lease] = []
        try:
            for sink in self.storages:
                answers = self._ask(sink, "lease_session", session_id=session_id)
                leases += [lease for lease in answers if lease is not None]
        except BaseException:
            for lease in leases:
                lease.release()
            raise
        return leases

    def check_tools(self, tools: GivenTools) -> None:
        """Have an observer look at tools in Python, if there are any."""
        if tools and not self._hook.check_tools(tools=tools):
            raise ConfigError(INSTALL_HINT)

    def _ask(self, sink: Sink, hook: str, **arguments: Any) -> Any:
        try:
            return self.retry.call(lambda _: sink.call(hook, **arguments))
        except OSError as error:
            # Whatever a driver raises, the caller must not mistake it for an absent session.
            msg = f"storage {sink.name!r} failed in {hook}: {error}"
            raise StorageError(msg) from error


class _Part:
    """Some of an observer's hooks, as a plugin."""


def _parts(observer: object) -> tuple[_Part, _Part]:
    joining, listening = _Part(), _Part()
    for hook, function in implementations(observer):
        listens = hook in vars(StorageSpecs) and not is_wrapper(function)
        setattr(listening if listens else joining, hook, function)
    return joining, listening
