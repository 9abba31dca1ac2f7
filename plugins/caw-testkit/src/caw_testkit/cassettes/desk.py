"""Who answers an agent's requests for permission while a cassette is played."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from caw_core.permissions import NOBODY, Decision, PermissionDesk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from caw_core.permissions import PermissionRequest
    from caw_testkit.cassettes.tape import Frame


class PlayedDesk(PermissionDesk):
    """The caller's desk, or the answers of the recording.

    Attributes:
        recorded: whether the answers of the recording are given.

    Args:
        desk: the caller's.
        frames: those of the cassette.
        attended: whether somebody answered when it was recorded.
    """

    def __init__(self, desk: PermissionDesk, frames: Iterable[Frame], *, attended: bool) -> None:
        super().__init__(None)
        self.recorded = True
        self._desk = desk
        self._attended = attended
        self._decisions = [
            Decision(**frame.facts["decision"]) for frame in frames if frame.kind == "decision"
        ]

    @property
    def attended(self) -> bool:
        """Whether there was somebody: providers tell their programs, so the wire depends on it."""
        return self._attended

    def ask(self, request: PermissionRequest, settle: Callable[[Decision], None]) -> None:
        """Have *request* answered; see `caw_core.permissions.PermissionDesk.ask`."""
        decision = self._decisions.pop(0) if self._decisions else NOBODY
        if not self.recorded:
            self._desk.ask(request, settle)
        else:
            threading.Thread(
                target=settle, args=(decision,), name="caw-cassette-answer", daemon=True
            ).start()

    def withdraw(self, request_id: str) -> None:
        """Take back a request; see `caw_core.permissions.PermissionDesk.withdraw`."""
        self._desk.withdraw(request_id)
