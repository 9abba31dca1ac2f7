"""The request for, and the result of, handing the terminal to an agent's own interface."""

from __future__ import annotations

import attrs

from caw_core.provider import StartRequest


@attrs.frozen(kw_only=True)
class InteractiveRequest(StartRequest):
    """A `caw_core.provider.StartRequest` for the agent's own interface.

    Attributes:
        prompt: the first prompt; ``""`` for none.
        capture_bytes: how much of the terminal's output to keep, from its end.
    """

    prompt: str = ""
    capture_bytes: int = 0


@attrs.frozen(kw_only=True)
class InteractiveResult:
    """How an interactive session ended.

    Attributes:
        exit_code: the program's exit status; 130 where the user cancelled before it started.
        output: the captured end of what the terminal showed, escape sequences included.
        resume_key: what continues the conversation, where the agent left one; a secret.
    """

    exit_code: int
    output: str = attrs.field(default="", repr=False)
    resume_key: str | None = attrs.field(default=None, repr=False)
