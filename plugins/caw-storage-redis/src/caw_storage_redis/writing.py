"""Writing heads and turns, each in one script that checks the lease."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from caw_core.listing import title_of
from caw_core.migrations import DOCUMENT_VERSION
from caw_core.serialize import session_info_to_dict, turn_to_dict
from caw_storage_redis.documents import document_bytes, facts_of

if TYPE_CHECKING:
    from caw_core.trajectory import SessionInfo, Turn
    from caw_storage_redis.leases import Leases
    from caw_storage_redis.server import Server


class Writer:
    """Writes sessions.

    Args:
        server: where to.
        leases: the rights to do so.
    """

    def __init__(self, server: Server, leases: Leases) -> None:
        self._server = server
        self._leases = leases

    def write_turn(self, session: SessionInfo, turn: Turn) -> None:
        """Store a turn and the head."""
        self._run(
            *(f"store turn {turn.index}", "put", session),
            *(str(turn.index), turn.status, DOCUMENT_VERSION),
            # As JSON, which holds half a surrogate pair as well.
            *(json.dumps(title_of(turn.input)), document_bytes(turn_to_dict(turn))),
        )

    def write_head(self, session: SessionInfo) -> None:
        """Store the head."""
        self._run("store a session's head", "put", session, *[""] * 5)

    def share(self, session: SessionInfo, parent_id: str, stop: int) -> bool:
        """Let a session begin with the turns of another below *stop*; tell whether it does."""
        return self._run("share turns", "share", session, parent_id, str(stop))

    def delete(self, session_id: str) -> bool:
        """Delete a session; tell whether there was one."""
        token = self._leases.token(session_id)
        answer = self._server.write("delete a session", "delete", session_id, token)
        self._leases.must_be_ours(session_id, answer)
        return bool(answer[0] == b"ok")

    def _run(
        self, what: str, script: str, session: SessionInfo, *arguments: str | bytes | int
    ) -> bool:
        session_id = session.session_id
        answer = self._server.write(
            *(what, script, session_id, self._leases.token(session_id)),
            document_bytes(session_info_to_dict(session)),
            facts_of(session.provider, session.cwd, session.tags, session.metadata),
            int(bool(session.completed_at)),
            *arguments,
        )
        self._leases.must_be_ours(session_id, answer)
        return bool(answer[0] == b"ok")
