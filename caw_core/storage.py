"""What a storage is to the core: the questions it answers besides keeping turns."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import attrs

from caw_core.blocks import JSON, Block, ToolUse
from caw_core.errors import ConfigError
from caw_core.events import Event, TurnEnded
from caw_core.trajectory import ErrorInfo, SessionInfo, Turn, TurnStatus


@attrs.frozen(kw_only=True)
class TurnRange:
    """Which turns of a record to read; the default means all.

    Attributes:
        start: the index of the first one.
        stop: the index before which to end; None for the end of the record.
        last: only so many, the latest of those; 0 for the head of the record alone.
    """

    start: int = 0
    stop: int | None = None
    last: int | None = None

    def __attrs_post_init__(self) -> None:
        for name in ("start", "stop", "last"):
            value = getattr(self, name)
            if value is None and name != "start":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                msg = f"TurnRange({name}=…) is a number from 0, not {value!r}"
                raise ConfigError(msg)

    def of(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """Return those of *turns*, which are in order, that lie in this range."""
        end = math.inf if self.stop is None else self.stop
        found = [turn for turn in turns if self.start <= turn.index < end]
        return tuple(found if self.last is None else found[max(0, len(found) - self.last) :])


UNFINISHED = ErrorInfo(
    type="TurnInterruptedError",
    message=(
        "the process that ran this turn died before the turn ended, so it is not known what else "
        "was done. Look before you ask for the same again."
    ),
)
"""What is wrong with a turn that was never finished."""


def as_left(turn: Turn) -> Turn:
    """Return a stored turn as `load_trajectory` gives it: one that still ran is ``unknown``.

    So are those of its subagents.
    """
    if turn.status != "running":
        return turn
    output = tuple(map(_block_as_left, turn.output))
    return attrs.evolve(turn, status="unknown", error=UNFINISHED, output=output)


def _block_as_left(block: Block) -> Block:
    if not isinstance(block, ToolUse) or block.subagent_trajectory is None:
        return block
    child = block.subagent_trajectory
    left = attrs.evolve(child, turns=tuple(map(as_left, child.turns)))
    return attrs.evolve(block, subagent_trajectory=left)


def _aware(query: object, attribute: attrs.Attribute[datetime | None], value: object) -> None:
    if value is not None and not (isinstance(value, datetime) and value.utcoffset() is not None):
        msg = f"{type(query).__name__}({attribute.name}=…) is a datetime with a time zone"
        raise ConfigError(msg)


def _positive(query: object, attribute: attrs.Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{type(query).__name__}.{attribute.name} must be at least 1, not {value!r}"
        raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class SessionQuery:
    """Which sessions to list, newest first.

    All that is given must hold.

    Attributes:
        limit: how many at most.
        cursor: the previous page's `SessionPage.next_cursor`; ``""`` for the first page.
        provider: only sessions of that provider; ``""`` for all.
        cwd: only sessions whose agent works in exactly this folder; ``""`` for all.
        status: only sessions with this `SessionSummary.status`; ``""`` for all.
        since: only sessions that were written at this time or later.
        until: only sessions that were last written before this time.
        metadata: only sessions whose metadata has these members with these values.
        tags: only sessions that have all of these.
    """

    limit: int = attrs.field(default=50, validator=_positive)
    cursor: str = ""
    provider: str = ""
    cwd: str = ""
    status: TurnStatus | str = ""
    since: datetime | None = attrs.field(default=None, validator=_aware)
    until: datetime | None = attrs.field(default=None, validator=_aware)
    metadata: Mapping[str, JSON] = attrs.field(factory=dict)
    tags: tuple[str, ...] = attrs.field(default=(), converter=tuple[str, ...])


@attrs.frozen(kw_only=True)
class SessionSummary:
    """A session as a list shows it, without its turns.

    Attributes:
        info: the head of its record.
        num_turns: how many turns are stored.
        title: the beginning of the first prompt, on one line; see `caw_core.listing.title_of`.
        updated_at: when it was last written, ISO 8601 with offset, UTC.
        status: the last turn's; ``""`` before the first one. A running turn whose writer holds no
            lease any more counts as ``unknown``.
    """

    info: SessionInfo
    num_turns: int = 0
    title: str = ""
    updated_at: str = ""
    status: TurnStatus | str = ""


@attrs.frozen(kw_only=True)
class SessionPage:
    """One page of sessions; ``next_cursor`` is ``""`` on the last one.

    ``unreadable`` names sessions that exist and could not be read, with the reason: a list must
    not lose them in silence.
    """

    sessions: tuple[SessionSummary, ...] = ()
    next_cursor: str = ""
    unreadable: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class SearchQuery:
    """What to look for in prompts and answers.

    Attributes:
        text: words, all of which must occur in one turn, in any order and case. A storage may
            find forms of a word as well, and must not find less than whole words.
        limit: how many turns at most.
        cursor: the previous page's `SearchPage.next_cursor`; ``""`` for the first page.
        provider: only sessions of that provider; ``""`` for all.
    """

    text: str
    limit: int = attrs.field(default=20, validator=_positive)
    cursor: str = ""
    provider: str = ""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            msg = "SearchQuery.text is empty: give it a word to look for"
            raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class SearchHit:
    """A turn in which all words occur.

    Attributes:
        info: the head of its session's record.
        turn: its index.
        snippet: the text around the first of the words, on one line.
    """

    info: SessionInfo
    turn: int
    snippet: str = ""


@attrs.frozen(kw_only=True)
class SearchPage:
    """One page of hits, the best or the newest first; ``next_cursor`` is ``""`` on the last one."""

    hits: tuple[SearchHit, ...] = ()
    next_cursor: str = ""


@attrs.frozen(kw_only=True)
class LiveEvent:
    """An event of a running session, as somebody in another process sees it.

    Attributes:
        turn: the index of its turn.
        number: its place among the events of that turn, from 0.
        event: the event.
    """

    turn: int
    number: int
    event: Event

    @property
    def cursor(self) -> str:
        """Where to go on after this event, as `place_of` and `caw_core.Store.watch` take it."""
        # After the end of a turn the next one follows, so that whoever goes on there knows of no
        # gap in between.
        return (
            str(self.turn + 1)
            if isinstance(self.event, TurnEnded)
            else f"{self.turn}.{self.number}"
        )

    @property
    def place(self) -> tuple[int, int]:
        """Its turn and number, for comparing."""
        return self.turn, self.number


def place_of(cursor: str) -> tuple[int, int]:
    """Return the place after which to go on, for `LiveEvent.cursor`.

    Args:
        cursor: ``"3.17"`` for after event 17 of turn 3, ``"4"`` for before all events of turn 4,
            ``""`` for before everything.

    Returns:
        The turn and the number; -1 as a number is before the first one.

    Raises:
        ConfigError: it is no such cursor.
    """
    match = _EVENT_CURSOR.fullmatch(cursor)
    if match is None:
        msg = f"{cursor!r} is no cursor of an event; pass LiveEvent.cursor, such as '3.17'"
        raise ConfigError(msg)
    return int(match[1] or 0), int(match[2] or -1)


_EVENT_CURSOR = re.compile(r"(?:([0-9]{1,9})(?:\.([0-9]{1,9}))?)?")


class Lease(Protocol):
    """The right to write a session, held by one writer at a time."""

    @property
    def token(self) -> int:
        """Grows with each lease of the session, so that a late write of an older one shows."""

    def release(self) -> None:
        """Give the right back; idempotent."""


@runtime_checkable
class ExpiringLease(Lease, Protocol):
    """A lease that somebody else may take once it was not renewed in time.

    The core renews it for as long as the session is open. Until another one takes it, it is still
    good for writing: what is checked on each write is the token, not the time.
    """

    @property
    def expires_after(self) -> float:
        """How long it holds from its last renewal, in seconds."""

    def renew(self) -> None:
        """Hold it for another `expires_after`; called from any thread, and may take a while.

        Raises:
            SessionBusyError: somebody else has it.
            StorageError: that could not be told; it is tried again.
        """


StorageFactory = Callable[[str], object]
"""An entry point of ``caw.storages``: takes the storage URL, returns the plugin."""
