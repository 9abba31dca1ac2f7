"""One conversation, one holder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from caw_core.errors import SessionBusyError
from caw_core.locks import ConversationLock

HOLD = """
import sys
from caw_core.locks import ConversationLock
lock = ConversationLock("able", "conversation-1")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAW_HOME", str(tmp_path))
    return tmp_path


def test_second_holder_in_the_same_process_is_refused() -> None:
    lock = ConversationLock("able", "conversation-1")
    with pytest.raises(SessionBusyError, match="open in this process"):
        ConversationLock("able", "conversation-1")
    ConversationLock("able", "conversation-2").release()
    lock.release()
    lock.release()
    ConversationLock("able", "conversation-1").release()


def test_lock_of_another_process_is_refused_and_gone_when_it_dies() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(SessionBusyError, match=f"open in process {holder.pid}"):
        ConversationLock("able", "conversation-1")
    holder.kill()
    holder.communicate()
    ConversationLock("able", "conversation-1").release()


def test_nothing_is_left_behind_and_nobody_else_may_read_it(home: Path) -> None:
    lock = ConversationLock("able", "conversation-1")
    (path,) = home.glob("data/locks/able/*")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    lock.release()
    assert not list(home.glob("data/locks/able/*"))
