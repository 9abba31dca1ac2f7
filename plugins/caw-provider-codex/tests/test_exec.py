"""The real ``codex exec``, for programs without a usable app-server."""

from __future__ import annotations

import stat
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core import Attachment, ToolGroup
from caw_core.errors import (
    AuthError,
    ConfigError,
    ConnectionFailedError,
    LimitError,
    NotResumableError,
    ProviderError,
    SessionBusyError,
    UnsupportedError,
)
from caw_core.events import Notice, RawOutput, StructuredDone, ToolStarted, TurnEnded
from caw_core.provider import Prompt, ResumeRequest, StartRequest
from caw_provider_codex.exec_session import ExecSession
from caw_testkit.modelserver import Usage, call, drop, echo, fail, reply, text, think

from .test_inputs import IMAGE
from .test_interrupt import Command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.events import Event
    from caw_core.provider import Permissions
    from caw_core.trajectory import Turn
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

pytestmark = pytest.mark.real_codex

PATCH = "*** Begin Patch\n*** Add File: patched\n+x\n*** End Patch"


class ExecDesk:
    """Opens sessions over ``codex exec``."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.sessions: list[ExecSession] = []

    def start(self, **changes: Any) -> ExecSession:
        return self._kept(StartRequest(**self._settings(changes)))

    def resume(self, key: str | None, **changes: Any) -> ExecSession:
        assert key is not None
        return self._kept(ResumeRequest(resume_key=key, **self._settings(changes)))

    def turn(self, session: ExecSession, text: str) -> Turn:
        return self.desk.fold(self.ask(session, text))

    @staticmethod
    def ask(session: ExecSession, text: str) -> list[Event]:
        return list(session.prompt(Prompt(text=text)))

    def _settings(self, changes: dict[str, Any]) -> dict[str, Any]:
        options = {"protocol": "spawn", **changes.pop("options", {})}
        return self.desk.settings(options=options, **changes)

    def _kept(self, request: StartRequest) -> ExecSession:
        provider = self.desk.provider
        session = (
            provider.resume_session(request=request)
            if isinstance(request, ResumeRequest)
            else provider.start_session(request=request)
        )
        assert isinstance(session, ExecSession)
        self.sessions.append(session)
        return session


@pytest.fixture
def exec_desk(desk: Desk) -> Iterator[ExecDesk]:
    exec_desk = ExecDesk(desk)
    yield exec_desk
    for session in exec_desk.sessions:
        session.close()


def test_turns_share_one_conversation(exec_desk: ExecDesk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = exec_desk.start()
    assert session.resume_key is None
    prompt = "  /help @file $HOME ü \U0001f600\n\t-tail  "
    assert exec_desk.turn(session, prompt).result.startswith("echo: ")
    assert model_server.requests[-1].last_user_text() == prompt
    key = session.resume_key
    assert exec_desk.turn(session, "two").result == "echo: two"
    assert session.resume_key == key
    assert model_server.requests[-1].user_texts()[-2:] == [prompt, "two"]


def test_first_notice_says_what_is_used_and_why(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = exec_desk.start()
    first, second = exec_desk.ask(session, "one"), exec_desk.ask(session, "two")
    assert isinstance(first[0], Notice)
    assert "codex exec is used" in first[0].message
    assert not any(isinstance(event, Notice) for event in second)


def test_tools_thinking_and_changes_are_the_same_events(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    model_server.script(
        reply(think("Let me see."), call("exec_command", {"cmd": "printf abc; exit 3"})),
        reply(call("apply_patch", PATCH)),
        reply(text("done")),
    )
    turn = exec_desk.turn(exec_desk.start(), "go")
    command, change = turn.tool_calls
    assert [block.type for block in turn.output] == ["thinking", "tool_use", "tool_use", "text"]
    assert (command.name, command.output, command.is_error) == ("command_execution", "abc", True)
    assert change.arguments == {
        "changes": [{"path": str(exec_desk.desk.home.cwd / "patched"), "kind": "add"}]
    }
    assert turn.result == "done"


def test_usage_is_that_of_the_turn_alone(exec_desk: ExecDesk, model_server: ModelServer) -> None:
    used = Usage(input_tokens=100, cached_tokens=40, output_tokens=20, reasoning_tokens=7)
    model_server.respond(lambda _: reply(text("x"), usage=used))
    session = exec_desk.start()
    one, two = exec_desk.turn(session, "one").usage, exec_desk.turn(session, "two").usage
    session.close()
    three = exec_desk.turn(exec_desk.resume(session.resume_key), "three").usage
    assert one == two == three
    assert (one.input_tokens, one.cache_read_tokens, one.reasoning_tokens) == (60, 40, 7)


def test_usage_after_a_failed_turn_is_right_again(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    used = Usage(input_tokens=100, output_tokens=20)
    step = reply(call("exec_command", {"cmd": "true"}), usage=used)
    model_server.script(step, fail(400), reply(text("x"), usage=used))
    session = exec_desk.start()
    with pytest.raises(Exception, match="scripted failure"):
        exec_desk.ask(session, "one")
    assert exec_desk.turn(session, "two").usage.total_tokens == 120


@pytest.mark.parametrize(
    ("permissions", "files"),
    [
        ("read-only", set()),
        ("ask", set()),
        ("auto-edit", {"inside", "patched"}),
        ("full", {"inside", "patched"}),
    ],
)
def test_permissions_bound_what_is_written(
    exec_desk: ExecDesk, model_server: ModelServer, permissions: Permissions, files: set[str]
) -> None:
    model_server.script(
        reply(call("exec_command", {"cmd": "touch inside"})),
        reply(call("apply_patch", PATCH)),
        reply(text("done")),
    )
    exec_desk.ask(exec_desk.start(permissions=permissions), "go")
    assert {file.name for file in exec_desk.desk.home.cwd.iterdir()} == files


def test_settings_reach_the_model_and_no_file_stays(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = exec_desk.start(
        model="gpt-5-codex",
        reasoning="high",
        system_prompt='You "speak" like\na lighthouse \x7f keeper.',
        tools=ToolGroup.ALL - ToolGroup.EXEC,
        options={"config": {"features.goals": False, "tui": {"theme": "x"}}},
    )
    exec_desk.ask(session, "one")
    request = model_server.requests[-1]
    assert (request.model, request.body["reasoning"]["effort"]) == ("gpt-5-codex", "high")
    assert any("like\na lighthouse \x7f keeper." in said for said in request.system())
    assert not {"exec_command", "get_goal"} & set(request.tools)
    session.set_model("gpt-5", "low")
    exec_desk.ask(session, "two")
    request = model_server.requests[-1]
    assert (request.model, request.body["reasoning"]["effort"]) == ("gpt-5", "low")
    assert not list(exec_desk.desk.home.config.parent.glob("caw-*"))


def test_private_settings_are_in_a_file_of_the_users_own(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    step = reply(call("exec_command", {"cmd": "sleep 0.3"}))
    model_server.script(step, reply(text("done")))
    session = exec_desk.start(system_prompt="You are SECRETIVE.")
    seen = []
    for event in session.prompt(Prompt(text="do not LOOK")):
        if isinstance(event, ToolStarted):
            [file] = exec_desk.desk.home.config.parent.glob("caw-*")
            seen.append(stat.S_IMODE(file.stat().st_mode))
            line = " ".join(psutil.Process(session.pid).cmdline())
    assert seen == [0o600]
    assert "SECRETIVE" not in line
    assert "LOOK" not in line


def test_attachments_and_form_reach_the_model(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    model_server.respond(lambda _: reply(text('{"a": 1}')))
    notes = Attachment(name="notes.txt", mime_type="text/plain", data=b"remember")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    prompt = Prompt(text="look", attachments=(IMAGE, notes), output_schema=schema)
    session = exec_desk.start()
    for _ in range(2):
        events = list(session.prompt(prompt))
        assert [event.value for event in events if isinstance(event, StructuredDone)] == [{"a": 1}]
        body = model_server.requests[-1].body
        content = body["input"][-1]["content"]
        assert any(part.get("image_url", "").startswith("data:image/png") for part in content)
        assert any("remember" in part.get("text", "") for part in content)
        assert body["text"]["format"]["strict"] is True


def test_interrupt_ends_the_turn_and_its_command(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    command = Command()
    model_server.script(reply(call("exec_command", command.arguments)))
    model_server.respond(echo)
    session = exec_desk.start()
    events = []
    for event in session.prompt(Prompt(text="go")):
        events.append(event)
        if isinstance(event, ToolStarted):
            command.wait(running=True)
            session.interrupt()
    assert events[-1] == TurnEnded(stop_reason="cancelled")
    command.wait(running=False)
    assert exec_desk.turn(session, "on").result == "echo: on"
    assert "go" in model_server.requests[-1].user_texts()


def test_interrupt_while_nothing_runs_does_nothing(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = exec_desk.start()
    session.interrupt()
    assert not session.steer(Prompt(text="x"))
    assert exec_desk.turn(session, "go").result == "echo: go"


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (fail(429), LimitError),
        (fail(401), AuthError),
        (fail(400, body={"error": {"message": "no", "code": "bad"}}), ProviderError),
        (drop(reply(text("x" * 500)), after_bytes=300), ConnectionFailedError),
    ],
)
def test_failures_are_typed_and_the_session_goes_on(
    exec_desk: ExecDesk, model_server: ModelServer, step: Any, error: type[Exception]
) -> None:
    model_server.script(step)
    model_server.respond(echo)
    session = exec_desk.start()
    with pytest.raises(error):
        exec_desk.ask(session, "go")
    assert exec_desk.turn(session, "on").result == "echo: on"


def test_service_that_is_not_there_is_not_waited_for_without_end(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    session = exec_desk.start(options={"network_retries": 0})
    model_server.stop()
    with pytest.raises(ConnectionFailedError):
        exec_desk.ask(session, "go")
    assert session.pid is None


def test_leaving_the_iteration_ends_the_turn(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    command = Command()
    model_server.script(reply(call("exec_command", command.arguments)))
    model_server.respond(echo)
    session = exec_desk.start()
    for event in session.prompt(Prompt(text="go")):
        if isinstance(event, ToolStarted):
            command.wait(running=True)
            break
    command.wait(running=False)
    assert exec_desk.turn(session, "on").result == "echo: on"


def test_unknown_conversation_is_not_resumable(exec_desk: ExecDesk) -> None:
    with pytest.raises(NotResumableError):
        exec_desk.resume("01a1fd4e-4bbb-7802-96f5-516ac68e3710")


def test_conversation_that_is_open_elsewhere_is_busy(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    holder = exec_desk.desk.start()
    exec_desk.desk.ask(holder, "mine")
    session = exec_desk.resume(holder.resume_key)
    with pytest.raises(SessionBusyError):
        exec_desk.ask(session, "no, mine")


def test_both_protocols_continue_each_others_conversations(
    exec_desk: ExecDesk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    desk = exec_desk.desk
    session = exec_desk.start()
    exec_desk.ask(session, "by exec")
    assert session.resume_key is not None
    server = desk.resume(session.resume_key)
    desk.ask(server, "by the server")
    server.close()
    exec_desk.ask(session, "by exec again")
    said = ["by exec", "by the server", "by exec again"]
    assert model_server.requests[-1].user_texts()[-3:] == said


def test_what_needs_the_app_server_says_so(exec_desk: ExecDesk) -> None:
    session = exec_desk.start()
    with pytest.raises(UnsupportedError, match="list models"):
        session.models()
    with pytest.raises(UnsupportedError, match="fork"):
        session.fork(StartRequest(**exec_desk.desk.settings()))
    with pytest.raises(UnsupportedError, match="WRITER"):
        exec_desk.start(tools=ToolGroup.READER)
    with pytest.raises(ConfigError, match="protocol"):
        exec_desk.start(options={"protocol": "telepathy"})


def test_raw_lines_come_when_asked_for(exec_desk: ExecDesk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    events = exec_desk.ask(exec_desk.start(keep_raw=True), "go")
    assert any(isinstance(event, RawOutput) and "thread.started" in event.line for event in events)


def test_close_ends_the_process(exec_desk: ExecDesk, model_server: ModelServer) -> None:
    command = Command()
    model_server.script(reply(call("exec_command", command.arguments)))
    session = exec_desk.start()
    seen: list[BaseException] = []

    def prompt() -> None:
        try:
            exec_desk.ask(session, "go")
        except Exception as error:  # noqa: BLE001 - looked at below
            seen.append(error)

    thread = threading.Thread(target=prompt)
    thread.start()
    command.wait(running=True)
    session.close()
    thread.join(10)
    assert [type(error).__name__ for error in seen] == ["TurnInterruptedError"]
    command.wait(running=False)
