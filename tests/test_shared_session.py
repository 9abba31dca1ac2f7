"""One session used from several threads, or several event loops, at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import SessionStateError, TurnInterruptedError
from caw_core.events import Event, TextDelta, TurnEnded
from caw_core.permissions import Decision, PermissionRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import Session, Turn
    from tests.conftest import PlayedSession, Stage

WAIT = 20.0
USERS = 6
EACH = 20


class OneAtATime:
    """Answers each prompt in three pieces, and finds out whether two of them ever overlap."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self.overlapped = False

    def answer(self, _: PlayedSession, text: str) -> Iterator[Event]:
        alone = self.busy.acquire(blocking=False)
        self.overlapped |= not alone
        for piece in (text, " ", text):
            yield TextDelta(text=piece)
        if alone:
            self.busy.release()


def waiting(agent: PlayedSession, text: str) -> Iterator[Event]:
    yield TextDelta(text=text)
    assert agent.interrupted.wait(WAIT), "nobody interrupted the turn"
    yield TurnEnded(stop_reason="cancelled")


def in_loops(*mains: Any) -> list[Any]:
    """Run coroutine functions, each in an event loop and a thread of its own, at once."""
    with ThreadPoolExecutor(len(mains)) as pool:
        running = [pool.submit(asyncio.run, main()) for main in mains]
        return [loop.result(WAIT) for loop in running]


def check_order(session: Session, turns: dict[int, list[Turn]], prompts: list[str]) -> None:
    """Each user's turns are its own and in its order, and the record has the agent's order."""
    for user, own in turns.items():
        assert [turn.input for turn in own] == [f"{user}.{number}" for number in range(EACH)]
        assert [turn.index for turn in own] == sorted(turn.index for turn in own)
    recorded = session.trajectory.turns
    assert [turn.input for turn in recorded] == prompts
    assert [turn.index for turn in recorded] == list(range(len(turns) * EACH))
    assert all(turn.result == f"{turn.input} {turn.input}" for turn in recorded)


def test_threads_share_a_session_and_nothing_mixes(stage: Stage) -> None:
    one = OneAtATime()
    together = threading.Barrier(USERS)

    def use(user: int) -> list[Turn]:
        together.wait(WAIT)
        return [session.send(f"{user}.{number}") for number in range(EACH)]

    with stage.agent(one.answer).start_session() as session, ThreadPoolExecutor(USERS) as pool:
        turns = dict(enumerate(pool.map(use, range(USERS))))
        check_order(session, turns, stage.session.prompts)
    assert not one.overlapped


def test_event_loops_share_a_session_and_nothing_mixes(stage: Stage) -> None:
    one = OneAtATime()
    together = threading.Barrier(2)

    def user(number: int) -> Any:
        async def main() -> list[Turn]:
            together.wait(WAIT)
            # All at once: the calls of one loop keep their order without waiting for each other.
            return await asyncio.gather(
                *(session.send_async(f"{number}.{turn}") for turn in range(EACH))
            )

        return main

    with stage.agent(one.answer).start_session() as session:
        turns = dict(enumerate(in_loops(user(0), user(1))))
        check_order(session, turns, stage.session.prompts)
    assert not one.overlapped


def test_streams_of_two_event_loops_get_their_own_events(stage: Stage) -> None:
    def reader(name: str) -> Any:
        async def main() -> list[str]:
            heard = []
            for _ in range(EACH):
                async with await session.stream_async(name) as stream:
                    heard += [e.text async for e in stream if isinstance(e, TextDelta)]
            return heard

        return main

    with stage.agent(OneAtATime().answer).start_session() as session:
        assert in_loops(reader("a"), reader("b")) == [
            ["a", " ", "a"] * EACH,
            ["b", " ", "b"] * EACH,
        ]


def test_second_reader_of_a_stream_is_refused_and_the_first_goes_on(stage: Stage) -> None:
    async def main() -> None:
        async with await stage.agent(waiting).start_session_async() as session:
            stream = session.stream("x")
            heard: list[str] = []
            waits_again = asyncio.Event()

            async def read() -> None:
                async for event in stream:
                    heard.append(event.type)
                    if isinstance(event, TextDelta):
                        waits_again.set()

            reading = asyncio.create_task(read())
            await waits_again.wait()
            with pytest.raises(SessionStateError, match="one reader"):
                await anext(aiter(stream))
            with pytest.raises(SessionStateError, match="one reader"):
                next(iter(stream))
            session.interrupt()
            await reading
            assert heard == ["turn_started", "text_delta", "turn_ended"]

    asyncio.run(main())


# ------------------------------------------------------------------------------- end() in a turn


def test_end_from_another_thread_tells_the_one_who_sends_and_those_who_wait(stage: Stage) -> None:
    begun = threading.Event()

    def answer(agent: PlayedSession, text: str) -> Iterator[Event]:
        begun.set()
        yield from waiting(agent, text)

    session = stage.agent(answer).start_session()
    streams = [session.stream("runs")]
    assert begun.wait(WAIT)
    streams += [session.stream("waits") for _ in range(2)]
    record = session.end()
    with pytest.raises(TurnInterruptedError) as caught:
        streams[0].result()
    assert caught.value.turn == record.turns[0]
    for stream in streams[1:]:
        with pytest.raises(SessionStateError, match="ended"):
            stream.result()
    assert [(turn.input, turn.status) for turn in record.turns] == [("runs", "interrupted")]
    assert stage.session.prompts == ["runs"]


def test_end_by_the_one_who_reads_the_turn_ends_it(stage: Stage) -> None:
    session = stage.agent(waiting).start_session()
    events = iter(session.stream("x"))
    next(event for event in events if isinstance(event, TextDelta))
    record = session.end()
    assert record.turns[0].status == "interrupted"
    assert next(events).type == "turn_ended"
    with pytest.raises(TurnInterruptedError):
        next(events)


def test_end_in_one_event_loop_ends_the_send_in_another(stage: Stage) -> None:
    begun = threading.Event()

    def answer(agent: PlayedSession, text: str) -> Iterator[Event]:
        begun.set()
        yield from waiting(agent, text)

    session = stage.agent(answer).start_session()

    async def send() -> str:
        with pytest.raises(TurnInterruptedError) as caught:
            await session.send_async("x")
        assert caught.value.turn is not None
        return caught.value.turn.status

    async def end() -> str:
        await asyncio.to_thread(begun.wait, WAIT)
        return (await session.end_async()).turns[0].status

    assert in_loops(send, end) == ["interrupted", "interrupted"]


def test_end_by_a_permission_callback_settles_the_request_and_ends_the_turn(stage: Stage) -> None:
    settled: list[Decision] = []

    def answer(agent: PlayedSession, text: str) -> Iterator[Event]:
        yield TextDelta(text=text)
        request = PermissionRequest(request_id="1", tool="shell", arguments={})
        agent.request.permission_desk.ask(request, settled.append)
        yield from waiting(agent, text)

    def decide(_: PermissionRequest) -> bool:
        session.end()
        return True

    session = stage.agent(answer, on_permission=decide).start_session()
    with pytest.raises(TurnInterruptedError):
        session.send("x")
    session.end()
    assert [decision.allowed for decision in settled] == [False]
