"""Checks of a transport that fails: each slips a fault between the provider and its program."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from caw_core.errors import NotResumableError, ProcessError, ProviderError
from caw_core.events import Event, Notice, RawOutput, VendorEvent
from caw_core.process.group import KILL, kill_marked
from caw_core.serialize import event_to_dict
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.provider_leftovers import MARK
from caw_testkit.conformance.provider_stage import Followed, Stage, kinds, said
from caw_testkit.conformance.provider_suite import WIRE, ProviderSuite
from caw_testkit.conformance.provider_turns import demand_grammar
from caw_testkit.faulty_program import (
    Fault,
    FaultyProgram,
    crlf,
    cut_line,
    exit_with,
    flood_stderr,
    huge_line,
    insert,
    insert_copy,
    kill,
)

if TYPE_CHECKING:
    from caw_core import Session

NEEDLE = "tamarillo"
"""What the agent says; the fault happens at the line of output that holds it."""

HUGE_BYTES = 20_000_000
FLOOD_BYTES = 4_000_000
LAST_WORDS = b"caw-last-words: out of cheese\n"
EXIT_CODE = 23


class Wire:
    """A session whose program's output can be spoiled.

    Args:
        stage: the check's stage.
        program: the program with the transport before it.
        option: the provider's option that names the program.
    """

    def __init__(self, stage: Stage, program: FaultyProgram, option: str) -> None:
        self._stage = stage
        self._program = program
        self._options = {option: str(program.path)}

    def session(self) -> Session:
        """Open a session with the program."""
        return self._stage.start(options=self._options)

    def spoil(self, fault: Fault, session: Session) -> Followed:
        """Have the agent answer, let *fault* happen at the answer, and read the turn to its end."""
        prompt = self._stage.step("answer", NEEDLE)
        self._program.arm(fault, NEEDLE.encode())
        followed = self._stage.follow(session, prompt)
        followed.to_end()
        if not self._program.happened:
            broken(
                f"the fault {fault.kind!r} had no occasion: the program's output never held "
                f"{NEEDLE!r}; {kinds(followed.events)}, {followed.error!r}",
                "check that the agent starts the program that options[program_option] names, and "
                "that it speaks over stdout (or declare serves_http = True)",
            )
        demand_grammar(self._stage, followed)
        return followed

    def survive(self, fault: Fault) -> Followed:
        """Let *fault* happen and demand that the turn goes on as if nothing was."""
        session = self.session()
        followed = self.spoil(fault, session)
        turn = session.trajectory.turns[-1]
        if turn.status != "completed" or NEEDLE not in turn.text:
            broken(
                f"after the fault {fault.kind!r} the turn is {turn.status!r} and says "
                f"{turn.text!r:.200}: {followed.error!r}",
                "take each line by itself: what is no message is kept as a VendorEvent, and the "
                "next line is read",
            )
        return followed

    def fall(self, fault: Fault) -> tuple[Session, ProviderError]:
        """Let *fault* end the program and demand that the turn ends with an error."""
        session = self.session()
        followed = self.spoil(fault, session)
        turn, error = session.trajectory.turns[-1], followed.error
        if turn.status not in {"failed", "unknown"} or not isinstance(error, ProviderError):
            broken(
                f"the program ended in mid-turn and the turn is {turn.status!r}: {error!r}",
                "raise a ProcessError from prompt() when the program ends before the turn does",
            )
        return session, error


class WireChecks(ProviderSuite):
    """What programs write when something is wrong, and how they end."""

    @pytest.fixture
    def wire(self, stage: Stage, faulty_program: FaultyProgram | None) -> Wire:
        """Return sessions whose program's output can be spoiled; skip where there is no program."""
        stage.need(WIRE)
        if faulty_program is None:
            broken(
                f"{type(self).__name__} has no real_program, so that its output cannot be spoiled",
                "override the fixture 'real_program', or declare cannot = {'wire': 'why'}",
            )
        return Wire(stage, faulty_program, self.program_option)

    def test_lines_that_are_no_objects_are_survived(self, wire: Wire) -> None:
        """``null``, lists and numbers on a line have ended turns of real wrappers."""
        wire.survive(insert(b"null", b"[]", b"[1, 2]", b"3", b'"text"', b"true", b"{}"))

    def test_lines_that_are_no_json_are_survived(self, wire: Wire) -> None:
        """Warnings of a runtime land on stdout, and so does half a message."""
        wire.survive(insert(b"Warning: something is deprecated", b'{"type":', b"}", b"[" * 20_000))

    def test_unknown_messages_are_kept(self, wire: Wire) -> None:
        """A newer program says new things: they end nothing, and are not dropped in silence."""
        copy = self.unknown_copy
        followed = wire.survive(insert_copy(*copy) if copy else insert(*self.unknown_lines))
        if not any("caw-unknown" in _kept(event) for event in followed.events):
            broken(
                f"messages of an unknown kind left no trace: {kinds(followed.events)}",
                "yield VendorEvent(kind=…, raw=…) for what you have no word for; if your protocol "
                "names its kinds elsewhere, set unknown_lines or unknown_copy",
            )

    def test_line_of_20_mb_is_survived(self, wire: Wire) -> None:
        """Tools print a lot, and agents put it on one line."""
        wire.survive(huge_line(HUGE_BYTES))

    def test_bytes_that_are_no_utf8_are_survived(self, wire: Wire) -> None:
        """A tool that prints Latin-1 must not end its turn."""
        wire.survive(insert(b"\xff\xfe\x80", b'{"type":"caw-latin-1","text":"gr\xfc\xdfe"}'))

    def test_crlf_ends_a_line_too(self, wire: Wire) -> None:
        r"""Programs for Windows end lines with ``\r\n``."""
        wire.survive(crlf())

    def test_flood_of_stderr_does_not_block(self, wire: Wire) -> None:
        """A program blocks when its stderr is full, so it is read at all times."""
        wire.survive(flood_stderr(FLOOD_BYTES))

    def test_output_that_ends_in_mid_line_ends_the_turn(self, wire: Wire) -> None:
        """A program that goes away in mid-word has not completed its turn, even with code 0."""
        wire.fall(cut_line(0))

    def test_exit_code_is_told(self, wire: Wire) -> None:
        """Whoever looks for the cause needs the exit code and the program's last words."""
        _, error = wire.fall(exit_with(EXIT_CODE, stderr=LAST_WORDS))
        if not isinstance(error, ProcessError) or error.exit_code != EXIT_CODE:
            broken(
                f"the program exited with {EXIT_CODE} and the error is {error!r}, exit code "
                f"{getattr(error, 'exit_code', None)!r}",
                "raise Process.exit_error(…), which knows the exit code",
            )
        if LAST_WORDS.decode().strip() not in error.stderr_tail:
            broken(
                f"the program's last words are not in stderr_tail: {error.stderr_tail!r:.300}",
                "raise Process.exit_error(…), which has the end of stderr",
            )

    def test_program_killed_in_mid_turn_leaves_the_turn_unknown(self, wire: Wire) -> None:
        """Effects may have happened, so caw must know: a kill is no failure like others."""
        session, error = wire.fall(kill())
        status = session.trajectory.turns[-1].status
        if status != "unknown" or not isinstance(error, ProcessError) or error.signal != KILL:
            broken(
                f"the program was killed in mid-turn; the turn is {status!r}, the error {error!r} "
                f"with signal {getattr(error, 'signal', None)!r}",
                "raise a ProcessError, as Process.exit_error(…) makes it",
            )

    @needs("resume")
    def test_session_goes_on_after_its_program_died(self, stage: Stage, wire: Wire) -> None:
        """The next turn resumes the conversation, or says that the agent lost it."""
        session = wire.session()
        stage.answered(session, "quince")
        wire.spoil(exit_with(1), session)
        prompt = stage.step("answer", "medlar")
        followed = stage.follow(session, prompt)
        followed.to_end()
        if isinstance(followed.error, NotResumableError):
            # It had not written the first turn down yet; that it says so is all it can do.
            followed = stage.completed(wire.session(), prompt)
        if "medlar" not in said(followed.events):
            broken(
                f"the turn after the program died says {said(followed.events)!r:.200}: "
                f"{followed.error!r}",
                "start the program again and resume the conversation, or raise NotResumableError",
            )

    @needs("restart")
    def test_program_that_died_in_a_turn_is_resumed_once_and_that_is_told(
        self, stage: Stage, wire: Wire
    ) -> None:
        """Whoever reads on must know that the agent's program is a new one."""
        session = wire.session()
        before = stage.answered(session, "quince")
        stage.script.wait_written(session.info.resume_key or "")
        wire.spoil(exit_with(1), session)
        _demand_one_resume(stage, session, before)

    @needs("restart")
    def test_program_that_died_between_turns_is_resumed_once_and_that_is_told(
        self, stage: Stage
    ) -> None:
        """A program that is killed while nobody looks is no reason for the next turn to fail."""
        stage.need(WIRE)
        mark = uuid.uuid4().hex
        session = stage.start(env={MARK: mark})
        before = stage.answered(session, "quince")
        stage.script.wait_written(session.info.resume_key or "")
        kill_marked(mark, variable=MARK)
        _demand_one_resume(stage, session, before)


def _demand_one_resume(stage: Stage, session: Session, before: Followed) -> None:
    """Demand that the next turn tells of something that *before* did not, and that only once.

    Args:
        stage: the check's stage.
        session: the session whose program has ended.
        before: a turn from before that.
    """
    prompt = stage.step("answer", "medlar")
    followed = stage.follow(session, prompt)
    followed.to_end()
    if isinstance(followed.error, ProcessError):
        # The prompt was sent before anybody could know that the program is gone.
        followed = stage.completed(session, prompt)
    news = _notices(followed) - _notices(before)
    if not news or "medlar" not in said(followed.events):
        broken(
            f"after the program's end the agent says {said(followed.events)!r:.200}, and the "
            f"notices are {dict(news)}: {followed.error!r}",
            "start the program again with the next prompt, resume the conversation, and yield a "
            "Notice that says so; or do not declare 'restart': then the core does all that",
        )
    again = news & _notices(stage.answered(session, "damson"))
    repeated = [message for message, times in news.items() if times > 1] + list(again)
    if repeated:
        broken(
            f"the same start is told more than once: {repeated}",
            "start the program once, and tell it in the turn that comes next",
        )


def _notices(followed: Followed) -> Counter[str]:
    return Counter(event.message for event in followed.events if isinstance(event, Notice))


def _kept(event: Event) -> str:
    return str(event_to_dict(event)) if isinstance(event, VendorEvent | RawOutput) else ""
