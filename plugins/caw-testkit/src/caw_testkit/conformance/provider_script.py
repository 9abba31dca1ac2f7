"""How the suite makes an agent do things: the script that a plugin's author gives."""

# ruff: noqa: ARG002 - a step that is not written takes what a written one would

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.usage import UsageStats


class CannotScriptError(Exception):
    """The script has no such step.

    Attributes:
        step: the step's name.
    """

    def __init__(self, step: str) -> None:
        super().__init__(f"the script has no step {step!r}")
        self.step = step


class ProviderScript:
    """Makes an agent do a thing in its next turn.

    Subclass it and write the steps that your agent can be made to do. A step gets the agent (its
    model, its service, its fake) ready and returns the prompt that the suite then sends. What
    cannot be done stays as it is here and is declared in ``cannot`` of the suite, with the reason.

    Except where a step says otherwise the turn ends by itself, and what it says besides is free.
    """

    def answer(self, text: str) -> str:
        """Let the agent answer *text*, which may stand among other words. Every agent can."""
        raise CannotScriptError("answer")

    leave_keys = "\x04"
    """The keys by which a user leaves the agent's own interface, Ctrl-D unless given."""

    def answer_typed(self, text: str) -> str:
        """Do as `answer`, with a prompt that a user could type into the agent's own interface."""
        return self.answer(text)

    def recall(self) -> str:
        """Let the agent answer with every prompt of the user's that it knows, in order."""
        raise CannotScriptError("recall")

    def think(self, thought: str) -> str:
        """Let the agent think *thought* and then answer something."""
        raise CannotScriptError("think")

    def call_tool(self, output: str, call_id: str) -> str:
        """Let the agent call a harmless tool that prints *output*, a word.

        The call has *call_id* as its id, where the agent does not choose that itself.
        """
        raise CannotScriptError("call_tool")

    def run_command(self, command: str) -> str:
        """Let the agent run *command* in a POSIX shell, with a tool of its own."""
        raise CannotScriptError("run_command")

    def ask_permission(self) -> str:
        """Let the agent do something for which it needs a yes under ``permissions="ask"``."""
        raise CannotScriptError("ask_permission")

    def fail(self) -> str:
        """Let the turn fail, e.g. by an error of the agent's service."""
        raise CannotScriptError("fail")

    def stall(self, text: str) -> str:
        """Let the agent say *text*, and then go on without saying anything or coming to an end."""
        raise CannotScriptError("stall")

    def wait_stalled(self) -> None:
        """Block until the agent is in its stall; *text* has been seen by then."""

    def wait_written(self, resume_key: str) -> None:
        """Block until the agent has written down what resuming its last turn needs.

        Most have when the turn ends. One that writes later overrides this, or the checks that kill
        its program right after a turn ask for what was never there.
        """

    def structured(self, value: JSON) -> str:
        """Let the agent answer *value* in its form for structured answers."""
        raise CannotScriptError("structured")

    def plan(self, step: str) -> str:
        """Let the agent make a plan of the one step *step*."""
        raise CannotScriptError("plan")

    def change_file(self, name: str, content: str) -> str:
        """Let the agent make the file *name* in its folder, with a tool of its own for that."""
        raise CannotScriptError("change_file")

    def begin_turn(self, text: str) -> str:
        """Let the agent begin a turn by itself after this one, in which it answers *text*.

        It waits for `set_off`.
        """
        raise CannotScriptError("begin_turn")

    def set_off(self) -> None:
        """Let happen what the agent begins its own turn for; `begin_turn` has ended by then."""

    def spent(self) -> UsageStats | None:
        """Return what the agent's service has charged since the test began; None: nobody knows."""
        return None


_NO_STEPS = {"wait_stalled", "set_off", "spent", "leave_keys", "answer_typed"}

STEPS = tuple(
    name for name in vars(ProviderScript) if not name.startswith("_") and name not in _NO_STEPS
)
"""The names that ``cannot`` may have, and besides them ``wire`` and ``fresh_process``."""
