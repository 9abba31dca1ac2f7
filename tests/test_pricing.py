"""Costs that observers compute where an agent reports none."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Budget, UsageStats, hookimpl
from caw_core.errors import BudgetError, PluginInvalidError
from caw_core.events import Event, UsageReported
from caw_core.plugin_check import check_plugin
from caw_core.record_plugins import RecordPlugins
from caw_core.usage import CostSource, Price

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import Agent
    from tests.conftest import MemoryStorage, PlayedSession, Stage

WAIT = 20.0

TOKENS = UsageStats(input_tokens=10)


class Prices:
    """An observer that has one price for everything, or none, and notes what it is asked."""

    caw_api = "1.0"

    def __init__(self, price: Any, table: str = "table 1") -> None:
        self.price = Price(usd=price, table=table) if isinstance(price, float) else price
        self.asked: list[tuple[str, str, UsageStats]] = []
        self.was_asked = threading.Event()

    @hookimpl
    def price_usage(self, provider: str, model: str, usage: UsageStats) -> Any:
        self.asked.append((provider, model, usage))
        self.was_asked.set()
        if isinstance(self.price, Exception):
            raise self.price
        return self.price


@pytest.fixture
def reporting(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes an agent that reports, with observers."""

    def agent(reports: list[UsageReported], *observers: object, **options: Any) -> Agent:
        def turn(session: PlayedSession, _: str) -> Iterator[Event]:
            session.interrupted.clear()
            yield from reports

        named = [(f"observer{number}", plugin) for number, plugin in enumerate(observers)]
        monkeypatch.setattr(stage.registry, "load_observers", lambda: named)
        return stage.agent(turn, **options)

    return agent


def test_event_and_turn_and_record_have_the_computed_cost(
    reporting: Any, memory: MemoryStorage
) -> None:
    prices = Prices(0.25)
    agent = reporting([UsageReported(usage=TOKENS, model="m")], prices, storage=memory)
    with agent.start_session() as session:
        [event] = [event for event in session.stream("go") if isinstance(event, UsageReported)]
        turn = session.trajectory.turns[0]
    for usage in (event.usage, turn.usage, memory.turns[session.session_id][0].usage):
        assert (usage.cost_usd, usage.cost_source) == (0.25, "computed")
        assert (usage.price_table, usage.input_tokens) == ("table 1", 10)
    assert prices.asked == [("played", "m", TOKENS)]


def test_report_without_a_model_is_of_the_turns_last_known_one(reporting: Any) -> None:
    prices = Prices(0.25)
    reports = [
        UsageReported(usage=TOKENS),
        UsageReported(usage=UsageStats(), model="first"),
        UsageReported(usage=TOKENS),
        UsageReported(usage=TOKENS, model="second"),
        UsageReported(usage=TOKENS),
    ]
    usage = reporting(reports, prices).completion("go").turns[0].usage
    assert [model for _, model, _ in prices.asked] == ["first", "second", "second"]
    # The first one's model is known by nobody.
    assert (usage.cost_usd, usage.price_table) == (None, "")


def test_model_of_an_earlier_turn_is_not_that_of_the_next(reporting: Any) -> None:
    reports = [UsageReported(usage=TOKENS, model="m")]
    prices = Prices(0.25)
    with reporting(reports, prices).start_session() as session:
        session.send("one")
        reports[:] = [UsageReported(usage=TOKENS)]
        assert session.send("two").usage.cost_usd is None
    assert len(prices.asked) == 1


@pytest.mark.parametrize(
    "usage",
    [
        UsageStats(input_tokens=5, cost_usd=0.0, cost_source="reported"),
        UsageStats(input_tokens=5, cost_usd=2.0, cost_source="reported"),
        UsageStats(),
    ],
)
def test_nothing_is_asked_where_the_agent_tells_or_nothing_was_used(
    reporting: Any, usage: UsageStats
) -> None:
    prices = Prices(0.25)
    record = reporting([UsageReported(usage=usage, model="m")], prices).completion("go")
    assert record.turns[0].usage == usage
    assert prices.asked == []


@pytest.mark.parametrize("answer", [RuntimeError("no table"), 0.25, "cheap", None])
def test_cost_stays_unknown_where_no_price_comes(reporting: Any, answer: Any) -> None:
    prices = Prices(None)
    prices.price = answer
    agent = reporting([UsageReported(usage=TOKENS, model="m")], prices)
    turn = agent.completion("go").turns[0]
    assert (turn.status, turn.usage) == ("completed", TOKENS)


def test_cost_that_follows_is_bounded_by_what_is_computed_meanwhile(reporting: Any) -> None:
    ahead = UsageReported(usage=TOKENS, model="m", cost_follows=True)
    agent = reporting([ahead] * 3, Prices(0.25), budget=Budget(usd=0.5))
    with agent.start_session() as session, pytest.raises(BudgetError, match=r"0\.5000 of 0\.5"):
        session.send("go")


def test_hook_that_raises_is_heard_of_once(
    reporting: Any, caplog: pytest.LogCaptureFixture
) -> None:
    prices = Prices(RuntimeError("no table"))
    with (
        caplog.at_level(logging.WARNING, "caw"),
        reporting([UsageReported(usage=TOKENS, model="m")] * 2, prices).start_session() as session,
    ):
        session.send("one")
        session.send("two")
    assert len(prices.asked) == 4
    assert [record.name for record in caplog.records] == ["caw.plugins"]
    assert "no table" in caplog.text


def test_who_knows_the_model_answers(reporting: Any) -> None:
    observers = [Prices(None), Prices(0.25), Prices(None)]
    record = reporting([UsageReported(usage=TOKENS, model="m")], *observers).completion("go")
    assert record.usage.cost_usd == 0.25


def test_price_may_be_wrapped(reporting: Any) -> None:
    class Discount:
        caw_api = "1.0"

        @hookimpl(wrapper=True)
        def price_usage(self) -> Any:
            price = yield
            return Price(usd=price.usd / 2, table=f"half of {price.table}")

    reports = [UsageReported(usage=TOKENS, model="m")]
    usage = reporting(reports, Discount(), Prices(0.25)).completion("go").usage
    assert (usage.cost_usd, usage.price_table) == (0.125, "half of table 1")


def test_budget_in_money_ends_the_turn_of_an_agent_that_reports_no_cost(
    reporting: Any, stage: Stage
) -> None:
    def turn(session: PlayedSession, _: str) -> Iterator[Event]:
        yield UsageReported(usage=TOKENS, model="m")
        yield UsageReported(usage=TOKENS)
        session.interrupted.wait(WAIT)

    agent = reporting([], Prices(0.25), budget=Budget(usd=0.5))
    stage.provider.answer = turn
    with agent.start_session() as session:
        with pytest.raises(BudgetError, match=r"0\.5000 of 0\.5 USD are used") as caught:
            session.send("go")
        with pytest.raises(BudgetError):
            session.send("again")
    assert caught.value.turn is not None
    assert (caught.value.turn.status, caught.value.turn.usage.cost_usd) == ("interrupted", 0.5)


def test_table_is_read_as_soon_as_a_session_with_a_budget_in_money_opens(reporting: Any) -> None:
    prices = Prices(0.25)
    agent = reporting([], prices, budget=Budget(usd=1), model="m")
    with agent.start_session():
        assert prices.was_asked.wait(WAIT)
    assert prices.asked == [("played", "m", UsageStats(input_tokens=1))]


def test_table_is_not_read_where_money_does_not_matter(reporting: Any) -> None:
    prices = Prices(0.25)
    reporting([], prices, budget=Budget(tokens=100)).completion("go")
    assert prices.asked == []


def test_observer_that_only_has_prices_is_not_told_of_turns() -> None:
    assert RecordPlugins(observers=[("prices", Prices(0.25))]).sinks == []


@pytest.mark.parametrize("kind", ["provider", "storage"])
def test_price_of_another_kind_of_plugin_is_refused(kind: str) -> None:
    with pytest.raises(PluginInvalidError, match="price_usage: it is not for a plugin of kind"):
        check_plugin(Prices(0.25), name="thief", kind=kind)


@pytest.mark.parametrize(
    ("usd", "table"), [(float("nan"), "t"), (float("inf"), "t"), (-1.0, "t"), (1.0, "")]
)
def test_price_that_is_none_is_refused(usd: float, table: str) -> None:
    with pytest.raises(ValueError, match="price"):
        Price(usd=usd, table=table)


def usage(cost: float | None, table: str = "") -> UsageStats:
    source: CostSource = "unknown" if cost is None else "computed" if table else "reported"
    return UsageStats(input_tokens=1, cost_usd=cost, cost_source=source, price_table=table)


@pytest.mark.parametrize(
    ("usages", "total"),
    [
        ([usage(1.0, "a 1"), usage(1.0, "a 1")], (2.0, "computed", "a 1")),
        ([usage(1.0, "b 2"), usage(1.0, "a 1"), usage(1.0, "b 2")], (3.0, "computed", "b 2, a 1")),
        ([usage(1.0, "a 1"), usage(1.0)], (2.0, "computed", "a 1")),
        ([usage(1.0), usage(1.0, "a 1"), usage(1.0)], (3.0, "computed", "a 1")),
        ([usage(1.0), usage(1.0)], (2.0, "reported", "")),
        ([usage(1.0, "a 1"), usage(None)], (None, "unknown", "")),
    ],
)
def test_sum_names_every_table_once(
    usages: list[UsageStats], total: tuple[float | None, str, str]
) -> None:
    found = sum(usages, UsageStats())
    assert (found.cost_usd, found.cost_source, found.price_table) == total
