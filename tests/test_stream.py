from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import AuthError, SessionStateError
from caw_core.event_buffer import (
    LEFT_OUT,
    LIMIT,
    LIMIT_CHARACTERS,
    WHILE_STOPPING,
    EventBuffer,
)
from caw_core.events import Event, Notice, PermissionAsked, TextDelta, TurnEnded, TurnStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT = 20.0


class Flood:
    """Writes as many events as it is allowed to, and counts those that were taken."""

    def __init__(
        self, events: int = 50 * LIMIT, *, text: str = ".", full_at: int = LIMIT - 1
    ) -> None:
        self.events = events
        self.text = text
        self.full_at = full_at
        self.taken = 0
        self.full = threading.Event()

    def answer(self, agent: Any, text: str) -> Iterator[Event]:
        for number in range(self.events):
            if agent.interrupted.is_set():
                yield TurnEnded(stop_reason="cancelled")
                return
            if number >= self.full_at:
                self.full.set()
            yield TextDelta(text=self.text)
            self.taken += 1


def endless(agent: Any, text: str) -> Iterator[Event]:
    yield TextDelta(text="some")
    assert agent.interrupted.wait(WAIT), "nobody interrupted the turn"
    yield TurnEnded(stop_reason="cancelled")


def test_events_come_in_order_between_started_and_ended(stage: Any) -> None:
    with stage.agent().start_session() as session, session.stream("x") as stream:
        events = list(stream)
    assert events == [
        TurnStarted(index=0),
        TextDelta(text="hello x"),
        TurnEnded(stop_reason="end_turn", status="completed"),
    ]
    assert stream.result() == session.trajectory.turns[0]


def test_same_events_come_to_async_for(stage: Any) -> None:
    async def main() -> list[str]:
        async with await stage.agent().start_session_async() as session:
            async with await session.stream_async("x") as stream:
                types = [event.type async for event in stream]
            assert (await stream.result_async()).result == "hello x"
            return types

    assert asyncio.run(main()) == ["turn_started", "text_delta", "turn_ended"]


def test_slow_reader_slows_the_agent_instead_of_filling_memory(stage: Any) -> None:
    flood = Flood()
    with stage.agent(flood.answer).start_session() as session:
        with session.stream("x") as stream:
            assert flood.full.wait(WAIT)
            assert flood.taken <= LIMIT
            reader = iter(stream)
            for _ in range(10 * LIMIT):
                next(reader)
            assert flood.taken <= 11 * LIMIT
        assert session.trajectory.turns[0].status == "interrupted"


def test_few_large_events_fill_the_stream_as_many_small_ones_do(stage: Any) -> None:
    flood = Flood(100, text="x" * (LIMIT_CHARACTERS // 4), full_at=4)
    with stage.agent(flood.answer).start_session() as session, session.stream("x") as stream:
        assert flood.full.wait(WAIT)
        assert flood.taken <= 5
        reader = iter(stream)
        for _ in range(20):
            next(reader)
        assert flood.taken <= 25


def test_event_larger_than_the_limit_comes_through(stage: Any) -> None:
    flood = Flood(3, text="x" * (2 * LIMIT_CHARACTERS))
    with stage.agent(flood.answer).start_session() as session:
        assert len(list(session.stream("x"))) == 5


def test_reader_that_reads_everything_gets_every_event(stage: Any) -> None:
    flood = Flood(5 * LIMIT)
    with stage.agent(flood.answer).start_session() as session:
        assert len(list(session.stream("x"))) == 5 * LIMIT + 2


def test_async_reader_gets_every_event_of_a_flood(stage: Any) -> None:
    flood = Flood(5 * LIMIT)

    async def main() -> int:
        async with await stage.agent(flood.answer).start_session_async() as session:
            return len([event async for event in session.stream("x")])

    assert asyncio.run(main()) == 5 * LIMIT + 2


def test_nobody_reads_a_turn_that_is_sent(stage: Any) -> None:
    flood = Flood(5 * LIMIT)
    with stage.agent(flood.answer).start_session() as session:
        assert len(session.send("x").result) == 5 * LIMIT


def test_leaving_the_block_early_interrupts_the_turn(stage: Any) -> None:
    with stage.agent(endless).start_session() as session:
        with session.stream("x") as stream:
            for event in stream:
                if isinstance(event, TextDelta):
                    break
        assert stream.turn is not None
        assert (stream.turn.status, stream.turn.result) == ("interrupted", "some")


def test_leaving_the_async_block_early_interrupts_the_turn(stage: Any) -> None:
    async def main() -> None:
        async with await stage.agent(endless).start_session_async() as session:
            async with session.stream("x") as stream:
                async for event in stream:
                    if isinstance(event, TextDelta):
                        break
            assert session.trajectory.turns[0].status == "interrupted"

    asyncio.run(main())


def test_error_in_the_block_interrupts_the_turn_and_is_raised(stage: Any) -> None:
    with stage.agent(endless).start_session() as session:
        with pytest.raises(ZeroDivisionError), session.stream("x"):
            _ = 1 / 0
        assert session.trajectory.turns[0].status == "interrupted"


def test_stream_that_is_dropped_without_a_block_does_not_block_the_session(stage: Any) -> None:
    def answer(agent: Any, text: str) -> Iterator[Event]:
        yield from endless(agent, text) if text == "drop" else iter([TextDelta(text="fine")])

    with stage.agent(answer).start_session() as session:
        for event in session.stream("drop"):
            if isinstance(event, TextDelta):
                break
        gc.collect()
        assert session.send("next").result == "fine"
        assert session.trajectory.turns[0].status == "interrupted"


def test_cancelled_async_reader_interrupts_the_turn(stage: Any) -> None:
    begun = threading.Event()

    def answer(agent: Any, text: str) -> Iterator[Event]:
        begun.set()
        yield from endless(agent, text) if text == "hang" else iter([TextDelta(text="fine")])

    async def main() -> None:
        async with await stage.agent(answer).start_session_async() as session:

            async def read() -> None:
                async for _ in session.stream("hang"):
                    pass

            task = asyncio.create_task(read())
            assert await asyncio.to_thread(begun.wait, WAIT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await session.send_async("next")).result == "fine"
            assert session.trajectory.turns[0].status == "interrupted"

    asyncio.run(main())


def test_failure_is_raised_after_the_last_event(stage: Any) -> None:
    def answer(_: Any, text: str) -> Iterator[Event]:
        yield TextDelta(text="so far")
        msg = "log in"
        raise AuthError(msg)

    seen = []
    with stage.agent(answer).start_session() as session:
        with session.stream("x") as stream, pytest.raises(AuthError):
            seen.extend(stream)
        last = seen[-1]
        assert isinstance(last, TurnEnded)
        assert last.status == "failed"
        assert last.error is not None
        assert last.error.type == "AuthError"


def test_result_skips_the_remaining_events(stage: Any) -> None:
    flood = Flood(3 * LIMIT)
    with stage.agent(flood.answer).start_session() as session:
        stream = session.stream("x")
        assert len(stream.result().result) == 3 * LIMIT
        assert list(stream) == []


def test_interrupt_of_a_stream_ends_its_iteration(stage: Any) -> None:
    with stage.agent(endless).start_session() as session, session.stream("x") as stream:
        events = []
        for event in stream:
            events.append(event)
            stream.interrupt()
        last = events[-1]
        assert isinstance(last, TurnEnded)
        assert last.status == "interrupted"


def test_turn_of_a_stream_grows_while_it_runs(stage: Any) -> None:
    with stage.agent(endless).start_session() as session, session.stream("x") as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                break
        assert stream.turn is not None
        assert (stream.turn.status, stream.turn.result) == ("running", "some")


def test_closing_a_stream_that_waits_takes_it_back(stage: Any) -> None:
    with stage.agent(endless).start_session() as session:
        first = session.stream("one")
        second = session.stream("two")
        second.close()
        assert second.turn is None
        first.close()
        assert session.trajectory.num_turns == 1
        with pytest.raises(SessionStateError):
            second.result()


def test_end_of_the_session_ends_a_full_stream_that_nobody_reads(stage: Any) -> None:
    flood = Flood()
    session = stage.agent(flood.answer).start_session()
    stream = session.stream("x")
    assert flood.full.wait(WAIT)
    record = session.end()
    assert record.turns[0].status == "interrupted"
    assert stream.turn == record.turns[0]


class Stubborn:
    """Goes on when it is interrupted, and says a great deal more."""

    def __init__(self) -> None:
        self.began = threading.Event()

    def answer(self, agent: Any, text: str) -> Iterator[Event]:
        yield PermissionAsked(request_id="1", tool="shell")
        self.began.set()
        assert agent.interrupted.wait(WAIT), "nobody interrupted the turn"
        for _ in range(10 * WHILE_STOPPING * LIMIT):
            yield TextDelta(text=".")
        yield TurnEnded(stop_reason="cancelled")


def test_interrupted_turn_that_nobody_reads_ends_and_what_waits_is_bounded(stage: Any) -> None:
    stubborn = Stubborn()
    with stage.agent(stubborn.answer).start_session() as session:
        stream = session.stream("x")
        assert stubborn.began.wait(WAIT)
        stream.interrupt()
        turn = stream.run.outcome() if stream.run.finished.wait(WAIT) else None
        events = list(stream)
    assert turn is not None
    assert len(turn.result) == 10 * WHILE_STOPPING * LIMIT
    said = WHILE_STOPPING * LIMIT - 2
    assert [event.type for event in events] == [
        "turn_started",
        "permission_asked",
        *["text_delta"] * said,
        "notice",
        "turn_ended",
    ]
    assert events[-2] == Notice(message=LEFT_OUT, level="warning")


def test_events_of_an_interrupted_turn_are_left_out_from_one_on_and_not_in_between() -> None:
    buffer = EventBuffer()
    buffer.raise_limit()
    for _ in range(WHILE_STOPPING * LIMIT + 5):
        buffer.put(TextDelta(text="."))
    while not isinstance(buffer.get(), Notice):
        continue
    buffer.put(TextDelta(text="late"))
    buffer.put(TurnEnded(), wait=False)
    assert buffer.get() == TurnEnded()


def test_event_loop_is_woken_once_for_a_burst() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        wakes = []
        call = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = (  # type: ignore[method-assign]
            lambda *args, **kwargs: (wakes.append(1), call(*args, **kwargs))[1]  # type: ignore[func-returns-value]
        )
        buffer = EventBuffer()
        waiting = asyncio.create_task(buffer.get_async())
        await asyncio.sleep(0)

        def put() -> None:
            for number in range(100):
                buffer.put(TextDelta(text=str(number)))

        burst = threading.Thread(target=put)
        burst.start()
        burst.join()
        await waiting
        for _ in range(99):
            await buffer.get_async()
        return len(wakes)

    assert asyncio.run(main()) == 1
