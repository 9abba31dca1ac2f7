"""Checks of turns that are ended from outside, and of what is open at that moment."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING

from caw_core.events import PermissionAsked, PermissionSettled
from caw_core.permissions import Decision, PermissionRequest, allow, deny
from caw_core.process.group import kill_marked, marked_pids
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.provider_stage import Followed, Stage, kinds, said
from caw_testkit.conformance.provider_suite import ProviderSuite
from caw_testkit.conformance.provider_turns import demand_grammar

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core import Session

MARK = "CAW_CONFORMANCE_GRANDCHILD"

OFFER = "implement interrupt() so that it makes prompt() end, whatever prompt() waits for"


def interrupted(stage: Stage, session: Session, followed: Followed) -> None:
    """Interrupt the turn, and demand that the provider ends it by itself."""
    closed = stage.recorder.closed
    session.interrupt()
    turn = followed.to_end()
    if turn.status != "interrupted" or followed.error is not None:
        broken(
            f"the interrupted turn is {turn.status!r}, with the error {followed.error!r}",
            "end an interrupted turn with TurnEnded(stop_reason='cancelled')",
        )
    if stage.recorder.closed > closed or not stage.recorder.turns[-1].ended:
        broken("the turn ended only because the session was closed under it", OFFER)
    demand_grammar(stage, followed)


class StoppingChecks(ProviderSuite):
    """Interrupts, permissions that are open, and the end of a session."""

    @needs("interrupt")
    def test_interrupt_ends_the_turn_and_keeps_what_was_said(self, stage: Stage) -> None:
        """Whoever stops an agent wants it to stop, and to keep what it did."""
        session = stage.start()
        followed = stage.stalled(session, "medlar")
        interrupted(stage, session, followed)
        text = session.trajectory.turns[-1].text
        if "medlar" not in text:
            broken(
                f"the agent said 'medlar' before it was stopped; the record has {text!r}",
                "yield text when it comes, not when the turn ends",
            )

    @needs("interrupt")
    def test_nothing_of_a_cancelled_turn_comes_late(self, stage: Stage) -> None:
        """What the agent still writes after a cancel must not come into the next turn."""
        session = stage.start()
        interrupted(stage, session, stage.stalled(session, "medlar"))
        events = stage.answered(session, "quince").events
        if "medlar" in said(events):
            broken(
                f"the next turn holds what the cancelled one said: {said(events)!r:.300}",
                "drop what belongs to a turn that has ended, by the agent's id of the turn",
            )

    @needs("interrupt")
    def test_interrupt_without_a_turn_does_nothing(self, stage: Stage) -> None:
        """An interrupt may come a moment too late; it must not hit the next turn."""
        session = stage.start()
        stage.recorder.sessions[-1].interrupt()
        stage.answered(session, "quince")
        stage.recorder.sessions[-1].interrupt()
        stage.answered(session, "medlar")

    @needs("interrupt")
    def test_interrupt_ends_grandchildren_that_hold_stdout(
        self, stage: Stage, tmp_path: Path
    ) -> None:
        """A command in the background keeps pipes open; it must neither block the end nor stay."""
        mark = uuid.uuid4().hex
        session = stage.start()
        try:
            followed = stage.busy(session, tmp_path, f"{MARK}={mark} sleep 600 &", "wait")
            interrupted(stage, session, followed)
            session.end()
            stage.wait_until(
                "the end of a command in the background",
                lambda: not marked_pids(mark, MARK),
                "end the agent's whole process group, as Process.stop() in caw_core.process does",
            )
        finally:
            kill_marked(mark, variable=MARK)

    @needs("interrupt")
    def test_end_of_the_session_interrupts_the_turn(self, stage: Stage) -> None:
        """Leaving must be possible at any moment, and the record must say how the turn ended."""
        session = stage.start()
        followed = stage.stalled(session)
        session.end()
        followed.to_end()
        status = session.trajectory.turns[-1].status
        if status != "interrupted" or not stage.recorder.turns[-1].ended:
            broken(f"the turn is {status!r} after the session's end", OFFER)

    @needs("permissions")
    def test_permission_that_is_granted_is_used(self, stage: Stage) -> None:
        """The agent asks, somebody says yes, and the agent goes on."""
        asked: list[PermissionRequest] = []

        def say_yes(request: PermissionRequest) -> Decision:
            asked.append(request)
            return allow()

        session = stage.start(permissions="ask", on_permission=say_yes)
        followed = stage.completed(session, stage.step("ask_permission"))
        demand_grammar(stage, followed)
        if not asked:
            broken(
                f"the agent did what needs permission and nobody was asked: "
                f"{kinds(followed.events)}",
                "bring the agent's requests to StartRequest.permission_desk",
            )

    @needs("permissions")
    def test_permission_that_is_denied_is_not_used(self, stage: Stage) -> None:
        """A no is told to the agent, and what was asked for is not done."""
        session = stage.start(permissions="ask", on_permission=lambda _: deny("not today"))
        followed = stage.follow(session, stage.step("ask_permission"))
        followed.to_end()
        demand_grammar(stage, followed)
        done = [use for use in session.trajectory.turns[-1].tool_calls if use.status == "completed"]
        if done:
            broken(
                f"permission was denied and the record has {done!r:.300} as completed",
                "yield ToolFinished(status='declined') for what was not allowed",
            )

    @needs("permissions", "interrupt")
    def test_permission_pending_at_a_cancel_is_settled(self, stage: Stage) -> None:
        """A request that nobody has answered ends with its turn: once, and as a no."""
        release, answering = threading.Event(), threading.Event()

        def wait(_: PermissionRequest) -> Decision:
            answering.set()
            release.wait()
            return allow()

        session = stage.start(permissions="ask", on_permission=wait)
        followed = stage.follow(session, stage.step("ask_permission"))
        try:
            followed.until(
                "permission was asked",
                lambda events: any(isinstance(event, PermissionAsked) for event in events),
            )
            stage.wait_until(
                "the call of on_permission", answering.is_set, "ask the permission desk"
            )
            interrupted(stage, session, followed)
        finally:
            release.set()
        settled = [event for event in followed.events if isinstance(event, PermissionSettled)]
        if [event.allowed for event in settled] != [False]:
            broken(
                f"the request that was open at the cancel was settled as {settled!r}",
                "withdraw it from the permission desk, or let the turn's end deny it",
            )
        session.interrupt()
        stage.answered(session, "quince")
