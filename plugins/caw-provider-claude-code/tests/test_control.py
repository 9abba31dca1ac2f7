"""The control protocol, against a program that speaks it as a script says."""

from __future__ import annotations

import queue
import sys
from typing import TYPE_CHECKING, Any

import pytest

from caw_core.errors import ConfigError, ProcessError
from caw_provider_claude_code.control import Ask, ControlError, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from caw_core.json_lines import Line

PROGRAM = """
import json, sys
def say(**message):
    print(json.dumps(message), flush=True)
def respond(request_id, **response):
    say(type="control_response", response={"request_id": request_id, **response})
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "control_response":
        say(type="answered", response=message["response"])
        continue
    request, request_id = message["request"], message["request_id"]
    match request["subtype"]:
        case "double":
            respond(request_id, subtype="success", response={"value": 2 * request["value"]})
            respond(request_id, subtype="success", response={"value": 0})
        case "fail":
            respond(request_id, subtype="error", error="I will not")
        case "ask" | "withdraw" as what:
            say(type="control_request", request_id="q1", request={"subtype": "can_use_tool"})
            if what == "withdraw":
                say(type="control_cancel_request", request_id="q1")
            respond(request_id, subtype="success")
        case "exit":
            sys.stderr.write("that was all")
            sys.exit(3)
"""


class Host:
    """Takes what the program says, and answers as a test wishes."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self.asks: queue.SimpleQueue[Ask] = queue.SimpleQueue()
        self.ends: queue.SimpleQueue[ProcessError] = queue.SimpleQueue()
        self.on_ask: Callable[[Ask], Any] = self.asks.put

    def receive(self, peer: Peer, line: Line) -> None:
        self.lines.put(line)

    def asked(self, peer: Peer, ask: Ask) -> None:
        self.on_ask(ask)

    def ended(self, peer: Peer, error: ProcessError) -> None:
        self.ends.put(error)

    def answer(self) -> dict[str, Any]:
        message = self.lines.get(timeout=10).message
        assert message is not None
        response: dict[str, Any] = message["response"]
        return response


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def peer(host: Host, tmp_path: Path) -> Iterator[Peer]:
    import os

    argv = [sys.executable, "-c", PROGRAM]
    peer = Peer(argv, cwd=tmp_path, env=dict(os.environ), owner=host)
    yield peer
    peer.stop(5)


def test_answer_goes_to_its_request_once(peer: Peer) -> None:
    for value in (1, 2, 3):
        assert peer.call({"subtype": "double", "value": value}, timeout=10) == {"value": 2 * value}


def test_refusal_is_an_error_with_its_words(peer: Peer) -> None:
    with pytest.raises(ControlError, match="I will not"):
        peer.call({"subtype": "fail"}, timeout=10)


def test_missing_answer_is_a_timeout(peer: Peer) -> None:
    with pytest.raises(TimeoutError, match="nothing"):
        peer.call({"subtype": "nothing"}, timeout=0.1)


def test_end_of_the_program_fails_what_waits_and_what_comes_after(peer: Peer, host: Host) -> None:
    for _ in range(2):
        with pytest.raises(ProcessError, match="that was all") as caught:
            peer.call({"subtype": "exit"}, timeout=10)
        assert caught.value.exit_code == 3
    assert host.ends.get(timeout=10).exit_code == 3
    assert not peer.running


def test_request_is_answered_once(peer: Peer, host: Host) -> None:
    peer.call({"subtype": "ask"}, timeout=10)
    ask = host.asks.get(timeout=10)
    assert ask.answer({"behavior": "allow"})
    assert not ask.refuse("too late")
    assert host.answer() == {
        "request_id": "q1",
        "subtype": "success",
        "response": {"behavior": "allow"},
    }


def test_withdrawn_request_gets_no_answer(peer: Peer, host: Host) -> None:
    peer.call({"subtype": "withdraw"}, timeout=10)
    ask = host.asks.get(timeout=10)
    assert ask.withdrawn.is_set()
    assert not ask.answer({"behavior": "allow"})
    peer.call({"subtype": "double", "value": 1}, timeout=10)
    assert host.lines.empty()


def test_request_whose_handling_crashes_is_refused(peer: Peer, host: Host) -> None:
    def crash(_: Ask) -> None:
        raise ValueError

    host.on_ask = crash
    peer.call({"subtype": "ask"}, timeout=10)
    assert host.answer()["subtype"] == "error"


def test_answer_that_cannot_be_written_leaves_the_request_open(peer: Peer, host: Host) -> None:
    peer.call({"subtype": "ask"}, timeout=10)
    ask = host.asks.get(timeout=10)
    with pytest.raises(ConfigError):
        ask.answer({"behavior": object()})
    assert ask.refuse("no")
    assert host.answer()["error"] == "no"


def test_end_of_the_program_withdraws_its_requests(peer: Peer, host: Host) -> None:
    peer.call({"subtype": "ask"}, timeout=10)
    ask = host.asks.get(timeout=10)
    with pytest.raises(ProcessError):
        peer.call({"subtype": "exit"}, timeout=10)
    host.ends.get(timeout=10)
    assert ask.withdrawn.is_set()
    assert not ask.refuse("no")
