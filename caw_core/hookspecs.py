"""The hooks: what a plugin can implement, and what caw promises to whoever does.

This file is the manual. A plugin is a module or an object whose functions carry the marker
`caw_core.hookimpl` and the names below; it may take any subset of a hook's arguments, by exactly
these names. Every plugin states ``caw_api = "1.0"``.

* A **provider** is found in the entry-point group ``caw.providers`` (name: what the user types) or
  given to `caw_core.register_provider`. It implements `start_session` and `provider_info`, and
  more where it can.
* A **storage** is found in ``caw.storages`` (name: the URL's scheme; value: a function that takes
  the URL and returns the plugin). It implements `persist_turn` and `load_trajectory`, and more.
* An **observer** is found in ``caw.plugins``. It wraps any hook (``@hookimpl(wrapper=True)``),
  listens to `persist_turn` and `persist_session` after the storages, or answers what is asked of
  observers alone: `price_usage`, `check_tools`, `serve_tools`. It answers for nobody else.

Each agent has a plugin manager of its own that holds exactly one provider, its storages and the
observers. So no hook is ever broadcast to several providers, and a provider need not ask whether
it is meant.

The contract is synchronous on purpose: plain functions and generators, run in threads by the
core, which also makes the awaitable twins. An ``async def`` hook is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from caw_core.credentials import ContainerCredentials
    from caw_core.interactive import InteractiveRequest, InteractiveResult
    from caw_core.provider import (
        NativeSession,
        ProviderInfo,
        ProviderSession,
        Readiness,
        ResumeRequest,
        StartRequest,
    )
    from caw_core.storage import (
        Lease,
        LiveEvent,
        SearchPage,
        SearchQuery,
        SessionPage,
        SessionQuery,
        TurnRange,
    )
    from caw_core.tool_serving import GivenTools, ServedTools, ToolScope
    from caw_core.trajectory import SessionInfo, Trajectory, Turn
    from caw_core.usage import Price, UsageStats

PROJECT_NAME = "caw"
hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)

# ------------------------------------------------------------------------------ a provider's hooks


# mypy: disable-error-code="empty-body"


class ProviderSpecs:
    """Hooks that the one chosen provider answers, inside the observers' wrappers."""

    @hookspec(firstresult=True)
    def start_session(self, request: StartRequest) -> ProviderSession:
        """Open a new conversation with the agent.

        Called once for each `caw_core.Agent.start_session`, before any prompt, in a thread of its
        own and bounded by the ``start`` deadline. Spend no tokens here.

        :param request: everything that was asked for; nothing else may be consulted.
        :return: a `caw_core.provider.ProviderSession`. Required of every provider.
        :raises ProgramNotFoundError: the agent's program is missing; say how to get it.
        :raises ProviderError: any other failure, as precise a subclass as the facts allow.
        """

    @hookspec(firstresult=True)
    def resume_session(self, request: ResumeRequest) -> ProviderSession:
        """Continue a conversation that the agent, or the record, still has.

        :param request: as for `start_session`, with the key and, if a storage had it, the record.
        :return: a session whose next prompt continues the conversation. A provider without this
            hook cannot resume, and the caller gets an `UnsupportedError`.
        :raises NotResumableError: the conversation is gone. Never start a fresh one instead.
        :raises SessionBusyError: another process holds the conversation.
        """

    @hookspec(firstresult=True)
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        """Read from a stored record the key that `resume_session` needs.

        Pure: no I/O, no program. It must equal what ``ProviderSession.resume_key`` was.

        :param trajectory: a record of this provider, perhaps an old one or another wrapper's.
        :return: the key, or None if the record does not hold one. Without this hook the core takes
            ``trajectory.resume_key``.
        """

    @hookspec(firstresult=True)
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        """Hand the terminal to the agent's own user interface and return when the user leaves it.

        `caw_core.terminal.handover.hand_over` does that for an agent that is a program. What the
        agent asks its user (login, trust) is never answered here. The core then reads what was
        said with `find_sessions` and `read_session`, where the provider has them.

        :param request: the first prompt and the options.
        :return: the exit code and what is needed to continue from Python. Without this hook the
            caller gets an `UnsupportedError`.
        :raises NoTerminalError: stdin and stdout are no terminal; nothing was started.
        :raises NotResumableError: the conversation to continue is gone.
        """

    @hookspec(firstresult=True)
    def provider_info(self) -> ProviderInfo:
        """Say what this provider is and can do.

        Pure and fast: no program, no network, no disk. Required of every provider.

        :return: a `caw_core.provider.ProviderInfo`; its capabilities are checked by the
            conformance suite, so declare only what holds.
        """

    @hookspec(firstresult=True)
    def check_ready(
        self,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> Readiness:
        """Say whether a session could start now.

        Called by ``caw doctor`` and when an agent must choose its provider itself. May look at
        files and PATH and ask a program for its version; no network, no tokens, under a second.

        :param env: the agent's changes to the environment, as in `StartRequest`.
        :param options: this provider's own options, as in `StartRequest`.
        :return: a `caw_core.provider.Readiness`; `caw_core.readiness.program_readiness` makes it
            for an agent that is a program. A provider without this hook counts as ready.
        """

    @hookspec(firstresult=True)
    def container_credentials(
        self,
        env: Mapping[str, str | None],
    ) -> ContainerCredentials | None:
        """Say what a container needs so that the agent in it is logged in as on this machine.

        Called by `caw_core.credentials` and ``caw auth``. Name where logins lie, whether they are
        there or not. Reads a login at most for when it runs out, and returns nothing of it: the
        core mounts the files as they are. No network, no program.

        :param env: the agent's changes to the environment, as in `StartRequest`; it may move the
            places where logins lie.
        :return: a `caw_core.credentials.ContainerCredentials`; None, as without this hook, if there
            is nothing that a container could be given.
        """

    @hookspec(firstresult=True)
    def find_sessions(
        self,
        cwd: Path,
        env: Mapping[str, str | None],
        options: Mapping[str, Any],
    ) -> list[NativeSession]:
        """List the conversations that the agent's own store holds for a folder.

        They may have been made by the agent's own user interface. Reads files, starts a program
        where it must; spends no tokens.

        :param cwd: the folder, absolute.
        :param env: variables that change where the agent keeps its store, as in `StartRequest`.
        :param options: this provider's own options, as in `StartRequest`.
        :return: newest first. Without this hook the caller gets an `UnsupportedError`.
        """

    @hookspec(firstresult=True)
    def read_session(self, native: NativeSession, options: Mapping[str, Any]) -> Trajectory:
        """Read a conversation of the agent's own into a record, as far as its store tells.

        :param native: one of those that `find_sessions` returned.
        :param options: this provider's own options.
        :return: the record; its session id is given by the core.
        :raises NotResumableError: it is gone.
        """


# ------------------------------------------------------------------------------- a storage's hooks


class StorageSpecs:
    """Hooks of storages; observers may listen to the two ``persist_*`` hooks as well."""

    @hookspec
    def persist_turn(self, session: SessionInfo, turn: Turn, attempt: int = 1) -> None:
        """Keep one turn.

        Called when a turn starts (status ``running``), at tool boundaries at most once a second,
        and when it ends; so each call brings the turn as it is now, whole. Must be idempotent on
        ``(session.session_id, turn.index)``: a later call replaces what an earlier one left, the
        same call twice changes nothing, and a running state that arrives after the turn's end is
        late and must be passed over. Its cost must not depend on how many turns came before.
        When it returns for a turn that is not running, the turn must survive a crash.

        Every storage is called alone, in the order of configuration, then the observers; one that
        raises does not keep the others from being called.

        :param session: the head of the record, as it is now.
        :param turn: the turn.
        :param attempt: 1, or more when an earlier attempt for the same state failed.
        :raises Exception: anything; after the turn the caller gets a `PersistError` with the turn.
        """

    @hookspec
    def persist_session(self, session: SessionInfo) -> None:
        """Keep the head of a record.

        Called when a session starts, when something in its head changes, and when it ends
        (``completed_at`` is then set). Idempotent.

        :param session: the head, whole.
        """

    @hookspec(firstresult=True)
    def load_trajectory(
        self,
        session_id: str,
        turns: TurnRange | None = None,
    ) -> Trajectory | None:
        """Read a session's record.

        :param session_id: a checked id.
        :param turns: which turns are wanted; None for all. A storage that takes this argument reads
            no others; from one that does not, the core takes the whole record and cuts it.
        :return: the record, or None if this storage certainly has no such session; the next
            storage is then asked. A turn that was never finished comes back as ``unknown``.
        :raises StorageError: whenever that is not certain. A storage that is down must never look
            like one that does not have the session.
        :raises TrajectoryError: the session is there and its record is damaged.
        """

    @hookspec(firstresult=True)
    def list_sessions(self, query: SessionQuery) -> SessionPage | None:
        """List sessions, newest first, without reading their turns.

        `caw_core.listing` has what storages share: titles, cursors, and a filter for those that
        cannot ask a database.

        :param query: filter and page; the filter counts before the limit does.
        :return: one page; None if this storage cannot list.
        :raises ConfigError: the cursor is not one of this storage's.
        """

    @hookspec(firstresult=True)
    def search_sessions(self, query: SearchQuery) -> SearchPage | None:
        """Find turns by words in their prompt and in what the agent wrote for the user.

        :param query: the words and the page.
        :return: one page; None if this storage cannot search. Without this hook the core looks
            through the records itself, newest session first.
        :raises ConfigError: the cursor is not one of this storage's.
        """

    @hookspec
    def share_turns(self, session: SessionInfo, parent_id: str, stop: int) -> bool | None:
        """Let a session that was just made begin with the turns of another, without copying them.

        Called under the new session's lease, before its first turn, where a session is forked. The
        new one keeps these turns whatever becomes of the other one, also when that is deleted.

        :param session: the head of the new session's record.
        :param parent_id: whose turns they are.
        :param stop: those with an index below it, all of which have ended.
        :return: True if the new record has them now. Otherwise, and without this hook, the core
            stores them one by one.
        """

    @hookspec
    def publish_events(self, session_id: str, events: Sequence[LiveEvent]) -> None:
        """Let other processes see what a running session does.

        Called in a thread of its own, a few times a second at most, with what has happened since.
        Nothing here is kept for good: the record is what `persist_turn` makes. It is enough to hold
        the last thousand or so events of a session, and the last few of one that has ended, for
        those who were about to read them: at least for some seconds, at most 64 KiB of them.

        :param session_id: the session, whose lease this process holds.
        :param events: in order; each follows what was published before, unless some were left out
            because storing them took too long.
        :raises Exception: anything; it is logged, and the turn goes on.
        """

    @hookspec(firstresult=True)
    def read_events(
        self,
        session_id: str,
        after: str,
        limit: int,
        wait_seconds: float,
    ) -> Sequence[LiveEvent] | None:
        """Read what `publish_events` was given, by this process or another one.

        :param session_id: the session; nothing need be known of it yet.
        :param after: the `LiveEvent.cursor` after which to begin; ``""`` for the oldest one held.
        :param limit: how many at most.
        :param wait_seconds: how long to wait for the first one if there is none yet; 0 not at all.
            Returning earlier without any is allowed.
        :return: in order, empty if there are none; None if this storage publishes nothing.
        """

    @hookspec
    def delete_session(self, session_id: str) -> bool | None:
        """Delete a session's record, all of it.

        :return: True if there was one.
        """

    @hookspec
    def lease_session(self, session_id: str) -> Lease | None:
        """Take the right to write a session; asked of every storage before a session opens.

        The storage remembers what it gave: a write by this plugin is checked against that lease's
        token, in the same atomic step, and refused with `SessionBusyError` if another one was given
        since. Whoever writes without a lease takes one for that write.

        :return: a `caw_core.storage.Lease`, or an `caw_core.storage.ExpiringLease`, which the core
            renews; None if this storage has no leases.
        :raises SessionBusyError: somebody else holds it.
        """

    @hookspec(firstresult=True)
    def session_dir(self, session_id: str) -> Path | None:
        """Name the folder in which this storage keeps the session, if it keeps it in one."""


# ----------------------------------------------------------------------------- an observer's hooks


class ObserverSpecs:
    """Hooks that observers answer; the first answer that is not None counts."""

    @hookspec(firstresult=True)
    def price_usage(self, provider: str, model: str, usage: UsageStats) -> Price | None:
        """Say what a usage costs, where the agent does not.

        Called in the turn, for each `caw_core.events.UsageReported` with tokens and without a cost,
        before anybody sees the event. So a budget in money is kept in the middle of a turn. The
        turn waits meanwhile: no network, and what takes long to load is loaded once. As a session
        with a budget in money opens, it is called for one token, in a thread of its own, so that
        this has happened by then; the model is the one asked for, or the provider's name.

        :param provider: the provider's own name, as in `ProviderInfo`.
        :param model: what the agent called the model, never ``""``: where a report names none, the
            last one of the turn counts, and a turn without any is not asked about.
        :param usage: what the report says; see `caw_core.UsageStats` for what counts what.
        :return: a `caw_core.usage.Price`; None for a model that is not in the table. Never guess.
        :raises Exception: anything; it is logged once, and the cost stays unknown.
        """

    @hookspec(firstresult=True)
    def check_tools(self, tools: GivenTools) -> bool | None:
        """Say whether these tools can be served, before anything is started.

        Called once as a `caw_core.Agent` that has some is made (``stateless_tools``,
        ``tool_servers``, ``subagents``). Starts nothing and calls none of them.

        :param tools: what the caller gave.
        :return: True if `serve_tools` of this plugin will serve them; None to leave them to others.
            Where nobody says True, the caller gets a `ConfigError`.
        :raises ConfigError: one of them is badly defined; say which.
        """

    @hookspec(firstresult=True)
    def serve_tools(self, tools: GivenTools, scope: ToolScope) -> ServedTools | None:
        """Let a session's agent call tools in Python, through servers in the agents' own protocol.

        Called once for each session of an agent that has such tools, in the thread that opens it,
        before the provider is asked: started, resumed, forked, taken over and interactive ones.
        The servers are added to ``StartRequest.mcp_servers``. So they must be ready when this
        returns, reachable for a program on this machine, and closed to every other program and
        user: what opens them belongs into ``McpServer.headers`` or ``env``, which no provider
        writes to argv, logs or records.

        :param tools: what the caller gave; as `check_tools` saw it.
        :param scope: the session.
        :return: a `caw_core.tool_serving.ServedTools`, which the core closes when the session has
            ended or could not be opened; None to leave it to others.
        :raises ConfigError: one of them is badly defined.
        """
