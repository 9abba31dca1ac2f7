"""Hears what a provider yields before the core has made anything of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_core import PluginRegistry, hookimpl

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from caw_core.events import Event
    from caw_core.provider import Prompt, ProviderSession


class Heard:
    """What one call of ``prompt()`` did.

    Attributes:
        events: what it yielded so far.
        error: what it raised.
        ended: it has returned or raised.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None
        self.ended = False


class Recorder:
    """An observer that wraps the sessions of a provider.

    Attributes:
        turns: each call of ``prompt()``, in the order of the calls.
        sessions: the provider's own sessions, in the order in which they were opened.
        closed: how many of them were closed.
    """

    caw_api = "1.0"

    def __init__(self) -> None:
        self.turns: list[Heard] = []
        self.sessions: list[ProviderSession] = []
        self.closed = 0

    @hookimpl(wrapper=True)
    def start_session(self) -> Generator[None, ProviderSession, ProviderSession]:
        """Wrap a new session."""
        return _RecordedSession((yield), self)

    @hookimpl(wrapper=True)
    def resume_session(self) -> Generator[None, ProviderSession, ProviderSession]:
        """Wrap a resumed session."""
        return _RecordedSession((yield), self)


class _RecordedSession:
    """A provider's session, overheard."""

    def __init__(self, session: ProviderSession, recorder: Recorder) -> None:
        self._session = session
        self._recorder = recorder
        recorder.sessions.append(session)

    @property
    def resume_key(self) -> str | None:
        return self._session.resume_key

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        # The provider may begin its turn here, before anybody asks for the first event.
        return self._heard(self._session.prompt(prompt))

    def interrupt(self) -> None:
        self._session.interrupt()

    def close(self) -> None:
        self._recorder.closed += 1
        self._session.close()

    def _heard(self, events: Iterator[Event]) -> Iterator[Event]:
        heard = Heard()
        self._recorder.turns.append(heard)
        try:
            for event in events:
                heard.events.append(event)
                yield event
        except Exception as error:
            heard.error = error
            raise
        finally:
            heard.ended = True

    def __getattr__(self, name: str) -> Any:
        # What is optional in the contract: steer, fork, models, set_model.
        return getattr(self._session, name)


class RecordingRegistry(PluginRegistry):
    """A registry whose observers include a recorder, and no installed ones.

    Args:
        recorder: who listens.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def load_observers(self) -> list[tuple[str, object]]:
        """Return the recorder alone: what else is installed must not change what is tested."""
        return [("conformance-recorder", self._recorder)]
