"""The part of a session that is its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_core.errors import SessionStateError
from caw_core.handles import ResumeHandle
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from caw_core.session_core import SessionCore
    from caw_core.trajectory import SessionInfo, Trajectory
    from caw_core.watching import Watch


class SessionRecord:
    """What a session knows of its record, and does with it; see `caw_core.Session`."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core

    @property
    def session_id(self) -> str:
        """Caw's id of the session."""
        return self._core.info.session_id

    @property
    def provider(self) -> str:
        """The provider's canonical name."""
        return self._core.info.provider

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The caller's own data in the record; `annotate` changes it."""
        return self._core.info.metadata

    @property
    def tags(self) -> tuple[str, ...]:
        """The caller's own words to find it by; `annotate` changes them."""
        return self._core.info.tags

    @property
    def info(self) -> SessionInfo:
        """The head of the record, as it is now."""
        return self._core.info

    @property
    def trajectory(self) -> Trajectory:
        """The record so far, the running turn included. Available during the session and after."""
        return self._core.trajectory

    @property
    def resume_handle(self) -> str:
        """The string by which another process continues this session. Keep it like a password.

        Raises:
            SessionStateError: the agent has not given its key yet; send a message first.
        """
        key = self._core.link.resume_key
        if not key:
            msg = (
                f"there is no resume handle yet: {self.provider} gives its key with the first "
                "turn. Send at least one message first."
            )
            raise SessionStateError(msg)
        return ResumeHandle(
            provider=self.provider,
            session_id=self.session_id,
            resume_key=key,
        ).encode()

    @property
    def session_dir(self) -> Path | None:
        """The folder that holds the record; None without a storage that keeps one."""
        return self._core.plugins.session_dir(self.session_id)

    def annotate(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        """Change the metadata and the tags of the record, also while a turn runs.

        Args:
            metadata: members to set; the others stay.
            tags: what its tags are from now on; None leaves them.

        Raises:
            ConfigError: a value is not JSON, or a tag is no word.
            PersistError: a storage refused; it is kept, `flush` tries again.
            SessionStateError: the session has ended; see `caw_core.Store.annotate`.
        """
        self._core.annotate(metadata, tags)

    async def annotate_async(
        self,
        *,
        metadata: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
    ) -> None:
        """Do as `annotate`."""
        await call_in_thread(self.annotate, metadata=metadata, tags=tags)

    def flush(self) -> None:
        """Try again to store what a storage did not take before.

        Raises:
            PersistError: it still does not; nothing is lost, try later.
        """
        self._core.recorder.flush(self._core.info)

    async def flush_async(self) -> None:
        """Do as `flush`."""
        await call_in_thread(self.flush)

    def watch(self, from_cursor: str = "") -> Watch:
        """Follow this session's events as another process can; see `caw_core.Store.watch`.

        Args:
            from_cursor: the `caw_core.storage.LiveEvent.cursor` after which to begin.

        Raises:
            UnsupportedError: none of its storages keeps events.
        """
        from caw_core.store import Store

        return Store.of(self._core.plugins).watch(self.session_id, from_cursor)
