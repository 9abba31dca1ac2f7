"""What a program said waits in bounded memory for whoever follows the turn."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.events import TextDelta
from caw_core.inbox import Inbox
from caw_core.json_lines import Line, read_line

if TYPE_CHECKING:
    from pathlib import Path

WAIT = 20.0


class Sign:
    """Known by its identity."""


SIGN = Sign()

items = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=10).map(lambda text: TextDelta(text=text)),
    st.text(max_size=10).map(lambda text: read_line(f'{{"a": "{text}"}}'.encode())),
    st.just(SIGN),
)


@given(st.lists(st.one_of(items, st.none()), max_size=120), st.sampled_from([0, 8, 40, 10**6]))
def test_everything_comes_out_in_order_whatever_waits_where(steps: Any, room: int) -> None:
    inbox: Inbox[Any] = Inbox(room)
    expected: deque[Any] = deque()
    for step in (*steps, *(None for _ in steps)):
        if step is not None:
            inbox.put(step)
            expected.append(step)
        elif expected:
            taken, wanted = inbox.get(timeout=0), expected.popleft()
            assert taken == wanted
            assert (taken is SIGN) == (wanted is SIGN)
        assert inbox.empty() == (not expected)


def test_nothing_came_in_time() -> None:
    with pytest.raises(queue.Empty):
        Inbox[bytes]().get(timeout=0.01)


def test_reader_is_woken_by_what_comes() -> None:
    inbox: Inbox[bytes] = Inbox()
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.append(inbox.get(timeout=WAIT)))
    reader.start()
    inbox.put(b"line")
    reader.join(WAIT)
    assert taken == [b"line"]


def test_without_room_for_a_file_it_waits_in_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    inbox: Inbox[bytes] = Inbox(10)
    lines = [b"0123456789%d" % number for number in range(50)]
    for line in lines:
        inbox.put(line)
    assert [inbox.get() for _ in lines] == lines
    assert len(caplog.records) == 1


def test_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    inbox: Inbox[bytes] = Inbox(10)
    for _ in range(50):
        inbox.put(b"0123456789")
    # Windows has no such files; there it goes when it is closed.
    assert sys.platform == "win32" or not list(tmp_path.iterdir())
    del inbox
    assert not list(tmp_path.iterdir())


FLOOD = """
import resource
from caw_core.inbox import Inbox
from caw_core.json_lines import read_line

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def line(number):
    return read_line(b'{"n": %d, "text": "%s"}' % (number, b"x" * 1000))

inbox, before = Inbox(), peak()
for number in range(300_000):
    inbox.put(line(number))
for number in range(300_000):
    assert inbox.get() == line(number)
assert inbox.empty()
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory comes from getrusage")
def test_flood_that_nobody_takes_needs_little_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FLOOD], capture_output=True, text=True, timeout=110, check=True
    )
    kibibytes = int(done.stdout) // (1024 if sys.platform == "darwin" else 1)
    assert kibibytes < 64 * 1024


def test_line_of_a_program_is_the_same_after_the_file() -> None:
    inbox: Inbox[Line] = Inbox(0)
    lines = [read_line(b'{"a": [1, null, "\xc3\xa4"]}'), read_line(b"\xff\xfe not json")]
    for line in lines:
        inbox.put(line)
    assert [inbox.get(), inbox.get()] == lines
