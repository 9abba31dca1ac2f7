"""The echo's conversation: prompts in, events out."""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any

from caw_core.errors import ProcessError, SessionStateError, UnsupportedError
from caw_core.events import (
    Event,
    Notice,
    PlanUpdated,
    StructuredDone,
    TextDelta,
    TextDone,
    ThinkingDelta,
    ThinkingDone,
    TurnEnded,
    UsageReported,
    VendorEvent,
)
from caw_core.provider import ModelInfo
from caw_core.trajectory import PlanEntry
from caw_core.usage import UsageStats
from caw_provider_echo.directives import (
    Step,
    count_of,
    error_of,
    json_of,
    name_json_and_rest,
    seconds_of,
    steps_of,
    stop_reason_of,
)
from caw_provider_echo.tools import Toolbox
from caw_provider_echo.turn import RunningTurn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.provider import Prompt, StartRequest

MODELS = (
    ModelInfo(name="echo-small", description="repeats what you say", is_default=True),
    ModelInfo(name="echo-large", description="repeats what you say, too"),
)

_PIECE = re.compile(r"\s*\S+\s*|\s+")


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
        self._model = request.model or MODELS[0].name
        self._tools = Toolbox(request)
        self._prompts = list(prompts)
        self._resume_key = resume_key
        self._forgot = forgot
        self._turn: RunningTurn | None = None
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
        self._turn = turn = RunningTurn()
        return self._events(prompt, turn)

    def interrupt(self) -> None:
        """End the running turn; does nothing if none is running."""
        if self._turn is not None:
            self._turn.cancel()

    def steer(self, prompt: Prompt) -> bool:
        """Have *prompt* answered within the running turn, before its next step."""
        return self._turn is not None and self._turn.steer(prompt.text)

    def models(self) -> list[ModelInfo]:
        """Return two models that do the same."""
        return list(MODELS)

    def set_model(self, model: str | None, reasoning: str | None) -> None:
        """Report *model* from the next turn on; raise `UnsupportedError` for a *reasoning*."""
        if reasoning is not None:
            message = "the echo cannot reason, so it has no effort to change"
            raise UnsupportedError(message, provider="echo", options=("reasoning",))
        self._model = model or self._model

    def close(self) -> None:
        """End the running turn and refuse further ones."""
        self._closed = True
        self.interrupt()

    # -------------------------------------------------------------------------- the running turn

    def _events(self, prompt: Prompt, turn: RunningTurn) -> Iterator[Event]:
        self._prompts.append(prompt.text)
        if self._forgot:
            self._forgot = False
            yield Notice(
                message="resumed from the key alone: the echo keeps nothing itself, so without a "
                "stored record it knows none of the earlier prompts",
                level="warning",
            )
        try:
            for step in self._steps(prompt, turn):
                for event in self._do(step, prompt, turn):
                    if turn.cancelled:
                        break
                    yield event
                if turn.cancelled or turn.stop != "end_turn":
                    break
        finally:
            turn.finish()
        # Looked at before the usage is told: that may be what makes somebody interrupt the turn,
        # which then has come to its end all the same.
        end = TurnEnded(stop_reason="cancelled" if turn.cancelled else turn.stop)
        if not turn.calls or turn.words > turn.reported or not turn.cancelled:
            yield self._usage(prompt, turn)
        yield end

    def _steps(self, prompt: Prompt, turn: RunningTurn) -> Iterator[Step]:
        ahead = deque(self._read(prompt.text))
        if prompt.attachments:
            lines = [
                f"{item.name}: {item.mime_type}, {len(item.data)} bytes"
                for item in prompt.attachments
            ]
            ahead.append(Step(word="attachments", rest="\n".join(lines)))
        while True:
            steered = turn.take_steered(ending=not ahead)
            if not ahead and not steered:
                return
            self._prompts += steered
            for text in reversed(steered):
                ahead.extendleft(reversed(self._read(text)))
            if ahead:
                yield ahead.popleft()

    def _read(self, text: str) -> list[Step]:
        if self._request.options.get("directives", True):
            return list(steps_of(text))
        return [Step(word="", rest=text)]

    def _do(  # noqa: C901, PLR0912 - a flat table
        self,
        step: Step,
        prompt: Prompt,
        turn: RunningTurn,
    ) -> Iterator[Event]:
        match step.word:
            case "":
                yield from self._say(f"echo: {step.rest}", turn)
            case "ask" | "tool" | "tool-error":
                yield from self._tools.run(step, turn)
            case "attachments":  # no directive, so nobody can type it
                yield from self._say(step.rest, turn)
            case "calls":
                yield from self._calls(count_of(step.rest), prompt, turn)
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
            case "json":
                value = json_of(step.rest)
                if prompt.output_schema is not None:
                    yield StructuredDone(value=value)
                else:
                    yield from self._say(json.dumps(value), turn)
            case "notice":
                yield Notice(message=step.rest)
            case "plan":
                entries = (PlanEntry(text=text.strip()) for text in step.rest.split(";"))
                yield PlanUpdated(entries=tuple(entries))
            case "request":
                yield from self._say(json.dumps(self._seen(), sort_keys=True), turn)
            case "slow":
                turn.pause(seconds_of(step.rest))
            case "stop":
                turn.stop = stop_reason_of(step.rest)
            case "system":
                yield from self._say(self._request.system_prompt, turn)
            case "think":
                yield from self._think(step.rest, turn)
            case "vendor":
                kind, raw, _ = name_json_and_rest(step.rest)
                yield VendorEvent(kind=kind, raw=raw)

    def _calls(self, count: int, prompt: Prompt, turn: RunningTurn) -> Iterator[Event]:
        for number in range(1, count + 1):
            yield VendorEvent(kind="model_call", raw=number)
            # The last one is told at the end of the turn, with what is said after this.
            if number < count:
                yield self._usage(prompt, turn)

    def _usage(self, prompt: Prompt, turn: RunningTurn) -> UsageReported:
        output, turn.reported = turn.words - turn.reported, turn.words
        turn.calls += 1
        return UsageReported(
            usage=UsageStats(
                input_tokens=len(prompt.text.split()),
                output_tokens=output,
                cost_usd=0.0,
                cost_source="computed",
            ),
            model=self._model,
        )

    def _say(self, text: str, turn: RunningTurn) -> Iterator[Event]:
        block_id = turn.new_id("block")
        said = ""
        for piece in _PIECE.findall(text):
            if self._request.max_tokens is not None and turn.words >= self._request.max_tokens:
                turn.stop = "max_tokens"
                break
            turn.words += len(piece.split())
            said += piece
            yield TextDelta(text=piece, block_id=block_id)
        yield TextDone(text=said, block_id=block_id)

    def _think(self, text: str, turn: RunningTurn) -> Iterator[Event]:
        block_id = turn.new_id("block")
        for piece in _PIECE.findall(text):
            turn.words += len(piece.split())
            yield ThinkingDelta(text=piece, block_id=block_id)
        yield ThinkingDone(text=text, block_id=block_id)

    def _seen(self) -> Mapping[str, Any]:
        request = self._request
        return {
            "session_id": request.session_id,
            "cwd": str(request.cwd),
            "model": self._model,
            "reasoning": request.reasoning,
            "system_prompt": request.system_prompt,
            "permissions": request.permissions,
            "tools": None if request.tools is None else [group.name for group in request.tools],
            "additional_dirs": [str(folder) for folder in request.additional_dirs],
            "mcp_servers": [server.name for server in request.mcp_servers],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "max_turns": request.max_turns,
            # Values of variables are often secrets, and an answer is stored.
            "env": sorted(request.env),
            "options": dict(request.options),
        }
