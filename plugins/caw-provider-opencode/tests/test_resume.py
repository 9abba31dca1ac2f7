"""Going on with a conversation of the real opencode."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import NotResumableError, SessionBusyError
from caw_core.events import Notice
from caw_core.locks import ConversationLock
from caw_core.trajectory import Trajectory
from caw_provider_opencode import OpencodeProvider
from caw_testkit.modelserver import echo

if TYPE_CHECKING:
    from pathlib import Path

    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

SCRIPT = """
import json, sys
from pathlib import Path
from caw_core.provider import Prompt, ResumeRequest
from caw_provider_opencode import OpencodeProvider
given = json.loads(sys.stdin.readline())
request = ResumeRequest(session_id="other", **{**given, "cwd": Path(given["cwd"])})
session = OpencodeProvider().resume_session(request=request)
for event in session.prompt(Prompt(text="two")):
    pass
print("ready", flush=True)
sys.stdin.readline()
session.close()
"""


def _elsewhere(desk: Desk, key: str | None, **changes: Any) -> subprocess.Popen[str]:
    """Start another process that resumes the session, asks "two" and keeps it open."""
    settings = desk.settings(**changes)
    given = {name: settings[name] for name in ("env", "options", "permissions")}
    given |= {"cwd": str(settings["cwd"]), "resume_key": key}
    given["system_prompt"] = settings.get("system_prompt", "")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(given) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.real_opencode
def test_system_prompt_and_history_are_there_in_another_process(
    desk: Desk, model_server: ModelServer
) -> None:
    model_server.respond(echo)
    session = desk.start(system_prompt="You are terse.")
    desk.turn(session, "one")
    session.close()
    with _elsewhere(desk, session.resume_key, system_prompt="You are terse.") as process:
        process.communicate("\n")
    request = model_server.requests[-1]
    assert request.user_texts()[-2:] == ["one", "two"]
    assert "\n".join(request.system()).count("You are terse.") == 1


@pytest.mark.real_opencode
def test_session_that_another_process_drives_is_busy(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start()
    desk.turn(session, "one")
    session.close()
    with _elsewhere(desk, session.resume_key) as process:
        with pytest.raises(SessionBusyError, match=str(process.pid)):
            desk.resume(session.resume_key)
        process.send_signal(signal.SIGKILL)
    again = desk.resume(session.resume_key)
    assert desk.turn(again, "three").result == "echo: three"


@pytest.mark.real_opencode
def test_session_that_is_open_here_is_busy(desk: Desk) -> None:
    session = desk.start()
    with pytest.raises(SessionBusyError) as caught:
        desk.resume(session.resume_key)
    assert caught.value.holder == "this process"


@pytest.mark.real_opencode
@pytest.mark.parametrize("key", ["ses_0000000000000000", "../../etc/passwd", "ses_", "x" * 300])
def test_session_that_opencode_does_not_have_is_not_resumable(desk: Desk, key: str) -> None:
    with pytest.raises(NotResumableError):
        desk.resume(key)


@pytest.mark.real_opencode
def test_resumed_session_stays_in_its_own_folder(
    desk: Desk, model_server: ModelServer, tmp_path: Path
) -> None:
    model_server.respond(echo)
    session = desk.start()
    session.close()
    events = desk.ask(desk.resume(session.resume_key, cwd=tmp_path), "go")
    [notice] = [event for event in events if isinstance(event, Notice)]
    assert str(desk.home.cwd) in notice.message


@pytest.mark.parametrize(
    ("record", "key"),
    [
        ({"resume_key": "ses_1"}, "ses_1"),
        ({"metadata": {"opencode_session_id": "ses_2"}}, "ses_2"),
        ({"metadata": {"opencode_session_id": 3}}, None),
        ({}, None),
    ],
)
def test_key_is_read_from_records_old_and_new(record: dict[str, Any], key: str | None) -> None:
    trajectory = Trajectory(session_id="s", provider="opencode", **record)
    assert OpencodeProvider().resume_key_from_trajectory(trajectory=trajectory) == key


def test_lock_is_free_again_once_released() -> None:
    lock = ConversationLock("test", "ses_a")
    with pytest.raises(SessionBusyError):
        ConversationLock("test", "ses_a")
    lock.release()
    lock.release()
    ConversationLock("test", "ses_a").release()


def test_lock_names_the_process_that_holds_it() -> None:
    lock = ConversationLock("test", "ses_b")
    code = (
        "from caw_core.locks import ConversationLock\n"
        "try:\n    ConversationLock('test', 'ses_b')\nexcept Exception as error:\n"
        "    print(error.holder)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lock.release()
    assert done.stdout.strip() == f"process {os.getpid()}"
