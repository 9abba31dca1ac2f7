"""Copying records from one storage to another, and making them the same again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Literal

import attrs

from caw_core.errors import CawError, ConfigError, SessionBusyError, UnsupportedError
from caw_core.listing import every_page
from caw_core.storage import SessionQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from caw_core.store import Store
    from caw_core.trajectory import Trajectory

Outcome = Literal["copied", "same", "busy", "differs", "failed"]
"""What became of a session: ``differs`` means that the target has turns which the source has not,
or has otherwise."""


@attrs.frozen(kw_only=True)
class Copied:
    """What became of one session.

    Attributes:
        session_id: the session.
        outcome: see `Outcome`.
        reason: where it was not copied, why.
    """

    session_id: str
    outcome: Outcome
    reason: str = ""


def copy_sessions(
    source: Store,
    target: Store,
    session_ids: Iterable[str] | None = None,
    *,
    replace: bool = False,
    keep_longer: bool = False,
    told: Callable[[Copied], object] | None = None,
) -> list[Copied]:
    """Copy records, each of which is read back and compared.

    What is there already is not written again, so a copy that was broken off goes on where it
    stopped. The oldest is copied first, so that the target lists them in the same order.

    Args:
        source: where they are.
        target: where they are to be, too.
        session_ids: which ones, in the order in which they are copied; default all.
        replace: where the target differs, let it have what the source has; otherwise it is left
            alone and told as ``differs``.
        keep_longer: even so leave a target alone that has turns which the source lacks, as a mirror
            has after its primary was restored from a backup.
        told: is called with what became of each session, at once.

    Returns:
        What became of each. A session that the source lists as unreadable is ``failed``.

    Raises:
        ConfigError: *session_ids* is a text, whose letters are no ids.
        StorageError: the target cannot be reached, so nothing was tried.
    """
    if isinstance(session_ids, str):
        msg = f"session_ids is a sequence of ids, not {session_ids!r:.80}"
        raise ConfigError(msg)
    with contextlib.suppress(UnsupportedError):
        target.list(SessionQuery(limit=1))
    if session_ids is None:
        session_ids, results = _all_of(source)
    else:
        results = []
    for result in results:
        if told is not None:
            told(result)
    for session_id in session_ids:
        try:
            result = _copy(source, target, session_id, replace=replace, keep_longer=keep_longer)
        except SessionBusyError as error:
            result = Copied(session_id=session_id, outcome="busy", reason=str(error))
        except CawError as error:
            result = Copied(session_id=session_id, outcome="failed", reason=str(error))
        results.append(result)
        if told is not None:
            told(result)
    return results


def _all_of(source: Store) -> tuple[list[str], list[Copied]]:
    """Return the sessions that can be read, oldest first, and what is to be said of the others."""
    ids: list[str] = []
    unreadable: list[Copied] = []
    for page in every_page(source.list, SessionQuery(limit=200)):
        ids += [summary.info.session_id for summary in page.sessions]
        unreadable += [
            Copied(session_id=session_id, outcome="failed", reason=reason)
            for session_id, reason in page.unreadable
        ]
    return ids[::-1], unreadable


def _copy(
    source: Store, target: Store, session_id: str, *, replace: bool, keep_longer: bool
) -> Copied:
    record = source.load(session_id)
    if record is None:
        return Copied(session_id=session_id, outcome="failed", reason="the source has no such one")
    there = target.load(session_id)
    if there == record:
        return Copied(session_id=session_id, outcome="same")
    if there is not None and not _goes_on(there, record):
        more = len({turn.index for turn in there.turns} - {turn.index for turn in record.turns})
        if not replace or (keep_longer and more):
            reason = (
                f"the target has {more} turns that the source lacks"
                if more
                else "the target has other turns than the source"
            )
            return Copied(session_id=session_id, outcome="differs", reason=reason)
        # A storage cannot take single turns away.
        target.delete(session_id)
    with target.leased(session_id):
        _write(target, record, target.load(session_id))
        if target.load(session_id) == record:
            return Copied(session_id=session_id, outcome="copied")
    reason = "read back, the target's record is another one"
    return Copied(session_id=session_id, outcome="failed", reason=reason)


def _goes_on(there: Trajectory, record: Trajectory) -> bool:
    """Tell whether *record* is what *there* became."""
    after = {turn.index: turn for turn in record.turns}
    return all(
        # The target may have seen no more than the beginning of a turn.
        after.get(turn.index) == turn or (turn.index in after and turn.status == "unknown")
        for turn in there.turns
    )


def _write(target: Store, record: Trajectory, there: Trajectory | None) -> None:
    known = {turn.index: turn for turn in there.turns} if there else {}
    for sink in target.records.storages:
        target.records.persist_session(sink, record.info)
        for turn in record.turns:
            if known.get(turn.index) != turn:
                target.records.persist_turn(sink, record.info, turn, 1)
