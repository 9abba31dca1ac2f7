"""Waiting for news: one connection for all who wait in a process, and only while somebody does."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_storage_postgres.url import Settings

log = logging.getLogger("caw.storage")

_IDLE_SECONDS = 30.0
"""How long the connection stays when nobody waits any more: whoever watches soon comes again."""

_LOOK_SECONDS = 1.0
_REST_SECONDS = 2.0


class Listeners:
    """The listening connections of a process, one for each channel of a server."""

    _of_process: ClassVar[Listeners | None] = None
    _making: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._listeners: dict[tuple[str, str], _Listener] = {}

    @classmethod
    def of_process(cls) -> Listeners:
        """Return those of this process; a fork's child has none yet."""
        with cls._making:
            if cls._of_process is None:
                cls._of_process = Listeners()
            return cls._of_process

    @classmethod
    def after_fork(cls) -> None:
        """Leave the parent's to the parent."""
        cls._of_process = None
        cls._making = threading.Lock()

    @contextlib.contextmanager
    def waiting(
        self, settings: Settings, channel: str, session_id: str
    ) -> Iterator[threading.Event]:
        """Give an event that is set when something was published for a session."""
        key = (repr(sorted(settings.server.items())), channel)
        news = threading.Event()
        with self._mutex:
            listener = self._listeners.get(key)
            if listener is None or not listener.add(session_id, news):
                listener = self._listeners[key] = _Listener(settings, channel)
                listener.add(session_id, news)
                listener.start()
        try:
            yield news
        finally:
            listener.remove(session_id, news)


class _Listener:
    def __init__(self, settings: Settings, channel: str) -> None:
        self._settings = settings
        self._channel = channel
        self._mutex = threading.Lock()
        self._waiting: dict[str, set[threading.Event]] = {}
        self._last_use = time.monotonic()
        self._ended = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="caw-postgres-listen", daemon=True).start()

    def add(self, session_id: str, news: threading.Event) -> bool:
        """Wait for a session's news; False if this one has ended."""
        with self._mutex:
            if not self._ended:
                self._waiting.setdefault(session_id, set()).add(news)
            return not self._ended

    def remove(self, session_id: str, news: threading.Event) -> None:
        with self._mutex:
            waiting = self._waiting.get(session_id, set())
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(session_id, None)
            self._last_use = time.monotonic()

    def _run(self) -> None:
        while not self._is_idle():
            try:
                self._listen()
            except psycopg.Error as error:
                # Whoever waits looks for himself now and then, and hears of it there.
                said = self._settings.without_secrets(str(error)).strip()
                log.info("not listening at %s: %s", self._settings.place, said)
                time.sleep(_REST_SECONDS)

    def _listen(self) -> None:
        with psycopg.connect(**self._settings.server, autocommit=True) as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            # What was published before is looked for now.
            self._tell(None)
            while not self._is_idle():
                for notify in connection.notifies(timeout=_LOOK_SECONDS):
                    self._tell(notify.payload)

    def _tell(self, session_id: str | None) -> None:
        with self._mutex:
            for name, waiting in self._waiting.items():
                if session_id in (None, name):
                    for news in waiting:
                        news.set()

    def _is_idle(self) -> bool:
        with self._mutex:
            idle = not self._waiting and time.monotonic() - self._last_use > _IDLE_SECONDS
            self._ended |= idle
            return self._ended


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Listeners.after_fork)
