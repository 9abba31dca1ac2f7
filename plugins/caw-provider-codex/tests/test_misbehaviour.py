"""Programs that do not behave like codex, driven by the real process engine."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from caw_core.deadlines import Deadlines
from caw_core.errors import (
    ConfigError,
    DeadlineError,
    ProcessError,
    ProgramNotFoundError,
    ProtocolError,
    SessionStateError,
)
from caw_core.events import Notice, TurnEnded, VendorEvent
from caw_core.fold import TurnFold
from caw_core.process import Process
from caw_core.provider import Prompt, StartRequest
from caw_provider_codex import CodexProvider
from caw_provider_codex.session import CodexSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core.events import Event
    from caw_core.trajectory import Turn

END = (
    b'{"method":"turn/completed","params":{"threadId":"T","turn":'
    b'{"id":"U","status":"completed"}}}\n'
)
TEXT = (
    b'{"method":"item/completed","params":{"threadId":"T","turnId":"%s","item":'
    b'{"type":"agentMessage","id":"a","text":"%s"}}}\n'
)

NOT_ALLOWED = "this is not allowed under the permissions 'auto-edit'"


class Fake:
    """Opens sessions with the program of ``fake_app_server.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.program = folder / "codex"
        source = Path(__file__).with_name("fake_app_server.py").read_text()
        self.program.write_text(f"#!{sys.executable}\n{source}")
        self.program.chmod(0o755)
        self.sessions: list[CodexSession] = []

    def start(self, turn: bytes = END, **orders: Any) -> CodexSession:
        (self.folder / "turn").write_bytes(turn)
        orders |= {"log": str(self.log), "turn": str(self.folder / "turn")}
        settings = {
            name: orders.pop(name) for name in ("permissions", "deadlines") if name in orders
        }
        request = StartRequest(
            session_id="s",
            cwd=self.folder,
            env={"FAKE_ORDERS": json.dumps(orders)},
            options={"binary": str(self.program), "protocol": "live"},
            **settings,
        )
        session = CodexProvider().start_session(request=request)
        assert isinstance(session, CodexSession)
        self.sessions.append(session)
        return session

    def processes(self) -> int:
        named = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        return sum(str(self.program) in cmdline for cmdline in named)

    def wait_for_processes(self, count: int) -> None:
        end = time.monotonic() + 10
        while self.processes() != count:
            assert time.monotonic() < end
            time.sleep(0.01)

    @staticmethod
    def ask(session: CodexSession, text: str) -> list[Event]:
        return list(session.prompt(Prompt(text=text)))

    @staticmethod
    def fold(events: list[Event]) -> Turn:
        fold = TurnFold(index=0, prompt="")
        for event in events:
            fold.add(event)
        return fold.turn()

    def received(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    fake = Fake(tmp_path)
    yield fake
    for session in fake.sessions:
        session.close()


def test_lines_that_are_no_messages_are_kept_and_the_turn_goes_on(fake: Fake) -> None:
    junk = [b"null", b"[1]", b"3", b"warning: hot", b"{", b"[" * 100_000, b"\xff\xfe", b"{}", b""]
    turn = b"\n".join(junk) + b"\n" + TEXT % (b"U", b"still \xff here") + END
    events = fake.ask(fake.start(turn), "go")
    assert fake.fold(events).result == "still \ufffd here"
    kept = [event.raw for event in events if isinstance(event, VendorEvent)]
    assert kept == [line.decode(errors="replace") for line in junk]


def test_unknown_notifications_and_items_are_kept(fake: Fake) -> None:
    news = (
        b'{"method":"thread/dreamed","params":{"threadId":"T","turnId":"U","of":"sheep"}}\n'
        b'{"method":"item/completed","params":{"threadId":"T","turnId":"U",'
        b'"item":{"type":"dream"}}}\n'
        b'{"method":"sky/changed"}\n'
    )
    events = fake.ask(fake.start(news + END), "go")
    kinds = [event.kind for event in events if isinstance(event, VendorEvent)]
    assert kinds == ["thread/dreamed", "item/completed:dream", "sky/changed"]


def test_output_of_another_turn_is_not_this_turns_output(fake: Fake) -> None:
    events = fake.ask(fake.start(TEXT % (b"OLD", b"old") + TEXT % (b"U", b"new") + END), "go")
    assert [block.type for block in fake.fold(events).output] == ["text"]
    assert fake.fold(events).result == "new"


def test_end_of_another_turn_does_not_end_this_one(fake: Fake) -> None:
    other = END.replace(b'"U"', b'"OLD"')
    assert (
        fake.fold(fake.ask(fake.start(other + TEXT % (b"U", b"mine") + END), "go")).result == "mine"
    )


def test_every_request_is_answered_exactly_once(fake: Fake) -> None:
    asked: dict[str, dict[str, Any]] = {
        "item/commandExecution/requestApproval": {"result": {"decision": "decline"}},
        "item/fileChange/requestApproval": {"result": {"decision": "decline"}},
        "applyPatchApproval": {"result": {"decision": {"denied": {"rejection": NOT_ALLOWED}}}},
        "item/permissions/requestApproval": {"result": {"permissions": {}}},
        "mcpServer/elicitation/request": {"result": {"action": "decline"}},
        "item/tool/requestUserInput": {"result": {"answers": {}}},
        "sky/ask": {
            "error": {"code": -32601, "message": "this client does not know 'sky/ask'"},
        },
    }
    turn = b""
    for number, method in enumerate(asked):
        # Some name their thread, some do not; ids are numbers or texts.
        params = {"threadId": "T", "turnId": "U"} if number % 2 else {}
        id_: object = str(number) if number % 3 else number
        turn += json.dumps({"id": id_, "method": method, "params": params}).encode() + b"\n"
    session = fake.start(turn + END)
    events = fake.ask(session, "go")
    session.close()
    answers = [message for message in fake.received() if "method" not in message]
    answers.sort(key=lambda message: int(message["id"]))
    expected: list[dict[str, Any]] = [
        {"id": str(number) if number % 3 else number, **answer}
        for number, answer in enumerate(asked.values())
    ]
    assert answers == expected
    assert len([event for event in events if isinstance(event, Notice)]) == 4


def test_request_outside_of_a_turn_is_answered_too(fake: Fake) -> None:
    late = b'{"id":5,"method":"item/fileChange/requestApproval","params":{"threadId":"T"}}\n'
    session = fake.start(END + late)
    fake.ask(session, "go")
    (fake.folder / "turn").write_bytes(END)
    fake.ask(session, "again")
    session.close()
    answers = [message for message in fake.received() if message.get("id") == 5]
    assert {"id": 5, "result": {"decision": "decline"}} in answers


def test_interrupt_that_came_too_early_is_sent_again(fake: Fake) -> None:
    session = fake.start(b"", refuse_interrupt=True)
    events = session.prompt(Prompt(text="go"))
    turn: list[object] = []
    thread = threading.Thread(target=lambda: turn.extend(events))
    thread.start()
    while session._turn is None or not session._turn.started:
        threading.Event().wait(0.001)
    session.interrupt()
    thread.join(10)
    assert turn[-1] == TurnEnded(stop_reason="cancelled")


def test_wider_sandbox_than_asked_for_is_refused(fake: Fake) -> None:
    with pytest.raises(ProtocolError, match="dangerFullAccess"):
        fake.start(sandbox="dangerFullAccess", permissions="read-only")


def test_program_that_never_answers_is_ended(fake: Fake) -> None:
    with pytest.raises(DeadlineError) as caught:
        fake.start(start="silent", deadlines=Deadlines(start=0.5, stop=0.2))
    assert (caught.value.kind, caught.value.seconds) == ("start", 0.5)
    assert fake.processes() == 0


def test_program_that_ends_at_once_says_why(fake: Fake) -> None:
    with pytest.raises(ProcessError, match="cannot read the configuration") as caught:
        fake.start(start="exit")
    assert caught.value.exit_code == 7
    assert "cannot read" in caught.value.stderr_tail


def test_program_that_is_no_program_is_not_found(fake: Fake) -> None:
    fake.program = fake.folder / "nothing"
    with pytest.raises(ProgramNotFoundError, match="binary"):
        fake.start()


def test_configuration_that_is_no_dict_is_refused(fake: Fake) -> None:
    request = StartRequest(
        session_id="s",
        cwd=fake.folder,
        env={"FAKE_ORDERS": json.dumps({"log": str(fake.log)})},
        options={"binary": str(fake.program), "config": "model = 'x'"},
    )
    with pytest.raises(ConfigError, match="config"):
        CodexProvider().start_session(request=request)


def test_close_ends_a_start_that_hangs(fake: Fake) -> None:
    session = fake.start()
    assert session._peer is not None
    os.kill(session._peer.pid, signal.SIGKILL)
    process = session._peer._process
    assert isinstance(process, Process)
    process.wait(10)
    fake.program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    seen: list[BaseException] = []

    def prompt() -> None:
        try:
            fake.ask(session, "go")
        except (ProcessError, SessionStateError) as error:
            seen.append(error)

    thread = threading.Thread(target=prompt)
    thread.start()
    fake.wait_for_processes(1)
    session.close()
    thread.join(10)
    assert len(seen) == 1
    assert fake.processes() == 0
