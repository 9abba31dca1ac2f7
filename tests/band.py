"""Several played providers in one registry, and the ways in which one may fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caw_core import Agent, PluginRegistry, Readiness, hookimpl
from caw_core.errors import AuthError, LimitError, ProcessError, ProgramNotFoundError
from caw_core.provider import NATIVE

from .conftest import PlayedProvider, say_hello

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.events import Event

    from .conftest import Answer, PlayedSession


class Unready(PlayedProvider):
    @hookimpl
    def check_ready(self) -> Readiness:
        return Readiness(ready=False, detail="no program", hint="install it")


class Band:
    """Several played providers under the names a, b and c."""

    def __init__(self) -> None:
        self.registry = PluginRegistry(autoload=False)
        self.players: dict[str, PlayedProvider] = {}

    def join(
        self,
        name: str,
        answer: Answer = say_hello,
        kind: type[PlayedProvider] = PlayedProvider,
        **info: Any,
    ) -> PlayedProvider:
        facts = {
            "name": name,
            "auto": "agent",
            "options": {"model": NATIVE, "reasoning": NATIVE},
            **info,
        }
        self.players[name] = kind(answer, **facts)
        self.registry.register_provider(name, self.players[name], replace=True)
        return self.players[name]

    def agent(self, provider: Any = ("a", "b"), **options: Any) -> Agent:
        return Agent(provider, registry=self.registry, **options)


def failing(error: Callable[[], Exception], *first: Event) -> Answer:
    def answer(_: PlayedSession, __: str) -> Iterator[Event]:
        yield from first
        raise error()

    return answer


def auth() -> AuthError:
    return AuthError("not logged in")


def limit() -> LimitError:
    return LimitError("used up", kind="usage")


def missing() -> ProgramNotFoundError:
    return ProgramNotFoundError("a")


def died() -> ProcessError:
    return ProcessError("it died", exit_code=1)
