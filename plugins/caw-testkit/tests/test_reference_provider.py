"""A provider of a program that keeps every rule; those in ``broken_providers.py`` break one."""

from __future__ import annotations

import json
import os
import queue
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from caw_core import hookimpl
from caw_core.deadlines import Deadlines
from caw_core.errors import (
    NotResumableError,
    ProcessError,
    ProviderError,
    SessionStateError,
)
from caw_core.events import (
    Event,
    FileChanged,
    Notice,
    PlanUpdated,
    TextDelta,
    TextDone,
    ThinkingDone,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    UsageReported,
    VendorEvent,
)
from caw_core.interactive import InteractiveRequest, InteractiveResult
from caw_core.permissions import Decision, PermissionRequest
from caw_core.process import Process, child_environment
from caw_core.provider import NATIVE, ProviderInfo, ResumeRequest, StartRequest
from caw_core.terminal.handover import hand_over
from caw_core.trajectory import PlanEntry
from caw_core.usage import UsageStats
from caw_testkit.conformance import ProviderConformance, ProviderScript

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from caw_core.provider import Prompt
    from caw_core.trajectory import Trajectory

PROGRAM = Path(__file__).with_name("reference_agent.py")
STORE = "REFERENCE_STORE"

Item = bytes | ProcessError | None


class ReferenceSession:
    """One conversation with one process; each broken session is a subclass."""

    def __init__(self, request: StartRequest, key: str | None = None) -> None:
        self.request = request
        self.key = key or uuid.uuid4().hex
        self.resume_key: str | None = key
        self.turn = 0
        self.running = False
        self.closed = False
        self.items: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.process: Process | None = None
        self.start(resume=key is not None)

    def start(self, *, resume: bool) -> None:
        env = child_environment(self.request.env)
        program = [self.request.options.get("binary", "missing"), env[STORE], self.key]
        self.process = self.launch([*program, "--resume"] if resume else program, env)
        first = self.items.get()
        if not isinstance(first, bytes):
            raise NotResumableError(f"there is no conversation {self.key}") from first

    def launch(self, argv: list[str], env: dict[str, str]) -> Process:
        items = self.items

        def on_exit(process: Process) -> None:
            # There, and not where the next process is read by then.
            items.put(process.exit_error("the program ended"))

        return Process(
            argv,
            cwd=self.request.cwd,
            env=env,
            on_line=self.take,
            on_exit=on_exit,
            name="reference",
        )

    def take(self, line: bytes) -> None:
        if line.startswith(b'{"type": "own"'):
            self.begin_turn(json.loads(line)["text"])
        else:
            self.items.put(line)

    def begin_turn(self, text: str) -> None:
        self.request.agent_turns.begin(iter([TextDone(text=text)]), cause="a timer")

    def send(self, **message: Any) -> None:
        assert self.process is not None
        self.process.write(json.dumps(message).encode() + b"\n")

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        if self.closed:
            raise SessionStateError("the session is closed")
        assert self.process is not None
        if not self.process.running:
            self.items = queue.SimpleQueue()
            self.start(resume=True)
            yield Notice(message="the program was started again", level="warning")
        self.turn += 1
        self.resume_key = self.key
        self.running = True
        try:
            self.send(type="prompt", turn=self.turn, text=prompt.text)
            yield from self.follow()
        finally:
            self.running = False

    def follow(self) -> Iterator[Event]:
        while True:
            item = self.items.get()
            if item is None:
                raise SessionStateError("the session was closed")
            if isinstance(item, ProcessError):
                raise item
            for event in self.decode(item):
                yield event
                if isinstance(event, TurnEnded):
                    return

    def decode(self, line: bytes) -> list[Event]:
        try:
            message = json.loads(line.decode(errors="replace"))
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            return [VendorEvent(kind="unreadable", raw=line.decode(errors="replace"))]
        if message.get("turn") not in (None, self.turn):
            return []
        return self.events_of(message)

    def events_of(  # noqa: C901, PLR0911 - a flat table
        self, message: Mapping[str, Any]
    ) -> list[Event]:
        block = f"text-{self.turn}"
        match message.get("type"):
            case "delta":
                return [TextDelta(text=message["text"], block_id=block)]
            case "text":
                return [TextDone(text=message["text"], block_id=block)]
            case "thought":
                return [ThinkingDone(text=message["text"])]
            case "tool":
                return [ToolStarted(call_id=message["id"], name="tool")]
            case "result":
                declined = bool(message.get("declined"))
                return [
                    ToolFinished(
                        call_id=message["id"],
                        output=message["output"],
                        status="declined" if declined else "completed",
                    )
                ]
            case "output":
                return [ToolOutput(call_id=message["id"], delta=message["text"])]
            case "plan":
                entries = tuple(PlanEntry(text=step) for step in message["steps"])
                return [PlanUpdated(entries=entries)]
            case "file":
                return [FileChanged(path=message["path"], kind="add", diff=message["diff"])]
            case "usage":
                return [self.usage_of(message)]
            case "ask":
                self.ask(message)
                return []
            case "end":
                return self.end_of(message)
        return [VendorEvent(kind=str(message.get("type")), raw=dict(message))]

    def usage_of(self, message: Mapping[str, Any]) -> Event:
        usage = UsageStats(input_tokens=message["input"], output_tokens=message["output"])
        return UsageReported(usage=usage)

    def ask(self, message: Mapping[str, Any]) -> None:
        if self.request.permissions == "full":
            self.send(type="answer", allowed=True)
            return

        def settle(decision: Decision) -> None:
            self.send(type="answer", allowed=decision.allowed)

        request = PermissionRequest(request_id=message["id"], tool="tool", call_id=message["call"])
        self.request.permission_desk.ask(request, settle)

    def end_of(self, message: Mapping[str, Any]) -> list[Event]:
        if message["status"] == "failed":
            raise ProviderError(message["message"])
        cancelled = message["status"] == "cancelled"
        return [TurnEnded(stop_reason="cancelled" if cancelled else "end_turn")]

    def interrupt(self) -> None:
        if self.running:
            self.send(type="cancel", turn=self.turn)

    def steer(self, prompt: Prompt) -> bool:
        if not self.running:
            return False
        self.send(type="steer", text=prompt.text)
        return True

    def close(self) -> None:
        self.closed = True
        self.items.put(None)
        if self.process is not None:
            self.process.stop(self.request.deadlines.stop)


class Reference:
    """The provider; each broken provider is a subclass."""

    caw_api = "1.0"
    session: ClassVar[type[ReferenceSession]] = ReferenceSession
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            "agent_turns",
            "file_changes",
            "interactive",
            "interrupt",
            "permissions",
            "plans",
            "restart",
            "resume",
            "steer",
            "streaming",
            "thinking",
            "tool_output",
            "tools",
            "usage",
        }
    )

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        return ProviderInfo(
            name="reference",
            description="keeps every rule",
            capabilities=self.capabilities,
            options={"env": NATIVE, "cwd": NATIVE, "permissions": NATIVE},
            extra_options={"binary": "the program"},
            auto="never",
        )

    @hookimpl
    def start_session(self, request: StartRequest) -> ReferenceSession:
        return self.session(request)

    @hookimpl
    def resume_session(self, request: ResumeRequest) -> ReferenceSession:
        return self.session(request, request.resume_key)

    @hookimpl
    def resume_key_from_trajectory(self, trajectory: Trajectory) -> str | None:
        return trajectory.resume_key

    @hookimpl
    def start_interactive(self, request: InteractiveRequest) -> InteractiveResult:
        env = child_environment(request.env)
        key = request.resume_key or uuid.uuid4().hex
        argv = [request.options["binary"], env[STORE], key, "--interface"]
        done = hand_over(request, argv, env=env, stdin=request.prompt)
        return InteractiveResult(exit_code=done.exit_code, output=done.output, resume_key=key)


class ReferenceScript(ProviderScript):
    """The program does what the prompt says."""

    def answer(self, text: str) -> str:
        return f"say {text}"

    def recall(self) -> str:
        return "recall"

    def think(self, thought: str) -> str:
        return f"think {thought}"

    def call_tool(self, output: str, call_id: str) -> str:
        return f"tool {call_id} {output}"

    def run_command(self, command: str) -> str:
        return f"shell {command}"

    def ask_permission(self) -> str:
        return "ask"

    def fail(self) -> str:
        return "fail"

    def stall(self, text: str) -> str:
        return f"stall {text}"

    def plan(self, step: str) -> str:
        return f"plan {step}"

    def change_file(self, name: str, content: str) -> str:
        return f"write {name} {content}"

    def begin_turn(self, text: str) -> str:
        return f"later {text}"


class TestReference(ProviderConformance):
    provider = Reference
    deadlines = Deadlines(start=60, first_event=60, idle=60, turn=90, stop=15)

    @pytest.fixture
    def script(self) -> ReferenceScript:
        return ReferenceScript()

    @pytest.fixture
    def real_program(self, tmp_path: Path) -> Path:
        program = tmp_path / "agent"
        program.write_text(f"#!{sys.executable} -IS\n{PROGRAM.read_text()}")
        program.chmod(0o755)
        return program

    @pytest.fixture
    def agent_options(self, tmp_path: Path, real_program: Path) -> dict[str, Any]:
        store = tmp_path / "store"
        store.mkdir()
        return {
            "deadlines": self.deadlines,
            "env": {STORE: os.fspath(store)},
            "options": {"binary": os.fspath(real_program)},
        }
