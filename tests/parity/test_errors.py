"""What fails with each real agent: the same class of error for the same cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import (
    AuthError,
    ConnectionFailedError,
    ContextLimitError,
    LimitError,
    ModelError,
    ProviderError,
)
from caw_testkit.modelserver import echo, fail

if TYPE_CHECKING:
    from caw_testkit.modelserver import Step

    from .conftest import Trial

TOO_LONG = "prompt is too long: 300000 tokens > 200000 maximum"


def failure_of(trial: Trial, **settings: Any) -> ProviderError:
    """Fail one turn, check that the session goes on, and return the error."""
    with trial.session(**settings) as session:
        with pytest.raises(ProviderError) as caught:
            session.send("fail")
        trial.server.clear()
        trial.server.respond(echo)
        assert session.send("go on").result == "echo: go on"
    error = caught.value
    assert (error.provider, error.session_id) == (trial.kind.name, session.session_id)
    assert error.turn
    assert error.turn.status == "failed"
    return error


@pytest.mark.feature("errors")
@pytest.mark.parametrize(
    ("step", "kind", "facts"),
    [
        (fail(429, "slow down"), LimitError, {"kind": "rate", "resets_at": None}),
        (fail(503, "The service is overloaded"), LimitError, {"kind": "overloaded"}),
        (fail(401, "bad key"), AuthError, {}),
        (fail(404, "The model `x` does not exist", kind="model_not_found"), ModelError, {}),
        (fail(400, TOO_LONG, kind="context_length_exceeded"), ContextLimitError, {}),
        (fail(400, "something else"), ProviderError, {}),
    ],
    ids=["rate", "overloaded", "auth", "model", "context", "other"],
)
def test_failure_has_its_class_and_the_session_goes_on(
    trial: Trial, step: Step, kind: type[ProviderError], facts: dict[str, object]
) -> None:
    # Some ask more than once: claude for a model, opencode for a summary of what is too long.
    trial.server.respond(lambda _: step)  # type: ignore[arg-type, return-value]  # no function here
    error = failure_of(trial)
    assert type(error) is kind
    assert {name: getattr(error, name) for name in facts} == facts


@pytest.mark.feature("errors")
def test_service_that_is_not_there_is_a_connection_error(trial: Trial) -> None:
    session = trial.agent(**trial.kind.unreachable()).start_session()
    with session, pytest.raises(ConnectionFailedError) as caught:
        session.send("go")
    assert caught.value.provider == trial.kind.name
    assert trial.server.requests == []
