"""A conversation with a local model: the history, the thread of each turn, its interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from caw_core.errors import ProviderError, SessionStateError
from caw_core.events import Event, Notice, TextDelta
from caw_core.inbox import Inbox
from caw_provider_local.cancellation import Cancellation, CancelledError
from caw_provider_local.chat import Answer, Exchange, messages_of, readable, response_format
from caw_provider_local.pool import ModelKey, ModelPool
from caw_provider_local.workers import WORKERS

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.provider import Prompt

Prepare = Callable[[Callable[[Event], None], Cancellation], None]
"""Puts the weights in place, reporting progress through the first argument."""


@attrs.frozen(kw_only=True)
class Settings:
    """What a session was asked for, checked.

    Attributes:
        session_id: caw's own id.
        model: the model's name for records.
        key: which loaded model to use.
        system_prompt: ``""`` for none; the model's own template may then add one.
        temperature: None for the library's default, 0.8.
        max_tokens: bound on the tokens of one answer.
    """

    session_id: str
    model: str
    key: ModelKey
    system_prompt: str = ""
    temperature: float | None = None
    max_tokens: int


class _Turn:
    def __init__(self, prompt: str, answer: Answer, request: Mapping[str, JSON]) -> None:
        self.prompt = prompt
        self.answer = answer
        self.request = request
        self.cancellation = Cancellation()
        self.items: Inbox[Event | Exception | None] = Inbox()
        self.said = ""

    def next_event(self) -> Event | None:
        """Wait for the next event; None at the end. Raises what the worker raised."""
        item = self.items.get()
        if isinstance(item, Exception):
            raise item
        return item


class LocalSession:
    """One conversation. The model is loaded with the first prompt and let go by `close`."""

    def __init__(
        self,
        settings: Settings,
        *,
        pool: ModelPool,
        prepare: Prepare,
        history: tuple[Exchange, ...] = (),
        resume_key: str | None = None,
    ) -> None:
        """Begin, or go on.

        :param settings: what was asked for.
        :param pool: where the model comes from.
        :param prepare: called before the model is loaded.
        :param history: what a resumed conversation has come to.
        :param resume_key: its key; None for a new one.
        """
        self._settings = settings
        self._pool = pool
        self._prepare = prepare
        self._history = list(history)
        self._resume_key = resume_key
        self._lock = threading.Lock()
        self._turn: _Turn | None = None
        self._keeps_model = False
        self._closed = False

    @property
    def resume_key(self) -> str | None:
        """Caw's own id of the session, from the first prompt on: the record is all there is."""
        return self._resume_key

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send *prompt* with the whole conversation and yield what happens.

        :raises SessionStateError: the session is closed.
        :raises ContextLimitError: the conversation does not fit; it then stays as it was.
        :raises ModelError: the weights cannot be loaded.
        :raises ProviderError: they cannot be fetched, the library failed, or it can make nothing
            of the prompt's schema.
        """
        settings = self._settings
        answer = Answer(
            model=settings.model,
            n_ctx=settings.key.n_ctx,
            max_tokens=settings.max_tokens,
            structured=prompt.output_schema is not None,
        )
        # Made here and not in the generator, so that an interrupt before its first step counts.
        turn = _Turn(prompt.text, answer, self._request(prompt))
        with self._lock:
            if self._closed:
                message = "the local session is closed"
                raise SessionStateError(message)
            self._turn = turn
            self._resume_key = self._resume_key or settings.session_id
        return self._events(turn)

    def interrupt(self) -> None:
        """End the running turn at once; does nothing if none is running.

        What the model is doing at that moment goes on for less than a second, unseen.
        """
        with self._lock:
            turn = self._turn
        if turn is not None:
            turn.cancellation.cancel()

    def close(self) -> None:
        """End the running turn and let the model go; the last session frees its memory."""
        with self._lock:
            self._closed = True
            keeps_model, self._keeps_model = self._keeps_model, False
        self.interrupt()
        if keeps_model:
            self._pool.release(self._settings.key)

    def _events(self, turn: _Turn) -> Iterator[Event]:
        if turn.prompt != readable(turn.prompt):
            yield Notice(
                message="the prompt holds half characters (lone surrogates), which no model can "
                "be given; each was replaced by U+FFFD",
                level="warning",
            )
        yield from self._relay(turn)
        yield from turn.answer.ending(cancelled=turn.cancellation.requested)

    def _relay(self, turn: _Turn) -> Iterator[Event]:
        keep = True
        cancellation = turn.cancellation
        with cancellation.calling(lambda: turn.items.put(None)):
            WORKERS.start(lambda: self._work(turn), cancellation)
            try:
                while (event := turn.next_event()) is not None and not cancellation.requested:
                    if isinstance(event, TextDelta):
                        turn.said += event.text
                    yield event
            except BaseException as error:
                cancellation.cancel()
                # A generator that is closed early has been interrupted; an error is a failed turn.
                keep = not isinstance(error, Exception)
                raise
            finally:
                if keep:
                    self._history.append(Exchange(prompt=turn.prompt, answer=turn.said))

    def _work(self, turn: _Turn) -> None:
        try:
            self._answer(turn)
        except CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for the turn
            turn.items.put(error)
        turn.items.put(None)

    def _answer(self, turn: _Turn) -> None:
        key = self._settings.key
        if not self._pool.is_loaded(key):
            self._prepare(turn.items.put, turn.cancellation)
        turn.cancellation.check()
        with self._pool.lent(key) as model:
            self._keep_model()
            turn.cancellation.check()
            failures: list[Exception] = []

            def on_chunk(chunk: Mapping[str, JSON]) -> bool:
                try:
                    for event in turn.answer.feed(chunk):
                        turn.items.put(event)
                except Exception as error:  # noqa: BLE001 - the library would swallow it
                    failures.append(error)
                return bool(failures) or turn.cancellation.requested

            try:
                refusal = model.chat(turn.request, on_chunk)
            except RuntimeError as error:
                message = f"the model's library failed: {error}"
                raise ProviderError(message, provider="local") from error
            except ValueError as error:
                message = f"the model cannot be held to this JSON Schema: {error}"
                raise ProviderError(message, provider="local") from error
        if failures:
            raise failures[0]
        if "error" in refusal:
            raise turn.answer.error_of(refusal["error"])

    def _keep_model(self) -> None:
        with self._lock:
            if not self._closed and not self._keeps_model:
                self._keeps_model = True
                self._pool.acquire(self._settings.key)

    def _request(self, prompt: Prompt) -> Mapping[str, JSON]:
        settings = self._settings
        request: dict[str, JSON] = {
            "messages": messages_of(settings.system_prompt, self._history, prompt.text),
            "max_tokens": settings.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            "timings_per_token": True,
        }
        if settings.temperature is not None:
            request["temperature"] = settings.temperature
        if prompt.output_schema is not None:
            request["response_format"] = response_format(prompt.output_schema)
        return request
