"""codex's open requests of one turn: to the desk, and the answers back to codex."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from caw_core.events import Event, Notice
from caw_core.json_fields import mapping, text
from caw_core.permissions import NOBODY
from caw_provider_codex import approvals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from caw_core.blocks import JSON
    from caw_core.permissions import Decision, PermissionDesk
    from caw_core.provider import Permissions
    from caw_provider_codex.rpc import Peer

log = logging.getLogger("caw.codex")

SETTLE_SECONDS = 1.0
"""How long the end of a turn waits for an answer that is on its way, in seconds."""


class OpenRequests:
    """Answers what codex asks during a turn, each exactly once.

    Args:
        desk: where a person answers.
        permissions: what is decided without one.
        explain: says a text into the running turn of a thread (ids of thread and turn, text);
            codex takes no reason with a no.
        stop: ends the turn.
    """

    def __init__(
        self,
        desk: PermissionDesk,
        permissions: Permissions,
        explain: Callable[[str, str, str], None],
        stop: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._permissions = permissions
        self._explain = explain
        self._stop = stop
        self._lock = threading.Condition()
        self._answering = 0
        self._open: dict[str, tuple[Peer, dict[str, JSON]]] = {}

    def take(
        self, peer: Peer, message: dict[str, JSON], arguments: Mapping[str, JSON]
    ) -> Iterator[Event]:
        """Have a request of codex answered; returns at once.

        Args:
            peer: who asked.
            message: the request.
            arguments: those of the tool call that it is about, where they are known.
        """
        if not approvals.is_for_a_person(message):
            peer.answer(message["id"], approvals.answer_without_asking(message))
            return
        decision = approvals.decide(message, self._permissions)
        if decision is not None:
            peer.answer(message["id"], approvals.answer(message, decision))
            if not decision.allowed:
                what = approvals.describe(message)
                yield Notice(message=f"codex asked and was told no ({what})", level="warning")
            return
        request = approvals.request_of(message, arguments)
        with self._lock:
            self._open[request.request_id] = (peer, message)

        def settle(decision: Decision) -> None:
            self._settle(request.request_id, decision)

        self._desk.ask(request, settle)

    def resolved(self, params: dict[str, JSON]) -> None:
        """Take note that codex no longer waits for an answer."""
        request_id = str(params.get("requestId"))
        if self._pop(request_id) is not None:
            self._desk.withdraw(request_id)

    def close(self) -> None:
        """Say no to what is still open: the turn is over, and nobody will look at it."""
        with self._lock:
            rest = list(self._open)
        for request_id in rest:
            asked = self._pop(request_id)
            self._desk.withdraw(request_id)
            if asked is not None:
                peer, message = asked
                peer.answer(message["id"], approvals.answer_without_asking(message))
        with self._lock:
            # What the desk answers at this moment must not find codex gone.
            self._lock.wait_for(lambda: not self._answering, SETTLE_SECONDS)

    def _pop(self, request_id: str) -> tuple[Peer, dict[str, JSON]] | None:
        with self._lock:
            return self._open.pop(request_id, None)

    def _settle(self, request_id: str, decision: Decision) -> None:
        with self._lock:
            asked = self._open.pop(request_id, None)
            if asked is None:
                return
            self._answering += 1
        try:
            self._answer(*asked, decision)
        finally:
            with self._lock:
                self._answering -= 1
                self._lock.notify_all()

    def _answer(self, peer: Peer, message: dict[str, JSON], decision: Decision) -> None:
        if decision.reason and not decision.stop and not decision.allowed and decision != NOBODY:
            # Before the answer, so that the model reads it together with the no.
            params = mapping(message, "params")
            self._explain(text(params, "threadId"), text(params, "turnId"), decision.reason)
        peer.answer(message["id"], approvals.answer(message, decision))
        if decision.stop and not decision.allowed and not approvals.ends_turn(message):
            self._stop()
