"""opencode's own interface in the user's terminal.

The interface is attached to a server of ours in which the conversation is open already. So the
conversation's id is known whatever happens, what was asked for is told over HTTP or in settings and
not in argv, and nothing goes on once that server has ended. What is said of opencode here was
observed with 1.18.33.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.deadlines import Deadline
from caw_core.errors import CawError, ConfigError, UnsupportedError
from caw_core.interactive import InteractiveResult
from caw_core.json_fields import strings, text
from caw_core.locks import ConversationLock
from caw_core.provider import Prompt
from caw_core.terminal.handover import check_terminal, hand_over
from caw_provider_opencode import inputs
from caw_provider_opencode.client import PendingCall, route
from caw_provider_opencode.configuration import CONFIG, merged
from caw_provider_opencode.conversations import Opener
from caw_provider_opencode.errors import INSTALL_HINT, NAME
from caw_provider_opencode.models import model_of
from caw_provider_opencode.protocols import is_too_old
from caw_provider_opencode.relay import Relay
from caw_provider_opencode.run_files import utf8
from caw_provider_opencode.server import ServerPool

if TYPE_CHECKING:
    from caw_core.blocks import JSON
    from caw_core.interactive import InteractiveRequest
    from caw_provider_opencode.client import Answer
    from caw_provider_opencode.conversations import Conversation
    from caw_provider_opencode.live import LiveServer
    from caw_provider_opencode.server import Launch

log = logging.getLogger("caw.opencode")

_FOR_TURNS: Final = ("max_retries", "protocol")
"""Options about turns that caw runs."""

_LEFT: Final = re.compile(r"opencode -s (ses_[0-9A-Za-z]{1,64})")
"""What opencode shows when the user leaves it: the conversation that was open last."""


def hold_conversation(launch: Launch, request: InteractiveRequest) -> InteractiveResult:
    """Run opencode's own interface until the user leaves it.

    Args:
        launch: the program, its environment, and the tool servers.
        request: what was asked for.

    Raises:
        ConfigError: the model or the agent cannot be meant, or settings cannot be merged.
        NoTerminalError: there is no terminal; nothing was started.
        NotResumableError: opencode does not have the conversation.
        SessionBusyError: a session of caw's has it open.
        UnsupportedError: this opencode is too old.
        ProviderError: opencode could not be started, refused, or did not answer in time.
    """
    check_terminal()
    model = model_of(request.model)
    stop = request.deadlines.stop
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="caw-opencode-")))
        launch = _with_settings(launch, request, folder)
        deadline = Deadline("start", request.deadlines.start, provider=NAME)
        # A server of its own: whatever the user begins in it ends with it.
        live = held.enter_context(ServerPool().lent(launch, deadline, stop))
        if is_too_old(live.version):
            msg = f"opencode {live.version} cannot be handed the terminal; that needs 1.14"
            raise UnsupportedError(msg, provider=NAME, options=("interactive",))
        opener = Opener(live, request, dict(launch.env), deadline, present=True)
        conversation = _opened(opener, request.resume_key, held)
        shown = _Shown(live, conversation, stop)
        relay = held.enter_context(Relay(live.port, lambda: shown.send(request, model)))
        try:
            done = hand_over(
                request,
                [
                    *(launch.program, "attach", f"http://127.0.0.1:{relay.port}"),
                    *("--session", conversation.id, "--dir", conversation.directory),
                ],
                env={**dict(launch.env), **live.access},
                install_hint=INSTALL_HINT,
            )
        finally:
            shown.abort()
        # The user may have begun another one there, or gone back to an older one.
        named = [conversation.id, *_LEFT.findall(done.output)]
        key = shown.left(named, is_new=request.resume_key is None)
    return InteractiveResult(
        exit_code=done.exit_code,
        output=done.output,
        resume_key=key,
        notices=(*conversation.notices, *_unheeded(request)),
    )


def _with_settings(launch: Launch, request: InteractiveRequest, folder: Path) -> Launch:
    """Return *launch* with settings for what the interface does not take from a conversation.

    It asks for neither system prompt nor model nor agent with what the user types: model and agent
    are those of the last message, and the settings' where there is none; there an effort counts
    only beside a model.
    """
    agent = request.options.get("agent")
    if not (request.system_prompt or request.model or agent):
        return launch
    env = dict(launch.env)
    try:
        users = json.loads(env.get(CONFIG) or "{}")
    except ValueError as error:
        msg = f"{CONFIG} holds no JSON, so caw's own settings cannot be merged into it"
        raise ConfigError(msg) from error
    over: dict[str, JSON] = {}
    if request.system_prompt:
        file = folder / "system-prompt.md"
        file.write_bytes(utf8(request.system_prompt))
        over["instructions"] = [*strings(users, "instructions"), str(file)]
    if request.model:
        over["model"] = request.model
    if agent:
        over["default_agent"] = agent
    if request.model and request.reasoning:
        name = agent or text(users, "default_agent") or "build"
        # An agent's effort counts for the agent's own model alone.
        over["agent"] = {name: {"model": request.model, "variant": request.reasoning}}
    env[CONFIG] = json.dumps(merged(users, over))
    return attrs.evolve(launch, env=tuple(sorted(env.items())))


def _unheeded(request: InteractiveRequest) -> list[str]:
    """Say what was asked for and has no effect."""
    notices = [
        f"the option {name!r} has no effect in opencode's own interface"
        for name in _FOR_TURNS
        if name in request.options
    ]
    chosen = {
        "model": request.model,
        "reasoning": request.reasoning,
        "the option 'agent'": request.options.get("agent"),
    }
    if request.resume_key is None:
        chosen = {} if request.model else {"reasoning": request.reasoning}
    if not request.prompt:
        notices += [
            f"{name} has no effect: opencode's own interface takes it from a first prompt of caw's"
            for name, value in chosen.items()
            if value
        ]
    return notices


def _opened(opener: Opener, key: str | None, held: contextlib.ExitStack) -> Conversation:
    if key is None:
        conversation = opener.start()
        held.callback(ConversationLock(NAME, conversation.id).release)
        return conversation
    opener.find(key)
    held.callback(ConversationLock(NAME, key).release)
    return opener.resume(key)


class _Shown:
    """The conversation that the interface shows.

    Args:
        live: the server.
        conversation: the conversation.
        seconds: how long each request at the end may take.
    """

    def __init__(self, live: LiveServer, conversation: Conversation, seconds: float) -> None:
        self._live = live
        self._conversation = conversation
        self._seconds = seconds
        self._call: PendingCall | None = None

    def send(self, request: InteractiveRequest, model: dict[str, JSON]) -> None:
        """Send the first prompt, if there is one; return at once."""
        if not request.prompt:
            return
        directory = self._conversation.directory
        body: dict[str, JSON] = {
            "agent": self._conversation.agent,
            "parts": inputs.message_parts(Prompt(text=request.prompt), directory),
            **model,
        }
        if request.reasoning:
            body["variant"] = request.reasoning
        path = self._path(self._conversation.id, "message")
        self._call = PendingCall(self._live.client, "POST", path, body)
        # The answer comes when the turn is over.
        threading.Thread(target=self._run, args=(self._call,), daemon=True).start()

    def abort(self) -> None:
        """End what runs, so that the history does not say that it still does."""
        self._ask("POST", self._conversation.id, "abort")
        if self._call is not None:
            self._call.cancel()

    def left(self, named: list[str], *, is_new: bool) -> str | None:
        """Return the conversation that the user left last, None where nothing was said in any.

        Args:
            named: conversations that were open, the last one last; the first is ours.
            is_new: ours was opened for this.
        """
        kept = []
        for session_id in named:
            said = self._ask("GET", session_id, "message")
            if said is None:
                # It was opened for certain.
                return named[0]
            if said.ok and said.data:
                kept.append(session_id)
        if is_new and named[0] not in kept:
            self._ask("DELETE", named[0])
        return kept[-1] if kept else None

    def _ask(self, method: str, session_id: str, *rest: str) -> Answer | None:
        path = self._path(session_id, *rest)
        try:
            return self._live.client.call(method, path, timeout=self._seconds)
        except (CawError, OSError) as error:
            log.debug("opencode did not answer %s: %s", method, error)
            return None

    def _path(self, session_id: str, *rest: str) -> str:
        return route("session", session_id, *rest, directory=self._conversation.directory)

    @staticmethod
    def _run(call: PendingCall) -> None:
        with contextlib.suppress(OSError, CawError):
            answer = call.run()
            if not answer.ok:
                log.warning("opencode did not take the prompt: %s", answer.message)
