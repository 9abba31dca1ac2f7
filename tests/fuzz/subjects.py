"""The decoders of all agents, each with what its real program wrote.

``data`` holds the lines of claude 2.1.197 and of codex 0.169.0 (``app-server`` and ``exec``) in a
conversation of two turns with thoughts, commands, files and a plan; those of opencode 1.18.33 are
the ones of its own tests. Folders and thread ids were replaced by others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from caw_core.json_fields import mapping, objects, text
from caw_core.usage import UsageStats
from caw_provider_claude_code import errors as claude_errors
from caw_provider_claude_code.decoder import TurnDecoder as ClaudeDecoder
from caw_provider_claude_code.plan import Plan
from caw_provider_claude_code.usage import Meter
from caw_provider_codex import errors as codex_errors
from caw_provider_codex.decoder import TurnDecoder as CodexDecoder
from caw_provider_codex.exec_decoder import ExecDecoder
from caw_provider_opencode import errors as opencode_errors
from caw_provider_opencode.decoder import TurnDecoder as OpencodeDecoder
from caw_provider_opencode.run_decoder import RunDecoder
from caw_provider_opencode.sse import SseParser

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.events import Event

_DATA: Final = Path(__file__).parent / "data"
_OPENCODE: Final = Path(__file__).parents[2] / "plugins/caw-provider-opencode/tests"

_SESSION: Final = json.loads((_OPENCODE / "turn.history.json").read_text())[0]["info"]["sessionID"]


class Subject:
    """One way in which one agent's program talks; each instance decodes one turn."""

    recorded: ClassVar[list[Any]]
    """The messages that a real program wrote."""
    kind: ClassVar[str] = "type"
    """The member that says what a message is."""
    prefix: ClassVar[bytes] = b""
    end: ClassVar[bytes] = b"\n"

    def feed(self, line: bytes) -> list[Event]:
        """Decode what came on one line, or in one event."""
        raise NotImplementedError

    def finish(self) -> object:
        """Do what is done at the turn's end; only a `CawError` may be raised."""
        raise NotImplementedError

    @staticmethod
    def body(message: JSON) -> JSON:
        """Return the part of a message that has a kind."""
        return message

    @staticmethod
    def parts(message: JSON) -> list[dict[str, JSON]]:
        """Return what in a message has a ``type`` of its own, and is told here alone."""
        raise NotImplementedError


def _lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


class Claude(Subject):
    """``claude -p`` with stream-json on both sides."""

    recorded = _lines(_DATA / "claude.jsonl")

    def __init__(self) -> None:
        self.decoder = ClaudeDecoder(meter=Meter(), plan=Plan(), model="m")

    def feed(self, line: bytes) -> list[Event]:
        """Decode a line."""
        return self.decoder.feed(line)

    def finish(self) -> object:
        """End the turn as the result says."""
        return [*self.decoder.take_back(), *claude_errors.turn_end(self.decoder, interrupted=True)]

    @staticmethod
    def parts(message: JSON) -> list[dict[str, JSON]]:
        """Return the blocks of an answer, and what the model's service said."""
        if text(message, "type") == "assistant":
            return objects(mapping(message, "message"), "content")
        return [mapping(message, "event")] if "event" in message else []


class Codex(Subject):
    """``codex app-server``."""

    recorded = _lines(_DATA / "codex.jsonl")
    kind = "method"

    def __init__(self) -> None:
        started = next(m for m in self.recorded if text(m, "method") == "turn/started")
        turn = mapping(mapping(started, "params"), "turn")
        thread = text(mapping(started, "params"), "threadId")
        self.decoder = CodexDecoder(thread, model="m", turn_id=text(turn, "id"))

    def feed(self, line: bytes) -> list[Event]:
        """Decode a line."""
        return self.decoder.feed(line)

    def finish(self) -> object:
        """Make the error of a turn that failed."""
        outcome = self.decoder.outcome
        limits = self.decoder.rate_limits
        return outcome and codex_errors.turn_error(outcome.error, rate_limits=limits)

    @staticmethod
    def parts(message: JSON) -> list[dict[str, JSON]]:
        """Return the item that is whole."""
        item = mapping(mapping(message, "params"), "item")
        return [item] if text(message, "method") == "item/completed" else []


class CodexExec(Subject):
    """``codex exec --json``."""

    recorded = _lines(_DATA / "codex_exec.jsonl")

    def __init__(self) -> None:
        self.decoder = ExecDecoder(UsageStats(), model="m")

    def feed(self, line: bytes) -> list[Event]:
        """Decode a line."""
        return self.decoder.feed(line)

    def finish(self) -> object:
        """Make the error of a run that failed."""
        outcome = self.decoder.outcome
        return outcome and codex_errors.exec_error(outcome.error)

    @staticmethod
    def parts(message: JSON) -> list[dict[str, JSON]]:
        """Return the item that is whole."""
        return [mapping(message, "item")] if text(message, "type") == "item.completed" else []


class Opencode(Subject):
    """The events of ``opencode serve``."""

    recorded: ClassVar[list[Any]] = [
        json.loads(data) for data in SseParser().feed((_OPENCODE / "turn.sse").read_bytes())
    ]
    prefix = b"data: "
    end = b"\n\n"

    def __init__(self) -> None:
        self.decoder = OpencodeDecoder(_SESSION, clock=lambda: 0.0)

    def feed(self, line: bytes) -> list[Event]:
        """Decode an event."""
        return self.decoder.feed(line)

    def finish(self) -> object:
        """Make the errors that a turn may end with."""
        retry = self.decoder.retry
        return (
            opencode_errors.turn_error(self.decoder.error),
            retry and opencode_errors.retries_used_up(retry),
        )

    @staticmethod
    def body(message: JSON) -> JSON:
        """Return the event in its envelope."""
        return mapping(message, "payload")

    @classmethod
    def parts(cls, message: JSON) -> list[dict[str, JSON]]:
        """Return a part of an answer.

        Those of the prompt repeat what was sent; of a subagent's only the last state is told.
        """
        part = mapping(mapping(cls.body(message), "properties"), "part")
        answers = ("state" in part or "time" in part) and text(part, "sessionID") == _SESSION
        return [part] if answers else []


class OpencodeRun(Subject):
    """``opencode run --format json``."""

    recorded = _lines(_OPENCODE / "run.jsonl")

    def __init__(self) -> None:
        self.decoder = RunDecoder(model="m")

    def feed(self, line: bytes) -> list[Event]:
        """Decode a line."""
        return self.decoder.feed(line)

    def finish(self) -> object:
        """End the turn as the lines say."""
        return self.decoder.outcome("")

    @staticmethod
    def parts(message: JSON) -> list[dict[str, JSON]]:
        """Return the part that is whole, but for the frame of a step."""
        kinds = ("text", "reasoning", "tool_use")
        return [mapping(message, "part")] if text(message, "type") in kinds else []


SUBJECTS: Final[tuple[type[Subject], ...]] = (Claude, Codex, CodexExec, Opencode, OpencodeRun)
