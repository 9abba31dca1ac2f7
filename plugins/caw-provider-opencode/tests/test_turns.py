"""Turns of the real opencode against a scripted model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import ConfigError
from caw_core.events import (
    FileChanged,
    Notice,
    RawOutput,
    TextDelta,
    ToolOutput,
    TurnEnded,
    UsageReported,
)
from caw_core.trajectory import PlanEntry
from caw_testkit.modelserver import Usage, big, call, echo, reply, text, think

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_opencode


def test_two_turns_share_one_conversation_and_one_process(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start()
    pid = session.pid
    assert desk.turn(session, "one").result == "echo: one"
    assert desk.turn(session, "two").result == "echo: two"
    assert session.pid == pid
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "two"]


def test_text_streams_and_ends_with_the_whole(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("a b c")))
    events = desk.ask(desk.start(), "go")
    streamed = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert "a b c".startswith(streamed)
    assert desk.fold(events).result == "a b c"
    assert events[-1] == TurnEnded(stop_reason="end_turn")


def test_the_prompt_is_not_output(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("answer")))
    turn = desk.turn(desk.start(), "question")
    assert [block.type for block in turn.output] == ["text"]


@pytest.mark.parametrize("prompt", ["/help @a.txt !ls", "-x", "ünïcode \u2028 \0 end", " a \n"])
def test_prompt_arrives_verbatim(desk: Desk, model_server: ModelServer, prompt: str) -> None:
    model_server.script(reply(text("ok")))
    desk.turn(desk.start(), prompt)
    assert model_server.requests[-1].last_user_text() == prompt


def test_half_a_surrogate_pair_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="surrogate"):
        desk.turn(desk.start(), "\ud800")


def test_usage_of_each_turn_is_what_the_server_counted(
    desk: Desk, model_server: ModelServer
) -> None:
    usage = Usage(input_tokens=100, cached_tokens=40, output_tokens=20, reasoning_tokens=7)
    command = {"command": "true", "description": "nothing"}
    model_server.script(reply(call("bash", command), usage=usage))
    model_server.script(reply(text("x"), usage=usage), reply(text("y"), usage=usage))
    session = desk.start()
    one, two = desk.turn(session, "one").usage, desk.turn(session, "two").usage
    assert (one.input_tokens, one.cache_read_tokens, one.output_tokens) == (120, 80, 40)
    assert (two.input_tokens, two.reasoning_tokens, two.output_tokens) == (60, 7, 20)
    assert one.total_tokens + two.total_tokens == model_server.usage.total_tokens


def test_cost_that_opencode_knows_is_reported(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("x"), usage=Usage(input_tokens=1000, output_tokens=500)))
    usage = desk.turn(desk.start(model="testkit/priced")).usage
    assert usage.cost_usd == pytest.approx(0.002)
    assert usage.cost_source == "reported"


def test_cost_that_opencode_does_not_know_is_unknown(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("x")))
    turn = desk.turn(desk.start())
    assert (turn.usage.cost_usd, turn.usage.cost_source) == (None, "unknown")
    assert turn.model == "testkit/m1"


def test_thinking_is_kept(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(think("Let me see."), text("Seen.")))
    turn = desk.turn(desk.start())
    assert [block.type for block in turn.output] == ["thinking", "text"]


def test_command_has_its_output_and_exit_code(desk: Desk, model_server: ModelServer) -> None:
    command = {"command": "printf 'abc\\n'; exit 3", "description": "fail"}
    model_server.script(reply(call("bash", command)), reply(text("done")))
    [use] = desk.turn(desk.start()).tool_calls
    assert (use.name, use.output, use.is_error) == ("bash", "abc\n", True)
    assert use.arguments == command
    assert use.content == ({"type": "exit_code", "exit_code": 3},)


def test_output_of_a_command_streams(desk: Desk, model_server: ModelServer) -> None:
    command = {"command": "echo one; sleep 1; echo two", "description": "slow"}
    model_server.script(reply(call("bash", command)), reply(text("done")))
    events = desk.ask(desk.start(), "go")
    streamed = "".join(event.delta for event in events if isinstance(event, ToolOutput))
    assert streamed.startswith("one\n")
    assert desk.fold(events).tool_calls[0].output == "one\ntwo\n"


def test_files_that_change_are_told_with_their_diff(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    edit = {"filePath": str(file), "oldString": "old", "newString": "new"}
    model_server.script(
        reply(call("write", {"filePath": str(file), "content": "old\n"})),
        reply(call("edit", edit)),
        reply(text("done")),
    )
    events = desk.ask(desk.start(cwd=tmp_path), "go")
    added, changed = [event for event in events if isinstance(event, FileChanged)]
    assert (added.path, added.kind, added.diff) == (str(file), "add", "old\n")
    assert (changed.kind, "-old\n+new\n" in changed.diff) == ("update", True)
    assert file.read_text() == "new\n"


def test_todo_list_is_the_plan(desk: Desk, model_server: ModelServer) -> None:
    todos = [{"content": "first", "status": "in_progress", "priority": "high"}]
    model_server.script(reply(call("todowrite", {"todos": todos})), reply(text("done")))
    plan = desk.turn(desk.start()).plan
    assert plan == (PlanEntry(text="first", status="in_progress", extra={"priority": "high"}),)


def test_tool_that_does_not_exist_is_a_failed_call(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(call("nosuch", {"a": 1})), reply(text("done")))
    [use] = desk.turn(desk.start()).tool_calls
    assert use.is_error
    assert "nosuch" in use.output


def test_subagent_is_counted_and_does_not_speak(desk: Desk, model_server: ModelServer) -> None:
    task = {"description": "sub", "prompt": "do it", "subagent_type": "general"}
    model_server.script(
        reply(call("task", task)),
        reply(text("from below"), usage=Usage(input_tokens=70, output_tokens=3)),
        reply(text("from above")),
    )
    events = desk.ask(desk.start(), "go")
    turn = desk.fold(events)
    assert [block.type for block in turn.output] == ["tool_use", "text"]
    assert "from below" in turn.tool_calls[0].output
    assert turn.usage.total_tokens == model_server.usage.total_tokens
    below = [event for event in events if isinstance(event, UsageReported) and event.extra]
    assert [event.usage.input_tokens for event in below] == [70]


def test_system_prompt_holds_on_each_turn(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt="You are terse.")
    for prompt in ("one", "two"):
        desk.turn(session, prompt)
        said = "\n".join(model_server.requests[-1].system())
        assert said.count("You are terse.") == 1


def test_model_and_effort_are_passed_on(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("x")))
    desk.turn(desk.start(model="testkit/priced", reasoning="high"))
    body = model_server.requests[-1].body
    assert (body["model"], body["reasoning_effort"]) == ("priced", "high")


def test_effort_that_the_model_does_not_have_is_told(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("x")))
    session = desk.start(model="testkit/priced", reasoning="huge")
    told = [event for event in desk.ask(session, "go") if isinstance(event, Notice)]
    assert "high" in told[0].message


def test_model_without_its_service_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="provider/model"):
        desk.start(model="gpt-5")


def test_unknown_agent_is_refused_with_the_known_ones(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="build, plan"):
        desk.start(options={"agent": "nobody"})


def test_raw_events_are_kept_when_asked_for(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("x")))
    session = desk.start(keep_raw=True)
    lines = [event.line for event in desk.ask(session, "go") if isinstance(event, RawOutput)]
    assert lines
    assert all(str(session.resume_key) in line for line in lines)


def test_answer_of_a_megabyte_arrives_whole(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(big(1_000_000)))
    assert len(desk.turn(desk.start()).result) == 1_000_000


@pytest.mark.parametrize(("stop", "reason"), [("max_tokens", "max_tokens"), ("refusal", "refusal")])
def test_models_reason_to_stop_is_passed_on(
    desk: Desk, model_server: ModelServer, stop: Any, reason: Any
) -> None:
    model_server.script(reply(text("cut"), stop=stop))
    events = desk.ask(desk.start(), "go")
    assert events[-1] == TurnEnded(stop_reason=reason)


def test_no_title_is_asked_for(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("x")))
    desk.turn(desk.start())
    assert model_server.asides == []


def test_sessions_in_two_folders_run_at_once(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    model_server.respond(echo)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    one, two = (desk.start(cwd=folder) for folder in folders)
    assert one.pid == two.pid
    with ThreadPoolExecutor() as pool:
        turns = list(pool.map(desk.turn, (one, two), ("one", "two")))
    assert [turn.result for turn in turns] == ["echo: one", "echo: two"]
