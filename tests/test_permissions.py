"""An agent that asks gets one answer, whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Decision, PermissionRequest, allow, allow_always, deny
from caw_core.deadlines import Deadlines
from caw_core.events import Event, PermissionAsked, PermissionSettled, TextDelta, TurnEnded

if TYPE_CHECKING:
    from tests.conftest import PlayedSession, Stage

WAIT = 20.0


def asking(answers: list[Decision], *, times: int = 1) -> Callable[[Any, str], Iterator[Event]]:
    """Return a turn that asks *times* times and waits for each answer."""

    def turn(session: PlayedSession, _: str) -> Iterator[Event]:
        for number in range(times):
            settled = threading.Event()

            def settle(decision: Decision, settled: threading.Event = settled) -> None:
                answers.append(decision)
                settled.set()

            request = PermissionRequest(
                request_id=str(number), tool="Bash", arguments={"cmd": "ls"}
            )
            session.request.permission_desk.ask(request, settle)
            while not settled.wait(0.01):
                if session.interrupted.is_set():
                    yield TurnEnded(stop_reason="cancelled")
                    return
        yield TextDelta(text="done")

    return turn


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, allow()),
        (False, deny()),
        (allow_always(), allow_always()),
        (deny("not today", stop=True), deny("not today", stop=True)),
        (allow(arguments={"cmd": "pwd"}), allow(arguments={"cmd": "pwd"})),
        (None, deny("the permission callback gave no answer")),
    ],
)
def test_callback_answers(stage: Stage, answer: Any, expected: Decision) -> None:
    answers: list[Decision] = []
    seen: list[PermissionRequest] = []

    def callback(request: PermissionRequest) -> Any:
        seen.append(request)
        return answer

    with stage.agent(asking(answers), on_permission=callback).start_session() as session:
        session.send("go")
    assert answers == [expected]
    assert (seen[0].tool, seen[0].arguments) == ("Bash", {"cmd": "ls"})


def test_without_a_callback_the_answer_is_no(stage: Stage) -> None:
    answers: list[Decision] = []
    with stage.agent(asking(answers)).start_session() as session:
        session.send("go")
    assert [(answer.allowed, answer.reason) for answer in answers] == [
        (False, "nobody is there to give permission"),
    ]


def test_callback_that_fails_means_no_and_the_turn_goes_on(stage: Stage) -> None:
    answers: list[Decision] = []

    def callback(_: PermissionRequest) -> bool:
        raise ZeroDivisionError

    with stage.agent(asking(answers), on_permission=callback).start_session() as session:
        assert session.send("go").result == "done"
    assert answers == [deny("the permission callback failed: ZeroDivisionError")]


def test_requests_and_answers_are_on_the_event_stream(stage: Stage) -> None:
    agent = stage.agent(
        asking([], times=2), on_permission=lambda request: request.request_id == "0"
    )
    with agent.start_session() as session:
        events = list(session.stream("go"))
    asked = [event.request_id for event in events if isinstance(event, PermissionAsked)]
    settled = [event.allowed for event in events if isinstance(event, PermissionSettled)]
    assert (asked, settled) == (["0", "1"], [True, False])


def test_interrupt_settles_what_is_open_and_drops_the_late_answer(stage: Stage) -> None:
    answers: list[Decision] = []
    entered, leave = threading.Event(), threading.Event()

    def callback(_: PermissionRequest) -> bool:
        entered.set()
        leave.wait(WAIT)
        return True

    with stage.agent(asking(answers), on_permission=callback).start_session() as session:
        stream = session.stream("go")
        assert entered.wait(WAIT)
        session.interrupt()
        assert stream.result().status == "interrupted"
        leave.set()
    assert answers == [deny("the turn is over")]


def test_request_that_is_open_at_an_interrupt_is_settled_on_the_event_stream(
    stage: Stage,
) -> None:
    release = threading.Event()
    agent = stage.agent(asking([]), on_permission=lambda _: release.wait(WAIT))
    with agent.start_session() as session, session.stream("go") as stream:
        events = []
        for event in stream:
            events.append(event)
            if isinstance(event, PermissionAsked):
                stream.interrupt()
        release.set()
    settled = [event for event in events if isinstance(event, PermissionSettled)]
    assert [(event.allowed, event.reason) for event in settled] == [(False, "the turn is over")]
    assert isinstance(events[-1], TurnEnded)


def test_silence_while_a_callback_thinks_is_not_the_agents(stage: Stage) -> None:
    entered = threading.Event()

    def callback(_: PermissionRequest) -> bool:
        # Several times the idle deadline; only the clock's own checks run meanwhile.
        entered.wait(0.5)
        return True

    deadlines = Deadlines(first_event=0.1, idle=0.1)
    agent = stage.agent(asking([]), on_permission=callback, deadlines=deadlines)
    with agent.start_session() as session:
        assert session.send("go").status == "completed"


def test_withdrawn_request_is_not_answered(stage: Stage) -> None:
    answers: list[Decision] = []
    leave = threading.Event()

    def turn(session: PlayedSession, _: str) -> Iterator[Event]:
        desk = session.request.permission_desk
        desk.ask(PermissionRequest(request_id="a", tool="Bash"), answers.append)
        desk.withdraw("a")
        leave.set()
        yield TextDelta(text="done")

    def callback(_: PermissionRequest) -> bool:
        return leave.wait(WAIT)

    with stage.agent(turn, on_permission=callback).start_session() as session:
        session.send("go")
    assert answers == []
