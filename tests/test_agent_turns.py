"""Turns that the agent begins by itself."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Budget, Deadlines
from caw_core.errors import BudgetError, ProcessError, TurnInterruptedError
from caw_core.events import Event, TextDelta, TextDone, TurnStarted, UsageReported
from caw_core.permissions import PermissionRequest, allow
from caw_core.trajectory import Turn
from caw_core.usage import UsageStats

from .conftest import WAIT
from .test_session import Gate, Sending, gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import Session

    from .conftest import MemoryStorage, PlayedSession, Stage

__all__ = ["gate"]

USED = UsageStats(input_tokens=7, output_tokens=3)


def working(text: str = "by itself") -> Iterator[Event]:
    yield TextDone(text=text)
    yield UsageReported(usage=USED)


class Told:
    """Waits for the turns that the agent began."""

    def __init__(self, session: Session) -> None:
        self._turns: list[Turn] = []
        self._changed = threading.Condition()
        session.on_agent_turn(self._add)

    def _add(self, turn: Turn) -> None:
        with self._changed:
            self._turns.append(turn)
            self._changed.notify_all()

    def wait(self, number: int = 1) -> list[Turn]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._turns) >= number, WAIT)
            return self._turns


def told(session: Session) -> list[tuple[str, str, str]]:
    return [(turn.origin, turn.input, turn.result) for turn in session.trajectory.turns]


def test_turn_of_the_agents_own_is_recorded_though_nobody_sends(
    stage: Stage, memory: MemoryStorage
) -> None:
    with stage.agent(storage=memory).start_session() as session:
        seen = Told(session)
        stage.session.begin_turn(working())
        [turn] = seen.wait()
        assert (turn.origin, turn.input, turn.result) == ("agent", "a task ended", "by itself")
        assert (turn.status, turn.usage, turn.index) == ("completed", USED, 0)
        assert session.trajectory.turns == (turn,)
        assert session.trajectory.usage == USED
        assert memory.turns[session.session_id] == {0: turn}
        assert session.send("x").index == 1


def test_turn_that_began_before_the_session_was_open_is_not_lost(stage: Stage) -> None:
    agent = stage.agent()
    stage.provider.on_open = lambda session: session.begin_turn(working("early"))
    with agent.start_session() as session:
        session.send("x")
        assert [turn.result for turn in session.trajectory.turns] == ["early", "hello x"]


def test_message_waits_for_a_turn_that_the_agent_began_before(stage: Stage, gate: Gate) -> None:
    with stage.agent().start_session() as session:
        stage.session.begin_turn(gate.answer(stage.session, "own"))
        assert gate.begun.wait(WAIT)
        sending = Sending(session, "mine")
        assert [turn.status for turn in session.trajectory.turns] == ["running"]
        gate.open.set()
        assert sending.wait().turn.result == "hello mine"
        assert told(session) == [
            ("agent", "a task ended", "own begins, own ends"),
            ("user", "mine", "hello mine"),
        ]


def test_turn_of_the_agents_own_goes_before_messages_that_wait(stage: Stage, gate: Gate) -> None:
    def answer(agent: PlayedSession, text: str) -> Iterator[Event]:
        if text == "first":
            yield from gate.answer(agent, text)
            agent.begin_turn(working("one"))
            agent.begin_turn(working("two"))
        else:
            yield TextDelta(text=text)

    with stage.agent(answer).start_session() as session:
        first = Sending(session, "first")
        assert gate.begun.wait(WAIT)
        stream = session.stream("second")
        gate.open.set()
        first.wait()
        assert stream.result().index == 3
        assert [turn.result for turn in session.trajectory.turns][1:] == ["one", "two", "second"]


def overtaken(stage: Stage, gate: Gate, **options: Any) -> tuple[Session, Any]:
    """Send a message that is taken up only after a turn of the agent's own, which is running."""

    def answer(agent: PlayedSession, text: str) -> Iterator[Event]:
        if text == "mine":
            agent.begin_turn(gate.answer(agent, "own"), taken_up=False)
            seen.wait()
        yield TextDelta(text=f"hello {text}")

    session = stage.agent(answer, **options).start_session()
    seen = Told(session)
    stream = session.stream("mine")
    assert gate.begun.wait(WAIT)
    return session, stream


def test_turn_that_began_before_a_sent_prompt_was_taken_up_is_recorded_before_it(
    stage: Stage, gate: Gate, memory: MemoryStorage
) -> None:
    session, stream = overtaken(stage, gate, storage=memory)
    with session:
        assert [turn.origin for turn in session.trajectory.turns] == ["agent", "user"]
        gate.open.set()
        events = list(stream)
        assert told(session) == [
            ("agent", "a task ended", "own begins, own ends"),
            ("user", "mine", "hello mine"),
        ]
        assert [event.index for event in events if isinstance(event, TurnStarted)] == [0, 1]
        assert [event.text for event in events if isinstance(event, TextDelta)] == ["hello mine"]
        assert memory.turns[session.session_id] == dict(enumerate(session.trajectory.turns))
        assert session.send("more").index == 2


def test_silence_of_a_prompt_that_waits_for_the_agents_own_turn_is_no_delay(
    stage: Stage, gate: Gate
) -> None:
    session, stream = overtaken(stage, gate, deadlines=Deadlines(first_event=1))
    with session:
        assert stream.run._check_deadlines(time.monotonic() + 1000) is not None
        gate.open.set()
        assert stream.result().status == "completed"


def test_interrupt_ends_the_agents_own_turn_and_the_session_goes_on(
    stage: Stage, gate: Gate
) -> None:
    with stage.agent().start_session() as session:
        seen = Told(session)
        stage.session.begin_turn(gate.answer(stage.session, "own"))
        assert gate.begun.wait(WAIT)
        session.interrupt()
        [turn] = seen.wait()
        assert (turn.status, turn.result) == ("interrupted", "own begins")
        assert session.send("x").result == "hello x"


def test_end_interrupts_the_agents_own_turn(
    stage: Stage, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    session = stage.agent().start_session()
    stage.session.begin_turn(gate.answer(stage.session, "own"))
    assert gate.begun.wait(WAIT)
    [turn] = session.end().turns
    assert (turn.origin, turn.status, turn.result) == ("agent", "interrupted", "own begins")
    assert TurnInterruptedError.__name__ not in caplog.text
    stage.session.begin_turn(working())
    assert session.trajectory.num_turns == 1


def test_deadlines_bound_the_agents_own_turn(stage: Stage, gate: Gate) -> None:
    with stage.agent(deadlines=Deadlines(idle=0.05)).start_session() as session:
        seen = Told(session)
        stage.session.begin_turn(gate.answer(stage.session, "own"))
        [turn] = seen.wait()
        assert (turn.status, turn.error and turn.error.type) == ("failed", "DeadlineError")


def test_budget_that_is_used_up_stops_the_agents_own_turn(stage: Stage, gate: Gate) -> None:
    def spending(_: PlayedSession, text: str) -> Iterator[Event]:
        yield from working(text)

    agent = stage.agent(spending, budget=Budget(tokens=5))
    with agent.start_session() as session:
        with pytest.raises(BudgetError):
            session.send("x")
        stage.session.interrupted.clear()
        seen = Told(session)
        stage.session.begin_turn(gate.answer(stage.session, "own"))
        [turn] = seen.wait()
        assert (turn.status, turn.error and turn.error.type) == ("interrupted", "BudgetError")


def test_failure_of_the_agents_own_turn_is_recorded_and_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def breaking() -> Iterator[Event]:
        yield TextDelta(text="half")
        msg = "it died"
        raise ProcessError(msg)

    with stage.agent().start_session() as session:
        seen = Told(session)
        with caplog.at_level(logging.WARNING, "caw.session"):
            stage.session.begin_turn(breaking())
            [turn] = seen.wait()
        assert (turn.status, turn.result) == ("unknown", "half")
        assert "it died" in caplog.text
        assert session.send("x").status == "completed"


def test_permission_is_asked_for_in_the_turn_that_needs_it(stage: Stage, gate: Gate) -> None:
    def asks(agent: PlayedSession, name: str) -> Iterator[Event]:
        answered = threading.Event()
        wanted = PermissionRequest(request_id=name, tool="Bash")
        agent.request.permission_desk.ask(wanted, lambda _: answered.set())
        assert answered.wait(WAIT)
        yield TextDelta(text=name)

    def own(agent: PlayedSession) -> Iterator[Event]:
        yield from asks(agent, "own")
        yield from gate.answer(agent, "own")

    def answer(agent: PlayedSession, _: str) -> Iterator[Event]:
        agent.begin_turn(own(agent), taken_up=False)
        seen.wait()
        yield from asks(agent, "mine")

    with stage.agent(answer, on_permission=lambda _: allow()).start_session() as session:
        seen = Told(session)
        stream = session.stream("x")
        assert gate.begun.wait(WAIT)
        gate.open.set()
        asked = [event for event in stream if event.type.startswith("permission")]
        assert {getattr(event, "request_id", "") for event in asked} == {"mine"}
        assert seen.wait()[0].status == "completed"


def test_callback_that_fails_is_logged_and_the_others_are_called(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Turn) -> None:
        msg = "no luck"
        raise ValueError(msg)

    with stage.agent().start_session() as session:
        session.on_agent_turn(broken)
        seen = Told(session)
        stage.session.begin_turn(working())
        assert seen.wait()
        assert "no luck" in caplog.text


def test_record_without_an_origin_is_the_users() -> None:
    assert Turn.from_dict({"index": 0, "input": "x"}).origin == "user"
