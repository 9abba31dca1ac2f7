"""The conversation as the model sees it, and its answer as events. No I/O.

Chunks have the form of OpenAI's Chat Completions with two additions of llama.cpp's server, which
the request asks for: ``prompt_progress`` (``return_progress``) and ``timings`` on each chunk
(``timings_per_token``), from which even a turn that was cut short knows what it used.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from caw_core.blocks import JSON, TextBlock
from caw_core.errors import ContextLimitError, ProtocolError, ProviderError
from caw_core.events import (
    Event,
    Notice,
    Progress,
    StructuredDone,
    TextDelta,
    TextDone,
    TurnEnded,
    UsageReported,
)
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from caw_core.trajectory import StopReason, Trajectory

BLOCK_ID = "answer"

_STOP_REASONS: Mapping[str, StopReason] = {"stop": "end_turn", "length": "max_tokens"}


@attrs.frozen(kw_only=True)
class Exchange:
    """A prompt and what was answered to it, as far as it was."""

    prompt: str
    answer: str


def exchanges_of(trajectory: Trajectory) -> tuple[Exchange, ...]:
    """Read from a record what was said; failed turns had no part in the conversation."""
    return tuple(
        Exchange(
            prompt=turn.input,
            answer="\n\n".join(
                block.text for block in turn.output if isinstance(block, TextBlock) and block.text
            ),
        )
        for turn in trajectory.turns
        if turn.status in {"completed", "interrupted"}
    )


def readable(text: str) -> str:
    """Return *text* with ``U+FFFD`` for each lone surrogate, which JSON cannot carry."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def messages_of(
    system_prompt: str, history: Sequence[Exchange], prompt: str
) -> list[Mapping[str, str]]:
    """Return the whole conversation as chat messages, the system prompt first."""
    messages = [{"role": "system", "content": readable(system_prompt)}] if system_prompt else []
    for exchange in history:
        messages.append({"role": "user", "content": readable(exchange.prompt)})
        if exchange.answer:
            messages.append({"role": "assistant", "content": readable(exchange.answer)})
    messages.append({"role": "user", "content": readable(prompt)})
    return [dict(message) for message in messages]


def response_format(schema: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return the member of a request that makes the model write JSON that *schema* allows.

    llama.cpp makes a grammar of it (``json-schema-to-grammar``): the model cannot write anything
    else, but it is not told the schema either, and what a grammar cannot say is not kept.
    """
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}


class Answer:
    """Collects one answer from its chunks; `feed` runs in another thread than `ending`."""

    def __init__(
        self,
        *,
        model: str,
        n_ctx: int,
        max_tokens: int,
        structured: bool = False,
    ) -> None:
        self._structured = structured
        self._model = model
        self._n_ctx = n_ctx
        self._max_tokens = max_tokens
        self._text = ""
        self._finish_reason = ""
        self._timings: Mapping[str, JSON] = {}

    def feed(self, chunk: Mapping[str, JSON]) -> Iterator[Event]:
        """Yield what *chunk* says.

        :raises ProviderError: it reports an error.
        """
        if "error" in chunk:
            raise self.error_of(chunk["error"])
        self._timings = chunk.get("timings") or self._timings
        progress = chunk.get("prompt_progress")
        if progress and progress["cache"] < progress["processed"] < progress["total"]:
            yield Progress(
                label="reading the conversation",
                done=progress["processed"],
                total=progress["total"],
                unit="tokens",
            )
        for choice in chunk.get("choices", ()):
            text = (choice.get("delta") or {}).get("content")
            if text:
                self._text += text
                yield TextDelta(text=text, block_id=BLOCK_ID)
            self._finish_reason = choice.get("finish_reason") or self._finish_reason

    def ending(self, *, cancelled: bool) -> Iterator[Event]:
        """Yield what comes after the text: its whole, the usage and the end.

        :raises ProtocolError: the model stopped without saying why, and nobody asked it to.
        """
        usage = self.usage
        if not cancelled:
            if self._finish_reason not in _STOP_REASONS:
                message = f"the model stopped for an unknown reason: {self._finish_reason!r}"
                raise ProtocolError(message, provider="local")
            if self._text:
                yield TextDone(text=self._text, block_id=BLOCK_ID)
                yield from self._value()
            if self._finish_reason == "length" and usage.output_tokens < self._max_tokens:
                yield Notice(
                    message=f"the context window of {self._n_ctx} tokens is full, so the answer "
                    "stops here; start a new session, or give options={'n_ctx': …} a larger number",
                    level="warning",
                )
        if usage:
            yield UsageReported(usage=usage, model=self._model)
        yield TurnEnded(
            stop_reason="cancelled" if cancelled else _STOP_REASONS[self._finish_reason],
        )

    def _value(self) -> Iterator[Event]:
        if not self._structured:
            return
        try:
            value = json.loads(self._text)
        except ValueError:
            # An answer that met a bound ends in the middle of its JSON; the core then says so.
            return
        yield StructuredDone(value=value)

    @property
    def usage(self) -> UsageStats:
        """What was read and written so far; zero if the model never began."""
        timings = self._timings
        if not timings:
            return UsageStats()
        return UsageStats(
            input_tokens=timings["prompt_n"],
            cache_read_tokens=timings["cache_n"],
            output_tokens=timings["predicted_n"],
            # Nobody reports a price; that a computation on this machine has none is our own sum.
            cost_usd=0.0,
            cost_source="computed",
        )

    def error_of(self, error: Mapping[str, JSON]) -> ProviderError:
        """Make the error for what the library reports as one (llama.cpp, ``server-common``)."""
        if error.get("type") == "exceed_context_size_error":
            message = (
                f"the conversation has {error.get('n_prompt_tokens')} tokens and the context "
                f"window {error.get('n_ctx')}. Shorten the prompt, start a new session, or give "
                "options={'n_ctx': …} a larger number."
            )
            return ContextLimitError(message, provider="local")
        message = f"the model refused the request: {error.get('message', error)}"
        return ProviderError(message, provider="local")
