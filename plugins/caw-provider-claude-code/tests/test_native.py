"""Conversations in claude's own store, read and continued."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core import Agent
from caw_core.blocks import SteerBlock
from caw_core.errors import NotResumableError
from caw_core.provider import NativeSession, Prompt
from caw_provider_claude_code.native import native_sessions, read_native
from caw_testkit.modelserver import Usage, call, echo, reply, text, think

from .conftest import ask, pid_in

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.trajectory import Turn
    from caw_testkit.homes import ProgramHome
    from caw_testkit.modelserver import ModelServer, RecordedRequest
    from caw_testkit.programs import Program

    from .conftest import Desk

pytestmark = pytest.mark.real_claude


def run_in_terminal(program: Path, home: ProgramHome, *args: str, until: str) -> None:
    """Run claude's own user interface until something stands in its transcript."""
    store = home.path / ".claude" / "projects"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(home.cwd)
        os.execve(program, [str(program), *args], home.env)  # noqa: S606 - the child of a fork
    end = time.monotonic() + 30
    try:
        while not any(until in file.read_text() for file in store.glob("*/*.jsonl")):
            assert time.monotonic() < end
            # What it draws must be read, or it would wait for that.
            if select.select([terminal], [], [], 0.2)[0]:
                os.read(terminal, 65536)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def found(desk: Desk) -> list[NativeSession]:
    return native_sessions(desk.home.cwd, desk.home.env)


def history(desk: Desk) -> tuple[Turn, ...]:
    [native] = found(desk)
    return read_native(native).turns


def test_conversation_of_the_user_interface_is_found_and_goes_on(
    claude_program: Program, claude_home: ProgramHome, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.script(
        reply(think("hm"), call("Bash", {"command": "echo hi"})), reply(text("answer-one"))
    )
    run_in_terminal(
        claude_program.path,
        claude_home,
        "--allowedTools=Bash",
        "TYPED",
        until="answer-one",
    )
    agent = Agent(
        "claude_code",
        cwd=claude_home.cwd,
        env={**dict.fromkeys(os.environ), **claude_home.env},
        options={"binary": str(claude_program.path)},
        permissions="full",
        data_dir=tmp_path / "records",
    )
    [native] = agent.find_sessions()
    # Its user interface gives a title sooner or later.
    assert native.title in ("TYPED", "A title")
    model_server.respond(echo)
    with agent.resume_session(native) as session:
        first = session.trajectory.turns[0]
        assert session.send("more").result == "echo: more"
    assert (first.input, first.result) == ("TYPED", "answer-one")
    assert [block.type for block in first.output] == ["thinking", "tool_use", "text"]
    assert (first.tool_calls[0].name, first.tool_calls[0].output) == ("Bash", "hi")
    assert model_server.requests[-1].user_texts()[-2:] == ["TYPED", "more"]


def test_history_holds_what_the_turns_held(desk: Desk, model_server: ModelServer) -> None:
    counted = Usage(input_tokens=100, cached_tokens=40, output_tokens=20)
    both = [call("Bash", {"command": f"sleep {seconds}; echo {seconds}"}) for seconds in (0.4, 0)]
    model_server.script(
        reply(think("hm"), *both, usage=counted),
        reply(text("one"), usage=counted),
        reply(call("Bash", {"command": "echo bad; exit 3"}), usage=counted),
        reply(text("two"), usage=counted),
    )
    session = desk.start()
    ask(session, "first")
    ask(session, "second")
    session.close()
    first, second = history(desk)
    assert [(turn.input, turn.result) for turn in (first, second)] == [
        ("first", "one"),
        ("second", "two"),
    ]
    assert [use.output for use in first.tool_calls] == ["0.4", "0"]
    assert [use.status for use in second.tool_calls] == ["failed"]
    assert first.usage.total_tokens == second.usage.total_tokens == 240
    assert (first.usage.cost_usd, first.usage.cache_read_tokens) == (None, 80)
    assert first.started_at < second.started_at
    assert first.duration_ms >= 400


def test_history_leaves_subagents_out_and_keeps_interrupts_and_steers(
    desk: Desk, model_server: ModelServer
) -> None:
    import threading

    def is_sub(request: RecordedRequest) -> bool:
        return any("SUB" in said for said in request.user_texts())

    model_server.script(reply(text("sub answer")), when=is_sub)
    task = {"description": "d", "prompt": "SUB", "subagent_type": "general-purpose"}
    wait = {"command": "echo $$ > pid; while ! test -e go; do sleep 0.05; done"}
    model_server.script(reply(call("Agent", task)), reply(call("Bash", wait)), reply(text("main")))
    model_server.script(reply(call("Bash", {"command": "echo $$ > pid2; sleep 1000"})))
    session = desk.start()
    first = threading.Thread(target=ask, args=(session, "MAIN"))
    first.start()
    pid_in(desk.home.cwd / "pid")
    assert session.steer(Prompt(text="and this"))
    (desk.home.cwd / "go").touch()
    first.join(20)
    assert not first.is_alive()
    second = threading.Thread(target=ask, args=(session, "SECOND"))
    second.start()
    pid_in(desk.home.cwd / "pid2")
    session.interrupt()
    second.join(20)
    session.close()
    one, two = history(desk)
    assert [use.name for use in one.tool_calls] == ["Agent", "Bash"]
    assert "sub answer" not in one.text
    assert [block.text for block in one.output if isinstance(block, SteerBlock)] == ["and this"]
    assert (one.status, two.status, two.input) == ("completed", "interrupted", "SECOND")


def test_newest_conversation_comes_first_with_its_title(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    for words in ("about apples\nand pears", "about bread"):
        session = desk.start()
        ask(session, words)
        if "bread" in words:
            session._running().call({"subtype": "rename_session", "title": "Baking"}, timeout=20)
        session.close()
    sessions = found(desk)
    assert [native.title for native in sessions] == ["Baking", "about apples and pears"]
    assert sessions[0].updated_at > sessions[1].updated_at


def test_conversations_of_other_folders_are_left_out(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    for name in ("a-b", "a_b"):
        (desk.home.cwd / name).mkdir()
        session = desk.start(cwd=desk.home.cwd / name)
        ask(session, name)
        session.close()
    [native] = native_sessions(desk.home.cwd / "a_b", desk.home.env)
    assert native.title == "a_b"
    assert found(desk) == []


def test_folder_with_a_long_name_and_a_store_elsewhere_are_found(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.respond(echo)
    deep = desk.home.cwd / ("x" * 120) / ("y" * 120)
    deep.mkdir(parents=True)
    store = {"CLAUDE_CONFIG_DIR": str(tmp_path / "store")}
    session = desk.start(cwd=deep, env=store)
    ask(session, "deep")
    session.close()
    [native] = native_sessions(deep, {**desk.home.env, **store})
    assert read_native(native).turns[0].result == "echo: deep"


@pytest.mark.parametrize(
    ("titles", "shown"),
    [
        ([{"type": "ai-title", "aiTitle": "guessed"}], "guessed"),
        (
            [
                {"type": "custom-title", "customTitle": "given"},
                {"type": "ai-title", "aiTitle": "guessed"},
            ],
            "given",
        ),
        ([{"type": "summary", "summary": "summed up"}], "summed up"),
        ([], f"{'long ' * 15}long…"),
    ],
)
def test_title_is_the_best_that_there_is(
    tmp_path: Path, titles: list[dict[str, str]], shown: str
) -> None:
    folder = tmp_path / "projects" / re.sub(r"[^a-zA-Z0-9]", "-", str(tmp_path.resolve()))
    folder.mkdir(parents=True)
    prompt = {"type": "user", "uuid": "u", "message": {"content": "long " * 100}}
    lines = "\n".join(json.dumps(line) for line in [prompt, *titles])
    (folder / "6c5c1d0e-0000-4000-8000-000000000000.jsonl").write_text(lines)
    [native] = native_sessions(tmp_path, {"CLAUDE_CONFIG_DIR": str(tmp_path)})
    assert native.title == shown


def test_broken_lines_are_left_out_and_a_circle_ends(tmp_path: Path) -> None:
    def line(own: str, parent: str, kind: str, content: Any) -> str:
        message = {"id": own, "model": "m", "content": content}
        return json.dumps({"type": kind, "uuid": own, "parentUuid": parent, "message": message})

    file = tmp_path / "c.jsonl"
    answer = [{"type": "text", "text": "fine"}, 7, {"type": "odd"}]
    file.write_text(
        "\n".join(
            ["[1]", line("a", "b", "user", "hello"), line("b", "a", "assistant", answer), '{"un']
        )
    )
    key = "6c5c1d0e-0000-4000-8000-000000000000"
    native = NativeSession(provider="claude_code", resume_key=key, path=str(file))
    [turn] = read_native(native).turns
    assert (turn.input, turn.result, turn.duration_ms) == ("hello", "fine", 0)
    with pytest.raises(NotResumableError):
        read_native(attrs.evolve(native, path=str(tmp_path / "gone")))
    with pytest.raises(NotResumableError):
        read_native(attrs.evolve(native, resume_key="../x"))


def test_answer_that_stands_above_its_prompt_is_the_prompts(tmp_path: Path) -> None:
    def line(own: str, parent: str | None, kind: str, content: Any) -> str:
        message = {"id": own, "model": "m", "content": content}
        return json.dumps({"type": kind, "uuid": own, "parentUuid": parent, "message": message})

    def said(words: str) -> list[dict[str, str]]:
        return [{"type": "text", "text": words}]

    file = tmp_path / "c.jsonl"
    lines = [
        line("b", "a", "assistant", said("one")),
        line("a", None, "user", "first"),
        line("d", "c", "assistant", said("two")),
        line("c", "b", "user", "second"),
    ]
    file.write_text("\n".join(lines))
    key = "6c5c1d0e-0000-4000-8000-000000000000"
    turns = read_native(NativeSession(provider="claude_code", resume_key=key, path=str(file))).turns
    assert [(turn.input, turn.result) for turn in turns] == [("first", "one"), ("second", "two")]
