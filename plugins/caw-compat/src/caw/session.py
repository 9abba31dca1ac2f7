"""`Session`: a conversation as the wrapper's scripts hold it, around one of caw-core's."""

from __future__ import annotations

import json
import logging
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from caw.adapted import metadata_of
from caw.from_core import Sums, head_of, shown_server, trajectory_of, turn_of, usage_of
from caw.models import MCPServer, TextBlock, Trajectory, Turn
from caw.registration import resume_key_of
from caw.snapshot import SnapshotFile
from caw_core.errors import CawError, LimitError, SessionStateError
from caw_core.handles import ResumeHandle
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from caw_core import Session as CoreSession

log = logging.getLogger("caw.compat")

_READ_ONLY = "this session was loaded from a file and is read-only; resume it by its handle"


class Session:
    """A live conversation, or with `load_trajectory` the record of one.

    Args:
        core: caw-core's session; None for a record.
        loaded: the record, where there is no session.
        mcp_servers: what the agent was given, for the record.
        traj_path: a file that the trajectory is written to after each turn and at the end.
    """

    def __init__(
        self,
        core: CoreSession | None = None,
        *,
        loaded: Trajectory | None = None,
        mcp_servers: Sequence[MCPServer] = (),
        traj_path: str | os.PathLike[str] | None = None,
    ) -> None:
        self._core = core
        self._loaded = loaded
        self._servers = [shown_server(server) for server in mcp_servers]
        self._saving = threading.Lock()
        self._sums = Sums()
        self._noted: set[str] = set()
        folder = core.session_dir if core is not None else None
        paths = ([folder / "trajectory.json"] if folder else []) + (
            [Path(traj_path)] if traj_path is not None else []
        )
        self._files = [SnapshotFile(path) for path in paths]

    @property
    def core(self) -> CoreSession:
        """caw-core's session, for moving step by step: streams, interrupts, status of turns.

        Raises:
            RuntimeError: the session was loaded from a file.
        """
        if self._core is None:
            raise SessionStateError(_READ_ONLY)
        return self._core

    # ---------------------------------------------------------------------------- its turns

    def send(self, message: str) -> Turn:
        """Send a message, wait until the agent stops, and return the turn.

        Raises:
            RuntimeError: the turn failed (a `caw_core.errors.ProviderError`, whose ``turn`` holds
                what was seen), or the session has ended or was loaded from a file.
            ValueError: the message is empty; nothing was sent.
        """
        try:
            return turn_of(self.core.send(message))
        except LimitError as error:
            return self._at_limit(error)
        finally:
            self._save()

    async def send_async(self, message: str) -> Turn:
        """Do as `send`; overlapping calls run in the order in which they were made."""
        try:
            return turn_of(await self.core.send_async(message))
        except LimitError as error:
            return self._at_limit(error)
        finally:
            await call_in_thread(self._save)

    def _at_limit(self, error: LimitError) -> Turn:
        # Scripts with auto_wait=False look at `Trajectory.is_usage_limited`.
        if error.kind != "usage" or error.turn is None:
            raise error
        warnings.warn(
            "a turn at a usage limit is returned as in the wrapper; caw_core raises LimitError, "
            "which says when the limit ends",
            DeprecationWarning,
            stacklevel=3,
        )
        turn = turn_of(error.turn)
        if not turn.result:
            turn.output.append(TextBlock(str(error)))
        return turn

    # ------------------------------------------------------------------------------ the end

    def end(self) -> Trajectory:
        """End the session and return its record; idempotent.

        Raises:
            RuntimeError: the session was loaded from a file.
        """
        self.core.end()
        self._save()
        return self.trajectory

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    # --------------------------------------------------------------------------- the record

    @property
    def trajectory(self) -> Trajectory:
        """The record so far; each access makes a new one."""
        if self._loaded is not None:
            return self._loaded
        return self._with_servers(trajectory_of(self.core.trajectory))

    def save_trajectory(self, path: str | os.PathLike[str]) -> None:
        """Write the record to a JSON file; folders on the way are made."""
        SnapshotFile(path).write_whole(self.trajectory)

    @classmethod
    def load_trajectory(cls, path: str | os.PathLike[str]) -> Self:
        """Read a record from a JSON file, the wrapper's or caw-core's; the session is read-only.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it holds no JSON object.
        """
        document: Any = json.loads(Path(path).read_bytes())
        if not isinstance(document, dict):
            message = f"{path} holds no trajectory but a {type(document).__name__}"
            raise ValueError(message)  # noqa: TRY004 - what is wrong is the file's content
        return cls(loaded=Trajectory.from_dict(document))

    @property
    def resume_handle(self) -> str:
        """The string by which another process continues this session. Keep it like a password.

        Raises:
            RuntimeError: the agent has not given its key yet; send a message first.
        """
        if self._loaded is None:
            return self.core.resume_handle
        key = resume_key_of(self._loaded)
        if not key:
            message = "the record holds no resume key: the session had no turn"
            raise SessionStateError(message)
        return ResumeHandle(
            provider=self._loaded.agent, session_id=self._loaded.session_id, resume_key=key
        ).encode()

    @property
    def session_dir(self) -> Path | None:
        """The session's folder below ``data_dir``; None without one."""
        return self._core.session_dir if self._core is not None else None

    def _with_servers(self, trajectory: Trajectory) -> Trajectory:
        # caw-core's record does not have them.
        trajectory.mcp_servers = list(self._servers) or trajectory.mcp_servers
        return trajectory

    def _note_metadata(self) -> None:
        """Take into the record what a provider of the wrapper's kind keeps in its own."""
        info = self.core.info
        given = {*info.metadata} - self._noted
        news = {
            name: value
            for name, value in metadata_of(info.session_id).items()
            if name not in given and (name, value) not in info.metadata.items()
        }
        if news and not info.completed_at:
            self._noted |= {*news}
            try:
                self.core.annotate(metadata=news)
            except CawError:
                log.warning("cannot keep the provider's metadata", exc_info=True)

    def _save(self) -> None:
        self._note_metadata()
        if not self._files:
            return
        with self._saving:
            record = self.core.trajectory
            turns = [turn for turn in record.turns if turn.status != "running"]
            if record.completed_at:
                # A turn that the agent began may have come before one that was counted.
                self._sums = Sums()
            sums = self._sums.add(turns[self._sums.num_turns :])
            head = self._with_servers(head_of(record, sums))
            for file in self._files:
                try:
                    file.write(
                        head,
                        lambda start: [turn_of(turn) for turn in turns[start:]],
                        usage_of(sums.total_usage),
                    )
                except OSError:
                    # The storage has the record; this file is a copy for scripts that read it.
                    log.warning("cannot write the trajectory's copy", exc_info=True)

    def __repr__(self) -> str:
        """Show whose session it is."""
        return f"<caw.Session around {self._core!r}>"
