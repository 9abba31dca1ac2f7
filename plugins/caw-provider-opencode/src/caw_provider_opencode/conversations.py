"""opencode's sessions: opening one, and opening it again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from caw_core.errors import (
    CawError,
    ConfigError,
    NotResumableError,
    ProcessError,
    ProtocolError,
    ProviderError,
)
from caw_provider_opencode.client import NOT_FOUND, route
from caw_provider_opencode.errors import NAME, ended
from caw_provider_opencode.fields import mapping, objects, text
from caw_provider_opencode.permissions import session_rules
from caw_provider_opencode.readiness import data_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from caw_core.blocks import JSON
    from caw_core.provider import StartRequest
    from caw_provider_opencode.client import Answer
    from caw_provider_opencode.live import LiveServer
    from caw_provider_opencode.server import Deadline

_SESSION_ID: Final = re.compile(r"ses_[0-9A-Za-z]{1,64}")


@attrs.frozen(kw_only=True)
class Conversation:
    """A session of opencode's: its id, its folder, and the agent that answers in it."""

    id: str
    directory: str
    agent: str
    notices: tuple[str, ...] = ()


class Opener:
    """Makes the requests that open a session.

    Args:
        live: the server.
        request: what was asked for.
        env: the server's environment.
        deadline: bounds them all together.
    """

    def __init__(
        self, live: LiveServer, request: StartRequest, env: Mapping[str, str], deadline: Deadline
    ) -> None:
        self._live = live
        self._request = request
        self._env = env
        self._deadline = deadline

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
            {"title": f"caw {self._request.session_id}", "permission": self._rules(agent)},
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
        agent = self._agent(directory, text(found.data, "agent"))
        rules = self._rules(agent)
        # opencode appends what a PATCH brings, and the last rule counts.
        if objects(found.data, "permission")[-len(rules) :] != rules:
            path = route("session", session_id, directory=directory)
            found = self._call("PATCH", path, {"permission": rules})
        return self._opened(found, agent)

    def find(self, session_id: str) -> Answer:
        """Look an existing session up, and change nothing about it.

        Raises:
            NotResumableError: opencode does not have it.
            ProviderError: opencode refused, ended, or did not answer in time.
        """
        if not _SESSION_ID.fullmatch(session_id):
            msg = f"{session_id!r} is no id of an opencode session"
            raise NotResumableError(msg, provider=NAME)
        found = self._call("GET", route("session", session_id))
        if found.status == NOT_FOUND:
            msg = f"opencode does not have the conversation: {found.message}"
            raise NotResumableError(msg, provider=NAME)
        return found

    def _unknown_effort(self, directory: str) -> str:
        """Say that the model does not know the effort that was asked for, or return ``""``.

        opencode 1.18.33 passes over a ``variant`` that the model does not have.
        """
        wanted = self._request.reasoning
        service, _, name = (self._request.model or "").partition("/")
        if not wanted or not name:
            return ""
        # The answer holds keys in clear, so nothing else of it is kept.
        answer = self._call("GET", route("config", "providers", directory=directory))
        for provider in objects(answer.data, "providers"):
            model = mapping(mapping(provider, "models"), name)
            if text(provider, "id") == service and model:
                known = mapping(model, "variants")
                if wanted not in known:
                    efforts = ", ".join(known) or "none"
                    return f"{service}/{name} has no effort {wanted!r}; it knows: {efforts}"
        return ""

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

    def _rules(self, agent: Mapping[str, JSON]) -> list[dict[str, JSON]]:
        rules = objects(agent, "permission")
        return session_rules(rules, self._request.permissions, str(data_folder(self._env)))

    def _call(self, method: str, path: str, body: JSON = None) -> Answer:
        try:
            return self._live.client.call(method, path, body, timeout=self._deadline.left)
        except CawError:
            raise
        except TimeoutError as error:
            raise self._deadline.error(f"opencode did not answer {method} {path}.") from error
        except OSError as error:
            raise lost(self._live, error) from error

    def _opened(self, answer: Answer, agent: Mapping[str, JSON]) -> Conversation:
        session_id, directory = text(answer.data, "id"), text(answer.data, "directory")
        if not answer.ok or not session_id:
            msg = f"opencode did not open the session: {answer.message}"
            raise ProviderError(msg, provider=NAME)
        notices = [self._unknown_effort(directory)]
        if not _same_folder(directory, self._request.cwd):
            notices.append(f"opencode goes on in the conversation's own folder, {directory}")
        return Conversation(
            id=session_id,
            directory=directory,
            agent=text(agent, "name"),
            notices=tuple(filter(None, notices)),
        )


def _same_folder(one: str, other: Path) -> bool:
    try:
        return other.samefile(one)
    except OSError:
        return str(other) == one


def lost(live: LiveServer, error: OSError) -> ProcessError | ProtocolError:
    """Return the error for a connection to the server that broke."""
    # The end of the process is known a moment after its connections are gone.
    if live.wait_gone(1.0) or not live.running:
        return ended(live.exit_error("opencode ended"))
    return ProtocolError(f"opencode dropped the connection: {error!r}", provider=NAME)


def model_of(name: str | None) -> dict[str, JSON]:
    """Return the body's member for a model, empty for the agent's default.

    Raises:
        ConfigError: the name does not say which service the model belongs to.
    """
    if not name:
        return {}
    service, slash, model = name.partition("/")
    if not slash or not service or not model:
        msg = f"opencode's models are named 'provider/model', such as 'openai/gpt-5', not {name!r}"
        raise ConfigError(msg)
    return {"model": {"providerID": service, "modelID": model}}
