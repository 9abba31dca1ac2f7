"""The script of an agent that talks to the scripted model server."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from caw_core.usage import UsageStats
from caw_testkit.conformance.provider_script import ProviderScript
from caw_testkit.modelserver import call, fail, hang, reply, text, think

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caw_core.blocks import JSON
    from caw_testkit.modelserver import Call, ModelServer, RecordedRequest, Reply

_WAIT_SECONDS = 60.0
_PROMPT = "/please answer @once: größer, 例 \U0001f9ea"
"""It begins as a command does and names a file, and is neither."""


class ModelScript(ProviderScript):
    """Scripts the model of a real program; for most programs that is nearly all there is to say.

    A subclass has the steps for tools that each program has in another way: ``plan``,
    ``change_file`` and ``begin_turn``; `use` makes such a step.

    Args:
        server: the running model server that the program talks to.
        shell_tool: the name of the program's tool for shell commands.
        arguments: makes the arguments of that tool from a command.
        form_tool: the name of the tool by which the program has the model give structured answers;
            ``""`` where the model writes them.
    """

    def __init__(
        self,
        server: ModelServer,
        *,
        shell_tool: str,
        arguments: Callable[[str], Mapping[str, Any]],
        form_tool: str = "",
    ) -> None:
        self.server = server
        self._shell_tool = shell_tool
        self._arguments = arguments
        self._form_tool = form_tool
        self._stalls_at = 0
        # What comes after a scripted step: a turn may be interrupted before it gets there.
        server.respond(_done)

    def answer(self, text_: str) -> str:
        """Let the model say it."""
        self.server.script(reply(text(text_)))
        return _PROMPT

    def answer_typed(self, text_: str) -> str:
        """Let the model say it, to a prompt in which an interface finds no command and no file."""
        self.answer(text_)
        return "please answer"

    def recall(self) -> str:
        """Let the model say what it was sent."""
        self.server.script(lambda request: reply(text("\n".join(request.user_texts()))))
        return "What did I say before?"

    def think(self, thought: str) -> str:
        """Let the model think it."""
        self.server.script(reply(think(thought), text("done")))
        return "Please think."

    def call_tool(self, output: str, call_id: str) -> str:
        """Let the model have the shell print it."""
        return self.use(self.command(f"echo {shlex.quote(output)}", call_id))

    def run_command(self, command: str) -> str:
        """Let the model have the shell do it."""
        self.server.script(reply(self.command(command)))
        return "Please run a command."

    def ask_permission(self) -> str:
        """Let the model have the shell make a file."""
        return self.run_command("touch made-by-the-agent")

    def fail(self) -> str:
        """Let the service refuse in a way that no program repeats."""
        self.server.script(fail(400, "the conformance suite asked for a failure"))
        return "Please fail."

    def stall(self, text_: str) -> str:
        """Let the model speak and use a tool, and say nothing when it has the result."""
        self.server.script(reply(text(text_), self.command("echo going on")), hang())
        self._stalls_at = len(self.server.requests) + 2
        return "Please wait."

    def wait_stalled(self) -> None:
        """Wait for the request that hangs."""
        self.server.wait_for_requests(self._stalls_at, timeout=_WAIT_SECONDS)

    def structured(self, value: JSON) -> str:
        """Let the model say it as JSON, or give it to the tool for that."""
        if not self._form_tool:
            return self.answer(json.dumps(value))
        if not isinstance(value, dict):
            message = f"a tool's arguments are an object, not {value!r}"
            raise TypeError(message)
        self.server.script(reply(call(self._form_tool, value)))
        return "Please answer."

    def spent(self) -> UsageStats:
        """Return what the server has reported."""
        usage = self.server.usage
        return UsageStats(
            input_tokens=usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        )

    def use(self, *calls: Call) -> str:
        """Let the model make these calls."""
        self.server.script(reply(*calls))
        return "Please use a tool."

    def command(self, command: str, call_id: str | None = None) -> Call:
        """Return the model's call of the program's shell."""
        return call(self._shell_tool, self._arguments(command), id=call_id)


def _done(_: RecordedRequest) -> Reply:
    return reply(text("done"))
