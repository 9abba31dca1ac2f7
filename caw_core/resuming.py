"""Which session a handle, an id, or one of the agent's own conversations means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from caw_core.errors import NotResumableError, ResumeHandleError
from caw_core.handles import ResumeHandle, check_resume_key, is_session_id, looks_like_handle

if TYPE_CHECKING:
    from caw_core.chosen_plugins import ChosenPlugins
    from caw_core.plugins import AgentPlugins
    from caw_core.settings import Settings
    from caw_core.trajectory import Trajectory


@attrs.frozen(kw_only=True)
class Resumable:
    """A session that can go on.

    Attributes:
        plugins: its provider and the storages.
        session_id: its id.
        key: the agent's own.
    """

    plugins: AgentPlugins
    session_id: str
    key: str = attrs.field(repr=False)


def resumable(chosen: ChosenPlugins, settings: Settings, text: object) -> Resumable:
    """Return the session that *text*, a handle or a session id, means.

    Raises:
        ResumeHandleError: it cannot be used.
        NotResumableError: the session's record holds no key.
        StorageError: the record could not be read.
    """
    if not isinstance(text, str) or not text.strip():
        problem = "the handle is empty or no text"
        raise ResumeHandleError(problem)
    if looks_like_handle(text):
        handle = ResumeHandle.decode(text)
        plugins = plugins_of(chosen, handle.provider)
        return Resumable(plugins=plugins, session_id=handle.session_id, key=handle.resume_key)
    if not is_session_id(text.strip()):
        problem = "this is neither a handle nor a session id"
        raise ResumeHandleError(problem)
    if not settings.storage:
        problem = "a bare session id needs the storage that has the session"
        raise ResumeHandleError(problem)
    record = chosen.store.load(text.strip())
    if record is None:
        problem = f"no storage has a session {text.strip()!r}"
        raise ResumeHandleError(problem)
    plugins = plugins_of(chosen, record.provider)
    return Resumable(plugins=plugins, session_id=text.strip(), key=_stored_key(plugins, record))


def plugins_of(chosen: ChosenPlugins, provider: str) -> AgentPlugins:
    """Return the plugins for a session of *provider*.

    Raises:
        ResumeHandleError: the agent is for another provider.
    """
    plugins = chosen.of(provider)
    if not plugins.answers_to(provider):
        problem = f"it is of provider {provider!r}, this agent is {plugins.info.name!r}"
        raise ResumeHandleError(problem)
    return plugins


def _stored_key(plugins: AgentPlugins, record: Trajectory) -> str:
    key = plugins.resume_key_from_trajectory(record)
    if not key:
        why = "" if record.turns else ": it had no turn yet"
        msg = f"the record of session {record.session_id!r} holds no resume key{why}"
        raise NotResumableError(msg, provider=record.provider, session_id=record.session_id)
    return check_resume_key(key)
