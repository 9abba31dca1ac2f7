"""A conversation with a codex that has no usable app-server: one ``codex exec`` for each turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caw_core.errors import (
    NotResumableError,
    ProtocolError,
    SessionBusyError,
    UnsupportedError,
)
from caw_core.events import Event, Notice, RawOutput, Retrying, TurnEnded
from caw_core.spawned_turns import SpawnedTurns
from caw_core.usage import UsageStats
from caw_provider_codex.answer_form import structured_answer
from caw_provider_codex.errors import NAME, exec_error, no_connection, refusal
from caw_provider_codex.exec_decoder import ExecDecoder
from caw_provider_codex.exec_run import prepared
from caw_provider_codex.readiness import codex_home
from caw_provider_codex.rollout import find_rollout, total_usage
from caw_provider_codex.rpc import RpcError
from caw_provider_codex.session import NETWORK_RETRIES
from caw_provider_codex.toolset import tool_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.process import Process
    from caw_core.provider import ModelInfo, Prompt, StartRequest
    from caw_provider_codex.server import Launch


class ExecSession(SpawnedTurns):
    """One conversation; the methods are those of the contract.

    Args:
        launch: the program and its environment.
        request: what was asked for.
        reason: why the app-server is not used, for the first notice.
        thread_id: the conversation to continue; None for a new one.

    Raises:
        NotResumableError: codex does not have the conversation.
        UnsupportedError: the tools that were asked for cannot be had, or there is a history to
            begin with.
    """

    def __init__(
        self, launch: Launch, request: StartRequest, reason: str, thread_id: str | None = None
    ) -> None:
        if request.history is not None:
            msg = f"codex exec takes no history, and the app-server cannot be used: {reason}"
            raise UnsupportedError(msg, provider=NAME, options=("history",))
        super().__init__(NAME, request)
        self._program = launch.program
        self._env = dict(launch.env)
        why = reason.rstrip(".")
        self._notice = (
            f"{why}. codex exec is used: text comes whole, nobody is asked for permission, "
            "nothing can be said into a running turn, and what it used is known only at its end, "
            "so max_turns and a budget do not stop it in its middle"
        )
        self._thread_id = thread_id
        self._total: UsageStats | None = None if thread_id else UsageStats()
        # Said now rather than in the first turn, where the tools cannot be had.
        tool_settings(request.tools)
        if thread_id and find_rollout(codex_home(self._env), thread_id) is None:
            # Without its id, which is the resume key and so a secret.
            msg = "codex does not have the conversation: there is no file of it"
            raise NotResumableError(msg, provider=NAME)

    @property
    def resume_key(self) -> str | None:
        """Codex's thread id; None before the first turn."""
        return self._thread_id

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send *prompt* and yield what happens; see `caw_core.provider.ProviderSession`."""
        with self.turn():
            if self._notice:
                yield Notice(message=self._notice, level="warning")
                self._notice = ""
            yield from self._run(prompt)

    def fork(self, request: StartRequest) -> ExecSession:
        """Raise `UnsupportedError`: a copy exists only together with its first turn."""
        del request
        msg = "codex exec cannot fork a conversation; that needs codex's app-server"
        raise UnsupportedError(msg, provider=NAME, options=("fork",))

    def models(self) -> list[ModelInfo]:
        """Raise `UnsupportedError`: only the app-server lists models."""
        msg = "codex exec cannot list models; that needs codex's app-server"
        raise UnsupportedError(msg, provider=NAME, options=("models",))

    # ---------------------------------------------------------------------------------- one turn

    def _run(self, prompt: Prompt) -> Iterator[Event]:
        decoder = ExecDecoder(self._used(), model=self.request.model or "")
        # Until the turn's end is known, what it used is not.
        self._total = None
        retries = self.request.options.get("network_retries", NETWORK_RETRIES)
        with prepared(self.request, self._env, prompt, self._thread_id) as (arguments, said):
            process, lines = self.spawn(
                [self._program, *arguments],
                cwd=self.request.cwd,
                env=self._env,
                said=said,
                name="codex exec",
            )
            while isinstance(line := lines.get(), bytes):
                if self.request.keep_raw:
                    yield RawOutput(line=line.decode(errors="replace"))
                for event in decoder.feed(line):
                    yield event
                    if isinstance(event, Retrying) and not event.max_attempts:
                        retries -= 1
                        if retries < 0:
                            raise no_connection(event.reason)
                self._thread_id = decoder.thread_id or self._thread_id
        end = self._end(decoder, process)
        if prompt.output_schema is not None and end.stop_reason == "end_turn":
            yield from structured_answer(decoder.answer)
        yield end

    def _used(self) -> UsageStats:
        if self._total is None and self._thread_id:
            file = find_rollout(codex_home(self._env), self._thread_id)
            return total_usage(file) if file else UsageStats()
        return self._total or UsageStats()

    def _end(self, decoder: ExecDecoder, process: Process) -> TurnEnded:
        outcome = decoder.outcome
        if outcome is not None and outcome.status == "completed":
            self._total = decoder.total
            return TurnEnded(stop_reason="end_turn")
        # codex keeps what was said before an interrupt, and calls the turn interrupted.
        if (stopped := self.stopped()) is not None:
            return stopped
        if outcome is not None:
            raise exec_error(outcome.error, model=self.request.model or "")
        failure = process.exit_error("codex exec ended without ending the turn")
        if process.exit is not None and process.exit.code == 0:
            raise ProtocolError(str(failure), provider=NAME)
        # It refuses a conversation before it prints anything, in the app-server's own words.
        for line in process.stderr_tail.splitlines():
            refused = refusal(RpcError(0, line.rpartition("failed: ")[2]))
            if isinstance(refused, NotResumableError | SessionBusyError):
                raise refused from failure
        failure.provider = NAME
        raise failure
