"""What ends a turn from outside, and what lets it wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from caw_core import Budget, UsageStats
from caw_core import turn_limits as limits
from caw_core.errors import BudgetError, ConfigError, LimitError
from caw_core.events import Event, TextDelta, TextDone, TurnEnded, UsageReported, Waiting
from caw_core.provider import NATIVE

if TYPE_CHECKING:
    from tests.conftest import PlayedSession, Stage

WAIT = 20.0


def calling(tokens: int = 10, cost: float | None = 0.5, calls: int = 5) -> object:
    """Return a turn of several model calls, each followed by a look at whether to stop."""

    def turn(session: PlayedSession, _: str) -> Iterator[Event]:
        session.interrupted.clear()
        for number in range(calls):
            yield TextDone(text=f"call {number}", block_id=str(number))
            usage = UsageStats(
                input_tokens=tokens,
                cost_usd=cost,
                cost_source="unknown" if cost is None else "reported",
            )
            yield UsageReported(usage=usage)
            if number < calls - 1 and session.interrupted.wait(0.3):
                yield TurnEnded(stop_reason="cancelled")
                return
        yield TurnEnded(stop_reason="end_turn")

    return turn


def test_model_calls_of_a_turn_are_bounded(stage: Stage) -> None:
    with stage.agent(calling(), max_turns=2).start_session() as session:  # type: ignore[arg-type]
        turn = session.send("go")
    assert (turn.status, turn.stop_reason) == ("completed", "max_turn_requests")
    assert [(option.name, option.support) for option in turn.options] == [("max_turns", "emulated")]
    assert turn.usage.input_tokens == 20


def test_last_allowed_call_may_end_the_turn_itself(stage: Stage) -> None:
    with stage.agent(calling(calls=2), max_turns=2).start_session() as session:  # type: ignore[arg-type]
        assert session.send("go").stop_reason == "end_turn"


def telling_cost_last(session: PlayedSession, text: str) -> Iterator[Event]:
    """Report two calls without a cost, and then, unless told not to, what the turn cost."""
    del session
    for _ in range(2):
        yield UsageReported(usage=UsageStats(input_tokens=1), cost_follows=True)
    if text != "die":
        yield UsageReported(usage=UsageStats(cost_usd=0.6, cost_source="reported"))


def test_cost_that_follows_does_not_stop_the_turn(stage: Stage) -> None:
    with stage.agent(telling_cost_last, budget=Budget(usd=1)).start_session() as session:
        assert session.send("go").usage.cost_usd == 0.6
        with pytest.raises(BudgetError, match=r"1\.2000 of 1 USD"):
            session.send("go")


def test_cost_that_never_came_stops_the_next_turn(stage: Stage) -> None:
    with stage.agent(telling_cost_last, budget=Budget(usd=1)).start_session() as session:
        assert session.send("die").usage.cost_usd is None
        with pytest.raises(BudgetError, match="the cost is unknown"):
            session.send("go")


def test_provider_that_bounds_its_calls_itself_is_left_alone(stage: Stage) -> None:
    info = {"options": {"max_turns": NATIVE}}
    agent = stage.agent(calling(calls=3), info=info, max_turns=1)  # type: ignore[arg-type]
    with agent.start_session() as session:
        assert session.send("go").usage.input_tokens == 30
    assert stage.session.request.max_turns == 1


@pytest.mark.parametrize("budget", [Budget(tokens=15), Budget(usd=0.7)])
def test_budget_stops_the_turn_and_the_next(stage: Stage, budget: Budget) -> None:
    with stage.agent(calling(), budget=budget).start_session() as session:  # type: ignore[arg-type]
        with pytest.raises(BudgetError, match="is used up") as caught:
            session.send("go")
        assert caught.value.turn is not None
        assert (caught.value.turn.status, caught.value.turn.usage.input_tokens) == (
            "interrupted",
            20,
        )
        with pytest.raises(BudgetError):
            session.send("again")
        assert len(stage.session.prompts) == 1


def test_budget_in_money_ends_a_turn_of_unknown_cost(stage: Stage) -> None:
    agent = stage.agent(calling(cost=None), budget=Budget(usd=100))  # type: ignore[arg-type]
    with agent.start_session() as session, pytest.raises(BudgetError, match="unknown"):
        session.send("go")


@pytest.mark.parametrize("bad", [{"tokens": 0}, {"usd": -1.0}, {"tokens": True}])
def test_budget_that_is_none_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="number above 0"):
        Budget(**bad)  # type: ignore[arg-type]


def limited(kind: str = "usage", *, resets_in: float | None = 0.0, times: int = 1) -> object:
    """Return a turn that is limited *times* times before it answers."""

    def turn(session: PlayedSession, text: str) -> Iterator[Event]:
        if len(session.prompts) <= times:
            resets_at = None
            if resets_in is not None:
                resets_at = datetime.now(UTC) + timedelta(seconds=resets_in)
            message = "the usage limit is reached"
            raise LimitError(message, kind=kind, resets_at=resets_at)
        yield TextDelta(text=f"answer to {text}")

    return turn


@pytest.fixture
def _no_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESET_MARGIN_SECONDS", 0.0)
    monkeypatch.setattr(limits, "UNKNOWN_RESET_WAITS", (0.0, 0.0))


@pytest.mark.usefixtures("_no_margin")
@pytest.mark.parametrize("resets_in", [0.0, None])
def test_usage_limit_is_waited_for_in_the_same_turn(stage: Stage, resets_in: float | None) -> None:
    with stage.agent(limited(resets_in=resets_in)).start_session() as session:  # type: ignore[arg-type]
        events = list(session.stream("question"))
    waits = [event for event in events if isinstance(event, Waiting)]
    assert [wait.reason for wait in waits] == ["the usage limit is reached"]
    assert stage.session.prompts == ["question", "question"]
    assert session.trajectory.num_turns == 1
    assert session.trajectory.result == "answer to question"


@pytest.mark.usefixtures("_no_margin")
def test_unknown_reset_is_waited_for_a_bounded_number_of_times(stage: Stage) -> None:
    agent = stage.agent(limited(resets_in=None, times=99))  # type: ignore[arg-type]
    with agent.start_session() as session, pytest.raises(LimitError):
        session.send("question")
    assert len(stage.session.prompts) == 3


@pytest.mark.usefixtures("_no_margin")
def test_reset_that_lies_in_the_past_is_not_tried_for_ever(stage: Stage) -> None:
    agent = stage.agent(limited(resets_in=-1000, times=99))  # type: ignore[arg-type]
    with agent.start_session() as session, pytest.raises(LimitError):
        session.send("question")
    assert len(stage.session.prompts) == 3


def test_unknown_reset_waits_an_hour_in_all() -> None:
    assert sum(limits.UNKNOWN_RESET_WAITS) == 3600


@pytest.mark.parametrize("kind", ["rate", "overloaded"])
def test_other_limits_are_raised_at_once(stage: Stage, kind: str) -> None:
    with (
        stage.agent(limited(kind)).start_session() as session,  # type: ignore[arg-type]
        pytest.raises(LimitError) as caught,
    ):
        session.send("question")
    assert caught.value.kind == kind


def test_waiting_is_off_when_the_environment_says_so(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAW_AUTOWAIT", "0")
    agent = stage.agent(limited())  # type: ignore[arg-type]
    with agent.start_session() as session, pytest.raises(LimitError):
        session.send("question")


def test_wait_can_be_interrupted(stage: Stage) -> None:
    agent = stage.agent(limited(resets_in=1000))  # type: ignore[arg-type]
    with agent.start_session() as session, session.stream("question") as stream:
        for event in stream:
            if isinstance(event, Waiting):
                stream.interrupt()
        turn = stream.turn
    assert turn is not None
    assert turn.status == "interrupted"


def test_text_about_limits_never_waits(stage: Stage) -> None:
    def turn(_: PlayedSession, __: str) -> Iterator[Event]:
        yield TextDelta(text="You've hit your usage limit. It resets at 3:04 AM.")

    with stage.agent(turn).start_session() as session:
        assert session.send("question").status == "completed"


@pytest.mark.usefixtures("_no_margin")
def test_agent_that_had_begun_is_asked_to_go_on(stage: Stage) -> None:
    def turn(session: PlayedSession, _: str) -> Iterator[Event]:
        yield TextDone(text="half", block_id=str(len(session.prompts)))
        if len(session.prompts) == 1:
            raise LimitError("limit", kind="usage", resets_at=datetime.now(UTC))

    with stage.agent(turn).start_session() as session:
        session.send("question")
    assert stage.session.prompts == ["question", "Please go on where you stopped."]
