"""Providers that each tell of their turns in a way that breaks one rule."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import attrs
from tests.provider_breaking import breaks
from tests.test_reference_provider import Reference, ReferenceSession

from caw_core import hookimpl
from caw_core.errors import ProviderError
from caw_core.events import (
    Event,
    FileChanged,
    PlanUpdated,
    TextDelta,
    TextDone,
    ThinkingDone,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    TurnStarted,
    UsageReported,
    VendorEvent,
)
from caw_core.provider import Readiness
from caw_core.usage import UsageStats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.provider import Prompt, ProviderInfo, StartRequest
    from caw_core.trajectory import Trajectory


class Changed(ReferenceSession):
    """Changes what the sound session yields."""

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        for event in super().prompt(prompt):
            yield from self.change(event)

    def change(self, event: Event) -> list[Event]:
        return [event]


@breaks("turn_follows_the_grammar_of_events")
class EndsTwice(Changed):
    def change(self, event: Event) -> list[Event]:
        return [event, event] if isinstance(event, TurnEnded) else [event]


@breaks("turn_follows_the_grammar_of_events")
class GoesOnAfterTheEnd(Changed):
    def change(self, event: Event) -> list[Event]:
        return [event, TextDelta(text="late")] if isinstance(event, TurnEnded) else [event]


@breaks("turn_follows_the_grammar_of_events")
class BeginsTheTurnItself(ReferenceSession):
    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        yield TurnStarted(index=0)
        yield from super().prompt(prompt)


@breaks("turn_follows_the_grammar_of_events")
class SpeaksOnAfterATextIsDone(Changed):
    def change(self, event: Event) -> list[Event]:
        if isinstance(event, TextDone):
            return [event, TextDelta(text=event.text, block_id=event.block_id)]
        return [event]


@breaks("turn_follows_the_grammar_of_events")
class YieldsWhatIsNoJson(Changed):
    def change(self, event: Event) -> list[Event]:
        if isinstance(event, TextDone):
            return [VendorEvent(kind="set", raw={1, 2}), event]  # type: ignore[arg-type]
        return [event]


@breaks("turn_follows_the_grammar_of_events")
class HidesAnExtraBehindAField(Changed):
    def change(self, event: Event) -> list[Event]:
        if isinstance(event, UsageReported):
            return [attrs.evolve(event, extra={"model": "m"})]
        return [event]


@breaks("turn_follows_the_grammar_of_events")
class UsesLessThanNothing(Changed):
    def change(self, event: Event) -> list[Event]:
        usage = UsageStats(input_tokens=-1)
        return [UsageReported(usage=usage)] if is_usage(event) else [event]


@breaks("second_turn_follows_the_grammar_too")
class RepeatsTheLastTurn(Changed):
    said = ""

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        if self.said:
            yield TextDelta(text=self.said)
        yield from super().prompt(prompt)

    def change(self, event: Event) -> list[Event]:
        self.said = event.text if isinstance(event, TextDone) else self.said
        return [event]


@breaks("deltas_and_whole_pieces_fold_to_the_same_turn")
class TellsTheTextTwice(Changed):
    def change(self, event: Event) -> list[Event]:
        return [attrs.evolve(event, block_id="other")] if isinstance(event, TextDone) else [event]


@breaks("deltas_and_whole_pieces_fold_to_the_same_turn")
class LosesADelta(Changed):
    def change(self, event: Event) -> list[Event]:
        return [] if isinstance(event, TextDelta) and "third" in event.text else [event]


@breaks("recorded_turn_is_what_the_events_say")
class HidesAnExtraInABlock(Changed):
    def change(self, event: Event) -> list[Event]:
        return [attrs.evolve(event, extra={"text": ""})] if isinstance(event, TextDone) else [event]


@breaks("text_comes_in_pieces")
class WaitsForTheWholeText(Changed):
    def change(self, event: Event) -> list[Event]:
        return [] if isinstance(event, TextDelta) else [event]


@breaks("text_arrives_as_the_agent_said_it")
class ReadsLatin1(ReferenceSession):
    def events_of(self, message: Mapping[str, Any]) -> list[Event]:
        if "text" in message:
            text = message["text"].encode().decode("latin-1")
            message = {**message, "text": text}
        return super().events_of(message)


@breaks("prompt_reaches_the_agent_as_it_is")
class TidiesThePromptUp(ReferenceSession):
    def send(self, **message: Any) -> None:
        if "text" in message:
            message["text"] = message["text"].encode("ascii", "ignore").decode()
        super().send(**message)


@breaks("thinking_is_told_apart_from_the_answer")
class ThinksAloud(Changed):
    def change(self, event: Event) -> list[Event]:
        return [TextDelta(text=event.text)] if isinstance(event, ThinkingDone) else [event]


@breaks("tool_call_has_its_result")
class FinishesAToolBeforeItStarts(Changed):
    def change(self, event: Event) -> list[Event]:
        if isinstance(event, ToolStarted):
            return [ToolFinished(call_id=event.call_id, output="kumquat"), event]
        return [event]


@breaks("tool_call_has_its_result")
class LosesTheOutput(Changed):
    def change(self, event: Event) -> list[Event]:
        return [attrs.evolve(event, output="")] if isinstance(event, ToolFinished) else [event]


@breaks("call_ids_may_come_again")
class RemembersCallsOfOldTurns(Changed):
    def __init__(self, request: StartRequest, key: str | None = None) -> None:
        self.seen: set[str] = set()
        super().__init__(request, key)

    def change(self, event: Event) -> list[Event]:
        if isinstance(event, ToolStarted):
            known = event.call_id in self.seen
            self.seen.add(event.call_id)
            self.skipping = known
        if isinstance(event, ToolStarted | ToolFinished) and self.skipping:
            return []
        return [event]


@breaks("plan_is_told_and_recorded")
class KeepsItsPlanToItself(Changed):
    def change(self, event: Event) -> list[Event]:
        return [] if isinstance(event, PlanUpdated) else [event]


@breaks("file_that_the_agent_makes_is_told")
class TellsAFileTwice(Changed):
    def change(self, event: Event) -> list[Event]:
        return [event, event] if isinstance(event, FileChanged) else [event]


@breaks("file_that_the_agent_makes_is_told")
class TellsAFileWithoutItsText(Changed):
    def change(self, event: Event) -> list[Event]:
        return [attrs.evolve(event, diff="")] if isinstance(event, FileChanged) else [event]


@breaks("output_of_a_tool_is_told_while_it_runs", patience=2)
class TellsTheOutputAtTheEnd(Changed):
    def change(self, event: Event) -> list[Event]:
        if isinstance(event, ToolFinished):
            return [ToolOutput(call_id=event.call_id, delta=event.output or ""), event]
        return [] if isinstance(event, ToolOutput) else [event]


@breaks("turn_that_the_agent_begins_is_told", patience=2)
class PassesTurnsOfItsOwnOver(ReferenceSession):
    def begin_turn(self, _: str) -> None:
        return


@breaks("turn_that_the_agent_begins_is_told")
class TellsOfATurnTwice(ReferenceSession):
    def begin_turn(self, text: str) -> None:
        super().begin_turn(text)
        super().begin_turn(text)


@breaks("usage_is_of_this_turn_alone")
class ReportsRunningTotals(ReferenceSession):
    total = 0

    def usage_of(self, message: Mapping[str, Any]) -> Event:
        self.total += message["output"]
        return super().usage_of({**message, "output": self.total})


@breaks("usage_is_of_this_turn_alone")
class ReportsNoUsage(Changed):
    def change(self, event: Event) -> list[Event]:
        return [] if is_usage(event) else [event]


@breaks("failing_turn_ends_once_and_raises")
class CallsAFailureASuccess(ReferenceSession):
    def end_of(self, message: Mapping[str, Any]) -> list[Event]:
        return super().end_of({**message, "status": "done"})


@breaks("failing_turn_ends_once_and_raises")
class RaisesWhatIsNoProviderError(ReferenceSession):
    def end_of(self, message: Mapping[str, Any]) -> list[Event]:
        try:
            return super().end_of(message)
        except ProviderError as error:
            raise KeyError("message") from error


@breaks("session_goes_on_after_a_failed_turn")
class FailsForEver(ReferenceSession):
    failed = False

    def end_of(self, message: Mapping[str, Any]) -> list[Event]:
        self.failed = self.failed or message["status"] == "failed"
        return super().end_of({**message, "status": "failed" if self.failed else "done"})


@breaks("session_starts_without_network_and_without_cost")
class AsksTheServiceAtTheStart(ReferenceSession):
    def start(self, *, resume: bool) -> None:
        # An address that belongs to nobody; a datagram socket sends nothing when it connects.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
        super().start(resume=resume)


@breaks("provider_can_be_loaded_and_says_what_it_is")
class DeclaresWhatNobodyKnows(Reference):
    capabilities = frozenset({"telepathy"})


@breaks("provider_can_be_loaded_and_says_what_it_is")
class LooksAroundForItsFacts(Reference):
    @hookimpl
    def provider_info(self) -> ProviderInfo:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("127.0.0.1", 9))
        return super().provider_info()


@breaks("readiness_is_told_without_network")
class IsNeverReady(Reference):
    @hookimpl
    def check_ready(self) -> Readiness:
        return Readiness(ready=False, hint="wait")


@breaks("declared_capabilities_can_be_proved", cannot={"stall": "nobody knows how"})
class DeclaresWhatCannotBeTried(Reference):
    pass


@breaks("key_is_in_the_record")
class FindsAnotherKey(Reference):
    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        return trajectory.session_id


@breaks("key_stays_the_same")
class ChangesItsKey(ReferenceSession):
    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        yield from super().prompt(prompt)
        self.resume_key = f"{self.key}.{self.turn}"


@breaks("unknown_key_starts_nothing_new", "conversation_goes_on_in_a_fresh_process")
class StartsAFreshConversation(ReferenceSession):
    def start(self, *, resume: bool) -> None:
        if resume:
            self.key = f"{self.key}-new"
        super().start(resume=False)


def is_usage(event: Event) -> bool:
    return isinstance(event, UsageReported)
