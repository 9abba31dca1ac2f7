"""Each way in which a turn of the real claude fails, as a typed error."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import (
    AuthError,
    ConnectionFailedError,
    ContextLimitError,
    LimitError,
    ModelError,
    ProgramNotFoundError,
    ProviderError,
)
from caw_core.events import Retrying, TurnEnded
from caw_core.provider import Prompt
from caw_testkit.modelserver import call, drop, echo, fail, fail_inside, reply, text

from .conftest import ask, fold

if TYPE_CHECKING:
    from caw_core.events import Event
    from caw_provider_claude_code.session import ClaudeCodeSession
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_claude


def ask_until_error(session: ClaudeCodeSession) -> tuple[list[Event], ProviderError]:
    events: list[Event] = []
    with pytest.raises(ProviderError) as caught:
        events.extend(session.prompt(Prompt(text="go")))
    return events, caught.value


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (fail(401, "bad key"), AuthError),
        (fail(403, "not yours"), AuthError),
        (fail(400, "prompt is too long: 300000 tokens > 200000 maximum"), ContextLimitError),
        (fail(400, "something else"), ProviderError),
        (fail(500, "broken"), ProviderError),
        (drop(), ConnectionFailedError),
    ],
)
def test_failure_has_its_own_type_and_the_session_goes_on(
    desk: Desk, model_server: ModelServer, step: Any, kind: type[ProviderError]
) -> None:
    model_server.script(step)
    session = desk.start()
    events, error = ask_until_error(session)
    assert type(error) is kind
    assert fold(events).output == ()
    model_server.respond(echo)
    assert fold(ask(session, "again")).result == "echo: again"


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (fail(429, "slow down"), "rate"),
        (fail(529, "Overloaded"), "overloaded"),
        (fail(503, "busy"), "overloaded"),
        (fail(400, "Your credit balance is too low to access the Anthropic API."), "usage"),
    ],
)
def test_limit_says_its_kind(desk: Desk, model_server: ModelServer, step: Any, kind: str) -> None:
    model_server.script(step)
    _, error = ask_until_error(desk.start())
    assert isinstance(error, LimitError)
    assert (error.kind, error.resets_at) == (kind, None)


def test_used_up_plan_says_when_it_resets(desk: Desk, model_server: ModelServer) -> None:
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": "1795273200",
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "x-should-retry": "false",
    }
    model_server.script(fail(429, "limit", headers=headers))
    login = {"ANTHROPIC_API_KEY": None, "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-made-up"}
    _, error = ask_until_error(desk.start(env=login))
    assert isinstance(error, LimitError)
    assert (error.kind, error.source) == ("usage", "rate_limit_event")
    assert error.resets_at == datetime.fromtimestamp(1795273200, UTC)


def test_unknown_model_is_named(desk: Desk, model_server: ModelServer) -> None:
    # Claude asks a second time, without streaming.
    model_server.script(*[fail(404, "model: nope", kind="not_found_error")] * 2)
    _, error = ask_until_error(desk.start(model="nope"))
    assert isinstance(error, ModelError)
    assert error.model == "nope"


def test_missing_login_is_an_auth_error(desk: Desk) -> None:
    _, error = ask_until_error(desk.start(env={"ANTHROPIC_API_KEY": None}))
    assert isinstance(error, AuthError)


def test_refused_connection_is_a_connection_error(desk: Desk) -> None:
    _, error = ask_until_error(desk.start(env={"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}))
    assert isinstance(error, ConnectionFailedError)


def test_answer_that_talks_about_limits_is_an_answer(desk: Desk, model_server: ModelServer) -> None:
    said = "API Error: usage limit reached, resets at 3pm. Prompt is too long."
    model_server.script(reply(text(said)))
    events = ask(desk.start(), "go")
    assert (fold(events).result, events[-1]) == (said, TurnEnded())


def test_retries_are_told(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(fail(529, "Overloaded"), reply(text("at last")))
    events = ask(desk.start(env={"CLAUDE_CODE_MAX_RETRIES": "3"}), "go")
    [retry] = [event for event in events if isinstance(event, Retrying)]
    assert (retry.attempt, retry.max_attempts, retry.reason) == (1, 3, "overloaded (HTTP 529)")
    assert retry.wait_seconds is not None
    assert fold(events).result == "at last"


@pytest.mark.parametrize(
    "broken",
    [
        drop(reply(text("a b c d e f g h")), after_bytes=900),
        fail_inside(reply(text("a b c d e f g h"))),
    ],
)
def test_answer_that_broke_off_and_came_again_is_there_once(
    desk: Desk, model_server: ModelServer, broken: Any
) -> None:
    model_server.script(broken, reply(text("second"), call("Bash", {"command": "echo hi"})))
    model_server.script(reply(text("end")))
    turn = fold(ask(desk.start(), "go"))
    assert [getattr(block, "text", "tool") for block in turn.output] == ["second", "tool", "end"]
    assert turn.usage.total_tokens == 2 * 15


def test_failure_after_work_keeps_the_work(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("look"), call("Bash", {"command": "echo hi"})), fail(500, "x"))
    events, _ = ask_until_error(desk.start())
    turn = fold(events)
    assert [block.type for block in turn.output] == ["text", "tool_use"]
    assert turn.usage.total_tokens == 15


def test_missing_program_says_how_to_get_it(desk: Desk) -> None:
    with pytest.raises(ProgramNotFoundError, match="binary"):
        desk.start(options={"binary": "/nowhere/claude"})
