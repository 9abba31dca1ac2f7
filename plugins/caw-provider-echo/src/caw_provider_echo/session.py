"""The echo's conversation: prompts in, events out."""

from __future__ import annotations

import json
import math
import re
import threading
from typing import TYPE_CHECKING, Any, cast, get_args

from caw_core.errors import ProcessError, ProviderError, SessionStateError
from caw_core.events import (
    Event,
    Notice,
    PlanUpdated,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    UsageReported,
    VendorEvent,
)
from caw_core.trajectory import PlanEntry, StopReason
from caw_core.usage import UsageStats
from caw_provider_echo.directives import Step, error_of, name_json_and_rest, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.provider import Prompt, StartRequest

_PIECE = re.compile(r"\s*\S+\s*|\s+")


class _Turn:
    """What one turn has come to so far."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.cancelled = threading.Event()
        self.words = 0
        self.blocks = 0
        self.stop: StopReason = "end_turn"


class EchoSession:
    """A conversation with nobody; see the package's README for the directives."""

    def __init__(
        self,
        request: StartRequest,
        *,
        prompts: tuple[str, ...] = (),
        resume_key: str | None = None,
        forgot: bool = False,
    ) -> None:
        """Begin, or go on.

        :param request: what was asked for.
        :param prompts: the earlier prompts of a resumed conversation.
        :param resume_key: its key; None for a new conversation.
        :param forgot: the earlier prompts are not known, which the next turn then says.
        """
        self._request = request
        self._prompts = list(prompts)
        self._resume_key = resume_key
        self._forgot = forgot
        self._turn: _Turn | None = None
        self._closed = False

    @property
    def resume_key(self) -> str | None:
        """Caw's own id of the session, from the first prompt on."""
        return self._resume_key

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Answer *prompt*; raise `SessionStateError` once the session is closed."""
        if self._closed:
            message = "the echo session is closed"
            raise SessionStateError(message)
        self._resume_key = self._resume_key or self._request.session_id
        # Made here and not in the generator, so that an interrupt before its first step counts.
        self._turn = turn = _Turn(prompt.text)
        return self._events(turn)

    def interrupt(self) -> None:
        """End the running turn; does nothing if none is running."""
        if self._turn is not None:
            self._turn.cancelled.set()

    def close(self) -> None:
        """End the running turn and refuse further ones."""
        self._closed = True
        self.interrupt()

    def _events(self, turn: _Turn) -> Iterator[Event]:
        self._prompts.append(turn.prompt)
        if self._forgot:
            self._forgot = False
            yield Notice(
                message="resumed from the key alone: the echo keeps nothing itself, so without a "
                "stored record it knows none of the earlier prompts",
                level="warning",
            )
        steps = (
            steps_of(turn.prompt)
            if self._request.options.get("directives", True)
            else iter([Step(word="", rest=turn.prompt)])
        )
        for step in steps:
            for event in self._do(step, turn):
                if turn.cancelled.is_set():
                    break
                yield event
            if turn.cancelled.is_set() or turn.stop != "end_turn":
                break
        yield UsageReported(
            usage=UsageStats(
                input_tokens=len(turn.prompt.split()),
                output_tokens=turn.words,
                cost_usd=0.0,
                cost_source="computed",
            ),
            model=self._request.model or "echo",
        )
        yield TurnEnded(stop_reason="cancelled" if turn.cancelled.is_set() else turn.stop)

    def _do(self, step: Step, turn: _Turn) -> Iterator[Event]:  # noqa: C901, PLR0912 - a flat table
        match step.word:
            case "":
                yield from self._say(f"echo: {step.rest}", turn)
            case "cwd":
                yield from self._say(str(self._request.cwd), turn)
            case "exit":
                code = int(step.rest) if step.rest.isdecimal() else 1
                message = f"the prompt asked the echo to end with status {code}"
                raise ProcessError(message, exit_code=code)
            case "fail":
                raise error_of(step.rest)
            case "history":
                yield from self._say("\n".join(self._prompts), turn)
            case "notice":
                yield Notice(message=step.rest)
            case "plan":
                entries = (PlanEntry(text=text.strip()) for text in step.rest.split(";"))
                yield PlanUpdated(entries=tuple(entries))
            case "request":
                yield from self._say(json.dumps(self._seen(), sort_keys=True), turn)
            case "slow":
                turn.cancelled.wait(_seconds(step.rest))
            case "stop":
                turn.stop = _stop_reason(step.rest)
            case "system":
                yield from self._say(self._request.system_prompt, turn)
            case "think":
                yield from self._think(step.rest, turn)
            case "tool" | "tool-error":
                yield from _tool(step, turn)
            case "vendor":
                kind, raw, _ = name_json_and_rest(step.rest)
                yield VendorEvent(kind=kind, raw=raw)

    def _say(self, text: str, turn: _Turn) -> Iterator[Event]:
        turn.blocks += 1
        block_id = f"block-{turn.blocks}"
        said = ""
        for piece in _PIECE.findall(text):
            if self._request.max_tokens is not None and turn.words >= self._request.max_tokens:
                turn.stop = "max_tokens"
                break
            turn.words += len(piece.split())
            said += piece
            yield TextDelta(text=piece, block_id=block_id)
        yield TextDone(text=said, block_id=block_id)

    def _think(self, text: str, turn: _Turn) -> Iterator[Event]:
        turn.blocks += 1
        block_id = f"block-{turn.blocks}"
        for piece in _PIECE.findall(text):
            turn.words += len(piece.split())
            yield ThinkingDelta(text=piece, block_id=block_id)
        yield ThinkingDone(text=text, block_id=block_id)

    def _seen(self) -> Mapping[str, Any]:
        request = self._request
        return {
            "session_id": request.session_id,
            "cwd": str(request.cwd),
            "model": request.model,
            "reasoning": request.reasoning,
            "system_prompt": request.system_prompt,
            "permissions": request.permissions,
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            # Values of variables are often secrets, and an answer is stored.
            "env": sorted(request.env),
            "options": dict(request.options),
        }


def _tool(step: Step, turn: _Turn) -> Iterator[Event]:
    name, arguments, tail = name_json_and_rest(step.rest)
    arguments = {} if arguments is None else arguments
    if not name or not isinstance(arguments, dict):
        message = f"!{step.word} needs a name and a JSON object, not {step.rest!r}"
        raise ProviderError(message)
    output = tail.removeprefix("=>").strip() if tail else json.dumps(arguments)
    failed = step.word == "tool-error"
    turn.blocks += 1
    call_id = f"call-{turn.blocks}"
    yield ToolStarted(call_id=call_id, name=name, arguments=arguments)
    yield ToolOutput(call_id=call_id, delta=output)
    yield ToolFinished(
        call_id=call_id,
        output=output,
        is_error=failed,
        status="failed" if failed else "completed",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        message = f"!slow needs a number of seconds, not {text!r}"
        raise ProviderError(message)
    return seconds


def _stop_reason(text: str) -> StopReason:
    if text not in get_args(StopReason):
        message = f"!stop needs one of {', '.join(get_args(StopReason))}, not {text!r}"
        raise ProviderError(message)
    return cast("StopReason", text)
