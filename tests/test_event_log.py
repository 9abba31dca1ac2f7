"""A line per event for loggers, and records with fields for `logging`."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from caw_core import Agent, UsageStats
from caw_core.errors import ConfigError, LimitError
from caw_core.event_log import LONGEST
from caw_core.events import (
    Event,
    Notice,
    Retrying,
    SubagentEvent,
    TextDelta,
    ThinkingDone,
    ToolFinished,
    ToolStarted,
    UsageReported,
)

PRIVATE = "what was said"


class Lines:
    """A logger of the user's own."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, message: str) -> None:
        self.lines.append(("info", message))

    def warn(self, message: str) -> None:
        self.lines.append(("warn", message))

    def error(self, message: str) -> None:
        self.lines.append(("error", message))


def work(_: Any, text: str) -> Iterator[Event]:
    """Do a bit of everything."""
    yield ThinkingDone(text=PRIVATE)
    yield ToolStarted(call_id="1", name="shell", arguments={"command": PRIVATE})
    yield ToolFinished(call_id="1", output=f"{PRIVATE}\nand more", duration_ms=7)
    yield Retrying(reason="the service was busy", attempt=2)
    yield TextDelta(text=f"{PRIVATE} ")
    yield TextDelta(text="twice\x1b[31m\n" + "x" * 1000)
    usage = UsageStats(input_tokens=3, output_tokens=4, cost_usd=0.5, cost_source="reported")
    yield UsageReported(usage=usage, model="m-1")
    if text == "fail":
        raise LimitError("used up", kind="usage")


def test_logger_gets_a_line_per_event_each_bounded_and_on_one_line(stage: Any) -> None:
    logger = Lines()
    agent = stage.agent(work, logger=logger, auto_wait=False)
    with agent.start_session(session_id="s") as session:
        session.send("go\non")
        with pytest.raises(LimitError):
            session.send("fail")
    levels = [level for level, _ in logger.lines]
    lines = [line.removeprefix("[played s] ") for _, line in logger.lines]
    assert lines[:5] == [
        "user go on",
        f"thinking {PRIVATE}",
        f'tool_call shell {{"command": "{PRIVATE}"}}',
        f"tool_result shell completed duration=7ms → {PRIVATE} and more",
        "retrying the service was busy",
    ]
    assert lines[5].startswith(f"assistant {PRIVATE} twice\N{REPLACEMENT CHARACTER}[31m xxx")
    assert lines[6].startswith("turn_end status=completed duration=")
    assert lines[6].endswith("ms tokens=3in/4out cost=$0.5000")
    assert lines[-1].endswith("LimitError: used up")
    one_turn = [*["info"] * 4, "warn", "info"]
    assert levels == [*one_turn, "info", *one_turn, "error"]
    assert not [line for line in lines if "\n" in line or len(line) > 2 * LONGEST]


def test_logger_of_logging_gets_the_fields(stage: Any, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("my.agents")
    session = stage.agent(work, logger=logger).start_session(session_id="s")
    with caplog.at_level("INFO", "my.agents"), session:
        session.send("go")
    fields = {vars(record)["event"]: vars(record) for record in caplog.records}
    assert {record.name for record in caplog.records} == {"my.agents"}
    assert {"tool": "shell", "duration_ms": 7}.items() <= fields["tool_result"].items()
    assert fields["turn_end"]["cost_usd"] == 0.5


def test_records_of_level_info_tell_facts_and_not_what_was_said(
    stage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level("INFO", "caw"),
        stage.agent(work).start_session(session_id="s") as session,
    ):
        session.send(PRIVATE)
    records = [record for record in caplog.records if record.name == "caw.events"]
    events = ["user", "tool_call", "tool_result", "retrying", "turn_end"]
    assert [record.event for record in records] == events  # type: ignore[attr-defined]
    assert PRIVATE not in str([vars(record) for record in records])
    assert {(r.session_id, r.provider, r.turn) for r in records} == {("s", "played", 0)}  # type: ignore[attr-defined]
    end = vars(records[-1])
    wanted = {"status": "completed", "input_tokens": 3, "output_tokens": 4, "model": "m-1"}
    assert wanted.items() <= end.items()


def test_records_of_level_debug_have_the_text(stage: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "caw.events"):
        stage.agent(work).completion("go")
    texts = {record.event: getattr(record, "text", "") for record in caplog.records}  # type: ignore[attr-defined]
    assert texts["thinking"] == PRIVATE
    assert texts["tool_result"] == f"{PRIVATE}\nand more"
    assert "usage" in texts


def test_every_record_of_a_turns_thread_says_which_turn_it_is_about(
    stage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(_: Any, __: str) -> Iterator[Event]:
        logging.getLogger("caw.played").warning("the provider says something")
        yield Notice(message="x")

    with stage.agent(answer).start_session(session_id="s") as session:
        session.send("one")
        session.send("two")
    records = [record for record in caplog.records if record.name == "caw.played"]
    assert [(r.session_id, r.turn) for r in records] == [("s", 0), ("s", 1)]  # type: ignore[attr-defined]


def test_subagents_events_are_lines_that_name_it(stage: Any) -> None:
    def answer(_: Any, __: str) -> Iterator[Event]:
        inner = ToolStarted(call_id="1", name="read", arguments={"path": "a.py"})
        done = ToolFinished(call_id="1", name="read", output="x", duration_ms=1)
        yield SubagentEvent(name="reviewer", session_id="child", event=inner)
        yield SubagentEvent(name="reviewer", session_id="child", event=done)

    logger = Lines()
    with stage.agent(answer, logger=logger).start_session(session_id="s") as session:
        session.send("go")
    assert [line for _, line in logger.lines if "subagent" in line] == [
        '[played s] subagent reviewer tool_call read {"path": "a.py"}',
        "[played s] subagent reviewer tool_result read completed duration=1ms → x",
    ]


def test_logger_that_lacks_a_method_is_refused() -> None:
    with pytest.raises(ConfigError, match="the methods info, warn"):
        Agent("echo", logger=object())  # type: ignore[arg-type]  # what is tested


def test_nothing_is_printed_where_nobody_configured_logging() -> None:
    code = "from caw_core import Agent; Agent('echo').completion('!fail rate')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert "caw.events" not in done.stderr
    assert done.stderr.startswith("Traceback")
