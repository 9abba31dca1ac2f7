"""A session is not in the state for it, or its record cannot be read or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors.base import CawError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caw_core.trajectory import Turn


class SessionStateError(CawError, RuntimeError):
    """The session cannot do that now, e.g. because it has ended."""


class SessionBusyError(SessionStateError):
    """Somebody else holds the session: another writer, another process, another turn."""

    def __init__(self, message: str, *, holder: str = "") -> None:
        self.holder = holder
        super().__init__(message)


class TrajectoryError(CawError, ValueError):
    """A stored trajectory cannot be read."""


class TrajectoryFormatError(TrajectoryError):
    """The document is not a trajectory; ``problems`` says where, e.g. ``$.turns[0].index``."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("not a valid trajectory: " + "; ".join(self.problems))


class TrajectoryVersionError(TrajectoryError):
    """The document was written by a newer version of caw."""

    def __init__(self, version: object, *, newest: int) -> None:
        self.version = version
        super().__init__(
            f"the trajectory has version {version!r}, this caw reads up to {newest}. "
            "Upgrade caw-core.",
        )


class StorageError(CawError):
    """A storage did not do what it was asked to; it never means that a session does not exist."""


class PersistError(StorageError, ExceptionGroup):
    """A finished turn could not be stored everywhere; it is kept, `Session.flush` tries again.

    Attributes:
        turn: the turn that is at stake.
    """

    turn: Turn | None = None

    def derive(self, excs: Sequence[Exception], /) -> PersistError:  # type: ignore[override]  # ours holds Exceptions only
        """Return a group of the same kind that holds *excs* (`ExceptionGroup`'s contract)."""
        group = PersistError(self.message, excs)
        group.turn = self.turn
        return group
