"""Where opencode's requests are settled, each exactly once.

In opencode 1.18.33 one "reject" also rejects, without a word, every other permission that the same
conversation waits for. So a "no" is held back while somebody still thinks about another one, and
for a moment in which requests that were made together arrive.
opencode's "always" holds for every session in the folder, so it is kept here instead.
"""

from __future__ import annotations

import logging
import threading
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import CawError
from caw_core.events import Notice
from caw_core.json_fields import mapping, objects, strings, text
from caw_core.permissions import Decision, allow, deny
from caw_provider_opencode import requests
from caw_provider_opencode.client import route

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from caw_core.blocks import JSON
    from caw_core.permissions import PermissionDesk
    from caw_core.provider import Permissions
    from caw_provider_opencode.client import Client

log = logging.getLogger("caw.opencode")

_GATHER_SECONDS: Final = 0.2
"""opencode starts the calls of one answer of the model as they stream in, milliseconds apart."""

_ARRIVE_TRIES: Final = 20
"""How often to wait for the event of a request that opencode lists already."""


@attrs.define(eq=False)
class _Open:
    """A request that somebody was asked about; ``decision`` is there once they have answered."""

    client: Client
    directory: str
    kind: str
    request: dict[str, JSON]
    decision: Decision | None = None

    @property
    def id(self) -> str:
        return text(self.request, "id")

    @property
    def session(self) -> str:
        return text(self.request, "sessionID")

    @property
    def is_permission(self) -> bool:
        return self.kind == "permission.asked"


class RequestDesk:
    """Answers what a session and its subagents ask.

    Args:
        mode: what the answers follow from, where nobody is asked.
        desk: brings requests to the caller.
        timeout: how many seconds bringing an answer may take.
        stop: ends the turn, after a denial that wants that.
    """

    def __init__(
        self,
        mode: Permissions,
        desk: PermissionDesk,
        timeout: float,
        stop: Callable[[], None],
    ) -> None:
        self._mode: Permissions = mode
        self._desk = desk
        self._timeout = timeout
        self._stop = stop
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._open: dict[str, _Open] = {}
        self._always: list[tuple[str, str]] = []

    def settle(
        self,
        client: Client,
        directory: str,
        kind: str,
        request: dict[str, JSON],
        servers: Collection[str] = (),
    ) -> Notice | None:
        """See to one request, unless that was done before; returns soon.

        Args:
            client: makes requests to the server that asks.
            directory: the folder of the session.
            kind: the event's type.
            request: its properties.
            servers: the names of the tool servers.

        Returns:
            What a person should know of an answer that nobody was asked for, or None.
        """
        waiting = _Open(client, directory, kind, request)
        with self._lock:
            if not waiting.id or waiting.id in self._seen:
                return None
            self._seen.add(waiting.id)
            agreed = waiting.is_permission and (self._mode == "full" or self._is_agreed(request))
            asks = self._desk.attended and not agreed
            if asks:
                self._open[waiting.id] = waiting
        if asks:
            asked = requests.request_of(kind, request, self._call_of(waiting), servers)
            self._desk.ask(asked, lambda decision: self._decided(waiting, decision))
            return None
        arrived = self._send(waiting, allow() if agreed else deny(requests.NOBODY))
        if agreed or not arrived:
            # It no longer waits: the turn was aborted, or another "no" settled it too.
            return None
        what = requests.describe(kind, request)
        return Notice(message=f"opencode asked and was told no ({what})", level="warning")

    def settled(self, request_id: str) -> Notice | None:
        """Take note that a request has its answer; somebody else may have given it.

        Returns:
            What a person should know of it, or None.
        """
        with self._lock:
            waiting = self._open.pop(request_id, None)
        if waiting is None:
            return None
        self._desk.withdraw(request_id)
        threading.Thread(target=self._send_denials, args=(waiting,), daemon=True).start()
        what = requests.describe(waiting.kind, waiting.request)
        return Notice(message=f"opencode no longer waits for an answer ({what})", level="warning")

    def withdraw_all(self) -> None:
        """Take note that the turn ends, so that nothing waits any more."""
        with self._lock:
            waiting, self._open = list(self._open.values()), {}
        for one in waiting:
            self._desk.withdraw(one.id)

    def _call_of(self, waiting: _Open) -> dict[str, JSON]:
        """Return the part of the tool call that waits; its event may be later than the request."""
        tool = mapping(waiting.request, "tool")
        where = route(
            *("session", waiting.session, "message", text(tool, "messageID")),
            directory=waiting.directory,
        )
        try:
            message = waiting.client.call("GET", where, timeout=self._timeout).data
        except (OSError, CawError) as error:
            log.warning("opencode did not say which tool call waits: %s", error)
            return {}
        for part in objects(message, "parts"):
            if text(part, "callID") == text(tool, "callID"):
                return part
        return {}

    def _is_agreed(self, request: dict[str, JSON]) -> bool:
        permission, patterns = text(request, "permission"), strings(request, "patterns")
        return bool(patterns) and all(
            any(
                permission == known and fnmatchcase(pattern, agreed.replace("[", "[[]"))
                for known, agreed in self._always
            )
            for pattern in patterns
        )

    def _decided(self, waiting: _Open, decision: Decision) -> None:
        with self._lock:
            if self._open.get(waiting.id) is not waiting:
                return
            holds = waiting.is_permission and not decision.allowed and not decision.stop
            if holds:
                waiting.decision = decision
            else:
                del self._open[waiting.id]
            if decision.allowed and decision.always and waiting.is_permission:
                permission = text(waiting.request, "permission")
                self._always += [
                    (permission, agreed) for agreed in strings(waiting.request, "always")
                ]
        if not holds:
            self._send(waiting, decision)
        if decision.stop and not decision.allowed:
            self._stop()
            return
        self._send_denials(waiting)

    def _send_denials(self, latest: _Open) -> None:
        """Bring the denials of a conversation to opencode, if nothing else of it is open."""
        for _ in range(_ARRIVE_TRIES):
            if not self._denials(latest.session):
                return
            time.sleep(_GATHER_SECONDS)
            if self._has_all(latest):
                break
        with self._lock:
            group = self._denials(latest.session)
            for one in group:
                del self._open[one.id]
        for one in group:
            self._send(one, one.decision or deny())

    def _denials(self, session: str) -> list[_Open]:
        group = [one for one in self._open.copy().values() if one.session == session]
        group = [one for one in group if one.is_permission]
        return [] if any(one.decision is None for one in group) else group

    def _has_all(self, latest: _Open) -> bool:
        where = route("permission", directory=latest.directory)
        try:
            waiting = latest.client.call("GET", where, timeout=self._timeout).data
        except (OSError, CawError) as error:
            log.warning("opencode did not say what it waits for: %s", error)
            return True
        listed = objects({"waiting": waiting}, "waiting")
        ours = [one for one in listed if text(one, "sessionID") == latest.session]
        return all(text(one, "id") in self._seen for one in ours)

    def _send(self, waiting: _Open, decision: Decision) -> bool:
        path, body = requests.answer(waiting.kind, waiting.request, decision)
        where = route(*path, directory=waiting.directory)
        try:
            return waiting.client.call("POST", where, body, timeout=self._timeout).ok
        except (OSError, CawError) as error:
            log.warning("the answer to %s did not reach opencode: %s", waiting.id, error)
            return False
