from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Deadlines, Prompt
from caw_core.errors import (
    AuthError,
    ConfigError,
    DeadlineError,
    NotResumableError,
    PersistError,
    ProcessError,
    ProviderError,
    SessionStateError,
    TurnInterruptedError,
)
from caw_core.events import (
    Event,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    UsageReported,
)
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import PlayedSession, Stage

WAIT = 20.0


class Gate:
    """Lets a test see that a turn has begun, and decide when it goes on."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def answer(self, agent: Any, text: str) -> Iterator[Event]:
        yield TextDelta(text=f"{text} begins")
        self.begun.set()
        while not self.open.wait(0.01):
            if agent.interrupted.is_set():
                agent.interrupted.clear()
                yield TurnEnded(stop_reason="cancelled")
                return
        yield TextDelta(text=f", {text} ends")


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


class Sending(threading.Thread):
    """Sends in a thread and keeps what came of it."""

    def __init__(self, session: Any, prompt: str) -> None:
        super().__init__(daemon=True)
        self.session, self.prompt = session, prompt
        self.turn: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.turn = self.session.send(self.prompt)
        except BaseException as error:  # noqa: BLE001 - it is what the test looks at
            self.error = error

    def wait(self) -> Sending:
        self.join(WAIT)
        assert not self.is_alive(), "send() did not return"
        return self


# ------------------------------------------------------------------------------------------ order


def test_turns_run_in_the_order_of_the_calls(stage: Any, gate: Gate) -> None:
    with stage.agent(gate.answer).start_session() as session:
        streams = [session.stream("0")]
        assert gate.begun.wait(WAIT)
        streams += [session.stream(str(number)) for number in range(1, 20)]
        gate.open.set()
        assert [stream.result().index for stream in reversed(streams)] == list(range(19, -1, -1))
        assert stage.session.prompts == [str(number) for number in range(20)]


def test_overlapping_async_sends_run_in_the_order_of_the_calls(stage: Any) -> None:
    async def main() -> list[str]:
        async with await stage.agent().start_session_async() as session:
            turns = await asyncio.gather(*(session.send_async(str(n)) for n in range(20)))
            return [f"{turn.index} {turn.input}" for turn in turns]

    assert asyncio.run(main()) == [f"{n} {n}" for n in range(20)]


def test_two_hundred_turns_of_as_many_sessions_run_at_the_same_time(stage: Any) -> None:
    # Every turn waits until all of them run: with a pool of threads this would never end.
    together = threading.Barrier(200)

    def answer(_: Any, text: str) -> Iterator[Event]:
        together.wait(WAIT)
        yield TextDelta(text=text)

    async def main() -> set[str]:
        agent = stage.agent(answer)
        sessions = await asyncio.gather(*(agent.start_session_async() for _ in range(200)))
        turns = await asyncio.gather(*(s.send_async(str(n)) for n, s in enumerate(sessions)))
        await asyncio.gather(*(session.end_async() for session in sessions))
        return {turn.result for turn in turns}

    assert asyncio.run(main()) == {str(number) for number in range(200)}


def test_sessions_of_two_event_loops_do_not_mix(stage: Any) -> None:
    session = stage.agent().start_session()
    assert asyncio.run(session.send_async("a")).index == 0
    assert asyncio.run(session.send_async("b")).index == 1
    session.end()


# -------------------------------------------------------------------------------------- interrupt


def test_interrupt_keeps_what_was_seen_and_the_session_usable(stage: Any, gate: Gate) -> None:
    with stage.agent(gate.answer).start_session() as session:
        sending = Sending(session, "one")
        assert gate.begun.wait(WAIT)
        session.interrupt()
        turn = sending.wait().turn
        assert (turn.status, turn.stop_reason, turn.result) == (
            "interrupted",
            "cancelled",
            "one begins",
        )
        gate.open.set()
        assert session.send("two").status == "completed"


def test_interrupt_without_a_turn_does_nothing(stage: Any) -> None:
    with stage.agent().start_session() as session:
        session.interrupt()
        assert session.send("x").status == "completed"


def test_interrupt_reaches_the_running_turn_and_not_those_that_wait(stage: Any, gate: Gate) -> None:
    with stage.agent(gate.answer).start_session() as session:
        running = session.stream("one")
        assert gate.begun.wait(WAIT)
        waiting = session.stream("two")
        session.interrupt()
        assert running.result().status == "interrupted"
        gate.open.set()
        assert waiting.result().status == "completed"


def test_turn_that_waits_can_be_taken_back(stage: Any, gate: Gate) -> None:
    with stage.agent(gate.answer).start_session() as session:
        first = session.stream("one")
        assert gate.begun.wait(WAIT)
        second, third = session.stream("two"), session.stream("three")
        second.interrupt()
        with pytest.raises(SessionStateError, match="before it began"):
            second.result()
        gate.open.set()
        assert (first.result().index, third.result().index) == (0, 1)
        assert stage.session.prompts == ["one", "three"]


def test_agent_that_goes_on_after_interrupt_is_closed_and_resumed_for_the_next_turn(
    stage: Any,
) -> None:
    release, begun = threading.Event(), threading.Event()

    def deaf(agent: Any, text: str) -> Iterator[Event]:
        yield TextDelta(text="first words")
        if text == "hang":
            begun.set()
            release.wait(WAIT)
            yield TextDelta(text="words that nobody asked for any more")

    agent = stage.agent(deaf, deadlines=Deadlines(stop=0.05))
    with agent.start_session() as session:
        sending = Sending(session, "hang")
        assert begun.wait(WAIT)
        session.interrupt()
        turn = sending.wait().turn
        assert (turn.status, turn.result) == ("interrupted", "first words")
        lost = stage.session
        assert lost.closed.is_set()
        stream = session.stream("again")
        notices = [event.message for event in stream if event.type == "notice"]
        assert stream.result().status == "completed"
        assert stage.session is not lost
        assert stage.session.resume_key == lost.resume_key
        assert notices == ["the agent had to be stopped; its conversation was resumed"]
        release.set()
    assert session.trajectory.turns[0].result == "first words"


def test_agent_that_is_given_up_before_it_gave_a_key_cannot_be_resumed(stage: Any) -> None:
    begun, release = threading.Event(), threading.Event()

    def deaf(agent: Any, text: str) -> Iterator[Event]:
        agent.resume_key = None
        begun.set()
        release.wait(WAIT)
        yield TextDelta(text="late")

    with stage.agent(deaf, deadlines=Deadlines(stop=0.05)).start_session() as session:
        sending = Sending(session, "hang")
        assert begun.wait(WAIT)
        session.interrupt()
        assert sending.wait().turn.status == "interrupted"
        with pytest.raises(NotResumableError, match="start a new session"):
            session.send("again")
        release.set()


def test_interrupt_while_the_agent_fails_is_an_interrupt(stage: Any, gate: Gate) -> None:
    def answer(agent: Any, text: str) -> Iterator[Event]:
        gate.begun.set()
        agent.interrupted.wait(WAIT)
        msg = "pipe closed"
        raise ProcessError(msg)
        yield

    with stage.agent(answer).start_session() as session:
        sending = Sending(session, "x")
        assert gate.begun.wait(WAIT)
        session.interrupt()
        assert sending.wait().turn.status == "interrupted"


# -------------------------------------------------------------------------------------- deadlines


@pytest.mark.parametrize("kind", ["first_event", "idle", "turn"])
def test_deadline_that_passes_is_named_and_the_partial_turn_kept(stage: Any, kind: str) -> None:
    def silent(agent: Any, text: str) -> Iterator[Event]:
        if kind != "first_event":
            yield TextDelta(text="some")
        agent.interrupted.wait(WAIT)
        yield TurnEnded(stop_reason="cancelled")

    limits: dict[str, Any] = {"first_event": None, "idle": None, "turn": None, kind: 0.05}
    deadlines = Deadlines(**limits)
    with stage.agent(silent, deadlines=deadlines).start_session() as session:
        with pytest.raises(DeadlineError) as caught:
            session.send("x")
        error = caught.value
        assert (error.kind, error.seconds, error.provider) == (kind, 0.05, "played")
        assert error.turn is not None
        assert error.turn.status == "failed"
        assert error.turn.error is not None
        assert error.turn.error.type == "DeadlineError"
        assert error.turn.result == ("" if kind == "first_event" else "some")
        assert f"Deadlines({kind}=" in str(error)


def test_caws_own_notice_is_no_sign_of_life(stage: Any) -> None:
    def silent(agent: Any, text: str) -> Iterator[Event]:
        agent.interrupted.wait(WAIT)
        yield TurnEnded(stop_reason="cancelled")

    deadlines = Deadlines(first_event=0.05, idle=None, turn=None)
    agent = stage.agent(silent, deadlines=deadlines, temperature=0.5)
    with agent.start_session() as session, pytest.raises(DeadlineError) as caught:
        session.send("x")
    assert caught.value.kind == "first_event"


def test_short_idle_deadline_is_kept_beside_a_long_first_one(stage: Any) -> None:
    def silent(agent: Any, text: str) -> Iterator[Event]:
        yield TextDelta(text="some")
        agent.interrupted.wait(WAIT)
        yield TurnEnded(stop_reason="cancelled")

    deadlines = Deadlines(first_event=300, idle=0.05, turn=None)
    with stage.agent(silent, deadlines=deadlines).start_session() as session:
        sending = Sending(session, "x").wait()
        assert isinstance(sending.error, DeadlineError)
        assert sending.error.kind == "idle"


def test_events_put_the_idle_deadline_off(stage: Any) -> None:
    def lively(agent: Any, text: str) -> Iterator[Event]:
        for _ in range(30):
            agent.interrupted.wait(0.05)
            yield TextDelta(text=".")

    deadlines = Deadlines(first_event=5, idle=1, turn=None)
    with stage.agent(lively, deadlines=deadlines).start_session() as session:
        assert session.send("x").result == "." * 30


def test_deadlines_that_make_no_sense_are_refused() -> None:
    for bad in (0, -1, float("nan"), float("inf"), True, "5"):
        with pytest.raises(ConfigError, match="idle"):
            Deadlines(idle=bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="stop"):
        Deadlines(stop=None)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------- async


def test_cancelling_the_task_interrupts_the_turn_and_waits_for_its_end(
    stage: Any, gate: Gate
) -> None:
    async def main() -> None:
        async with await stage.agent(gate.answer).start_session_async() as session:
            task = asyncio.create_task(session.send_async("x"))
            await asyncio.to_thread(gate.begun.wait, WAIT)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            (turn,) = session.trajectory.turns
            assert turn.status == "interrupted"

    asyncio.run(main())


def test_cancelled_send_that_waits_leaves_no_turn(stage: Any, gate: Gate) -> None:
    async def main() -> None:
        async with await stage.agent(gate.answer).start_session_async() as session:
            first = asyncio.create_task(session.send_async("one"))
            await asyncio.to_thread(gate.begun.wait, WAIT)
            second = asyncio.create_task(session.send_async("two"))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            gate.open.set()
            assert (await first).result == "one begins, one ends"
            assert session.trajectory.num_turns == 1

    asyncio.run(main())


def test_cancelled_start_closes_the_session_that_nobody_gets(stage: Any) -> None:
    asked, release, opened = threading.Event(), threading.Event(), threading.Event()
    agent = stage.agent()
    open_now = stage.provider._open

    def slowly(session: Any) -> Any:
        asked.set()
        release.wait(WAIT)
        try:
            return open_now(session)
        finally:
            opened.set()

    stage.provider._open = slowly

    async def main() -> None:
        task = asyncio.create_task(agent.start_session_async())
        await asyncio.to_thread(asked.wait, WAIT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        assert await asyncio.to_thread(opened.wait, WAIT)
        assert await asyncio.to_thread(stage.session.closed.wait, WAIT)

    asyncio.run(main())


def test_async_twins_take_and_give_the_same(stage: Any, memory: Any) -> None:
    async def main() -> None:
        agent = stage.agent(storage=memory)
        record = await agent.completion_async("x")
        assert await agent.load_trajectory_async(record.session_id) == record
        async with await agent.resume_session_async(record.session_id) as session:
            assert (await session.send_async("y")).index == 1
            await session.flush_async()
            assert (await session.end_async()).num_turns == 2

    asyncio.run(main())


# ---------------------------------------------------------------------------------------- the end


def test_end_is_idempotent_and_returns_the_record(stage: Any) -> None:
    session = stage.agent().start_session()
    session.send("x")
    record = session.end()
    assert record.is_complete
    assert session.end() == record == session.trajectory


def test_end_during_a_turn_interrupts_it_and_tells_who_waits(stage: Any, gate: Gate) -> None:
    session = stage.agent(gate.answer).start_session()
    running = Sending(session, "one")
    assert gate.begun.wait(WAIT)
    waiting = session.stream("two")
    record = session.end()
    assert [turn.status for turn in record.turns] == ["interrupted"]
    assert not record.is_complete
    error = running.wait().error
    assert isinstance(error, TurnInterruptedError)
    assert error.turn == record.turns[0]
    with pytest.raises(SessionStateError):
        waiting.result()


def test_ended_session_takes_no_more_prompts(stage: Any) -> None:
    session = stage.agent().start_session()
    session.end()
    for call in (session.send, session.stream):
        with pytest.raises(SessionStateError, match="ended"):
            call("x")


def test_end_from_many_threads_closes_once(stage: Any) -> None:
    closes = []
    session = stage.agent().start_session()
    stage.session.close = lambda: closes.append(1)
    threads = [threading.Thread(target=session.end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert closes == [1]


def test_close_that_hangs_does_not_hang_the_end(stage: Any) -> None:
    release = threading.Event()
    session = stage.agent(deadlines=Deadlines(stop=0.01)).start_session()
    stage.session.close = lambda: release.wait(WAIT)
    threading.Thread(target=session.end, daemon=True).start()
    session.end()
    assert session.ended
    release.set()


def test_close_that_raises_does_not_spoil_the_end(stage: Any) -> None:
    session = stage.agent().start_session()

    def fail() -> None:
        msg = "bug"
        raise RuntimeError(msg)

    stage.session.close = fail
    assert session.end().completed_at


def test_end_raises_what_could_not_be_stored_after_doing_everything_else(
    stage: Any, memory: Any
) -> None:
    session = stage.agent(storage=memory).start_session()
    memory.failing = OSError("full")
    with pytest.raises(PersistError):
        session.send("x")
    with pytest.raises(PersistError):
        session.end()
    assert session.ended
    assert stage.session.closed.is_set()


# --------------------------------------------------------------------------------------- failures


def test_provider_error_carries_the_partial_turn_and_the_session_goes_on(stage: Any) -> None:
    def answer(_: Any, text: str) -> Iterator[Event]:
        yield TextDelta(text="so far")
        if text == "fail":
            raise AuthError("log in")

    with stage.agent(answer).start_session() as session:
        with pytest.raises(AuthError) as caught:
            session.send("fail")
        turn = caught.value.turn
        assert turn is not None
        assert (turn.status, turn.stop_reason, turn.result) == ("failed", None, "so far")
        assert (caught.value.provider, caught.value.session_id) == ("played", session.session_id)
        assert session.send("go on").index == 1


def test_dead_program_makes_the_turn_unknown(stage: Any) -> None:
    def answer(_: Any, text: str) -> Iterator[Event]:
        yield ToolStarted(call_id="1", name="deploy")
        raise ProcessError("gone", exit_code=9)

    with stage.agent(answer).start_session() as session:
        with pytest.raises(ProcessError):
            session.send("x")
        (turn,) = session.trajectory.turns
        assert turn.status == "unknown"
        assert turn.error is not None
        assert turn.error.data == {"exit_code": 9}
        assert turn.tool_calls[0].status == "running"


def _bug(_: Any, text: str) -> Iterator[Event]:
    yield TextDelta(text="ok")
    raise KeyError(text)


def _no_event(_: Any, text: str) -> Iterator[Any]:
    yield "a str, which is no event"


def _no_text(_: Any, text: str) -> Iterator[Event]:
    yield TextDelta(text=None)  # type: ignore[arg-type]


def _no_output(_: Any, text: str) -> Iterator[Event]:
    yield ToolStarted(call_id="1", name="t")
    yield ToolFinished(call_id="1", output=b"bytes")  # type: ignore[arg-type]


def _no_usage(_: Any, text: str) -> Iterator[Event]:
    yield UsageReported(usage=UsageStats(input_tokens="9"))  # type: ignore[arg-type]


def _no_stop(_: Any, text: str) -> Iterator[Event]:
    yield TurnEnded(stop_reason="done")  # type: ignore[arg-type]


def _no_iterator(_: Any, text: str) -> Any:
    return None


@pytest.mark.parametrize("answer", [_bug, _no_event, _no_text, _no_iterator])
def test_bug_of_a_plugin_ends_the_turn_as_a_provider_error(stage: Any, answer: Any) -> None:
    with stage.agent(answer).start_session() as session:
        sending = Sending(session, "x").wait()
        assert isinstance(sending.error, ProviderError)
        assert "unexpectedly" in str(sending.error)
        assert sending.error.turn is not None
        assert sending.error.turn.status == "failed"
        assert sending.error.turn == session.trajectory.turns[0]


@pytest.mark.parametrize("answer", [_no_output, _no_usage, _no_stop])
def test_event_with_a_wrong_value_never_hangs_a_turn(stage: Any, memory: Any, answer: Any) -> None:
    with stage.agent(answer, storage=memory).start_session() as session:
        Sending(session, "x").wait()
        assert session.trajectory.num_turns == 1


def test_exit_called_in_a_plugin_ends_the_turn_and_not_the_program(stage: Any) -> None:
    def answer(_: Any, text: str) -> Iterator[Event]:
        raise SystemExit(3)
        yield

    with stage.agent(answer).start_session() as session:
        assert isinstance(Sending(session, "x").wait().error, ProviderError)


def test_exit_called_in_a_storage_does_not_hang_the_turn(stage: Any, memory: Any) -> None:
    with stage.agent(storage=memory).start_session() as session:
        session.send("fine")
        memory.failing = SystemExit(3)
        assert Sending(session, "x").wait().error is not None
        memory.failing = None


def test_events_after_the_end_are_ignored(stage: Any) -> None:
    def answer(_: Any, text: str) -> Iterator[Event]:
        yield TextDelta(text="a")
        yield TurnEnded(stop_reason="max_tokens")
        yield TextDelta(text="b")

    with stage.agent(answer).start_session() as session:
        turn = session.send("x")
        assert (turn.result, turn.stop_reason, turn.status) == ("a", "max_tokens", "completed")


@pytest.mark.parametrize("prompt", [None, 7, b"x", "\ud800"])
def test_prompt_must_be_text(stage: Any, prompt: Any) -> None:
    with stage.agent().start_session() as session, pytest.raises(ConfigError):
        session.send(prompt)


@pytest.mark.parametrize("prompt", ["", " \n", Prompt(text="")])
def test_empty_prompt_is_refused_before_it_is_sent(stage: Any, prompt: str | Prompt) -> None:
    with stage.agent().start_session() as session:
        for ask in (session.send, session.stream, session.steer):
            with pytest.raises(ConfigError, match="the prompt is empty"):
                ask(prompt)
        assert session.trajectory.num_turns == 0
    assert stage.session.prompts == []


def test_trajectory_during_a_turn_holds_what_was_seen(stage: Any, gate: Gate) -> None:
    with stage.agent(gate.answer).start_session() as session:
        stream = session.stream("one")
        assert gate.begun.wait(WAIT)
        (turn,) = session.trajectory.turns
        assert (turn.status, turn.result) == ("running", "one begins")
        gate.open.set()
        stream.result()


def test_resume_key_and_handle_are_not_shown(stage: Any) -> None:
    with stage.agent().start_session() as session:
        session.send("x")
        key = stage.session.resume_key
        assert key in session.resume_handle
        assert key not in f"{session!r} {session.info!r} {session.trajectory!r}"


def test_keyboard_interrupt_of_the_caller_interrupts_the_turn(
    stage: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caw_core import stream

    with stage.agent(gate.answer).start_session() as session:
        running = session.stream("x")
        assert gate.begun.wait(WAIT)
        wait = running.run.finished.wait
        calls = []

        def ctrl_c(timeout: float | None = None) -> bool:
            calls.append(1)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return bool(wait(timeout))

        monkeypatch.setattr(running.run.finished, "wait", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            stream.wait_for(running.run)
        assert session.trajectory.turns[0].status == "interrupted"


def test_agent_that_ends_by_itself_while_it_is_stopped_has_ended_by_itself(stage: Stage) -> None:
    def answer(session: PlayedSession, _: str) -> Iterator[Event]:
        yield TextDelta(text="nearly")
        assert session.interrupted.wait(WAIT)
        yield TurnEnded(stop_reason="end_turn")

    deadlines = Deadlines(first_event=0.2, idle=0.2)
    with stage.agent(answer, deadlines=deadlines).start_session() as session:
        assert session.send("go").status == "completed"


def test_generator_that_returns_when_it_is_interrupted_is_interrupted(stage: Stage) -> None:
    def answer(session: PlayedSession, _: str) -> Iterator[Event]:
        yield TextDelta(text="half")
        assert session.interrupted.wait(WAIT)

    with stage.agent(answer).start_session() as session, session.stream("go") as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                session.interrupt()
    assert stream.turn is not None
    assert (stream.turn.status, stream.turn.result) == ("interrupted", "half")


def test_record_with_a_hole_is_continued_after_its_last_turn(stage: Any, memory: Any) -> None:
    agent = stage.agent(storage=memory)
    with agent.start_session() as session:
        for prompt in ("one", "two", "three"):
            session.send(prompt)
        handle = session.resume_handle
    del memory.turns[session.session_id][1]
    with agent.resume_session(handle) as resumed:
        assert resumed.send("four").index == 3
    assert sorted(memory.turns[session.session_id]) == [0, 2, 3]


def test_tool_that_starts_right_after_the_turn_is_stored_while_it_runs(
    stage: Any, memory: Any
) -> None:
    stored, leave = threading.Event(), threading.Event()

    def answer(_: Any, __: str) -> Iterator[Event]:
        yield ToolStarted(call_id="1", name="build")
        stored.wait(WAIT)
        leave.set()
        yield ToolFinished(call_id="1", output="done")

    with stage.agent(answer, storage=memory).start_session() as session:
        stream = session.stream("go")
        for _ in range(int(WAIT * 20)):
            kept = memory.turns.get(session.session_id, {}).get(0)
            if kept is not None and kept.tool_calls:
                break
            leave.wait(0.05)
        stored.set()
        assert kept is not None
        assert [(use.name, use.status) for use in kept.tool_calls] == [("build", "running")]
        assert stream.result().status == "completed"
    assert memory.turns[session.session_id][0].status == "completed"


def test_ctrl_c_while_a_turn_is_made_leaves_none_that_others_wait_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_interrupted(session: PlayedSession, text: str) -> Iterator[Event]:
        if text == "lost":
            assert session.interrupted.wait(WAIT)
        yield TextDelta(text=text)

    start = threading.Thread.start

    def start_and_interrupt(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "caw-turn":
            raise KeyboardInterrupt

    with stage.agent(until_interrupted).start_session() as session:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start_and_interrupt)
            with pytest.raises(KeyboardInterrupt):
                session.send("lost")
        assert session.send("next").result == "next"
    assert {turn.status for turn in session.trajectory.turns} <= {"completed", "interrupted"}
