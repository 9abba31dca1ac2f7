"""How all providers are, at once."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import (
    PluginRegistry,
    ProviderInfo,
    Readiness,
    check_providers,
    check_providers_async,
    hookimpl,
    provider_checks,
)
from caw_core.errors import LimitError, UnknownProviderError

if TYPE_CHECKING:
    from collections.abc import Callable


def provider(
    name: str,
    ready: Callable[[], Readiness] = lambda: Readiness(ready=True),
    start: Exception | None = None,
) -> Any:
    class Provider:
        caw_api = "1.0"

        @hookimpl
        def provider_info(self) -> ProviderInfo:
            return ProviderInfo(name=name)

        @hookimpl
        def check_ready(self) -> Readiness:
            return ready()

        @hookimpl
        def start_session(self) -> object:
            raise start or AssertionError

    return Provider


def broken() -> Readiness:
    raise ZeroDivisionError


@pytest.fixture
def registry() -> PluginRegistry:
    return PluginRegistry(autoload=False)


def test_provider_that_fails_keeps_no_other_from_being_asked(registry: PluginRegistry) -> None:
    registry.register_provider("good", provider("good"))
    registry.register_provider("bad", provider("bad", broken))
    bad, good = check_providers(registry=registry)
    assert (bad.provider, bad.ok, type(bad.error).__name__) == ("bad", False, "PluginError")
    assert "ZeroDivisionError" in bad.readiness.detail
    assert (good.provider, good.ok, good.probed, good.rate_limited) == ("good", True, False, None)


def test_providers_are_asked_at_the_same_time(registry: PluginRegistry) -> None:
    # Each waits for the others, so one after another would never end.
    together = threading.Barrier(3, timeout=9)

    def meet() -> Readiness:
        together.wait()
        return Readiness(ready=True)

    for name in "abc":
        registry.register_provider(name, provider(name, meet))
    assert [health.ok for health in check_providers(registry=registry)] == [True] * 3


def test_provider_that_does_not_answer_is_given_up(
    registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_checks, "_PATIENCE", 0.05)
    end = threading.Event()
    registry.register_provider("slow", provider("slow", lambda: Readiness(ready=end.wait())))
    (slow,) = check_providers(registry=registry)
    end.set()
    assert "did not say within 0.05 s" in slow.readiness.detail
    assert not slow.ok


def test_names_of_one_provider_count_once_in_the_order_given() -> None:
    found = check_providers(["echo", "cc", "claude", "claude_code"])
    assert [health.provider for health in found] == ["echo", "claude_code"]


def test_unknown_name_is_an_error_before_anybody_is_asked(registry: PluginRegistry) -> None:
    registry.register_provider("bad", provider("bad", broken))
    with pytest.raises(UnknownProviderError, match="'nobody'"):
        check_providers(["bad", "nobody"], registry=registry)


def test_limit_is_told_with_the_time_to_wait(registry: PluginRegistry) -> None:
    end = datetime.now(UTC) + timedelta(minutes=30)
    limit = LimitError("used up", kind="usage", resets_at=end)
    registry.register_provider("limited", provider("limited", start=limit))
    (health,) = check_providers(live=True, registry=registry)
    assert (health.probed, health.ok, health.rate_limited) == (True, False, True)
    assert health.resets_at == end
    assert health.wait_minutes in {29, 30}


def test_live_check_asks_with_the_model_that_was_given() -> None:
    (health,) = asyncio.run(check_providers_async(["echo"], live=True, model="echo-large"))
    assert health.turn is not None
    assert (health.turn.model, health.rate_limited, health.wait_minutes) == (
        "echo-large",
        False,
        None,
    )
