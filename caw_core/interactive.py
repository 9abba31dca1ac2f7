"""The request for, and the result of, handing the terminal to an agent's own interface."""

from __future__ import annotations

import attrs

from caw_core.provider import StartRequest
from caw_core.terminal.ending import Ending


@attrs.frozen(kw_only=True)
class InteractiveRequest(StartRequest):
    """A `caw_core.provider.StartRequest` for the agent's own interface.

    Attributes:
        prompt: the first prompt; ``""`` for none.
        capture_bytes: how much of the terminal's output to keep, from its end; 0 for all, up to
            `caw_core.terminal.handover.ALL_BYTES`.
        resume_key: the conversation to continue, as in `caw_core.provider.ResumeRequest`; None for
            a new one.
        ending: by which the caller ends it; `caw_core.terminal.handover.hand_over` heeds it.
    """

    prompt: str = attrs.field(default="", repr=False)
    capture_bytes: int = 0
    resume_key: str | None = attrs.field(default=None, repr=False)
    ending: Ending = attrs.field(factory=Ending, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class InteractiveResult:
    """How an interactive session ended.

    A provider gives the first four; the core adds the others.

    Attributes:
        exit_code: the program's exit status; 128 and the signal's number where one ended it; 130
            where the user chose no provider, and then nothing was started.
        output: the captured end of what the terminal showed, escape sequences included.
        resume_key: what continues the conversation, where the agent left one; a secret.
        notices: what was asked for and had no effect there, a sentence each.
        provider: the provider's name; ``""`` where none was chosen.
        session_id: caw's id of the conversation; None where the agent left none.
        resume_handle: what `caw_core.Agent.resume_session` takes to continue it; a secret; None
            where the agent left none.
    """

    exit_code: int
    output: str = attrs.field(default="", repr=False)
    resume_key: str | None = attrs.field(default=None, repr=False)
    notices: tuple[str, ...] = ()
    provider: str = ""
    session_id: str | None = None
    resume_handle: str | None = attrs.field(default=None, repr=False)
