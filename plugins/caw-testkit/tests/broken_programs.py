"""Providers that each handle their program, or the end of a turn, in a way that breaks one rule."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import attrs
from tests.provider_breaking import breaks
from tests.test_reference_provider import Reference, ReferenceSession

from caw_core import hookimpl
from caw_core.deadlines import Deadlines
from caw_core.errors import ProcessError, ProviderError
from caw_core.events import Event, Notice, PermissionAsked, TurnEnded, VendorEvent
from caw_core.interactive import InteractiveRequest, InteractiveResult
from caw_core.process import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.provider import Prompt

QUICK = Deadlines(start=20, first_event=5, idle=5, turn=8, stop=1)
"""For what never comes; the sound provider takes less than a tenth of it."""


# ------------------------------------------------------------------------------ what it writes


@breaks("lines_that_are_no_objects_are_survived")
class TakesEveryLineForAnObject(ReferenceSession):
    def decode(self, line: bytes) -> list[Event]:
        try:
            message = json.loads(line.decode(errors="replace"))
        except ValueError:
            return []
        return [] if message.get("turn") not in (None, self.turn) else self.events_of(message)


@breaks("lines_that_are_no_json_are_survived")
class TakesEveryLineForJson(ReferenceSession):
    def decode(self, line: bytes) -> list[Event]:
        json.loads(line.decode(errors="replace"))
        return super().decode(line)


@breaks("bytes_that_are_no_utf8_are_survived")
class TakesEveryLineForUtf8(ReferenceSession):
    def decode(self, line: bytes) -> list[Event]:
        line.decode()
        return super().decode(line)


@breaks("unknown_messages_are_kept")
class DropsWhatItDoesNotKnow(ReferenceSession):
    def decode(self, line: bytes) -> list[Event]:
        return [event for event in super().decode(line) if not isinstance(event, VendorEvent)]


@breaks("line_of_20_mb_is_survived")
class HasABufferOfOneMegabyte(ReferenceSession):
    def decode(self, line: bytes) -> list[Event]:
        if len(line) > 2**20:
            raise ProviderError("the line is too long")
        return super().decode(line)


class PlainProcess:
    """A program started in the way that first comes to mind."""

    def __init__(self, argv: list[str], env: dict[str, str], session: ReferenceSession) -> None:
        self.popen = subprocess.Popen(
            argv,
            env=env,
            cwd=session.request.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        threading.Thread(target=self.read, args=(session,), name="reader", daemon=True).start()

    def read(self, session: ReferenceSession) -> None:
        for line in self.popen.stdout or ():
            session.items.put(line.removesuffix(b"\n"))
        session.items.put(ProcessError("the program ended", exit_code=self.popen.wait()))

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def write(self, data: bytes) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(data)
        self.popen.stdin.flush()

    def stop(self, _: float) -> None:
        self.popen.kill()
        self.popen.wait()


class Plain(ReferenceSession):
    def launch(self, argv: list[str], env: dict[str, str]) -> Any:
        return PlainProcess(argv, env, self)


@breaks("flood_of_stderr_does_not_block", deadlines=QUICK)
class LeavesStderrUnread(Plain):
    pass


@breaks("exit_code_is_told")
class ForgetsTheLastWords(Plain):
    pass


@breaks("crlf_ends_a_line_too")
class KnowsOneLineEndOnly(Plain):
    def decode(self, line: bytes) -> list[Event]:
        if not line.endswith(b"}"):
            raise ProviderError("this is no message")
        return super().decode(line)


@breaks("interrupt_ends_grandchildren_that_hold_stdout", deadlines=QUICK, patience=5)
class EndsTheProgramAlone(Plain):
    def interrupt(self) -> None:
        self.process.stop(0)  # type: ignore[union-attr]

    def follow(self) -> Iterator[Event]:
        try:
            yield from super().follow()
        except ProcessError:
            yield TurnEnded(stop_reason="cancelled")


# ---------------------------------------------------------------------------------- how it ends


@breaks("output_that_ends_in_mid_line_ends_the_turn", "exit_code_is_told")
class CallsAnExitASuccess(ReferenceSession):
    def follow(self) -> Iterator[Event]:
        try:
            yield from super().follow()
        except ProcessError:
            yield TurnEnded()


@breaks("program_killed_in_mid_turn_leaves_the_turn_unknown")
class CallsAKillAFailure(ReferenceSession):
    def follow(self) -> Iterator[Event]:
        try:
            yield from super().follow()
        except ProcessError as error:
            raise ProviderError("it went wrong") from error


@breaks(
    "program_that_died_in_a_turn_is_resumed_once_and_that_is_told",
    "program_that_died_between_turns_is_resumed_once_and_that_is_told",
)
class StartsAgainInSilence(ReferenceSession):
    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        events = super().prompt(prompt)
        return (event for event in events if not isinstance(event, Notice))


@breaks(
    "program_that_died_in_a_turn_is_resumed_once_and_that_is_told",
    "program_that_died_between_turns_is_resumed_once_and_that_is_told",
)
class TellsOfAStartForEver(ReferenceSession):
    notices: tuple[Notice, ...] = ()

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        yield from self.notices
        for event in super().prompt(prompt):
            if isinstance(event, Notice):
                self.notices = (event,)
            yield event


@breaks("session_goes_on_after_its_program_died")
class NeverStartsTheProgramAgain(ReferenceSession):
    def start(self, *, resume: bool) -> None:
        if self.turn:
            raise ProviderError("the program is gone")
        super().start(resume=resume)


# ------------------------------------------------------------------------------- how it is ended


@breaks(
    "interrupt_ends_the_turn_and_keeps_what_was_said",
    "end_of_the_session_interrupts_the_turn",
    "cancelled_task_interrupts_the_turn",
    deadlines=QUICK,
)
class CannotBeInterrupted(ReferenceSession):
    def interrupt(self) -> None:
        return

    def close(self) -> None:
        return


@breaks("interrupt_ends_the_turn_and_keeps_what_was_said")
class CallsAnInterruptAnEnd(ReferenceSession):
    def end_of(self, message: Mapping[str, Any]) -> list[Event]:
        return super().end_of({**message, "status": "done"})


@breaks("nothing_of_a_cancelled_turn_comes_late")
class LeavesTheRestForTheNextTurn(ReferenceSession):
    """Ends the turn at once, and takes what comes then for the next one's."""

    def interrupt(self) -> None:
        if self.running:
            super().interrupt()
            self.items.put(b'{"type":"end","status":"cancelled"}')
            self.items.put(b'{"type":"delta","text":"medlar"}')


@breaks("interrupt_without_a_turn_does_nothing")
class KeepsAnInterruptForLater(ReferenceSession):
    late = False

    def interrupt(self) -> None:
        self.late = self.late or not self.running
        super().interrupt()

    def end_of(self, message: Mapping[str, Any]) -> list[Event]:
        return super().end_of({**message, "status": "cancelled"} if self.late else message)


@breaks("message_between_turns_is_not_taken")
class TakesMessagesAtAnyTime(ReferenceSession):
    def steer(self, _: Prompt) -> bool:
        return True


@breaks("message_is_delivered_into_the_running_turn")
class TakesNoMessages(ReferenceSession):
    def steer(self, _: Prompt) -> bool:
        return False


# ---------------------------------------------------------------------------------- permissions


@breaks("permission_that_is_granted_is_used")
class AsksNobody(ReferenceSession):
    def ask(self, message: Mapping[str, Any]) -> None:
        self.send(type="answer", allowed=True)


@breaks("permission_that_is_denied_is_not_used")
class HearsAYesInEveryAnswer(ReferenceSession):
    def send(self, **message: Any) -> None:
        super().send(**{**message, "allowed": True} if "allowed" in message else message)


@breaks("permission_that_is_granted_is_used", "permission_pending_at_a_cancel_is_settled")
class TellsOfRequestsThatItNeverSettles(ReferenceSession):
    def events_of(self, message: Mapping[str, Any]) -> list[Event]:
        events = super().events_of(message)
        if message.get("type") == "ask":
            return [PermissionAsked(request_id="mine", tool="tool"), *events]
        return events


# -------------------------------------------------------------------------------- what it leaves


class Leaves(ReferenceSession):
    """Leaves something behind with each session."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.leave()

    def leave(self) -> None: ...


@breaks("nothing_is_left_behind", patience=2)
class LeavesAThread(Leaves):
    def leave(self) -> None:
        threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()


KEPT: list[Any] = []


@breaks("nothing_is_left_behind", patience=2)
class LeavesADescriptor(Leaves):
    def leave(self) -> None:
        KEPT.append(self.request.cwd.joinpath("open").open("w"))


@breaks("nothing_is_left_behind", patience=2)
class LeavesAProcess(Leaves):
    def leave(self) -> None:
        env = {**os.environ, **{k: v for k, v in self.request.env.items() if v is not None}}
        KEPT.append(subprocess.Popen(["sleep", "600"], env=env))


@breaks("nothing_is_left_behind", patience=2)
class LeavesATemporaryFile(Leaves):
    def leave(self) -> None:
        os.close(tempfile.mkstemp()[0])


@breaks("nothing_is_left_behind", patience=2)
class ChangesTheEnvironment(Leaves):
    def leave(self) -> None:
        os.environ["REFERENCE_LAST"] = self.key


# ------------------------------------------------------------------------- its own interface


@breaks("interface_answers_and_python_goes_on")
class NamesAnotherConversation(Reference):
    @hookimpl
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        return attrs.evolve(super().start_interactive(request), resume_key=None)


@breaks("interface_leaves_the_terminal_as_it_was", patience=2)
class LeavesAServer(Reference):
    @hookimpl
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        subprocess.Popen(
            ["sleep", "600"], env=child_environment(request.env), start_new_session=True
        )
        return super().start_interactive(request)
