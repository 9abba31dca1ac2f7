"""Checks of what a provider tells about the agent's work: plans, files, output, its own turns."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from caw_core.events import FileChanged, PlanUpdated, ToolOutput
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.provider_stage import Stage, kinds
from caw_testkit.conformance.provider_suite import ProviderSuite
from caw_testkit.conformance.provider_turns import demand_grammar

if TYPE_CHECKING:
    from pathlib import Path

FILE = "made-by-the-agent.txt"


class ActivityChecks(ProviderSuite):
    """Each is skipped unless it is declared."""

    @needs("plans")
    def test_plan_is_told_and_recorded(self, stage: Stage) -> None:
        """Whoever waits wants to see how far the agent is."""
        session = stage.start()
        followed = stage.completed(session, stage.step("plan", "peel the quince"))
        demand_grammar(stage, followed)
        told = [event.entries for event in followed.events if isinstance(event, PlanUpdated)]
        recorded = session.trajectory.turns[-1].plan
        if not told or "peel the quince" not in [entry.text for entry in recorded]:
            broken(
                f"the agent planned 'peel the quince'; told: {told!r:.300}, recorded: "
                f"{recorded!r:.300}",
                "yield PlanUpdated with the whole plan each time it changes",
            )

    @needs("file_changes")
    def test_file_that_the_agent_makes_is_told(self, stage: Stage) -> None:
        """What an agent did to the files is what people look at first."""
        followed = stage.completed(stage.start(), stage.step("change_file", FILE, "kumquat\n"))
        demand_grammar(stage, followed)
        changes = [event for event in followed.events if isinstance(event, FileChanged)]
        good = [
            change
            for change in changes
            if change.path.endswith(FILE) and change.kind == "add" and "kumquat" in change.diff
        ]
        if len(good) != 1:
            broken(
                f"the agent made {FILE} with the text 'kumquat'; told: {changes!r:.500}",
                "yield one FileChanged for each file that a call changes, with its diff",
            )

    @needs("tool_output")
    def test_output_of_a_tool_is_told_while_it_runs(self, stage: Stage, tmp_path: Path) -> None:
        """A build of an hour that says nothing until its end looks like a hang."""
        gate = tmp_path / "go-on"
        # Again and again: some agents tell only what comes after the first piece.
        printing = "echo kumquat; sleep 0.1"
        command = f"while [ ! -e {shlex.quote(str(gate))} ]; do {printing}; done"
        followed = stage.busy(stage.start(), tmp_path, "true", command)
        try:
            seen = stage.recorder.turns[-1].events
            told = stage.wait_for(
                lambda: any("kumquat" in e.delta for e in list(seen) if isinstance(e, ToolOutput))
            )
        finally:
            gate.touch()
        followed.to_end()
        demand_grammar(stage, followed)
        if not told:
            broken(
                "a command printed 'kumquat' and went on; nothing of it was told meanwhile: "
                f"{kinds(followed.events)}",
                "yield a ToolOutput for each piece of output when it comes",
            )

    @needs("agent_turns")
    def test_turn_that_the_agent_begins_is_told(self, stage: Stage) -> None:
        """An agent that goes on by itself spends tokens and does things: nobody may miss that."""
        session = stage.start()
        stage.completed(session, stage.step("begin_turn", "medlar"))
        stage.script.set_off()

        def told() -> bool:
            turns = session.trajectory.turns
            return any(turn.origin == "agent" and "medlar" in turn.text for turn in turns)

        stage.wait_until(
            "the turn that the agent began by itself",
            told,
            "announce it with StartRequest.agent_turns.begin(…), and read the agent between turns",
        )
        stage.answered(session, "quince")
        origins = [turn.origin for turn in session.trajectory.turns]
        if origins != ["user", "agent", "user"]:
            broken(
                f"the record has turns of {origins}",
                "announce each turn that the agent begins once, and no prompt's as such a one",
            )
