"""Programs that end when they should not, and the sends that follow."""

from __future__ import annotations

import os
import queue
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import Agent, PluginRegistry, ProviderInfo, ResumeRequest, StartRequest, hookimpl
from caw_core.agent_link import CRASHED
from caw_core.errors import LimitError, ProcessError, ProgramNotFoundError
from caw_core.events import Event, Notice, TextDelta
from caw_core.process import Process
from caw_testkit.fake_cli import FakeCli, die, say, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from caw_core import Prompt, Session, Turn
    from tests.conftest import PlayedSession, Stage

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="FakeCli is a script with #!")

KEY = "the-key"
KILLED = 9
WORKS = (wait_for(), say(b"whole\nend\n"), wait_for(b"never"))
CRASHES = (wait_for(), say(b"half\n"), die(KILLED))


class ProgramSession:
    """A conversation with a program that answers a line with lines, the last one ``end``."""

    def __init__(self, path: Path, request: StartRequest, *flags: str) -> None:
        self.resume_key: str | None = KEY
        self._lines: queue.SimpleQueue[bytes | Process] = queue.SimpleQueue()
        self._process = Process(
            [str(path), *flags],
            cwd=request.cwd,
            env=os.environ,
            on_line=self._lines.put,
            on_exit=self._lines.put,
        )

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        """Send it."""
        self._process.write(prompt.text.encode() + b"\n")
        while (line := self._lines.get()) != b"end":
            if isinstance(line, Process):
                raise line.exit_error("the agent ended")
            yield TextDelta(text=line.decode())

    def interrupt(self) -> None:
        """End the program, which knows of nothing gentler."""
        self._process.kill()

    def close(self) -> None:
        """End it."""
        self._process.stop(5)


class ProgramProvider:
    """Starts a program per session, and never again by itself."""

    caw_api = "1.0"

    def __init__(self, cli: FakeCli, capabilities: frozenset[str]) -> None:
        self.cli = cli
        self.capabilities = capabilities

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        """Say what it is."""
        return ProviderInfo(name="program", auto="never", capabilities=self.capabilities)

    @hookimpl
    def start_session(self, request: StartRequest) -> ProgramSession:
        """Start the program."""
        return ProgramSession(self.cli.path, request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ProgramSession:
        """Start the program with the key."""
        return ProgramSession(self.cli.path, request, "--resume", request.resume_key)


@pytest.fixture
def cli(tmp_path: Path) -> FakeCli:
    return FakeCli(tmp_path, *CRASHES)


def open_session(cli: FakeCli, *capabilities: str) -> Session:
    registry = PluginRegistry(autoload=False)
    registry.register_provider("program", ProgramProvider(cli, frozenset(capabilities)))
    return Agent("program", registry=registry).start_session()


def sent(session: Session, prompt: str) -> tuple[Turn, list[str]]:
    """Send *prompt*; return the turn and the notices in it."""
    stream = session.stream(prompt)
    notices = [event.message for event in stream if isinstance(event, Notice)]
    return stream.result(), notices


def starts(cli: FakeCli) -> list[tuple[str, ...]]:
    return [run.argv for run in cli.runs]


def test_crash_leaves_an_unknown_turn_and_the_next_send_resumes_once_and_says_so(
    cli: FakeCli,
) -> None:
    with open_session(cli, "resume") as session:
        with pytest.raises(ProcessError) as caught:
            session.send("deploy")
        assert caught.value.signal == KILLED
        assert caught.value.turn is not None
        assert (caught.value.turn.status, caught.value.turn.result) == ("unknown", "half")
        assert starts(cli) == [()]
        cli.replay(*WORKS)
        turn, notices = sent(session, "and now?")
        assert (turn.status, turn.result, notices) == ("completed", "whole", [CRASHED])
    assert starts(cli) == [(), ("--resume", KEY)]
    assert cli.stdin.split() == [b"deploy", b"and", b"now?"]
    assert [turn.status for turn in session.trajectory.turns] == ["unknown", "completed"]


def test_notice_of_a_resume_comes_once(cli: FakeCli) -> None:
    with open_session(cli, "resume") as session:
        with pytest.raises(ProcessError):
            session.send("one")
        cli.replay(wait_for(), say(b"end\n"), *WORKS)
        assert sent(session, "two")[1] == [CRASHED]
        assert sent(session, "three")[1] == []
    assert len(cli.runs) == 2


def test_program_that_crashes_each_time_is_started_once_per_send(cli: FakeCli) -> None:
    with open_session(cli, "resume") as session:
        for number in range(1, 4):
            with pytest.raises(ProcessError):
                session.send("again")
            assert len(cli.runs) == number
    assert [turn.status for turn in session.trajectory.turns] == ["unknown"] * 3


def test_crash_between_turns_is_told_by_the_next_send_and_mended_by_the_one_after(
    cli: FakeCli,
) -> None:
    cli.replay(wait_for(), say(b"end\n"), die(KILLED))
    with open_session(cli, "resume") as session:
        session.send("one")
        with pytest.raises(ProcessError):
            session.send("two")
        cli.replay(*WORKS)
        assert sent(session, "three") == (session.trajectory.turns[2], [CRASHED])
    assert len(cli.runs) == 2


def test_crash_while_it_is_closed_spoils_neither_the_end_nor_the_record(cli: FakeCli) -> None:
    cli.replay(wait_for(), say(b"whole\nend\n"), wait_for(b"never"), die(KILLED))
    with open_session(cli, "resume") as session:
        session.send("one")
    assert session.trajectory.is_complete
    assert len(cli.runs) == 1


def test_program_that_dies_of_the_interrupt_is_resumed_too(cli: FakeCli) -> None:
    cli.replay(wait_for(), say(b"half\n"), wait_for(b"never"))
    with open_session(cli, "resume") as session:
        with session.stream("one") as stream:
            next(event for event in stream if isinstance(event, TextDelta))
        assert session.trajectory.turns[0].status == "interrupted"
        cli.replay(*WORKS)
        turn, notices = sent(session, "two")
        assert (turn.result, notices) == ("whole", [CRASHED])


def test_program_that_cannot_be_started_again_makes_the_turn_fail_and_not_unknown(
    cli: FakeCli, tmp_path: Path
) -> None:
    with open_session(cli, "resume") as session:
        with pytest.raises(ProcessError):
            session.send("one")
        away = cli.path.rename(tmp_path / "away")
        with pytest.raises(ProgramNotFoundError):
            session.send("two")
        assert session.trajectory.turns[1].status == "failed"
        away.rename(cli.path)
        cli.replay(*WORKS)
        assert sent(session, "three")[1] == [CRASHED]
    assert cli.stdin.split() == [b"one", b"three"]


def test_program_that_ends_at_once_when_started_again_makes_the_turn_fail_too(
    stage: Stage,
) -> None:
    def answer(_: PlayedSession, text: str) -> Iterator[Event]:
        yield TextDelta(text=text)
        raise ProcessError("it died")

    def refuse(_: PlayedSession) -> None:
        raise ProcessError("it died at once")

    agent = stage.agent(answer, info={"capabilities": frozenset({"resume"})})
    with agent.start_session() as session:
        with pytest.raises(ProcessError):
            session.send("one")
        stage.provider.on_open = refuse
        with pytest.raises(ProcessError, match="at once"):
            session.send("two")
    assert [turn.status for turn in session.trajectory.turns] == ["unknown", "failed"]


@pytest.mark.parametrize("capabilities", [(), ("resume", "restart")])
def test_provider_that_cannot_resume_or_sees_to_it_itself_is_left_alone(
    stage: Stage, capabilities: tuple[str, ...]
) -> None:
    def answer(_: PlayedSession, text: str) -> Iterator[Event]:
        yield TextDelta(text=text)
        if text == "die":
            raise ProcessError("it died")

    agent = stage.agent(answer, info={"capabilities": frozenset(capabilities)})
    with agent.start_session() as session:
        with pytest.raises(ProcessError):
            session.send("die")
        assert sent(session, "go on")[1] == []
    assert len(stage.provider.sessions) == 1


# ------------------------------------------------------------- unknown is never retried by itself


class Dying:
    """Meets a usage limit, is waited for, and then dies; or dies at once."""

    def __init__(self, limits: int) -> None:
        self.limits = limits

    def answer(self, session: PlayedSession, text: str) -> Iterator[Event]:
        if self.limits:
            self.limits -= 1
            raise LimitError("wait", kind="usage", resets_at=None)
        yield TextDelta(text=text)
        raise ProcessError("it died")


@pytest.mark.parametrize("limits", [0, 1])
@pytest.mark.parametrize("ask", ["send", "json"])
def test_unknown_turn_is_not_sent_again_by_itself(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, limits: int, ask: str
) -> None:
    monkeypatch.setattr("caw_core.turn_limits.UNKNOWN_RESET_WAITS", (0.0, 0.0, 0.0))
    agent = stage.agent(
        Dying(limits).answer, info={"capabilities": frozenset({"resume"})}, auto_wait=True
    )
    asking: dict[str, Any] = {"schema": {"type": "object"}, "repairs": 3} if ask == "json" else {}
    with agent.start_session() as session:
        with pytest.raises(ProcessError):
            getattr(session, ask)("charge the card", **asking)
        assert len(session.trajectory.turns) == 1
        assert session.trajectory.turns[0].status == "unknown"
    assert len(stage.provider.sessions) == 1
    assert len(stage.session.prompts) == limits + 1
