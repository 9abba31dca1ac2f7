"""A session that plays a cassette."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from caw_core.errors import SessionStateError
from caw_core.events import Event, TurnEnded
from caw_testkit.cassettes.errors import CassetteMismatchError
from caw_testkit.cassettes.performance import Performance, Playing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.provider import Prompt, StartRequest
    from caw_testkit.cassettes.tape import Cassette, Frame


class CassetteSession:
    """One conversation from a cassette; see `caw_core.provider.ProviderSession`.

    Attributes:
        performance: the playing of the cassette that the conversation is at.

    Args:
        cassette: what is played.
        playing: how.
        request: what was asked for; see `Performance`.
        turns: how many turns the conversation has had. None where nobody knows: it goes on with
            the first turn whose prompt the next one is.
        key: what the conversation goes by; None for one that begins.

    Raises:
        As `Performance` does.
    """

    def __init__(
        self,
        cassette: Cassette,
        playing: Playing,
        request: StartRequest,
        *,
        turns: int | None = 0,
        key: str | None = None,
    ) -> None:
        self._cassette = cassette
        self._playing = playing
        self._request = request
        self._key = key
        self._lock = threading.Lock()
        self._running: Frame | None = None
        self._interrupted = self._cancelled = self._closed = False
        self.performance: Performance | None = None
        if turns is not None:
            self.performance = self._perform(turns)

    @property
    def resume_key(self) -> str | None:
        """The key of the conversation that is played."""
        return self._key or (self.performance.session.resume_key if self.performance else None)

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Play the next turn.

        Raises:
            CassetteMismatchError: it was recorded with another prompt, or there is none.
            ProviderError: the turn that was recorded failed.
        """
        if self._closed:
            msg = "the session is closed"
            raise SessionStateError(msg)
        if self.performance is None:
            self.performance = self._perform(self._turns_before(prompt))
        elif self._cancelled:
            self._key = self.resume_key
            self.performance = self._perform(self.performance.played)
        return self._turn(self.performance, prompt, self._checked(self.performance, prompt))

    def interrupt(self) -> None:
        """End the running turn; nothing happens when none runs."""
        self._interrupt(None)

    def _interrupt(self, recorded: Frame | None) -> None:
        with self._lock:
            running, performance = self._running, self.performance
            if running is None or performance is None or self._interrupted:
                return
            known = self._cassette.interrupt_of(running)
            if recorded is not None and recorded is not known:
                return
            self._interrupted = True
            self._cancelled = known is None
        if known is not None:
            performance.session.interrupt()
            return
        # What would come now is not known; the next turn begins as it was recorded.
        threading.Thread(
            target=performance.break_off, name="caw-cassette-cancel", daemon=True
        ).start()

    def close(self) -> None:
        """Let go of everything; idempotent."""
        self._closed = True
        performance = self.performance
        if performance is not None and self._running is not None:
            performance.break_off()
        elif performance is not None:
            performance.leave()

    def _perform(self, turns: int) -> Performance:
        self._interrupted = self._cancelled = False
        return Performance(
            self._cassette,
            self._playing,
            self._request,
            turns=turns,
            key=self._key,
            on_interrupt=self._interrupt,
        )

    def _turns_before(self, prompt: Prompt) -> int:
        turns = 0
        for frame in self._cassette.frames:
            if frame.kind == "prompt":
                if self._playing.any_prompt or frame.facts["prompt"]["text"] == prompt.text:
                    return turns
                turns += self._cassette.turns_of(frame)
        # The beginning, whose prompt it is not: that is told as any other difference.
        return 0

    def _checked(self, performance: Performance, prompt: Prompt) -> Frame:
        provider, name = self._cassette.header.provider, self._cassette.name
        frame = performance.upcoming
        if frame is None:
            msg = f"{name} has no further prompt; this one is not in it: {prompt.text!r:.200}"
            raise CassetteMismatchError(msg, provider=provider)
        recorded = performance.prompt_of(frame).text
        if prompt.text != recorded and not self._playing.any_prompt:
            msg = (
                f"{name}, line {frame.number}: the prompt was {recorded!r:.200} when this was "
                f"recorded, and is {prompt.text!r:.200} now"
            )
            raise CassetteMismatchError(msg, frame=frame.number, provider=provider)
        return frame

    def _turn(self, performance: Performance, prompt: Prompt, frame: Frame) -> Iterator[Event]:
        with self._lock:
            self._interrupted = False
            self._running = frame
        ended = False
        try:
            performance.advance()
            for event in performance.session.prompt(prompt):
                ended = isinstance(event, TurnEnded)
                yield event
        except Exception as error:
            if not self._cancelled:
                raise (performance.mismatch or error) from error
        finally:
            with self._lock:
                self._running = None
        if self._cancelled and not ended:
            yield TurnEnded(stop_reason="cancelled")
        elif performance.mismatch is not None:
            raise performance.mismatch
