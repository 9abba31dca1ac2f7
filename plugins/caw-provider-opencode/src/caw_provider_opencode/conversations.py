"""opencode's sessions: opening one, and opening it again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from caw_core.errors import (
    CawError,
    ConfigError,
    NotResumableError,
    ProcessError,
    ProtocolError,
    ProviderError,
)
from caw_core.json_fields import mapping, objects, strings, text
from caw_provider_opencode.client import NOT_FOUND, route
from caw_provider_opencode.errors import NAME
from caw_provider_opencode.models import effort_notice
from caw_provider_opencode.permissions import (
    EXTERNAL,
    Leave,
    last_action,
    permission_of,
    session_rules,
)
from caw_provider_opencode.readiness import data_folder
from caw_provider_opencode.run_agent import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from caw_core.blocks import JSON
    from caw_core.deadlines import Deadline
    from caw_core.provider import StartRequest
    from caw_provider_opencode.client import Answer
    from caw_provider_opencode.live import LiveServer

_T = TypeVar("_T")
_SESSION_ID: Final = re.compile(r"ses_[0-9A-Za-z]{1,64}")


@attrs.frozen(kw_only=True)
class Conversation:
    """A session of opencode's: its id, its folder, its agent, and the names of the tool servers."""

    id: str
    directory: str
    agent: str
    servers: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


class Opener:
    """Makes the requests that open a session.

    Args:
        live: the server.
        request: what was asked for.
        env: the server's environment.
        deadline: bounds them all together.
        present: somebody sits at opencode's own interface and answers what is asked.
    """

    def __init__(
        self,
        live: LiveServer,
        request: StartRequest,
        env: Mapping[str, str],
        deadline: Deadline,
        *,
        present: bool = False,
    ) -> None:
        self._live = live
        self._request = request
        self._env = env
        self._deadline = deadline
        leave = Leave.of(request)
        self._leave = attrs.evolve(leave, attended=present or leave.attended)

    def start(self) -> Conversation:
        """Open a new session.

        Raises:
            ConfigError: there is no such agent.
            ProviderError: opencode refused, ended, or did not answer in time.
        """
        directory = str(self._request.cwd)
        agent = self._agent(directory)
        answer = self._call(
            "POST",
            route("session", directory=directory),
            # With a title of ours opencode does not ask a model for one.
            {"title": self._title, "permission": self._rules(agent, directory)},
        )
        return self._opened(answer, agent)

    def resume(self, session_id: str) -> Conversation:
        """Open an existing session, with the permissions of this request.

        Raises:
            NotResumableError: opencode does not have it.
            ConfigError: there is no such agent.
            ProviderError: opencode refused, ended, or did not answer in time.
        """
        found = self.find(session_id)
        directory = text(found.data, "directory")
        agent = self._agent(directory, text(found.data, "agent").removeprefix(PREFIX))
        rules = self._rules(agent, directory)
        # opencode appends what a PATCH brings, and the last rule counts.
        if objects(found.data, "permission")[-len(rules) :] != rules:
            path = route("session", session_id, directory=directory)
            found = self._call("PATCH", path, {"permission": rules})
        return self._opened(found, agent)

    def fork(self, session_id: str, agent_name: str) -> Conversation:
        """Open a new session that begins with the history of another.

        Raises:
            NotResumableError: opencode does not have the other one.
            ProviderError: opencode refused, ended, or did not answer in time.
        """
        directory = text(self.find(session_id).data, "directory")
        forked = self._call("POST", route("session", session_id, "fork", directory=directory), {})
        agent = self._agent(directory, agent_name)
        path = route("session", text(forked.data, "id"), directory=directory)
        # The copy has no rules.
        change = {"title": self._title, "permission": self._rules(agent, directory)}
        return self._opened(self._call("PATCH", path, change) if forked.ok else forked, agent)

    @property
    def _title(self) -> str:
        return f"caw {self._request.session_id}"

    def find(self, session_id: str) -> Answer:
        """Look an existing session up, and change nothing about it.

        Raises:
            NotResumableError: opencode does not have it.
            ProviderError: opencode refused, ended, or did not answer in time.
        """
        checked_id(session_id)
        found = self._call("GET", route("session", session_id))
        if found.status == NOT_FOUND:
            msg = f"opencode does not have the conversation: {found.message}"
            raise NotResumableError(msg, provider=NAME)
        return found

    def _agent(self, directory: str, last: str = "") -> dict[str, JSON]:
        """Return the agent to use: the caller's choice, the conversation's last, or the default."""
        answer = self._call("GET", route("agent", directory=directory))
        agents = [
            agent
            for agent in objects({"agents": answer.data}, "agents")
            if text(agent, "mode") != "subagent" and agent.get("hidden") is not True
        ]
        wanted = self._request.options.get("agent")
        for agent in agents:
            if text(agent, "name") == (wanted or last):
                return agent
        if wanted or not agents:
            known = ", ".join(text(agent, "name") for agent in agents) or "none"
            msg = f"opencode has no agent {wanted!r} to talk to; there are: {known}"
            raise ConfigError(msg)
        # The default one comes first.
        return agents[0]

    def _rules(self, agent: Mapping[str, JSON], directory: str) -> list[dict[str, JSON]]:
        own_folder = str(data_folder(self._env))
        known: list[str] = []
        if self._leave.tools is not None and self._leave.is_open:
            tools = self._call("GET", route("experimental", "tool", "ids", directory=directory))
            known += [permission_of(tool) for tool in strings({"ids": tools.data}, "ids")]
            known += [f"{name}_*" for name in self._servers(directory)]
        return session_rules(objects(agent, "permission"), self._leave, own_folder, known)

    def _servers(self, directory: str) -> tuple[str, ...]:
        answer = self._call("GET", route("mcp", directory=directory))
        return tuple(mapping({"servers": answer.data}, "servers"))

    def _connect(self, directory: str) -> Sequence[str]:
        return self._bounded(
            "POST /mcp",
            lambda: self._live.tool_servers.connect(
                self._live.client, directory, self._deadline.left
            ),
        )

    def _call(self, method: str, path: str, body: JSON = None) -> Answer:
        return self._bounded(
            f"{method} {path}",
            lambda: self._live.client.call(method, path, body, timeout=self._deadline.left),
        )

    def _bounded(self, what: str, ask: Callable[[], _T]) -> _T:
        try:
            return ask()
        except CawError:
            raise
        except TimeoutError as error:
            raise self._deadline.error(f"opencode did not answer {what}.") from error
        except OSError as error:
            raise lost(self._live, error) from error

    def _opened(self, answer: Answer, agent: Mapping[str, JSON]) -> Conversation:
        session_id, directory = text(answer.data, "id"), text(answer.data, "directory")
        if not answer.ok or not session_id:
            msg = f"opencode did not open the session: {answer.message}"
            raise ProviderError(msg, provider=NAME)
        notices = [*self._connect(directory), self._unknown_effort(directory)]
        rules = objects(agent, "permission")
        notices += [
            f"opencode's configuration forbids the folder {folder[:-2]}"
            for folder in self._leave.folders
            if last_action(rules, EXTERNAL, folder) == "deny"
        ]
        if not same_folder(directory, self._request.cwd):
            notices.append(f"opencode goes on in the conversation's own folder, {directory}")
        return Conversation(
            id=session_id,
            directory=directory,
            agent=text(agent, "name"),
            servers=self._servers(directory),
            notices=tuple(filter(None, notices)),
        )

    def _unknown_effort(self, directory: str) -> str:
        if not self._request.reasoning or not self._request.model:
            return ""
        # The answer holds keys in clear, so nothing else of it is kept.
        providers = self._call("GET", route("config", "providers", directory=directory)).data
        return effort_notice(providers, self._request.model, self._request.reasoning)


def checked_id(session_id: str) -> None:
    """Raise `NotResumableError` if *session_id* cannot be one of opencode's."""
    if not _SESSION_ID.fullmatch(session_id):
        msg = f"{session_id!r} is no id of an opencode session"
        raise NotResumableError(msg, provider=NAME)


def same_folder(one: str, other: Path) -> bool:
    """Tell whether two paths name the same folder."""
    try:
        return other.samefile(one)
    except OSError:
        return str(other) == one


def lost(live: LiveServer, error: OSError) -> ProcessError | ProtocolError:
    """Return the error for a connection to the server that broke."""
    # The end of the process is known a moment after its connections are gone.
    if live.wait_gone(1.0) or not live.running:
        return live.exit_error("opencode ended").again(NAME)
    return ProtocolError(f"opencode dropped the connection: {error!r}", provider=NAME)
