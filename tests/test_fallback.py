from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from caw_core import Deadlines, PluginRegistry, Prompt
from caw_core.errors import (
    AuthError,
    ConfigError,
    LimitError,
    ProcessError,
    ProviderError,
    SessionStateError,
)
from caw_core.events import (
    Notice,
    ProviderChanged,
    Retrying,
    TextDelta,
    ThinkingDelta,
    ToolStarted,
    UsageReported,
    Waiting,
)
from caw_core.provider import NATIVE
from caw_core.usage import UsageStats

from .band import Band, Unready, auth, died, failing, limit, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from caw_core.events import Event

    from .conftest import PlayedSession


def changes(events: list[Event]) -> list[tuple[str, str, str]]:
    return [
        (event.from_provider, event.to_provider, event.cause)
        for event in events
        if isinstance(event, ProviderChanged)
    ]


def refusing(error: Callable[[], Exception]) -> Callable[[PlayedSession], None]:
    def refuse(_: PlayedSession) -> None:
        raise error()

    return refuse


# ---------------------------------------------------------------------------- in the first turn


@pytest.mark.parametrize(
    ("error", "cause"),
    [(auth, "not_logged_in"), (limit, "limited"), (missing, "cannot_start")],
)
def test_first_turn_that_is_refused_goes_to_the_next_provider(
    band: Band, error: Callable[[], Exception], cause: str
) -> None:
    first = band.join("a", failing(error, Retrying(reason="once more")))
    band.join("b")
    with band.agent().start_session() as session:
        stream = session.stream("x")
        events = list(stream)
        turn = stream.result()
        assert turn.result == "hello x"
        assert changes(events) == [("a", "b", cause)]
        assert turn.extra["provider_changes"][0]["to_provider"] == "b"
        assert (session.provider, session.trajectory.provider) == ("b", "b")
        assert '"provider": "b"' in session.resume_handle
        assert first.sessions[0].closed.is_set()
        assert session.send("y").result == "hello y"
    assert session.trajectory.num_turns == 2


@pytest.mark.parametrize(
    "deed",
    [
        TextDelta(text="I"),
        ThinkingDelta(text="hm"),
        ToolStarted(call_id="1", name="Bash"),
        UsageReported(usage=UsageStats(input_tokens=9)),
    ],
    ids=lambda deed: deed.type,
)
def test_turn_in_which_something_was_done_is_never_sent_to_another_provider(
    band: Band, deed: Event
) -> None:
    band.join("a", failing(limit, deed))
    second = band.join("b")
    with band.agent(auto_wait=False).start_session() as session, pytest.raises(LimitError):
        session.send("x")
    assert not second.sessions
    assert session.provider == "a"


def test_program_that_died_in_the_turn_is_unknown_and_never_repeated(band: Band) -> None:
    band.join("a", failing(died))
    second = band.join("b")
    with band.agent().start_session() as session, pytest.raises(ProcessError):
        session.send("x")
    assert session.trajectory.turns[0].status == "unknown"
    assert not second.sessions


def test_later_turn_keeps_its_provider(band: Band) -> None:
    def answer(_: PlayedSession, text: str) -> Iterator[Event]:
        if text == "second":
            raise limit()
        yield TextDelta(text="fine")

    band.join("a", answer)
    second = band.join("b")
    with band.agent(auto_wait=False).start_session() as session:
        session.send("first")
        with pytest.raises(LimitError):
            session.send("second")
    assert not second.sessions


def test_resumed_session_keeps_its_provider(band: Band) -> None:
    band.join("a", capabilities=frozenset({"resume"}))
    with band.agent("a").start_session() as session:
        session.send("x")
        handle = session.resume_handle
    band.join("a", failing(auth), capabilities=frozenset({"resume"}))
    second = band.join("b")
    with band.agent().resume_session(handle) as session, pytest.raises(AuthError):
        session.send("y")
    assert not second.sessions


def test_provider_that_is_named_alone_is_the_only_one(band: Band) -> None:
    band.join("a", failing(auth))
    band.join("b")
    with band.agent("a").start_session() as session, pytest.raises(AuthError) as caught:
        session.send("x")
    assert caught.value.passed_over == ()


def test_when_all_fail_the_last_error_tells_of_each(band: Band) -> None:
    band.join("a", failing(auth))
    band.join("b", kind=Unready)
    band.join("c", failing(limit))
    with (
        band.agent(["a", "b", "c"], auto_wait=False).start_session() as session,
        pytest.raises(LimitError) as caught,
    ):
        session.send("x")
    error = caught.value
    assert (error.provider, error.kind) == ("c", "usage")
    assert error.passed_over == ("a: AuthError: not logged in", "b: no program. install it")
    assert "used up. No other provider could take it: a: AuthError" in str(error)
    assert session.trajectory.num_turns == 1


def test_last_provider_waits_for_its_limit(band: Band, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caw_core.turn_limits.UNKNOWN_RESET_WAITS", (0.01,))
    tries: list[str] = []

    def answer(_: PlayedSession, text: str) -> Iterator[Event]:
        tries.append(text)
        if len(tries) == 1:
            raise limit()
        yield TextDelta(text="at last")

    band.join("a", failing(limit))
    band.join("b", answer)
    with band.agent().start_session() as session:
        events = list(session.stream("x"))
    kinds = [type(event) for event in events if isinstance(event, ProviderChanged | Waiting)]
    assert kinds == [ProviderChanged, Waiting]
    assert session.trajectory.result == "at last"


def test_next_provider_that_cannot_take_the_prompt_is_left_out(band: Band) -> None:
    band.join("a", failing(auth), capabilities=frozenset({"structured"}))
    second = band.join("b")
    with (
        band.agent().start_session() as session,
        pytest.raises(AuthError, match="b: ConfigError: it does not take this prompt"),
    ):
        session.send(Prompt(text="x", output_schema={"type": "object"}))
    assert not second.sessions


def test_turn_that_is_interrupted_during_the_change_leaves_no_agent_behind(band: Band) -> None:
    opening, go_on = threading.Event(), threading.Event()

    def slow(_: PlayedSession) -> None:
        opening.set()
        assert go_on.wait(20)

    band.join("a", failing(auth))
    second = band.join("b")
    second.on_open = slow
    with band.agent().start_session() as session:
        stream = session.stream("x")
        assert opening.wait(20)
        stream.interrupt()
        go_on.set()
        assert stream.result().status == "interrupted"
        assert second.sessions[0].closed.wait(20)
        assert session.provider == "a"
        assert not second.sessions[0].prompts


# -------------------------------------------------------------------------------- at the start


@pytest.mark.parametrize("error", [auth, limit, missing, died])
def test_provider_that_cannot_start_makes_way_for_the_next(
    band: Band, error: Callable[[], Exception]
) -> None:
    band.join("a").on_open = refusing(error)
    band.join("b")
    with band.agent().start_session(session_id="mine") as session:
        events = list(session.stream("x"))
    assert session.session_id == "mine"
    assert [change[:2] for change in changes(events)] == [("a", "b")]


def test_start_that_takes_too_long_makes_way_for_the_next(band: Band) -> None:
    go_on = threading.Event()

    def late(_: PlayedSession) -> None:
        assert go_on.wait(20)

    band.join("a").on_open = late
    band.join("b")
    agent = band.agent(deadlines=Deadlines(start=0.05))
    with agent.start_session() as session:
        assert session.provider == "b"
    go_on.set()
    assert band.players["a"].sessions[0].closed.wait(20)


def test_fault_in_the_request_is_raised_and_not_tried_elsewhere(band: Band) -> None:
    band.join("a")
    second = band.join("b", options={"model": NATIVE, "temperature": NATIVE})
    with pytest.raises(ConfigError):
        band.agent(temperature=0.5, strict=True).start_session()
    assert not second.sessions


def test_when_none_starts_the_last_error_tells_of_each(band: Band) -> None:
    band.join("a").on_open = refusing(auth)
    band.join("b").on_open = refusing(died)
    with pytest.raises(ProcessError, match=r"it died.*a: AuthError: not logged in"):
        band.agent().start_session()


def test_error_of_the_start_is_one_that_pickles(band: Band) -> None:
    import pickle

    band.join("a").on_open = refusing(auth)
    band.join("b").on_open = refusing(missing)
    with pytest.raises(ProviderError) as caught:
        band.agent().start_session()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.passed_over) == (str(caught.value), caught.value.passed_over)


def test_next_session_of_the_agent_begins_with_the_first_provider_again(band: Band) -> None:
    tries: list[str] = []

    def once(_: PlayedSession, __: str) -> Iterator[Event]:
        tries.append("a")
        if len(tries) == 1:
            raise limit()
        yield TextDelta(text="of a")

    band.join("a", once)
    band.join("b")
    agent = band.agent()
    assert agent.completion("x").provider == "b"
    assert agent.completion("x").result == "of a"


# --------------------------------------------------------------------- what was passed over


def test_provider_of_an_order_that_is_not_ready_is_told(band: Band) -> None:
    band.join("a", kind=Unready)
    band.join("b")
    with band.agent().start_session() as session:
        [change] = [e for e in session.stream("x") if isinstance(e, ProviderChanged)]
        assert not changes(list(session.stream("y")))
    assert (change.from_provider, change.cause) == ("a", "not_ready")
    assert change.reason == "no program. install it"


def test_without_an_order_a_notice_tells_who_was_not_ready(band: Band) -> None:
    band.join("a", kind=Unready)
    band.join("b")
    with band.agent(None).start_session() as session:
        events = list(session.stream("x"))
    assert not changes(events)
    assert [e.message for e in events if isinstance(e, Notice)] == [
        "not ready, so not taken: a: no program. install it"
    ]


def test_without_an_order_the_next_one_that_is_ready_takes_over(band: Band) -> None:
    band.join("a", failing(auth))
    band.join("b", kind=Unready)
    band.join("c")
    assert band.agent("auto").completion("x").provider == "c"


def test_ended_session_stays_ended(band: Band) -> None:
    band.join("a", failing(auth))
    band.join("b")
    session = band.agent().start_session()
    session.send("x")
    session.end()
    assert band.players["b"].sessions[0].closed.is_set()
    with pytest.raises(SessionStateError):
        session.send("y")


def greet(name: str) -> str:
    """Say hello."""
    return f"hello {name}"


def test_next_provider_has_the_tools_in_python_that_the_first_cannot_take(band: Band) -> None:
    band.registry = PluginRegistry()
    first = band.join("a", failing(auth))
    second = band.join("b", options={"mcp_servers": NATIVE})
    with band.agent(stateless_tools=[greet]).start_session() as session:
        session.send("x")
        assert not first.sessions[0].request.mcp_servers
        assert len(second.sessions[0].request.mcp_servers) == 1
