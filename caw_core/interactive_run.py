"""Handing the terminal to the agent's own interface, and taking what was said into the record."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_core.clock import utc_now
from caw_core.display.pausing import display_paused
from caw_core.errors import ConfigError, PersistError, ProviderError, UnsupportedError
from caw_core.handles import ResumeHandle, new_session_id
from caw_core.interactive import InteractiveRequest, InteractiveResult
from caw_core.leases import SessionLeases
from caw_core.opening import SessionOpener
from caw_core.options import without_effect
from caw_core.provider import NativeSession, StartRequest
from caw_core.recorder import Recorder
from caw_core.redaction import Redactor, session_secrets
from caw_core.resuming import plugins_of, resumable
from caw_core.terminal.ending import Ending
from caw_core.terminal.handover import check_terminal
from caw_core.tool_serving import OpenTools
from caw_core.twins import call_in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caw_core.chosen_plugins import ChosenPlugins
    from caw_core.settings import Settings
    from caw_core.trajectory import SessionInfo, Trajectory, Turn

log = logging.getLogger("caw.session")

CANCELLED: Final = 130
"""The exit code where the user chose no provider, as of a program that Ctrl-C ended."""

_START_FIELDS: Final = attrs.fields(StartRequest)

_NOT_LOST: Final = "The agent itself has the conversation: agent.find_sessions() lists it."


def _check_asked(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    fits, what = {
        "prompt": (isinstance(value, str), "a str"),
        "capture_bytes": (
            isinstance(value, int) and not isinstance(value, bool) and value >= 0,
            "a whole number not below 0",
        ),
    }[attribute.name]
    if not fits:
        msg = f"{attribute.name} is {what}, not {value!r}"
        raise ConfigError(msg)


@attrs.frozen(kw_only=True)
class Asked:
    """What the caller of `caw_core.Agent.interactive` asked for; it documents the members."""

    prompt: str = attrs.field(validator=_check_asked)
    capture_bytes: int = attrs.field(validator=_check_asked)
    select_provider: bool
    resume: str | NativeSession | None
    metadata: Mapping[str, Any] | None


@display_paused()
def hold(
    chosen: ChosenPlugins, settings: Settings, asked: Asked, ending: Ending
) -> InteractiveResult:
    """Hold a conversation in an agent's own interface; see `caw_core.Agent.interactive`.

    Args:
        chosen: the agent's plugins.
        settings: the agent's settings.
        asked: what its caller asked for.
        ending: by which another thread ends it.
    """
    check_terminal()
    known: dict[str, str] = {}
    if asked.select_provider:
        if asked.resume is not None:
            msg = "a conversation goes on with its own agent: give resume or select_provider"
            raise ConfigError(msg)
        from caw_core.terminal.provider_menu import pick_provider

        picked = pick_provider(chosen, ending)
        if picked is None:
            return InteractiveResult(exit_code=CANCELLED)
        plugins = picked
    elif asked.resume is None:
        plugins = chosen.chosen
    elif isinstance(asked.resume, NativeSession):
        plugins = plugins_of(chosen, asked.resume.provider)
        known = {"key": asked.resume.resume_key}
    else:
        found = resumable(chosen, settings, asked.resume)
        plugins, known = found.plugins, {"session_id": found.session_id, "key": found.key}
    opener = InteractiveOpener(plugins, chosen.settings_for(plugins), chosen)
    return opener.hold(asked, ending, **known)


async def hold_async(chosen: ChosenPlugins, settings: Settings, asked: Asked) -> InteractiveResult:
    """Do as `hold`; when the awaiting task is cancelled, it is ended first."""
    import asyncio

    ending = Ending()
    running = asyncio.ensure_future(call_in_thread(hold, chosen, settings, asked, ending))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        ending.ask()
        # The terminal must be the caller's again before the caller goes on.
        await asyncio.wait([running])
        if not running.cancelled():
            # What became of it is nobody's to hear any more.
            running.exception()
        raise


class InteractiveOpener(SessionOpener):
    """Holds conversations in the agent's own interface, with one agent's settings."""

    def hold(
        self,
        asked: Asked,
        ending: Ending,
        session_id: str | None = None,
        key: str | None = None,
    ) -> InteractiveResult:
        """Hand over the terminal until the user leaves the agent; see `caw_core.Agent.interactive`.

        Args:
            asked: what was asked for.
            ending: by which another thread ends it.
            session_id: the session that goes on; None for a new one.
            key: the agent's own key of the conversation that goes on.
        """
        plugins = self._plugins
        own_id = session_id or new_session_id()
        with SessionLeases(own_id, plugins.lease_session(own_id)) as leases:
            record = plugins.load_trajectory(own_id) if session_id else None
            options = self._settings.resolve(plugins.info)
            request = self._settings.request(plugins.info, own_id, record)
            servers = self._settings.given.get("mcp_servers", ())
            redactor = Redactor(session_secrets(os.environ, request, servers))
            recorder = Recorder(plugins, redactor)
            head = self._head(request, asked.metadata, record)
            before = self._history(request, key) if record and key else ()
            result = self._handed_over(asked, ending, request, key, redactor)
            lost = (*self._left, *without_effect(plugins.info.name, options))
            result = attrs.evolve(result, notices=(*lost, *result.notices))
            if result.resume_key is None:
                return result
            if recorder.active:
                now = self._history(request, result.resume_key)
                if result.resume_key != key:
                    # The user went over to another conversation, of which all is new.
                    before = ()
                said = () if before is None or now is None else now[len(before) :]
                leases.check()
                head = attrs.evolve(head, resume_key=result.resume_key, completed_at=utc_now())
                self._record(recorder, head, record, said)
        handle = ResumeHandle(
            provider=plugins.info.name, session_id=own_id, resume_key=result.resume_key
        )
        return attrs.evolve(result, session_id=own_id, resume_handle=handle.encode())

    def _handed_over(
        self,
        asked: Asked,
        ending: Ending,
        request: StartRequest,
        key: str | None,
        redactor: Redactor,
    ) -> InteractiveResult:
        plugins = self._plugins
        tools = OpenTools.open(plugins, self._settings.python_tools, request, redactor)
        try:
            request = tools.added_to(request)
            fields = {field.name: getattr(request, field.name) for field in _START_FIELDS}
            wanted = InteractiveRequest(
                **fields,
                prompt=asked.prompt,
                capture_bytes=asked.capture_bytes,
                resume_key=key,
                ending=ending,
            )
            result = plugins.start_interactive(wanted)
        except BaseException as error:
            redactor.error(error)
            if isinstance(error, ProviderError):
                error.provider = error.provider or plugins.info.name
            raise
        finally:
            tools.close()
        return attrs.evolve(result, provider=plugins.info.name)

    def _history(self, request: StartRequest, key: str) -> tuple[Turn, ...] | None:
        """Return the conversation as the agent's own store has it; None if it cannot be read."""
        plugins, options = self._plugins, self._settings.extra
        try:
            found = plugins.find_sessions(request.cwd, request.env, options)
            named = (native for native in found if native.resume_key == key)
            elsewhere = NativeSession(
                provider=plugins.info.name,
                resume_key=key,
                cwd=str(request.cwd),
                env=request.env,
            )
            return plugins.read_session(next(named, elsewhere), options).turns
        except UnsupportedError:
            return None
        except (ProviderError, OSError):
            # It can be continued all the same, which is worth more than the record.
            log.exception("session %s: the agent's own record was not read", request.session_id)
            return None

    @staticmethod
    def _record(
        recorder: Recorder,
        head: SessionInfo,
        record: Trajectory | None,
        said: tuple[Turn, ...],
    ) -> None:
        first = record.turns[-1].index + 1 if record and record.turns else 0
        turns = [attrs.evolve(turn, index=first + place) for place, turn in enumerate(said)]
        recorder.record_head(head)
        with contextlib.suppress(PersistError):
            recorder.record_history(head, turns)
        try:
            # It tries again what failed, and tells of it.
            recorder.finish(head)
        except PersistError as error:
            error.add_note(_NOT_LOST)
            raise
