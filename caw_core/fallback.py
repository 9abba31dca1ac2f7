"""The next provider, where the first one cannot begin.

It is taken only before anything was done: when the agent cannot be started, or when the very first
turn of a new session ends in a refusal (not logged in, a limit, no program) before the agent showed
any deed. A turn that might have had an effect is never sent to another provider: whoever paid for
it, or was changed by it, would be so twice. For that there is `Session.handoff`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import attrs

from caw_core.errors import (
    AuthError,
    ConfigError,
    ConnectionFailedError,
    DeadlineError,
    LimitError,
    NotReadyError,
    PluginError,
    ProcessError,
    ProgramNotFoundError,
    ProtocolError,
    ProviderError,
)
from caw_core.events import (
    Event,
    Notice,
    Progress,
    ProviderChanged,
    RawOutput,
    Retrying,
    UsageReported,
    VendorEvent,
    Waiting,
)
from caw_core.options import without_effect
from caw_core.selection import PassedOver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from caw_core.chosen_plugins import ChosenPlugins
    from caw_core.events import ChangeCause
    from caw_core.opening import SessionOpener
    from caw_core.plugins import AgentPlugins
    from caw_core.provider import Prompt, ProviderInfo, ProviderSession, StartRequest
    from caw_core.selection import Choice
    from caw_core.session import Session
    from caw_core.session_core import SessionCore
    from caw_core.settings import Settings
    from caw_core.tool_serving import OpenTools
    from caw_core.trajectory import ResolvedOption

log = logging.getLogger("caw.agent")

_REFUSALS: Final = (AuthError, LimitError, NotReadyError, ProgramNotFoundError)
"""What a first turn may end in without anything having been done."""

_NO_START: Final = (*_REFUSALS, ProcessError, ProtocolError, ConnectionFailedError)
"""What also keeps an agent from being started; in a turn, effects may have come before these."""

_NO_DEEDS: Final = (
    Notice,
    Progress,
    ProviderChanged,
    RawOutput,
    Retrying,
    VendorEvent,
    Waiting,
)


@attrs.frozen(kw_only=True)
class OpenedInstead:
    """The agent's side of a session, opened with another provider.

    Attributes:
        opener: opens what belongs to the session from now on.
        plugins: the provider, with the same records.
        settings: the settings as they count for it.
        agent: its session.
        tools: the tools in Python that it may call.
        request: what it was asked for.
        options: how it treats the options.
        left: what was given for another provider and has no effect, a sentence each.
    """

    opener: SessionOpener
    plugins: AgentPlugins
    settings: Settings
    agent: ProviderSession
    tools: OpenTools
    request: StartRequest
    options: tuple[ResolvedOption, ...]
    left: tuple[str, ...]


def is_deed(event: Event) -> bool:
    """Tell whether an event shows that the model or a tool did something, or cost something."""
    if isinstance(event, UsageReported):
        return event.usage.total_tokens > 0 or bool(event.usage.cost_usd)
    return not isinstance(event, _NO_DEEDS)


def may_change(error: ProviderError) -> bool:
    """Tell whether a first turn that failed so, without any deed, may go to another provider."""
    return isinstance(error, _REFUSALS)


class Fallback:
    """One new session's way through the providers that its agent may take.

    Args:
        chosen: the agent's plugins.
    """

    def __init__(self, chosen: ChosenPlugins) -> None:
        self._chosen = chosen
        self._candidates = chosen.after_the_chosen()
        self._failed: list[tuple[PassedOver, ChangeCause]] = []
        self._told = 0
        self._events: list[Event] = []

    def start(self, session_id: str | None, metadata: Mapping[str, Any] | None) -> Session:
        """Open a session with the first provider that can.

        Raises:
            ProviderError: none could: the last error, with the reasons of all in
                ``passed_over`` and in its message.
            CawError: as `caw_core.Agent.start_session` does.
        """
        plugins = self._chosen.chosen
        opener = self._chosen.opener(plugins)
        self._passed(self._chosen.choice.passed_over)
        last: ProviderError | None = None
        while True:
            self._go_to(plugins.info.name)
            try:
                return opener.start(session_id, metadata, self)
            except ProviderError as error:
                if last is None and not _keeps_from_starting(error):
                    raise
                last = error
                self._fail(plugins.info.name, error)
            except (ConfigError, PluginError) as error:
                if last is None:
                    raise
                self._fail(plugins.info.name, error)
            choice = self._next()
            if choice is None:
                raise self._explained(last)
            plugins = self._chosen.taken(choice)
            opener = self._chosen.opener(plugins, self._chosen.settings_for(plugins, others=True))

    def attach(self, core: SessionCore) -> None:
        """Be there for the first turn of a session, which tells what came before it."""
        core.fallback = self
        core.tell(*self._take_events(), *core.take_notices())

    def take_over(
        self,
        core: SessionCore,
        prompt: Prompt,
        error: ProviderError,
        adopt: Callable[[OpenedInstead], Callable[[], None] | None],
    ) -> ProviderSession | None:
        """Let the next provider that can have a session's first prompt take the session over.

        Args:
            core: the session.
            prompt: its first prompt.
            error: why the provider that it has did not take it.
            adopt: puts what was opened in the place of what the function closes that it returns;
                None if nobody wants it any more.

        Returns:
            The new agent's session, when nothing is left of the one before; None if all stays as
            it was. If that is since there is none, *error* tells of those that were tried.
        """
        opened = self._open_next(core, prompt, error)
        if opened is None:
            return None
        close_the_other = adopt(opened)
        if close_the_other is None:
            opened.agent.close()
            opened.tools.close()
            return None
        close_the_other()
        self._go_to(opened.plugins.info.name)
        core.tell(
            *self._take_events(),
            *opened.left,
            *without_effect(opened.plugins.info.name, opened.options),
        )
        core.recorder.record_head(core.info)
        return opened.agent

    def _open_next(
        self, core: SessionCore, prompt: Prompt, error: ProviderError
    ) -> OpenedInstead | None:
        self._fail(core.info.provider, error)
        while (choice := self._next()) is not None:
            plugins = self._chosen.taken(choice)
            given = self._chosen.settings_for(plugins, others=True)
            problem = _cannot_take(prompt, plugins.info)
            try:
                if problem:
                    raise ConfigError(problem)
                return self._chosen.opener(plugins, given).open_instead(core)
            except (ProviderError, ConfigError, PluginError) as failure:
                self._fail(plugins.info.name, failure)
        self._explained(error)
        return None

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _next(self) -> Choice | None:
        choice = self._candidates.next()
        self._passed(choice.passed_over if choice else self._candidates.passed_over)
        return choice

    def _passed(self, passed_over: Sequence[PassedOver]) -> None:
        if self._chosen.order:
            self._failed += [(item, "not_ready") for item in passed_over]
        elif passed_over:
            reasons = "; ".join(map(str, passed_over))
            self._events.append(Notice(message=f"not ready, so not taken: {reasons}"))

    def _fail(self, name: str, error: Exception) -> None:
        reason = PassedOver(name=name, reason=f"{type(error).__name__}: {error}")
        self._failed.append((reason, _cause_of(error)))

    def _go_to(self, name: str) -> None:
        new, self._told = self._failed[self._told :], len(self._failed)
        for item, _ in new:
            log.warning("taking provider %r and not %s", name, item)
        self._events += [
            ProviderChanged(
                from_provider=item.name, to_provider=name, cause=cause, reason=item.reason
            )
            for item, cause in new
        ]

    def _explained(self, error: ProviderError) -> ProviderError:
        """Have the last error tell of all who were tried."""
        others = [str(item) for item, _ in self._failed if str(error) not in item.reason]
        if others:
            error.passed_over = tuple(others)
            also = "; ".join(others)
            error.args = (f"{error}. No other provider could take it: {also}", *error.args[1:])
        return error


def _keeps_from_starting(error: Exception) -> bool:
    if isinstance(error, DeadlineError):
        return error.kind == "start"
    return isinstance(error, _NO_START)


def _cause_of(error: Exception) -> ChangeCause:
    match error:
        case AuthError():
            return "not_logged_in"
        case LimitError():
            return "limited"
        case NotReadyError():
            return "not_ready"
        case _:
            return "cannot_start"


def _cannot_take(prompt: Prompt, info: ProviderInfo) -> str:
    needs = {"images" if item.is_image else "files" for item in prompt.attachments}
    if prompt.output_schema is not None:
        needs.add("structured")
    missing = sorted(needs - info.capabilities)
    return f"it does not take this prompt: it lacks {', '.join(missing)}" if missing else ""
