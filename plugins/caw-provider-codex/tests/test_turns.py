"""Turns of the real codex against a scripted model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from caw_core.events import FileChanged, RawOutput, TextDelta, ToolOutput, ToolStarted, TurnEnded
from caw_testkit.modelserver import Usage, big, call, echo, reply, text, think

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer, RecordedRequest

    from .conftest import Desk

pytestmark = pytest.mark.real_codex


def test_two_turns_share_one_conversation(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    assert desk.fold(desk.ask(session, "one")).result == "echo: one"
    assert desk.fold(desk.ask(session, "two")).result == "echo: two"
    assert model_server.requests[-1].user_texts()[-2:] == ["one", "two"]


def test_text_streams_and_ends_with_the_whole(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(text("a b c")))
    events = desk.ask(desk.start(), "go")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a ", "b ", "c"]
    assert desk.fold(events).result == "a b c"
    assert events[-1] == TurnEnded(stop_reason="end_turn")


def test_usage_of_each_turn_is_what_the_server_counted(
    desk: Desk, model_server: ModelServer
) -> None:
    first = Usage(input_tokens=100, cached_tokens=40, output_tokens=20, reasoning_tokens=7)
    model_server.script(reply(call("exec_command", {"cmd": "true"}), usage=first))
    model_server.script(reply(text("x"), usage=first), reply(text("y"), usage=first))
    session = desk.start()
    one, two = desk.fold(desk.ask(session, "one")).usage, desk.fold(desk.ask(session, "two")).usage
    assert (one.input_tokens, one.cache_read_tokens, one.output_tokens) == (120, 80, 40)
    assert (two.input_tokens, two.reasoning_tokens, two.cost_usd) == (60, 7, None)
    assert one.total_tokens + two.total_tokens == model_server.usage.total_tokens


def test_thinking_is_kept(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(think("Let me see."), text("Seen.")))
    turn = desk.fold(desk.ask(desk.start(), "go"))
    assert [block.type for block in turn.output] == ["thinking", "text"]


def test_command_has_its_output_and_exit_code(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(call("exec_command", {"cmd": "printf abc; exit 3"})))
    model_server.script(reply(text("done")))
    [use] = desk.fold(desk.ask(desk.start(), "go")).tool_calls
    assert (use.name, use.output, use.is_error) == ("command_execution", "abc", True)
    assert "printf abc" in use.arguments["command"]
    assert use.arguments["cwd"] == str(desk.home.cwd)
    assert use.content == ({"type": "exit_code", "exit_code": 3},)


def test_slow_command_streams_its_output(desk: Desk, model_server: ModelServer) -> None:
    model_server.script(reply(call("exec_command", {"cmd": "echo a; sleep 0.5; echo b"})))
    model_server.script(reply(text("done")))
    events = desk.ask(desk.start(), "go")
    assert "b\n" in [event.delta for event in events if isinstance(event, ToolOutput)]
    assert desk.fold(events).tool_calls[0].output == "a\nb\n"


def test_file_change_has_its_real_diff(desk: Desk, model_server: ModelServer) -> None:
    add = "*** Begin Patch\n*** Add File: new.txt\n+hello\n+world\n*** End Patch"
    edit = "*** Begin Patch\n*** Update File: new.txt\n@@\n-hello\n+bye\n world\n*** End Patch"
    model_server.script(reply(call("apply_patch", add)), reply(call("apply_patch", edit)))
    model_server.script(reply(text("done")))
    events = desk.ask(desk.start(), "go")
    changes = [event for event in events if isinstance(event, FileChanged)]
    path = str(desk.home.cwd / "new.txt")
    assert [(change.path, change.kind) for change in changes] == [(path, "add"), (path, "update")]
    assert changes[1].diff == "@@ -1,2 +1,2 @@\n-hello\n+bye\n world\n"
    use = desk.fold(events).tool_calls[1]
    assert (use.name, use.output) == ("file_change", changes[1].diff)
    assert (desk.home.cwd / "new.txt").read_text() == "bye\nworld\n"


def test_prompt_reaches_the_model_verbatim(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    prompt = "  /help @file $HOME \u2028 ü \U0001f600\n\ttail  "
    desk.ask(desk.start(), prompt)
    assert model_server.requests[-1].last_user_text() == prompt


def test_large_answer_is_complete(desk: Desk, model_server: ModelServer) -> None:
    answer = big(2_000_000)
    model_server.script(reply(answer))
    assert desk.fold(desk.ask(desk.start(), "go")).result == answer.text


def test_raw_lines_come_only_when_asked_for(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    plain, raw = desk.ask(desk.start(), "a"), desk.ask(desk.start(keep_raw=True), "a")
    assert not any(isinstance(event, RawOutput) for event in plain)
    lines = [event.line for event in raw if isinstance(event, RawOutput)]
    assert any('"turn/completed"' in line for line in lines)


def test_model_and_effort_reach_the_service(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    for prompt in ("", "SYSTEM"):
        session = desk.start(model="gpt-5-codex", reasoning="high", system_prompt=prompt)
        desk.ask(session, "go")
        request = model_server.requests[-1]
        assert request.model == "gpt-5-codex"
        assert request.body["reasoning"]["effort"] == "high"


def test_late_end_of_a_command_does_not_leak_into_the_next_turn(
    desk: Desk, model_server: ModelServer
) -> None:
    slow = {"cmd": "echo a; sleep 0.8; echo late", "yield_time_ms": 250}
    model_server.script(reply(call("exec_command", slow)), reply(text("one")))
    wait = {"cmd": "sleep 1.2; echo own"}
    model_server.script(reply(call("exec_command", wait)), reply(text("two")))
    session = desk.start()
    desk.ask(session, "first")
    events = desk.ask(session, "second")
    assert len([event for event in events if isinstance(event, ToolStarted)]) == 1
    [use] = desk.fold(events).tool_calls
    assert use.output == "own\n"


def test_two_sessions_share_one_process(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    one, two = desk.start(), desk.start()
    assert one.pid == two.pid
    assert desk.fold(desk.ask(two, "b")).result == "echo: b"
    pid = one.pid
    one.close()
    assert desk.fold(desk.ask(two, "c")).result == "echo: c"
    two.close()
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_other_environment_means_another_process(desk: Desk, model_server: ModelServer) -> None:
    assert desk.start().pid != desk.start(env={"OTHER": "1"}).pid


def test_usage_of_a_subagent_is_counted(desk: Desk, model_server: ModelServer) -> None:
    def is_subagent(request: RecordedRequest) -> bool:
        return any("SUBTASK" in said for said in request.user_texts())

    spawn = call("spawn_agent", {"message": "SUBTASK"}, namespace="multi_agent_v1")
    model_server.script(reply(text("sub"), usage=Usage(input_tokens=1000)), when=is_subagent)
    model_server.script(
        reply(spawn),
        reply(call("exec_command", {"cmd": "sleep 0.5"})),
        reply(text("done")),
    )
    turn = desk.fold(desk.ask(desk.start(), "go"))
    assert turn.usage.total_tokens == model_server.usage.total_tokens
    assert turn.tool_calls[0].name == "spawnAgent"
