"""Failures of the model's service, through the real codex."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.deadlines import Deadlines
from caw_core.errors import (
    AuthError,
    ConfigError,
    ConnectionFailedError,
    ContextLimitError,
    DeadlineError,
    LimitError,
    ModelError,
    ProviderError,
)
from caw_core.events import Retrying
from caw_testkit.homes import codex_home
from caw_testkit.modelserver import drop, echo, fail, fail_inside, reply, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer, Step

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

SOME = reply(text("a b c d"))
USED_UP = {"error": {"type": "usage_limit_reached", "message": "used up", "plan_type": "plus"}}
RESETS_AT = 4_000_000_000
WINDOW = {
    "x-codex-primary-used-percent": "100",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-at": str(RESETS_AT),
    "x-codex-secondary-used-percent": "30",
    "x-codex-secondary-window-minutes": "10080",
    "x-codex-secondary-reset-at": str(RESETS_AT + 1),
}


def failure_of(desk: Desk, model_server: ModelServer, step: Step) -> ProviderError:
    """Fail one turn, check that the session goes on, and return the error."""
    model_server.script(step)
    model_server.respond(echo)
    session = desk.start(model="gpt-5.5")
    with pytest.raises(ProviderError) as caught:
        desk.ask(session, "first")
    assert desk.fold(desk.ask(session, "second")).result == "echo: second"
    assert caught.value.provider == "codex"
    return caught.value


@pytest.mark.parametrize(
    ("step", "error", "facts"),
    [
        (fail(429, "slow down"), LimitError, {"kind": "rate", "resets_at": None}),
        (fail_inside(SOME, kind="rate_limit_exceeded"), LimitError, {"kind": "rate"}),
        (fail_inside(SOME, kind="server_is_overloaded"), LimitError, {"kind": "overloaded"}),
        (fail(503), LimitError, {"kind": "overloaded"}),
        (fail(401, "bad key"), AuthError, {}),
        (fail(403, "nope"), AuthError, {}),
        (fail(404, "no such model", kind="model_not_found"), ModelError, {"model": "gpt-5.5"}),
        (fail(400, "too long", kind="context_length_exceeded"), ContextLimitError, {}),
        (fail_inside(SOME, kind="context_length_exceeded"), ContextLimitError, {}),
        (drop(), ConnectionFailedError, {}),
        (drop(SOME, after_bytes=600), ConnectionFailedError, {}),
    ],
)
def test_failure_has_its_class_and_the_session_goes_on(
    desk: Desk, model_server: ModelServer, step: Step, error: type, facts: dict[str, Any]
) -> None:
    raised = failure_of(desk, model_server, step)
    assert type(raised) is error
    assert {name: getattr(raised, name) for name in facts} == facts


@pytest.mark.parametrize("step", [fail(500, "boom"), fail(400, "bad request")])
def test_other_failures_are_plain_provider_errors(
    desk: Desk, model_server: ModelServer, step: Step
) -> None:
    assert type(failure_of(desk, model_server, step)) is ProviderError


def test_usage_limit_says_when_it_ends(desk: Desk, model_server: ModelServer) -> None:
    raised = failure_of(desk, model_server, fail(429, body=USED_UP, headers=WINDOW))
    assert isinstance(raised, LimitError)
    assert (raised.kind, raised.resets_at) == ("usage", datetime.fromtimestamp(RESETS_AT, UTC))


def test_usage_limit_invents_no_end(desk: Desk, model_server: ModelServer) -> None:
    raised = failure_of(desk, model_server, fail(429, body=USED_UP))
    assert isinstance(raised, LimitError)
    assert (raised.kind, raised.resets_at) == ("usage", None)


def test_answer_about_a_usage_limit_is_an_answer(desk: Desk, model_server: ModelServer) -> None:
    words = "You've hit your usage limit. Try again at 3:04 AM."
    model_server.script(reply(text(words)))
    assert desk.fold(desk.ask(desk.start(), "go")).result == words


def test_missing_key_is_an_auth_error(desk: Desk) -> None:
    session = desk.start(env={"CAW_TESTKIT_API_KEY": None})
    with pytest.raises(AuthError, match="CAW_TESTKIT_API_KEY"):
        desk.ask(session, "go")


def test_retries_are_told(desk: Desk, model_server: ModelServer, tmp_path: Path) -> None:
    model_server.script(drop(SOME, after_bytes=600), reply(text("ok")))
    home = codex_home(tmp_path / "other", model_server, retries=1)
    events = desk.ask(desk.at(home).start(), "go")
    [retry] = [event for event in events if isinstance(event, Retrying)]
    assert (retry.attempt, retry.max_attempts) == (1, 1)
    assert desk.fold(events).result == "ok"


def test_service_that_is_not_there_is_not_waited_for_without_end(
    desk: Desk, model_server: ModelServer
) -> None:
    session = desk.start(options={"network_retries": 0})
    model_server.stop()
    with pytest.raises(ConnectionFailedError):
        desk.ask(session, "go")
    session.close()


def test_prompt_beyond_the_limit_is_refused_before_it_is_sent(desk: Desk) -> None:
    session = desk.start()
    with pytest.raises(ContextLimitError, match="1,048,577"):
        desk.ask(session, "x" * 1_048_577)


def test_prompt_that_is_no_unicode_is_refused(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    with pytest.raises(ConfigError, match="surrogate"):
        desk.ask(session, "\ud800")
    assert desk.fold(desk.ask(session, "fine")).result == "echo: fine"


def test_unknown_model_provider_is_a_provider_error(desk: Desk) -> None:
    with pytest.raises(ProviderError, match="nowhere"):
        desk.start(options={"config": {"model_provider": "nowhere"}})


def test_start_deadline_names_itself(desk: Desk) -> None:
    with pytest.raises(DeadlineError) as caught:
        desk.start(deadlines=Deadlines(start=0.001, stop=2))
    assert caught.value.kind == "start"


def test_keys_are_in_no_error_and_no_representation(desk: Desk, model_server: ModelServer) -> None:
    raised = failure_of(desk, model_server, fail(401, "bad key"))
    assert "caw-testkit-key" not in f"{raised!r} {raised.__dict__} {desk.provider.__dict__}"
