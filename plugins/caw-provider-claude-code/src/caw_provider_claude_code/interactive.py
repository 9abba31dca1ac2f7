"""Claude's own interface in the user's terminal.

That claude (2.1.197) takes the first prompt from a stdin that is no terminal and then talks with
the user through ``/dev/tty``, and that it takes ``--session-id`` and the two prompt files there
too, was observed. What it asks at a first start (login, trust in the folder) the user answers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from caw_core.interactive import InteractiveResult
from caw_core.locks import ConversationLock
from caw_core.terminal.handover import hand_over
from caw_provider_claude_code.errors import NAME, gone
from caw_provider_claude_code.launch import prepare
from caw_provider_claude_code.native import was_begun
from caw_provider_claude_code.program import CLAUDE
from caw_provider_claude_code.protocols import StartFiles
from caw_provider_claude_code.transcripts import (
    conversation_id,
    new_conversation,
    resume_argument,
    transcripts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.interactive import InteractiveRequest

_LEFT: Final = re.compile(r"claude --resume ([0-9a-f-]{36})")
"""What claude shows when the user leaves it: the conversation that was open last."""

_NO_BOUND: Final = "max_turns has no effect in claude's own interface"


def hold_conversation(request: InteractiveRequest) -> InteractiveResult:
    """Run claude's own interface until the user leaves it.

    Raises:
        ConfigError: an option cannot be understood, or claude would refuse it.
        NoTerminalError: there is no terminal.
        NotResumableError: claude does not have the conversation.
        ProgramNotFoundError: there is no claude.
        SessionBusyError: a session of caw has the conversation open.
    """
    launch = prepare(request, live=False, present=True)
    key = _key(request, launch.env)
    if request.resume_key is None:
        conversation = f"--session-id={key}"
    else:
        conversation = f"--resume={resume_argument(launch.env, key, launch.cwd)}"
    hold = ConversationLock(NAME, key)
    files = StartFiles(request, launch.greeting)
    try:
        done = hand_over(
            request,
            launch.argv(*files.flags, conversation),
            env=launch.env,
            stdin=request.prompt or None,
            install_hint=CLAUDE.install_hint,
        )
    finally:
        files.close()
        hold.release()
    # The user may have begun another conversation there, or gone back to an older one.
    named = [key, *_LEFT.findall(done.output)]
    kept = [one for one in named if was_begun(transcripts(launch.env, one))]
    return InteractiveResult(
        exit_code=done.exit_code,
        output=done.output,
        resume_key=kept[-1] if kept else None,
        notices=() if request.max_turns is None else (_NO_BOUND,),
    )


def _key(request: InteractiveRequest, env: Mapping[str, str]) -> str:
    if request.resume_key is None:
        return new_conversation(env, request.session_id)
    key = conversation_id(request.resume_key)
    if key is None:
        raise gone("that is no id of claude's")
    if not transcripts(env, key):
        raise gone("there is no file of that name")
    return key
