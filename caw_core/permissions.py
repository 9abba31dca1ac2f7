"""Permission requests: an agent asks, somebody answers, exactly once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import attrs

from caw_core.blocks import JSON

if TYPE_CHECKING:
    from caw_core.events import Event

log = logging.getLogger("caw.permissions")

PermissionKind = Literal["read", "edit", "exec", "web", "mcp", "question", "other"]


@attrs.frozen(kw_only=True)
class PermissionRequest:
    """What the agent wants to do.

    Attributes:
        request_id: the agent's id of the request, unique within the session while it is open.
        tool: the tool's name as the agent uses it.
        arguments: what the tool would be called with.
        kind: what sort of thing it is.
        reason: why the agent asks, in its own words, where it says so.
        call_id: the tool call that waits for the answer, ``""`` if the agent does not say.
        can_always: whether the agent understands "allow always".
        asked_by: the name of the subagent that asks, with ``/`` behind its own parent's where that
            is one, too; ``""`` for the session's own agent.
    """

    request_id: str
    tool: str
    arguments: Mapping[str, JSON] = attrs.field(factory=dict)
    kind: PermissionKind = "other"
    reason: str = ""
    call_id: str = ""
    can_always: bool = False
    asked_by: str = ""


@attrs.frozen(kw_only=True)
class Decision:
    """An answer; use `allow`, `allow_always` and `deny` to make one.

    Attributes:
        allowed: whether the agent may do it.
        always: do not ask again for the same thing in this session, where the agent can do that.
        reason: for a denial, what the agent is told, where its protocol can carry it.
        stop: for a denial, end the turn as well.
        arguments: call the tool with these instead, where the agent can do that.
    """

    allowed: bool
    always: bool = False
    reason: str = ""
    stop: bool = False
    arguments: Mapping[str, JSON] | None = None


def allow(*, arguments: Mapping[str, JSON] | None = None) -> Decision:
    """Let the agent do it this once; *arguments* replaces the call's, where the agent can."""
    return Decision(allowed=True, arguments=arguments)


def allow_always() -> Decision:
    """Let the agent do it, and the like, for the rest of the session."""
    return Decision(allowed=True, always=True)


def deny(reason: str = "", *, stop: bool = False) -> Decision:
    """Do not let the agent do it; it is told *reason*, and with *stop* its turn ends."""
    return Decision(allowed=False, reason=reason, stop=stop)


PermissionCallback = Callable[[PermissionRequest], "Decision | bool"]
"""Answers a request: a `Decision`, or True and False for `allow` and `deny`."""

NOBODY = deny("nobody is there to give permission")


class PermissionDesk:
    """Takes a provider's requests to the caller's callback and brings back the answers.

    Each request is settled exactly once: by the callback, or with a denial when the callback
    fails, the turn ends or the session closes first. The callback runs in a thread of its own, so
    a provider may ask from the thread that reads its program.

    Args:
        callback: answers; None denies everything.
    """

    def __init__(self, callback: PermissionCallback | None) -> None:
        self._callback = callback
        self._lock = threading.Lock()
        self._open: dict[str, Callable[[Decision], None]] = {}
        self._emit: Callable[[Event], None] | None = None

    @property
    def attended(self) -> bool:
        """Whether there is a callback; without one a provider may as well not ask."""
        return self._callback is not None

    @property
    def waiting(self) -> bool:
        """Whether some request still waits for its answer."""
        return bool(self._open)

    def attach(self, emit: Callable[[Event], None]) -> None:
        """Tell of requests and answers on a turn's event stream from now on."""
        self._emit = emit

    def ask(self, request: PermissionRequest, settle: Callable[[Decision], None]) -> None:
        """Have *request* answered; returns at once.

        Args:
            request: what the agent wants.
            settle: called exactly once, from another thread, unless `withdraw` comes first.
        """
        from caw_core.events import PermissionAsked

        with self._lock:
            self._open[request.request_id] = settle
        self._tell(
            PermissionAsked(
                request_id=request.request_id,
                tool=request.tool,
                arguments=request.arguments,
                reason=request.reason,
                call_id=request.call_id,
            ),
        )
        threading.Thread(
            target=self._answer,
            args=(request,),
            name="caw-permission",
            daemon=True,
        ).start()

    def withdraw(self, request_id: str) -> None:
        """The agent no longer waits for this answer; `settle` is not called any more."""
        from caw_core.events import PermissionSettled

        with self._lock:
            known = self._open.pop(request_id, None) is not None
        if known:
            reason = "the agent no longer asks"
            self._tell(PermissionSettled(request_id=request_id, allowed=False, reason=reason))

    def close_turn(self, reason: str) -> None:
        """Deny whatever is still open; the turn is over or the session closes."""
        with self._lock:
            open_ids = list(self._open)
        for request_id in open_ids:
            self._settle(request_id, deny(reason))
        self._emit = None

    def _answer(self, request: PermissionRequest) -> None:
        decision = NOBODY
        if self._callback is not None:
            try:
                answer = self._callback(request)
            except Exception as error:
                log.exception("the permission callback failed; the answer is no")
                decision = deny(f"the permission callback failed: {type(error).__name__}")
            else:
                decision = _decision(answer)
        self._settle(request.request_id, decision)

    def _settle(self, request_id: str, decision: Decision) -> None:
        from caw_core.events import PermissionSettled

        with self._lock:
            settle = self._open.pop(request_id, None)
        if settle is None:
            return
        # Told first: the agent goes on with its answer, and may have ended the turn a moment later.
        self._tell(
            PermissionSettled(
                request_id=request_id,
                allowed=decision.allowed,
                always=decision.always,
                reason=decision.reason,
            ),
        )
        try:
            settle(decision)
        except Exception:
            log.exception("the answer to permission request %s did not arrive", request_id)

    def _tell(self, event: Event) -> None:
        emit = self._emit
        if emit is not None:
            emit(event)


def _decision(answer: object) -> Decision:
    if isinstance(answer, Decision):
        return answer
    if isinstance(answer, bool):
        return Decision(allowed=answer)
    # Anything else, None too, is a callback that forgot to answer.
    log.error("the permission callback returned %s; the answer is no", type(answer).__name__)
    return deny("the permission callback gave no answer")
