"""A conversation with an opencode whose server is not used: one ``opencode run`` for each turn."""

from __future__ import annotations

import json
import queue
from pathlib import Path
from typing import TYPE_CHECKING, Final

from caw_core.deadlines import Deadline
from caw_core.errors import (
    NotResumableError,
    ProtocolError,
    UnsupportedError,
)
from caw_core.events import Event, Notice, RawOutput, Retrying, StructuredDone, TurnEnded
from caw_core.locks import ConversationLock
from caw_core.spawned_turns import SpawnedTurns
from caw_core.structured import ASK, parse_json
from caw_provider_opencode.conversations import checked_id, same_folder
from caw_provider_opencode.errors import NAME, retries_used_up
from caw_provider_opencode.models import model_of
from caw_provider_opencode.run_choice import choose_agent
from caw_provider_opencode.run_decoder import RunDecoder
from caw_provider_opencode.run_files import RunFiles, utf8
from caw_provider_opencode.run_inspect import Inspector
from caw_provider_opencode.run_log import LOG_FLAGS, RunLog
from caw_provider_opencode.session import MAX_RETRIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.process import Process
    from caw_core.provider import ModelInfo, Prompt, StartRequest
    from caw_provider_opencode.server import Launch

WITHOUT_SERVER: Final = (
    "opencode is started anew for each turn: nobody is asked for permission, text comes whole, "
    "nothing can be said into a running turn, and the conversation cannot be forked"
)

_OLDEST: Final = (1, 1)
"""The first that has rules for each permission: https://opencode.ai/docs/permissions."""

_SHOWS_THINKING: Final = (1, 2)
"""1.2.27 has the flag ``--thinking``, 1.1.11 has not."""

_SAYS_YES: Final = (1, 14)
"""1.14.34 has the flag ``--dangerously-skip-permissions``, which 1.18.33 hides but takes."""


_LOGS_RETRIES: Final = (1, 14)
"""The entries are those of 1.18.33, and look alike in 1.14.34."""

_LOOK_SECONDS: Final = 1.0


class RunSession(SpawnedTurns):
    """One conversation. Made by `open_run_session`; the methods are those of the contract.

    Args:
        launch: the program, its environment, and the tool servers.
        request: what was asked for.
        version: the numbers of the program's version; empty if it does not say, and then as 1.1.

    Raises:
        ConfigError: the model's name says no service, or settings cannot be merged.
        UnsupportedError: this opencode cannot be told what is allowed, or an option cannot be had.
    """

    def __init__(self, launch: Launch, request: StartRequest, version: tuple[int, ...]) -> None:
        if version and version < _OLDEST:
            msg = "this opencode is too old: caw needs 1.1 at least, and 1.14 for its server"
            raise UnsupportedError(msg, provider=NAME)
        if "max_retries" in request.options and version < _LOGS_RETRIES:
            msg = "this opencode run does not tell of retries, so it cannot bound them"
            raise UnsupportedError(msg, provider=NAME, options=("max_retries",))
        model_of(request.model)
        super().__init__(NAME, request)
        self._launch = launch
        self._version = version
        self._folder = request.cwd
        self._files = RunFiles(dict(launch.env), request.system_prompt, launch.servers)
        self._servers = [name for name, _ in launch.servers]
        self._agent = ""
        self._notices = [WITHOUT_SERVER]
        if not version:
            self._notices.append(
                "opencode does not say its version, so it is used as if it were 1.1"
            )
        self._key: str | None = None
        self._right: ConversationLock | None = None

    @property
    def resume_key(self) -> str | None:
        """Opencode's id of the session; None before the first turn."""
        return self._key

    def open(self, session_id: str | None = None) -> None:
        """Find out what holds for a new conversation, or for the one that *session_id* names."""
        deadline = Deadline("start", self.request.deadlines.start, provider=NAME)
        inspector = Inspector(self._launch.program, self._folder, deadline)
        held = None
        if session_id is not None:
            checked_id(session_id)
            held = inspector.conversation(session_id, self._files.environment(self._folder))
            self._right = ConversationLock(NAME, session_id)
            self._key = session_id
            if not same_folder(held.directory, self._folder):
                self._notices.append(
                    f"opencode goes on in the conversation's own folder, {held.directory}"
                )
                self._folder = Path(held.directory)
                inspector = Inspector(self._launch.program, self._folder, deadline)
        chosen = choose_agent(
            inspector, self._files, self.request, held, says_yes=self._version >= _SAYS_YES
        )
        self._agent = chosen.name
        self._servers += chosen.servers

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send *prompt* and yield what happens; see `caw_core.provider.ProviderSession`."""
        with self.turn():
            for notice in self._notices:
                yield Notice(message=notice, level="warning")
            self._notices.clear()
            yield from self._run(prompt)

    def fork(self, request: StartRequest) -> RunSession:
        """Raise `UnsupportedError`: a copy would exist only together with its first turn."""
        del request
        msg = "opencode run cannot fork a conversation by itself; that needs opencode's server"
        raise UnsupportedError(msg, provider=NAME, options=("fork",))

    def models(self) -> list[ModelInfo]:
        """Raise `UnsupportedError`: only the server tells the models with their efforts."""
        msg = "opencode run does not list models; that needs opencode's server"
        raise UnsupportedError(msg, provider=NAME, options=("models",))

    def set_model(self, model: str | None, reasoning: str | None) -> None:
        """Use another model or effort from the next turn on; errors as in the constructor."""
        model_of(model)
        super().set_model(model, reasoning)

    def close(self) -> None:
        """End what runs; idempotent."""
        super().close()
        self._files.close()
        if self._right is not None:
            self._right.release()

    # ---------------------------------------------------------------------------------- one turn

    def _arguments(self, prompt: Prompt) -> list[str]:
        request = self.request
        # One argument each, so that a value that begins with "-" is no flag.
        arguments = ["run", "--format=json"]
        if self._version >= _LOGS_RETRIES:
            arguments += LOG_FLAGS
        if self._version >= _SHOWS_THINKING:
            arguments.append("--thinking")
        if request.permissions == "full" and self._version >= _SAYS_YES:
            arguments.append("--dangerously-skip-permissions")
        if self._key is not None:
            arguments.append(f"--session={self._key}")
        else:
            # With a title of ours opencode does not ask a model for one.
            arguments.append(f"--title=caw {request.session_id}")
        if self._agent:
            arguments.append(f"--agent={self._agent}")
        if request.model:
            arguments.append(f"--model={request.model}")
        if request.reasoning:
            arguments.append(f"--variant={request.reasoning}")
        return arguments + [f"--file={path}" for path in self._files.attached(prompt.attachments)]

    def _run(self, prompt: Prompt) -> Iterator[Event]:
        said = utf8(_words(prompt))
        arguments = self._arguments(prompt)
        decoder = RunDecoder(servers=self._servers, model=self.request.model or "")
        process, lines = self.spawn(
            [self._launch.program, *arguments],
            cwd=self._folder,
            env=self._files.environment(self._folder),
            said=said,
            name=NAME,
        )
        log = RunLog()
        while True:
            try:
                line = lines.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                yield from self._retries(log, process)
                continue
            if not isinstance(line, bytes):
                break
            if self.request.keep_raw:
                yield RawOutput(line=line.decode(errors="replace"))
            events = decoder.feed(line)
            self._keep(decoder.session_id)
            yield from events
        end = self._end(decoder, process)
        if prompt.output_schema is not None and end.stop_reason == "end_turn":
            yield from _structured(decoder.answer)
        yield end

    def _retries(self, log: RunLog, process: Process) -> Iterator[Retrying]:
        most = int(self.request.options.get("max_retries", MAX_RETRIES))
        for retry in log.look(process.stderr_tail):
            if retry.attempt > most:
                raise retries_used_up(retry)
            yield Retrying(reason=retry.message, attempt=retry.attempt, max_attempts=most)

    def _keep(self, session_id: str) -> None:
        if self._key is None and session_id:
            self._right = ConversationLock(NAME, session_id)
            self._key = session_id

    def _end(self, decoder: RunDecoder, process: Process) -> TurnEnded:
        # opencode keeps what it has written down before an interrupt.
        if (stopped := self.stopped()) is not None:
            return stopped
        end = decoder.outcome(process.stderr_tail)
        if end is not None:
            return end
        if "Session not found" in process.stderr_tail:
            msg = "opencode no longer has the conversation"
            raise NotResumableError(msg, provider=NAME)
        failure = process.exit_error("opencode run ended without ending the turn").again(NAME)
        if process.exit is not None and process.exit.code == 0:
            raise ProtocolError(str(failure), provider=NAME)
        raise failure


def open_run_session(
    launch: Launch,
    request: StartRequest,
    version: tuple[int, ...],
    session_id: str | None = None,
) -> RunSession:
    """Open a session, a new one or an existing one.

    Args:
        launch: the program, its environment, and the tool servers.
        request: what was asked for.
        version: the numbers of the program's version; empty if it does not say.
        session_id: the conversation to continue.

    Raises:
        ConfigError: as `RunSession`; or there is no such agent.
        NotResumableError: opencode does not have the conversation.
        ProviderError: opencode did not answer, or not in time.
        SessionBusyError: another session of caw has it open.
        UnsupportedError: as `RunSession`; or the conversation keeps other rules.
    """
    session = RunSession(launch, request, version)
    try:
        session.open(session_id)
    except BaseException:
        session.close()
        raise
    return session


def _words(prompt: Prompt) -> str:
    if prompt.commands:
        msg = "commands and @path need opencode's server"
        raise UnsupportedError(msg, provider=NAME, options=("commands",))
    if not prompt.text.strip():
        msg = "opencode run takes no prompt that is nothing but white space"
        raise UnsupportedError(msg, provider=NAME, options=("prompt",))
    if prompt.output_schema is None:
        return prompt.text
    return ASK.format(text=prompt.text, schema=json.dumps(dict(prompt.output_schema)))


def _structured(answer: str) -> Iterator[StructuredDone]:
    try:
        value = parse_json(answer)
    except (ValueError, RecursionError):
        # The core sees that there is none, and asks again.
        return
    yield StructuredDone(value=value)
