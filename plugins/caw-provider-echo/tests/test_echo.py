"""Conversations with the echo, at the level of the provider contract."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from caw_core.errors import (
    AuthError,
    ConfigError,
    LimitError,
    ProcessError,
    ProviderError,
    SessionStateError,
)
from caw_core.events import (
    Event,
    Notice,
    PlanUpdated,
    TextDelta,
    TextDone,
    ThinkingDone,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    UsageReported,
    VendorEvent,
)
from caw_core.provider import Prompt, ProviderSession, ResumeRequest, StartRequest
from caw_core.trajectory import PlanEntry, Trajectory, Turn
from caw_provider_echo import EchoProvider

if TYPE_CHECKING:
    from pathlib import Path

Open = Callable[..., ProviderSession]
Found = TypeVar("Found", bound=Event)


@pytest.fixture
def start(tmp_path: Path) -> Open:
    def open_session(**options: Any) -> ProviderSession:
        request = StartRequest(**{"session_id": "s-1", "cwd": tmp_path, **options})
        return EchoProvider().start_session(request=request)

    return open_session


def ask(session: ProviderSession, text: str) -> list[Event]:
    return list(session.prompt(Prompt(text=text)))


def only(events: list[Event], kind: type[Found]) -> Found:
    [event] = [event for event in events if isinstance(event, kind)]
    return event


def test_answer_comes_word_by_word_and_then_whole(start: Open) -> None:
    events = ask(start(), "Hello,  you\n there ")
    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    assert len(pieces) == 4
    assert "".join(pieces) == only(events, TextDone).text == "echo: Hello,  you\n there "
    assert events[-1] == TurnEnded(stop_reason="end_turn")


def test_usage_counts_words(start: Open) -> None:
    usage = only(ask(start(model="m"), "a b c"), UsageReported)
    assert (usage.usage.input_tokens, usage.usage.output_tokens) == (3, 4)
    assert (usage.usage.cost_usd, usage.model) == (0.0, "m")


def test_history_holds_all_prompts(start: Open) -> None:
    session = start()
    ask(session, "one")
    assert only(ask(session, "!history"), TextDone).text == "one\n!history"


def test_system_prompt_holds_on_each_turn(start: Open) -> None:
    session = start(system_prompt="Be kind.")
    ask(session, "one")
    assert only(ask(session, "!system"), TextDone).text == "Be kind."


def test_request_shows_options_without_values_of_variables(start: Open) -> None:
    session = start(env={"KEY": "secret"}, reasoning="high")
    seen = json.loads(only(ask(session, "!request"), TextDone).text)
    assert seen["env"] == ["KEY"]
    assert seen["reasoning"] == "high"


def test_cwd_is_answered(start: Open, tmp_path: Path) -> None:
    assert only(ask(start(), "!cwd"), TextDone).text == str(tmp_path)


def test_tool_call_has_arguments_and_output(start: Open) -> None:
    events = ask(start(), '!tool ls {"path": "."} => a.txt')
    started, finished = only(events, ToolStarted), only(events, ToolFinished)
    assert (started.name, started.arguments) == ("ls", {"path": "."})
    assert (finished.call_id, finished.output) == (started.call_id, "a.txt")
    assert (finished.is_error, finished.status) == (False, "completed")


def test_tool_call_can_fail(start: Open) -> None:
    finished = only(ask(start(), "!tool-error rm => no such file"), ToolFinished)
    assert (finished.output, finished.is_error, finished.status) == ("no such file", True, "failed")


@pytest.mark.parametrize(
    "prompt",
    ["!tool", "!tool x [1]", "!ask", "!slow soon", "!slow -1", "!stop now", "!calls 0", "!json {"],
)
def test_directive_that_cannot_be_read_fails_the_turn(start: Open, prompt: str) -> None:
    with pytest.raises(ProviderError):
        ask(start(), prompt)


def test_other_directives_make_their_events(start: Open) -> None:
    events = ask(start(), '!think hm hm\n!plan a; b\n!vendor odd {"n": 1}\n!notice look')
    assert only(events, ThinkingDone).text == "hm hm"
    assert only(events, PlanUpdated).entries == (PlanEntry(text="a"), PlanEntry(text="b"))
    assert only(events, VendorEvent) == VendorEvent(kind="odd", raw={"n": 1})
    assert only(events, Notice).message == "look"


def test_stop_ends_the_turn_for_that_reason(start: Open) -> None:
    events = ask(start(), "a\n!stop refusal\n!think never")
    assert events[-1] == TurnEnded(stop_reason="refusal")
    assert not [event for event in events if isinstance(event, ThinkingDone)]


def test_max_tokens_counts_words(start: Open) -> None:
    events = ask(start(max_tokens=2), "a b c")
    assert only(events, TextDone).text == "echo: a "
    assert events[-1] == TurnEnded(stop_reason="max_tokens")


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("!fail usage", LimitError),
        ("!fail auth", AuthError),
        ("!fail process", ProcessError),
        ("!exit 3", ProcessError),
        ("!fail crash", RuntimeError),
    ],
)
def test_failure_comes_after_what_was_said_before_it(
    start: Open, prompt: str, kind: type[Exception]
) -> None:
    session = start()
    seen: list[Event] = []
    with pytest.raises(kind):
        seen.extend(session.prompt(Prompt(text=f"before\n{prompt}")))
    assert only(seen, TextDone).text == "echo: before"
    assert only(ask(session, "after"), TextDone).text == "echo: after"


def test_directives_can_be_switched_off(start: Open) -> None:
    session = start(options={"directives": False})
    assert only(ask(session, "!fail auth"), TextDone).text == "echo: !fail auth"


def test_switch_for_directives_is_checked(start: Open) -> None:
    with pytest.raises(ConfigError):
        start(options={"directives": "no"})


def test_interrupt_ends_a_slow_turn(start: Open) -> None:
    session = start()
    stream = session.prompt(Prompt(text="a\n!slow 600\n!think never"))
    for event in stream:
        if isinstance(event, TextDone):
            break
    # The turn is about to wait for ten minutes, in this thread.
    threading.Thread(target=session.interrupt).start()
    rest = list(stream)
    assert rest[-1] == TurnEnded(stop_reason="cancelled")
    assert not [event for event in rest if isinstance(event, ThinkingDone)]


def test_interrupt_before_the_first_event_counts(start: Open) -> None:
    session = start()
    stream = session.prompt(Prompt(text="a"))
    session.interrupt()
    assert list(stream)[-1] == TurnEnded(stop_reason="cancelled")


def test_interrupt_without_a_turn_does_nothing(start: Open) -> None:
    session = start()
    session.interrupt()
    assert ask(session, "a")[-1] == TurnEnded(stop_reason="end_turn")


def test_closing_is_idempotent_and_final(start: Open) -> None:
    session = start()
    session.close()
    session.close()
    with pytest.raises(SessionStateError):
        session.prompt(Prompt(text="a"))


def test_resumed_session_knows_the_prompts_of_the_record(tmp_path: Path) -> None:
    turns = (Turn(index=0, input="one"),)
    record = Trajectory(session_id="s-1", provider="echo", turns=turns)
    session = EchoProvider().resume_session(
        request=ResumeRequest(session_id="s-1", cwd=tmp_path, resume_key="s-1", trajectory=record)
    )
    assert only(ask(session, "!history"), TextDone).text == "one\n!history"


def test_session_resumed_from_its_key_alone_says_that_it_knows_nothing(tmp_path: Path) -> None:
    session = EchoProvider().resume_session(
        request=ResumeRequest(session_id="s-1", cwd=tmp_path, resume_key="s-1")
    )
    events = ask(session, "!history")
    assert only(events, Notice).level == "warning"
    assert only(events, TextDone).text == "!history"
    assert not [event for event in ask(session, "a") if isinstance(event, Notice)]


def test_resume_key_is_the_one_that_the_record_gives(start: Open) -> None:
    session = start()
    assert session.resume_key is None
    ask(session, "one")
    record = Trajectory(session_id="s-1", provider="echo")
    assert EchoProvider().resume_key_from_trajectory(trajectory=record) is None
    record = Trajectory(session_id="s-1", provider="echo", turns=(Turn(index=0, input="one"),))
    assert EchoProvider().resume_key_from_trajectory(trajectory=record) == session.resume_key
