"""What is written into a cassette, and what is not."""

from __future__ import annotations

import json
import queue
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caw_core import PluginRegistry, allow, hookimpl
from caw_core.errors import ProcessError
from caw_core.events import Event, TextDone, TurnEnded, VendorEvent
from caw_core.permissions import Decision, PermissionRequest
from caw_core.process import Process, child_environment
from caw_core.provider import NATIVE, ProviderInfo, Readiness
from caw_testkit.cassettes import CassetteError, read_cassette, record_cassette
from caw_testkit.cassettes.check import check_cassette

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from caw_core.provider import Prompt, StartRequest

PROGRAM = """\
import json, os, sys

def say(kind, **facts):
    print(json.dumps({"type": kind, **facts}), flush=True)

for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "prompt":
        print("to stderr: " + os.environ["WIRE_TOKEN"], file=sys.stderr, flush=True)
        say("seen", headers={"Authorization": "Bearer abcdefgh12345678"}, apiKey="found-in-a-file")
        say("text", text="found-in-a-file and " + os.environ["WIRE_TOKEN"] + " in " + os.getcwd())
        say("ask", id="1")
    else:
        say("end")
"""


class WireSession:
    """One process; a prompt, a request for permission, its answer."""

    resume_key = "a-conversation"

    def __init__(self, request: StartRequest) -> None:
        self._request = request
        self._lines: queue.SimpleQueue[bytes | ProcessError] = queue.SimpleQueue()
        self._process = Process(
            [request.options["binary"]],
            cwd=request.cwd,
            env=child_environment(request.env),
            on_line=self._lines.put,
            on_exit=lambda process: self._lines.put(process.exit_error("it ended")),
        )

    def _send(self, kind: str, **facts: Any) -> None:
        self._process.write(json.dumps({"type": kind, **facts}).encode() + b"\n")

    def prompt(self, prompt: Prompt) -> Iterator[Event]:
        self._send("prompt", text=prompt.text)
        while True:
            line = self._lines.get()
            if isinstance(line, ProcessError):
                raise line
            message = json.loads(line)
            match message["type"]:
                case "text":
                    yield TextDone(text=message["text"])
                case "ask":
                    asked = PermissionRequest(request_id=message["id"], tool="look")
                    self._request.permission_desk.ask(asked, self._answer)
                case "end":
                    yield TurnEnded()
                    return
                case kind:
                    yield VendorEvent(kind=kind, raw=message)

    def _answer(self, decision: Decision) -> None:
        self._send("answer", decision=decision.allowed)

    def interrupt(self) -> None: ...

    def close(self) -> None:
        self._process.stop(10)


class Wire:
    """A provider of that program."""

    caw_api = "1.0"

    @hookimpl
    def provider_info(self) -> ProviderInfo:
        options = {"env": NATIVE, "cwd": NATIVE, "permissions": NATIVE}
        return ProviderInfo(
            name="wire", options=options, extra_options={"binary": "b", "api_key": "k"}
        )

    @hookimpl
    def start_session(self, request: StartRequest) -> WireSession:
        return WireSession(request)

    @hookimpl
    def check_ready(self, options: Mapping[str, Any]) -> Readiness:
        return Readiness(ready=True, program_path=options.get("binary", ""), version="3.2.1")


@pytest.fixture
def registry() -> PluginRegistry:
    registry = PluginRegistry(autoload=False)
    registry.register_provider("wire", Wire())
    return registry


@pytest.fixture
def settings(tmp_path: Path, registry: PluginRegistry) -> dict[str, Any]:
    program = tmp_path / "agent"
    program.write_text(f"#!{sys.executable} -IS\n{PROGRAM}")
    program.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    return {
        "registry": registry,
        "cwd": work,
        "env": {"WIRE_TOKEN": "from-the-environment", "HOME": str(tmp_path / "home")},
        "options": {"binary": str(program), "api_key": "given-as-an-option"},
        "permissions": "ask",
        "on_permission": lambda _: allow(),
    }


@pytest.fixture
def recorded(tmp_path: Path, settings: dict[str, Any]) -> Path:
    path = tmp_path / "one.jsonl"
    with record_cassette(path, "wire", **settings) as agent, agent.start_session() as session:
        session.send(f"Look at {settings['cwd']}, from-the-environment")
    return path


def test_header_says_what_was_recorded(recorded: Path) -> None:
    header = read_cassette(recorded).header
    assert (header.provider, header.program, header.program_version) == ("wire", "agent", "3.2.1")
    assert header.settings["permissions"] == "ask"
    assert header.settings["attended"] is True


def test_both_directions_and_what_the_caller_did_are_there_in_order(recorded: Path) -> None:
    # When a program starts, and what it complains of, is in no order with the rest.
    loose = {"start", "stderr"}
    kinds = [frame.kind for frame in read_cassette(recorded).frames if frame.kind not in loose]
    talk = ["client", "agent", "agent", "agent", "decision", "client", "agent", "turn"]
    assert kinds == ["open", "prompt", *talk, "eof", "end"]


@pytest.mark.parametrize(
    "secret",
    ["from-the-environment", "abcdefgh12345678", "found-in-a-file", "given-as-an-option"],
)
def test_no_secret_reaches_the_file(recorded: Path, secret: str) -> None:
    assert secret not in recorded.read_text()


def test_folders_of_the_machine_are_named_by_placeholders(recorded: Path, tmp_path: Path) -> None:
    text = recorded.read_text()
    assert str(tmp_path) not in text
    assert "{{cwd}}" in text


def test_file_is_for_its_owner_alone(recorded: Path) -> None:
    assert stat.S_IMODE(recorded.stat().st_mode) == 0o600


def test_recorded_cassette_is_understood(recorded: Path, registry: PluginRegistry) -> None:
    assert check_cassette(read_cassette(recorded), registry).ok


def test_block_that_raises_leaves_the_old_cassette(
    recorded: Path, settings: dict[str, Any]
) -> None:
    before = recorded.read_text()

    def fail() -> None:
        with record_cassette(recorded, "wire", **settings) as agent:
            agent.start_session().end()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert recorded.read_text() == before
    assert [path.name for path in recorded.parent.glob(".*")] == []


def test_second_conversation_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with record_cassette(tmp_path / "two.jsonl", "wire", **settings) as agent:
        agent.start_session().end()
        with pytest.raises(CassetteError, match="one conversation"):
            agent.start_session()


def test_provider_without_a_program_cannot_be_recorded(
    tmp_path: Path, registry: PluginRegistry
) -> None:
    with (
        pytest.raises(CassetteError, match="no program"),
        record_cassette(tmp_path / "none.jsonl", "wire", registry=registry),
    ):
        pass


def test_what_is_left_out_is_passed_on_all_the_same(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    path = tmp_path / "less.jsonl"
    with (
        record_cassette(path, "wire", leave_out=[b'"seen"'], **settings) as agent,
        agent.start_session() as session,
        session.stream("Look.") as stream,
    ):
        kinds = [event.kind for event in stream if isinstance(event, VendorEvent)]
    assert kinds == ["seen"]
    assert not any(b'"seen"' in frame.data for frame in read_cassette(path).frames)
