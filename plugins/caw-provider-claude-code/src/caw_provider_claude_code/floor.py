"""Whose turn it is. No I/O: messages in, answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from caw_core.json_fields import mapping, text
from caw_provider_claude_code.decoder import SYNTHETIC, kind_of

if TYPE_CHECKING:
    from caw_core.blocks import JSON

Whose = Literal["nobody", "ours", "own"]
"""To whom a message belongs: to nobody's turn, our prompt's, or one that claude began by itself."""

_ANSWERS: Final = frozenset({"assistant", "stream_event", "system/api_retry"})


class Floor:
    """Tells for each message of one claude whose turn it belongs to.

    Claude begins a turn by itself when a task in the background has ended or a time has come that
    it had set itself. A prompt that is sent meanwhile waits, or is taken up in the midst of it if
    it calls tools; from there on the turn is ours. What tells them apart (observed):

    * Claude 2.1.329 names a prompt with a ``command_lifecycle`` when it takes it up.
    * Claude 2.1.197 echoes it, which is certain but late: with the first whole block. Until then
      what follows a prompt is taken for its answer, unless a notice about a task came before it.
      A whole block without an echo shows that it was none.

    Attributes:
        whose: whose turn runs.
        notices: what set off a turn of claude's own that is to begin, in claude's words.
    """

    def __init__(self) -> None:
        self.whose: Whose = "nobody"
        self.notices: list[str] = []
        self._prompt_id = ""
        self._commands = False
        self._taken_up = False
        self._names_prompts = False

    def prompt_sent(self, prompt_id: str, *, commands: bool, alone: bool) -> None:
        """Expect the answer to a prompt.

        Args:
            prompt_id: the ``uuid`` of its line.
            commands: claude may answer it without the model, and without an echo.
            alone: there will be nothing but this answer.
        """
        self._prompt_id, self._commands, self._taken_up = prompt_id, commands, alone
        if alone:
            self.whose = "ours"

    def over(self, whose: Whose) -> None:
        """Take note that a turn has ended, or that its prompt was never sent."""
        if whose == "ours":
            self._prompt_id = ""
        if whose == self.whose:
            self.whose = "nobody"

    def place(self, message: dict[str, JSON]) -> Whose:
        """Return whose turn a message belongs to.

        Where that differs from the answer before, the turn that ran has ended without a word of
        its own if it was claude's; if it was ours, what was streamed of it was never ours.
        """
        kind = kind_of(message)
        self._names_prompts = self._names_prompts or kind == "command_lifecycle"
        if self._takes_up(kind, message):
            self._taken_up, self.notices, self.whose = True, [], "ours"
        elif self.whose == "nobody" and kind == "system/task_notification":
            self.notices.append(text(message, "summary"))
        elif self.whose == "nobody":
            self.whose = self._begins(kind, message)
        elif self.whose == "ours" and not self._taken_up and self._is_own(kind, message):
            self.whose = "own"
        elif self.whose == "own" and kind == "result" and self._is_ours(message):
            self.whose = "ours"
        return self.whose

    def _takes_up(self, kind: str, message: dict[str, JSON]) -> bool:
        if not self._prompt_id:
            return False
        if kind == "command_lifecycle":
            named = text(message, "state") == "started" and text(message, "command_uuid")
        else:
            named = message.get("isReplay") is True and text(message, "uuid")
        return named == self._prompt_id

    def _begins(self, kind: str, message: dict[str, JSON]) -> Whose:
        if text(message, "parent_tool_use_id"):
            # A subagent's, which may go on in the background.
            return "nobody"
        expected = bool(self._prompt_id) and not self._names_prompts and not self.notices
        if kind == "system/init" or (kind == "result" and "origin" not in message):
            return "ours" if expected else "nobody"
        if kind in _ANSWERS:
            return "ours" if expected else "own"
        return "nobody"

    def _is_own(self, kind: str, message: dict[str, JSON]) -> bool:
        if kind == "result":
            return "origin" in message
        if kind != "assistant" or text(message, "parent_tool_use_id") or self._commands:
            return False
        return text(mapping(message, "message"), "model") != SYNTHETIC

    def _is_ours(self, message: dict[str, JSON]) -> bool:
        # The end of a turn that a task set off says so; another one ends what was sent.
        return bool(self._prompt_id and self.notices) and "origin" not in message
