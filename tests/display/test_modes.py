"""What each mode shows, line by line, where there is no terminal."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from caw_core import (
    Agent,
    Display,
    DisplayMode,
    UsageStats,
    get_global_display,
    set_global_display,
)
from caw_core.display import choice
from caw_core.errors import ConfigError, LimitError
from caw_core.events import (
    FileChanged,
    Notice,
    PermissionAsked,
    PermissionSettled,
    Progress,
    ProviderChanged,
    SubagentEvent,
    TextDelta,
    TextDone,
    ToolArguments,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    UsageReported,
    Waiting,
)

PROMPT = """\
!think Where am I?
!tool shell {"command": "ls -la"} => a.txt
!tool-error read {"path": "b.txt", "limit": 3} => no such file
!notice all is well
Look around"""

SCRIPT = """
import sys
from caw_core import Agent
with Agent("echo", cwd="/").start_session(session_id="s") as session:
    print(session.send(sys.argv[1]).result)
print("rich" in sys.modules, "caw_core.display.turn_view" in sys.modules)
"""

FULL = f"""\
turn 0 · echo · s · /
> {PROMPT.replace(chr(10), chr(10) + "> ")}
thinking: Where am I?
• shell
  ls -la
  a.txt
  completed · 0 s
• read
  {{
    "path": "b.txt",
    "limit": 3
  }}
  no such file
  failed · 0 s
all is well
echo: Look around
used echo-small · 27 tokens in, 6 out
turn 0 completed · echo echo-small · 0 s · 27 tokens in, 6 out
"""

SHORT = f"""\
> {" ".join(PROMPT.split())}
• shell ls -la · 0 s · a.txt
• read {{"path": "b.txt", "limit": 3}} · failed · 0 s · no such file
echo: Look around
turn 0 completed · echo echo-small · 0 s · 27 tokens in, 6 out
"""


def timeless(text: str) -> str:
    return re.sub(r"\d+\.\d s\b", "0 s", text)


def labelled(text: str, label: str = "echo s") -> str:
    return "".join(f"[{label}] {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("mode", "shown"),
    [("full", FULL), ("short", SHORT), ("result", "echo: Look around\n"), ("off", ""), ("", "")],
)
def test_piped_program_shows_lines_on_stderr_alone(
    mode: str, shown: str, environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, PROMPT],
        env={**environment, "CAW_LOG": mode, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert timeless(done.stderr) == labelled(shown)
    # Nobody pays for what is off, nor for a terminal that is not there.
    assert done.stdout == f"echo: Look around\nFalse {mode not in {'', 'off'}}\n"


class Shown:
    """A file that a display writes to."""

    def __init__(self, mode: str) -> None:
        self.file = io.StringIO()
        self.display = Display(mode, file=self.file)

    @property
    def lines(self) -> list[str]:
        """What was written, without labels, prompts and the lines about the turn itself."""
        lines = [line.partition("] ")[2] for line in timeless(self.file.getvalue()).splitlines()]
        return [line for line in lines if not re.match(r"turn \d|> ", line)]


def test_text_is_shown_once_however_it_comes(stage: Any) -> None:
    def answer(_: Any, __: str) -> Iterator[Any]:
        yield TextDelta(text="pie", block_id="a")
        yield Notice(message="between", level="warning")
        yield TextDelta(text="ces\nand ", block_id="a")
        yield TextDone(text="pieces\nand all", block_id="a")
        yield TextDone(text="whole")
        yield TextDelta(text="wrong")
        yield TextDone(text="right")
        yield TextDelta(text="no end")

    shown = Shown("short")
    with stage.agent(answer, display=shown.display).start_session() as session:
        session.send("go")
    lines = ["pie", "between", "ces", "and all", "whole", "wrong", "right", "no end"]
    assert shown.lines == lines


def test_tool_whose_arguments_and_output_come_in_pieces_is_shown_whole(stage: Any) -> None:
    def answer(_: Any, __: str) -> Iterator[Any]:
        yield ToolStarted(call_id="1", name="shell")
        yield ToolArguments(call_id="1", delta='{"comm')
        yield ToolArguments(call_id="1", delta='and": "ls"}')
        yield ToolOutput(call_id="1", delta="a\n")
        yield ToolOutput(call_id="1", delta="b\n")
        yield ToolFinished(call_id="1", duration_ms=1500)
        yield ToolStarted(call_id="2", name="sleep")

    shown = Shown("full")
    with stage.agent(answer, display=shown.display).start_session() as session:
        session.send("go")
    assert shown.lines == [
        *("• shell", "  ls", "  a", "  b", "  completed · 0 s"),
        "• sleep · no result",
    ]


def test_full_tells_of_requests_changes_limits_and_cost(stage: Any) -> None:
    def answer(_: Any, __: str) -> Iterator[Any]:
        yield PermissionAsked(request_id="1", tool="shell", arguments={"command": "rm x"})
        yield PermissionSettled(request_id="1", allowed=False, reason="not here")
        yield FileChanged(path="a.py", kind="update", diff="-old\n+new\n")
        yield Progress(label="weights", done=50, total=100)
        yield Waiting(reason="the plan is used up", seconds=1, until="soon")
        yield ProviderChanged(from_provider="a", to_provider="b", cause="limited")
        usage = UsageStats(input_tokens=1000, output_tokens=5, cost_usd=0.25)
        yield UsageReported(usage=usage, model="m-1")

    shown = Shown("full")
    with stage.agent(answer, display=shown.display).start_session() as session:
        session.send("go")
    assert shown.lines == [
        "• asks for shell rm x",
        "  not permitted: not here",
        "• update a.py",
        *("  -old", "  +new"),
        "weights 50 %",
        "waits until soon: the plan is used up",
        "goes on with b in place of a: limited",
        "used m-1 · 1,000 tokens in, 5 out · $0.2500",
    ]


def test_subagent_is_shown_under_a_label_of_its_own(stage: Any) -> None:
    def answer(_: Any, __: str) -> Iterator[Any]:
        inner = [
            ToolStarted(call_id="1", name="read", arguments={"path": "a.py"}),
            ToolFinished(call_id="1", output="x"),
            TextDone(text="looks good"),
            TurnEnded(),
        ]
        for event in inner:
            yield SubagentEvent(name="reviewer", session_id="child", event=event)
        yield TextDone(text="done")

    shown = Shown("short")
    with stage.agent(answer, display=shown.display).start_session(session_id="s") as session:
        session.send("go")
    assert timeless(shown.file.getvalue()).splitlines()[1:-1] == [
        "[played s/reviewer] • read a.py · 0 s · x",
        "[played s/reviewer] looks good",
        "[played s] done",
    ]


def test_failed_turn_says_why_in_every_mode(stage: Any) -> None:
    def answer(_: Any, __: str) -> Iterator[Any]:
        yield TextDelta(text="begun")
        raise LimitError("the plan is used up", kind="usage")

    for mode in ("full", "short", "result"):
        shown = Shown(mode)
        agent = stage.agent(answer, display=shown.display, auto_wait=False)
        with agent.start_session() as session, pytest.raises(LimitError):
            session.send("go")
        assert shown.lines[-1] == "LimitError: the plan is used up"


def test_secrets_are_not_shown_even_where_they_come_in_pieces(stage: Any) -> None:
    secret = "s3cr3t-of-the-service"

    def answer(_: Any, __: str) -> Iterator[Any]:
        for character in f"the key is {secret}.":
            yield TextDelta(text=character)
        yield ToolStarted(call_id="1", name="shell", arguments={"command": f"curl {secret}"})

    shown = Shown("full")
    agent = stage.agent(answer, display=shown.display, env={"SERVICE_TOKEN": secret})
    with agent.start_session() as session:
        session.send(f"use {secret}")
    assert secret not in shown.file.getvalue()
    assert "the key is [redacted]." in shown.lines


def test_file_of_another_encoding_gets_what_it_can_hold(stage: Any) -> None:
    def answer(_: Any, __: str) -> Iterator[Any]:
        yield TextDone(text="grün \ud800")
        yield ToolStarted(call_id="1", name="shell")

    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    with stage.agent(answer, display=Display(file=file)).start_session() as session:
        session.send("go")
    assert b"gr\\xfcn \\ud800\n" in raw.getvalue()
    assert b"* shell - no result\n" in raw.getvalue()


@pytest.fixture
def no_global_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_set", [])
    monkeypatch.delenv("CAW_LOG", raising=False)


@pytest.mark.usefixtures("no_global_display")
def test_agents_display_wins_over_the_process_and_that_over_the_variable(
    stage: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(**options: Any) -> str:
        stage.agent(**options).completion("you")
        return capsys.readouterr().err

    assert shown() == ""
    monkeypatch.setenv("CAW_LOG", "result")
    assert "hello you" in shown()
    assert shown(display="off") == ""
    set_global_display(None)
    assert get_global_display() is None
    assert shown() == ""
    set_global_display(DisplayMode.SHORT)
    assert "> you" in shown()
    assert "> you" not in shown(display=DisplayMode.RESULT)


@pytest.mark.usefixtures("no_global_display")
def test_unknown_mode_names_the_known_ones_before_anything_is_started(
    stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = "is one of full, short, result, off, not 'fulll'"
    with pytest.raises(ConfigError, match=f"^display {known}"):
        Agent("echo", display="fulll")
    with pytest.raises(ConfigError, match="with begin, show and end, not int"):
        Agent("echo", display=3)  # type: ignore[arg-type]  # what is tested
    agent = stage.agent()
    monkeypatch.setenv("CAW_LOG", "fulll")
    with pytest.raises(ConfigError, match=f"^CAW_LOG {known}"):
        agent.start_session()
    assert stage.provider.sessions == []
