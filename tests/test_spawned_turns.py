"""Sessions that start a program for each turn."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import (
    ProcessError,
    ProgramNotFoundError,
    SessionBusyError,
    SessionStateError,
    TurnInterruptedError,
)
from caw_core.events import Event, TextDelta, TurnEnded
from caw_core.process import Process
from caw_core.provider import Prompt, StartRequest
from caw_core.spawned_turns import SpawnedTurns
from caw_testkit.fake_cli import FakeCli, leave, pause, say, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="FakeCli is a script with #!")

STALLS = (wait_for(), say(b"half\n"), pause(600))


class OneLine(SpawnedTurns):
    """Sends the prompt as it is and yields each line."""

    resume_key = None

    def __init__(self, program: Path, request: StartRequest) -> None:
        super().__init__("one-line", request)
        self._program = program

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        with self.turn():
            process, lines = self.spawn(
                [str(self._program)],
                cwd=self.request.cwd,
                env=os.environ,
                said=prompt.text.encode(),
                name="one line",
            )
            while not isinstance(line := lines.get(), Process):
                yield TextDelta(text=line.decode())
            if process.exit is not None and process.exit.code:
                raise process.exit_error("it failed")
            yield self.stopped() or TurnEnded()


@pytest.fixture
def cli(tmp_path: Path) -> FakeCli:
    return FakeCli(tmp_path, wait_for(), say(b"one\ntwo\n"))


@pytest.fixture
def session(cli: FakeCli, tmp_path: Path) -> Iterator[OneLine]:
    session = OneLine(cli.path, StartRequest(session_id="s", cwd=tmp_path))
    yield session
    session.close()


def test_each_turn_has_a_program_of_its_own_that_is_told_all(
    session: OneLine, cli: FakeCli
) -> None:
    for text in ("first", "second"):
        events = list(session.prompt(Prompt(text=text)))
        assert events == [TextDelta(text="one"), TextDelta(text="two"), TurnEnded()]
    assert len(cli.runs) == 2
    assert session.pid is None


def test_interrupt_ends_the_program_and_the_next_turn_is_not_touched(
    session: OneLine, cli: FakeCli
) -> None:
    session.interrupt()
    cli.replay(*STALLS)
    turn = session.prompt(Prompt(text="one"))
    assert next(turn) == TextDelta(text="half")
    session.interrupt()
    assert list(turn) == [TurnEnded(stop_reason="cancelled")]
    cli.replay(wait_for(), say(b"whole\n"))
    assert list(session.prompt(Prompt(text="two"))) == [TextDelta(text="whole"), TurnEnded()]


def test_turn_that_is_left_early_leaves_no_program(session: OneLine, cli: FakeCli) -> None:
    cli.replay(*STALLS)
    turn = session.prompt(Prompt(text="one"))
    next(turn)
    pid = session.pid
    assert pid is not None
    turn.close()  # type: ignore[attr-defined]  # it is a generator
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_close_ends_the_turn_with_an_error_and_refuses_the_next(
    session: OneLine, cli: FakeCli
) -> None:
    cli.replay(*STALLS)
    turn = session.prompt(Prompt(text="one"))
    next(turn)
    session.close()
    with pytest.raises(TurnInterruptedError, match="closed while"):
        list(turn)
    with pytest.raises(SessionStateError, match="the one-line session is closed"):
        next(session.prompt(Prompt(text="two")))


def test_second_turn_at_a_time_is_refused(session: OneLine, cli: FakeCli) -> None:
    cli.replay(*STALLS)
    turn = session.prompt(Prompt(text="one"))
    next(turn)
    with pytest.raises(SessionBusyError):
        next(session.prompt(Prompt(text="two")))
    session.interrupt()
    assert list(turn) == [TurnEnded(stop_reason="cancelled")]


def test_program_that_reads_nothing_tells_by_its_end_how_it_ended(
    session: OneLine, cli: FakeCli
) -> None:
    cli.replay(leave(3))
    with pytest.raises(ProcessError) as caught:
        list(session.prompt(Prompt(text="x" * 10**6)))
    assert caught.value.exit_code == 3


def test_program_that_is_missing_leaves_the_session_usable(
    session: OneLine, cli: FakeCli, tmp_path: Path
) -> None:
    away = cli.path.rename(tmp_path / "away")
    with pytest.raises(ProgramNotFoundError):
        list(session.prompt(Prompt(text="one")))
    away.rename(cli.path)
    assert list(session.prompt(Prompt(text="two")))[-1] == TurnEnded()


def test_model_and_effort_are_changed_one_by_one(session: OneLine) -> None:
    session.set_model("large", None)
    session.set_model(None, "high")
    assert (session.request.model, session.request.reasoning) == ("large", "high")
    assert not session.steer(Prompt(text="more"))
