"""A session that plays a stored record."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from caw_core.errors import ConfigError, SessionStateError
from caw_core.events import Event, TurnEnded
from caw_core.trajectory import Trajectory
from caw_provider_replay.turn_events import turn_error, turn_events
from caw_testkit.cassettes.errors import CassetteMismatchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_core.provider import Prompt, StartRequest
    from caw_core.trajectory import StopReason, Turn


class RecordSession:
    """One conversation from a record; see `caw_core.provider.ProviderSession`.

    Turns that the agent had begun by itself are left out.

    Args:
        path: the record, which may still be written while it is played.
        request: what was asked for.
        match: see the option of that name.
        waits: what was interrupted waits for an interrupt.
        turns: how many turns the conversation has had; None where nobody knows.
        key: what it goes by; None for one that begins.

    Raises:
        ConfigError: the file cannot be read, or is no record.
    """

    def __init__(
        self,
        path: Path,
        request: StartRequest,
        *,
        match: str,
        waits: bool,
        turns: int | None,
        key: str | None,
    ) -> None:
        self._path = path
        self._match = match
        self._waits = waits
        self._next = turns
        self._key = key or request.session_id
        self._changed = threading.Condition()
        self._cancelled = self._closed = False
        self._read()

    @property
    def resume_key(self) -> str | None:
        """Caw's own id of the session in which it began."""
        return self._key

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Play the turn that belongs to *prompt*.

        Raises:
            CassetteMismatchError: there is none.
            ProviderError: the turn failed, too.
        """
        with self._changed:
            if self._closed:
                msg = "the session is closed"
                raise SessionStateError(msg)
            self._cancelled = False
        return self._events(self._turn_of(prompt))

    def interrupt(self) -> None:
        """End the running turn."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the running turn and refuse further ones."""
        self._closed = True
        self.interrupt()

    def _events(self, turn: Turn) -> Iterator[Event]:
        for event in turn_events(turn):
            if self._cancelled:
                break
            yield event
        if turn.status == "interrupted" and self._waits:
            with self._changed:
                self._changed.wait_for(lambda: self._cancelled)
        if self._cancelled:
            yield TurnEnded(stop_reason="cancelled")
        elif turn.status in {"completed", "interrupted"}:
            # Records of other programs may tell no reason.
            usual: StopReason = "end_turn" if turn.status == "completed" else "cancelled"
            yield TurnEnded(stop_reason=turn.stop_reason or usual, extra=turn.extra)
        else:
            raise turn_error(turn)

    def _turn_of(self, prompt: Prompt) -> Turn:
        turns = [turn for turn in self._read().turns if turn.origin == "user"]
        if self._match == "prompt" or self._next is None:
            places = [place for place, turn in enumerate(turns) if turn.input == prompt.text]
            if not places and self._match != "any":
                raise self._mismatch(f"no turn has the prompt {prompt.text!r:.200}")
            # What was said twice is answered in the order of the answers.
            later = [place for place in places if place >= (self._next or 0)]
            place = [*later, *places, 0][0]
        else:
            place = self._next
        if place >= len(turns):
            raise self._mismatch(f"it has {len(turns)} turns, and this is one more")
        turn = turns[place]
        if self._match == "order" and turn.input != prompt.text:
            raise self._mismatch(
                f"turn {turn.index} was about {turn.input!r:.200}, and now {prompt.text!r:.200}"
            )
        self._next = place + 1
        return turn

    def _mismatch(self, why: str) -> CassetteMismatchError:
        return CassetteMismatchError(f"{self._path.name}: {why}", provider="replay")

    def _read(self) -> Trajectory:
        try:
            return Trajectory.from_dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            # A record that is none is a ValueError, too.
            msg = f"{self._path.name} is no record: {error}"
            raise ConfigError(msg) from error
