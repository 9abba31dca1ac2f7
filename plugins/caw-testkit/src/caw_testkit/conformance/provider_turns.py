"""Checks of turns: what is told, in which order, and how it ends."""

from __future__ import annotations

import json

from caw_core.errors import ProviderError
from caw_core.events import TextDelta, ThinkingDelta, ThinkingDone
from caw_core.trajectory import Trajectory
from caw_core.usage import UsageStats
from caw_testkit.conformance.base import broken, needs
from caw_testkit.conformance.provider_events import (
    check_events,
    check_fold,
    check_provider_events,
    check_usage,
    folded,
)
from caw_testkit.conformance.provider_stage import Followed, Stage, kinds, said
from caw_testkit.conformance.provider_suite import ProviderSuite

UNICODE = "Grüße 日本語 שלום e\u0301 👩\u200d👩\u200d👧 \U0001f9ea\u2028 '<&>"
"""Umlauts, wide and right-to-left letters, marks, joined emoji, a line separator."""


def demand_grammar(stage: Stage, followed: Followed) -> None:
    """Fail the check if the turn's events, or those of the provider itself, are out of order."""
    problems = check_events(followed.events)
    problems += [
        f"prompt(): {text}" for text in check_provider_events(stage.recorder.turns[-1].events)
    ]
    if problems:
        broken(
            "the events break the grammar:\n  - " + "\n  - ".join(problems),
            f"see check_events in caw_testkit.conformance; seen: {kinds(followed.events)}",
        )


class TurnChecks(ProviderSuite):
    """One turn after another, without anything going wrong but the turn itself."""

    def test_turn_follows_the_grammar_of_events(self, stage: Stage) -> None:
        """A turn begins, says things in order, and ends once: displays and records rely on it."""
        demand_grammar(stage, stage.answered(stage.start()))

    def test_second_turn_follows_the_grammar_too(self, stage: Stage) -> None:
        """What the first turn left behind must not come into the second."""
        session = stage.start()
        stage.answered(session, "quince")
        second = stage.answered(session, "medlar")
        demand_grammar(stage, second)
        if "quince" in said(second.events):
            broken(
                f"the second turn repeats the first: {said(second.events)!r:.300}",
                "yield what belongs to the running turn only",
            )

    def test_failing_turn_ends_once_and_raises(self, stage: Stage) -> None:
        """A failure ends the turn like anything else, and the caller gets a typed error."""
        followed = stage.follow(stage.start(), stage.step("fail"))
        turn = followed.to_end()
        demand_grammar(stage, followed)
        if turn.status == "completed" or followed.error is None:
            broken(
                f"a turn that failed is {turn.status!r}, with the error {followed.error!r}",
                "raise a ProviderError from prompt() when the agent reports a failure",
            )
        raised = stage.recorder.turns[-1].error
        if raised is not None and not isinstance(raised, ProviderError):
            broken(
                f"prompt() raised {raised!r}, which is no ProviderError",
                "raise the most precise subclass of ProviderError that the facts allow",
            )

    def test_session_goes_on_after_a_failed_turn(self, stage: Stage) -> None:
        """One failure is not the end of a conversation."""
        session = stage.start()
        stage.follow(session, stage.step("fail")).to_end()
        stage.answered(session, "medlar")

    def test_deltas_and_whole_pieces_fold_to_the_same_turn(self, stage: Stage) -> None:
        """The fold law: a reader of deltas and a reader of whole pieces see the same text."""
        text = "first second third fourth fifth"
        followed = stage.answered(stage.start(), text)
        problems = check_fold(stage.recorder.turns[-1].events)
        if folded(followed.events).text.count(text) > 1:
            problems.append("the text was told twice")
        if problems:
            broken(
                "deltas and whole pieces tell different stories:\n  - " + "\n  - ".join(problems),
                "give deltas and their TextDone or ThinkingDone the same block_id, and pass on "
                f"every delta once; seen: {kinds(followed.events)}",
            )

    def test_recorded_turn_is_what_the_events_say(self, stage: Stage) -> None:
        """Whoever reads the stream and whoever reads the record must see the same turn."""
        session = stage.start()
        followed = stage.answered(session)
        turn = session.trajectory.turns[-1]
        if folded(followed.events).output != turn.output:
            broken(
                f"the record says {turn.output!r:.300}, the events fold to "
                f"{folded(followed.events).output!r:.300}",
                "yield events from prompt() alone, and never change one that was yielded",
            )
        document = json.loads(json.dumps(session.trajectory.to_dict()))
        if Trajectory.from_dict(document).turns != session.trajectory.turns:
            broken(
                "the record is another one once it was stored",
                "put JSON values only into arguments, content, extra and raw",
            )

    def test_text_arrives_as_the_agent_said_it(self, stage: Stage) -> None:
        """Any character of Unicode survives the way from the agent."""
        stage.answered(stage.start(), UNICODE)

    def test_prompt_reaches_the_agent_as_it_is(self, stage: Stage) -> None:
        """A prompt is data: nothing is cut off, run as a command, or written another way."""
        session = stage.start()
        first = stage.step("answer", UNICODE)
        stage.completed(session, first)
        recalled = stage.completed(session, stage.step("recall"))
        text = first if isinstance(first, str) else first.text
        if text not in said(recalled.events):
            broken(
                f"the agent was sent {text!r} and knows {said(recalled.events)!r:.500}",
                "send Prompt.text as it is, through stdin, a file or the protocol",
            )

    @needs("streaming")
    def test_text_comes_in_pieces(self, stage: Stage) -> None:
        """Somebody who waits wants to read along."""
        text = "one two three four five six seven eight nine ten"
        followed = stage.answered(stage.start(), text)
        deltas = sum(isinstance(event, TextDelta) for event in followed.events)
        if deltas < 2:  # noqa: PLR2004 - one piece is no stream
            broken(
                f"a text of ten words came in {deltas} TextDelta events",
                "yield a TextDelta for each piece that the agent sends, or do not declare "
                "'streaming'",
            )

    @needs("thinking")
    def test_thinking_is_told_apart_from_the_answer(self, stage: Stage) -> None:
        """What an agent thinks is no part of what it says."""
        followed = stage.completed(stage.start(), stage.step("think", "pondering"))
        thoughts = [
            event.text
            for event in followed.events
            if isinstance(event, ThinkingDelta | ThinkingDone)
        ]
        if "pondering" not in "".join(thoughts) or "pondering" in said(followed.events):
            broken(
                f"the agent thought 'pondering'; thoughts: {thoughts!r:.300}, "
                f"said: {said(followed.events)!r:.300}",
                "yield ThinkingDelta or ThinkingDone for thoughts, and no text events",
            )
        demand_grammar(stage, followed)

    @needs("tools")
    def test_tool_call_has_its_result(self, stage: Stage) -> None:
        """A call is told when it begins, and its result belongs to it."""
        session = stage.start()
        followed = stage.completed(session, stage.step("call_tool", "kumquat", "call-1"))
        demand_grammar(stage, followed)
        calls = session.trajectory.turns[-1].tool_calls
        good = [use for use in calls if use.status == "completed" and "kumquat" in use.output]
        if not good:
            broken(
                f"the agent called a tool that printed 'kumquat'; the record has {calls!r:.500}",
                "yield ToolStarted when a call begins, and ToolFinished with its output",
            )

    @needs("tools")
    def test_call_ids_may_come_again(self, stage: Stage) -> None:
        """Models repeat their ids: a call of this turn is not that one of the last turn."""
        session = stage.start()
        for output in ("kumquat", "loquat"):
            followed = stage.completed(session, stage.step("call_tool", output, "call-same"))
            demand_grammar(stage, followed)
            outputs = [use.output for use in session.trajectory.turns[-1].tool_calls]
            if not any(output in text for text in outputs):
                broken(
                    f"the tool printed {output!r} in this turn; the record has {outputs!r:.300}",
                    "keep what is known of calls for one turn only, or tell equal ids apart",
                )

    @needs("usage")
    def test_usage_is_of_this_turn_alone(self, stage: Stage) -> None:
        """A turn's usage is what it used; some agents report running totals, so subtract."""
        session = stage.start()
        before = stage.script.spent()
        for text in ("quince", "medlar", "damson"):
            stage.answered(session, text)
        turns = session.trajectory.turns
        problems = [problem for turn in turns for problem in check_usage(turn.usage)]
        outputs = [turn.usage.output_tokens for turn in turns]
        if problems or not all(outputs):
            broken(
                f"the turns' usage cannot be: {outputs} output tokens, {problems}",
                "yield one UsageReported for each model call, with what that call used",
            )
        if outputs[2] >= outputs[0] + outputs[1]:
            broken(
                f"three answers of one word used {outputs} output tokens: a running total?",
                "report increments: subtract what was reported before",
            )
        after = stage.script.spent()
        if before is not None and after is not None:
            charged = after.total_tokens - before.total_tokens
            told = sum((turn.usage for turn in turns), UsageStats()).total_tokens
            if told != charged:
                broken(
                    f"the service charged {charged} tokens, the turns say {told}",
                    "count each model call once: cached tokens are not part of input_tokens, "
                    "and what was copied from earlier turns is not used again",
                )
