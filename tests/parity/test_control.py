"""Ending, steering and forking turns of each real agent."""

from __future__ import annotations

import asyncio
import threading
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core.blocks import SteerBlock
from caw_core.events import TextDelta, ToolStarted
from caw_testkit.modelserver import echo, reply, slow, text

from .conftest import WAIT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from caw_core import Session, SteerReceipt, Turn

    from .conftest import Trial


class Forever:
    """A command whose grandchild never ends, found again by a number that no other one has."""

    def __init__(self) -> None:
        self._number = f"86400.{uuid.uuid4().int % 10**12}"
        self.command = f"sh -c 'sleep {self._number} & wait'"

    def sleepers(self) -> list[psutil.Process]:
        """Return the grandchild, if it lives."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if (process.info["cmdline"] or [])[:2] == ["sleep", self._number]
        ]

    def is_gone(self) -> bool:
        """Wait for what was killed to be dead, and say whether nothing is left."""
        return not psutil.wait_procs(self.sleepers(), timeout=WAIT)[1]


def wait_for_tool(session: Session, forever: Forever) -> None:
    """Wait until the command runs and the session has heard of it."""
    wait_until(lambda: forever.sleepers() and session.trajectory.turns[-1].tool_calls)


def interrupted_from_a_thread(session: Session, forever: Forever) -> None:
    """Interrupt the turn from another thread while this one waits for it."""

    def interrupt() -> None:
        wait_for_tool(session, forever)
        session.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    session.send("go")
    thread.join(WAIT)


def left_early(session: Session, forever: Forever) -> None:
    """Leave the block of a stream before the turn has ended."""
    with session.stream("go") as stream:
        for event in stream:
            if isinstance(event, ToolStarted):
                wait_for_tool(session, forever)
                break


def cancelled(session: Session, forever: Forever) -> None:
    """Cancel the task that awaits the turn."""

    async def main() -> None:
        task = asyncio.create_task(session.send_async("go"))
        await asyncio.to_thread(wait_for_tool, session, forever)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


@pytest.mark.feature("interrupt")
@pytest.mark.parametrize("end", [interrupted_from_a_thread, left_early, cancelled])
def test_turn_that_is_ended_leaves_no_process_and_a_usable_session(
    trial: Trial, end: Callable[[Session, Forever], None]
) -> None:
    forever = Forever()
    trial.server.script(reply(trial.kind.run(forever.command)))
    trial.server.respond(echo)
    with trial.session() as session:
        end(session, forever)
        assert forever.is_gone()
        assert session.send("next").result == "echo: next"
        stopped, following = session.trajectory.turns
    assert (stopped.status, stopped.stop_reason) == ("interrupted", "cancelled")
    assert "sleep 86400" in str(stopped.tool_calls[0].arguments["command"])
    assert following.status == "completed"


@pytest.mark.feature("steer")
def test_message_that_is_delivered_reaches_the_model_within_the_turn(trial: Trial) -> None:
    wait = trial.kind.run("touch began; while ! test -e go; do sleep 0.05; done")
    trial.server.script(reply(wait), reply(text("done")))
    with trial.session() as session:
        early = session.steer("nobody hears this")
        stream = session.stream("go")
        for event in stream:
            if isinstance(event, ToolStarted):
                wait_until((trial.cwd / "began").exists)
                receipt = session.steer("/quickly @now")
                (trial.cwd / "go").touch()
        turn = stream.result()
    assert (early.outcome, receipt.outcome) == ("rejected", "delivered")
    assert any("/quickly @now" in said for said in trial.server.requests[-1].texts())
    assert [block.text for block in turn.output if isinstance(block, SteerBlock)] == [
        "/quickly @now"
    ]
    assert turn.result == "done"


@pytest.mark.feature("steer")
def test_receipt_says_where_a_message_into_an_answer_went(trial: Trial) -> None:
    trial.server.script(slow(reply(text("word " * 40)), seconds=2), reply(text("heard")))
    with trial.session() as session:
        stream = session.stream("go")
        receipts: list[SteerReceipt] = []
        for event in stream:
            if isinstance(event, TextDelta) and not receipts:
                receipts.append(session.steer("and then?"))
        [receipt] = receipts
        turns: list[Turn] = [stream.result()]
        if receipt.outcome == "queued":
            assert receipt.stream
            turns.append(receipt.stream.result())
    assert receipt.outcome in {"delivered", "queued"}
    assert len(session.trajectory.turns) == len(turns)
    assert turns[-1].result == "heard"
    assert "and then?" in trial.server.requests[-1].last_user_text()


@pytest.mark.feature("fork")
def test_fork_has_the_history_and_goes_its_own_way(trial: Trial) -> None:
    trial.server.respond(echo)
    with trial.session() as session:
        session.send("one")
        with session.fork() as branch:
            assert branch.send("in the branch").result == "echo: in the branch"
            assert trial.server.requests[-1].user_texts()[-2:] == ["one", "in the branch"]
            assert branch.resume_handle != session.resume_handle
            assert branch.info.forked_from == session.session_id
        session.send("two")
    assert trial.server.requests[-1].user_texts()[-2:] == ["one", "two"]
    assert [turn.input for turn in branch.trajectory.turns] == ["one", "in the branch"]
    assert [turn.input for turn in session.trajectory.turns] == ["one", "two"]
