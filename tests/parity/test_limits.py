"""What bounds the turns of each real agent, and what waits for a limit to end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from caw_core import Budget
from caw_core.errors import BudgetError, LimitError
from caw_core.events import Waiting
from caw_testkit.modelserver import reply, text

if TYPE_CHECKING:
    from caw_testkit.modelserver import RecordedRequest
    from caw_testkit.modelserver.steps import Reply

    from .conftest import Trial


def without_end(trial: Trial, calls: int) -> None:
    """Let the model call commands without end; those after *calls* leave time to be stopped."""

    def answer(_: RecordedRequest) -> Reply:
        late = len(trial.server.requests) > calls
        return reply(trial.kind.run("sleep 5" if late else "true"))

    trial.server.respond(answer)


@pytest.mark.feature("max_turns")
def test_turn_ends_after_so_many_model_calls(trial: Trial) -> None:
    without_end(trial, calls=2)
    with trial.session(max_turns=2) as session:
        assert session.send("go").stop_reason == "max_turn_requests"
        assert 2 <= len(trial.server.requests) <= 3
        trial.server.clear()
        trial.server.respond(lambda _: reply(text("fine")))
        assert session.send("again").result == "fine"


@pytest.mark.feature("budget")
def test_budget_ends_the_turn_and_lets_no_other_begin(trial: Trial) -> None:
    without_end(trial, calls=3)
    with trial.session(budget=Budget(tokens=40)) as session:
        with pytest.raises(BudgetError) as caught:
            session.send("go")
        made = len(trial.server.requests)
        with pytest.raises(BudgetError):
            session.send("again")
    assert 3 <= made <= 4
    assert len(trial.server.requests) == made
    assert caught.value.turn
    assert caught.value.turn.tool_calls


@pytest.mark.feature("auto_wait")
def test_used_up_plan_is_waited_for_and_the_turn_goes_on(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caw_core.turn_limits.RESET_MARGIN_SECONDS", 0.1)
    # opencode does not tell a time that was stated from its own wait, unless it is a long one.
    monkeypatch.setattr("caw_core.turn_limits.UNKNOWN_RESET_WAITS", (0.1,))
    settings, used_up = trial.kind.used_up(int(time.time()) + 2)
    trial.server.script(used_up, reply(text("at last")))
    with trial.session(**settings) as session:
        stream = session.stream("go")
        waits = [event for event in stream if isinstance(event, Waiting)]
        turn = stream.result()
    [wait] = waits
    assert datetime.fromisoformat(wait.until).tzinfo
    assert (turn.status, turn.result) == ("completed", "at last")
    assert len(session.trajectory.turns) == 1
    assert trial.server.requests[-1].last_user_text() == "go"


@pytest.mark.feature("auto_wait")
@pytest.mark.feature("errors")
def test_used_up_plan_is_an_error_with_its_end_where_nobody_wants_to_wait(trial: Trial) -> None:
    resets_at = int(time.time()) + 3600
    settings, used_up = trial.kind.used_up(resets_at)
    trial.server.script(used_up)
    session = trial.agent(auto_wait=False, **settings).start_session()
    with session, pytest.raises(LimitError) as caught:
        session.send("go")
    error = caught.value
    assert (error.kind, error.provider) == ("usage", trial.kind.name)
    assert error.resets_at
    # One service states the time in seconds from now.
    late = error.resets_at - datetime.fromtimestamp(resets_at, UTC)
    assert abs(late.total_seconds()) < 600


@pytest.mark.feature("auto_wait")
def test_answer_that_talks_about_limits_waits_for_nothing(trial: Trial) -> None:
    said = "You've hit your usage limit. Rate limit reached, resets at 3pm. Prompt is too long."
    trial.server.script(reply(text(said)))
    with trial.session() as session:
        turn = session.send("go")
    assert (turn.result, turn.status) == (said, "completed")
