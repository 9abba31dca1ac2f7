"""Where opencode's requests are settled, each exactly once."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from caw_core.errors import CawError
from caw_core.events import Notice
from caw_provider_opencode import permissions
from caw_provider_opencode.client import route
from caw_provider_opencode.fields import text

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.provider import Permissions
    from caw_provider_opencode.client import Client

log = logging.getLogger("caw.opencode")


class RequestDesk:
    """Answers what a session and its subagents ask.

    Args:
        mode: what the answers follow from.
        timeout: how many seconds bringing an answer may take.
    """

    def __init__(self, mode: Permissions, timeout: float) -> None:
        self._mode: Permissions = mode
        self._timeout = timeout
        self._lock = threading.Lock()
        self._settled: set[str] = set()

    def settle(
        self, client: Client, directory: str, kind: str, request: dict[str, JSON]
    ) -> Notice | None:
        """Answer one request, unless that was done before.

        Args:
            client: makes requests to the server that asks.
            directory: the folder of the session.
            kind: the event's type.
            request: its properties.

        Returns:
            What a person should know of the answer, or None.
        """
        request_id = text(request, "id")
        with self._lock:
            if not request_id or request_id in self._settled:
                return None
            self._settled.add(request_id)
        reply = permissions.decide(kind, self._mode)
        path, body = permissions.answer(kind, request_id, reply)
        try:
            answer = client.call(
                "POST", route(*path, directory=directory), body, timeout=self._timeout
            )
        except (OSError, CawError) as error:
            log.warning("the answer to %s did not reach opencode: %s", request_id, error)
            return None
        if not answer.ok or reply == "once":
            # It no longer waits: the turn was aborted, or another "no" settled it too.
            return None
        what = permissions.describe(kind, request)
        return Notice(message=f"opencode asked and was told no ({what})", level="warning")
