"""Following what a provider yields in one turn: what takes it in, and up to which end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, get_args

from caw_core.clock import utc_now
from caw_core.events import Event, TurnEnded
from caw_core.fold import TurnFold
from caw_core.trajectory import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.provider import Prompt
    from caw_core.session_core import SessionCore
    from caw_core.trajectory import TurnOrigin

log = logging.getLogger("caw.session")

STOP_REASONS = (None, *get_args(StopReason))


def new_fold(session: SessionCore, prompt: Prompt, index: int, origin: TurnOrigin) -> TurnFold:
    """Return what takes the events of a turn of *session* that begins now."""
    return TurnFold(
        index=index,
        prompt=prompt.text,
        origin=origin,
        attachments=[item.describe() for item in prompt.attachments],
        started_at=utc_now(),
        options=session.options,
        keep_output=session.settings.keep_output,
        redactor=session.redactor,
    )


def follow(
    events: Iterator[Event],
    handle: Callable[[Event], None],
    stopped: Callable[[], bool],
) -> TurnEnded:
    """Hand each event of a turn on, and return how it ended.

    Args:
        events: what the provider yields.
        handle: takes each event but the end.
        stopped: tells whether somebody asked for the end of the turn.

    Raises:
        TypeError: the provider yielded something else than an event.
        ValueError: it gave a stop reason that there is not.
        Exception: whatever the provider raises.
    """
    end: TurnEnded | None = None
    for event in events:
        if not isinstance(event, Event):
            msg = f"the provider yielded {type(event).__name__}, which is no event"
            raise TypeError(msg)
        if end is not None:
            log.warning("provider yielded %s after the end of the turn", event.type)
            continue
        if isinstance(event, TurnEnded):
            if event.stop_reason not in STOP_REASONS:
                msg = f"there is no stop reason {event.stop_reason!r}"
                raise ValueError(msg)
            # Status and error are not the provider's to say: they would contradict the record.
            end = TurnEnded(stop_reason=event.stop_reason, extra=event.extra)
        else:
            handle(event)
    if end is None:
        # A generator that just returns has done as it was told.
        end = TurnEnded(stop_reason="cancelled" if stopped() else "end_turn")
    return end
