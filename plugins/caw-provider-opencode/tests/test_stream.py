"""Losing the stream of events, and the stream's own form."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.events import TextDelta, ToolOutput, VendorEvent
from caw_core.provider import Prompt
from caw_provider_opencode.sse import SseParser, parse_message
from caw_testkit.faulty_program import FaultyProgram, insert
from caw_testkit.modelserver import call, reply, slow, text

if TYPE_CHECKING:
    from pathlib import Path

    from caw_core.events import Event
    from caw_testkit.modelserver import ModelServer
    from caw_testkit.programs import Program

    from .conftest import Desk


@pytest.mark.real_opencode
def test_text_is_whole_though_the_stream_broke(desk: Desk, model_server: ModelServer) -> None:
    whole = "word " * 40
    model_server.script(slow(reply(text(whole)), seconds=2))
    session = desk.start()
    events: list[Event] = []
    for event in session.prompt(Prompt(text="go")):
        if isinstance(event, TextDelta) and not events:
            assert session._live
            assert session._live._source
            session._live._source.close()
        events.append(event)
    assert desk.fold(events).result.strip() == whole.strip()


@pytest.mark.real_opencode
def test_tool_result_is_there_though_the_stream_broke(
    desk: Desk, model_server: ModelServer
) -> None:
    command = {"command": "echo one; sleep 1; echo two", "description": "slow"}
    model_server.script(reply(call("bash", command)), reply(text("done")))
    session = desk.start()
    events: list[Event] = []
    for event in session.prompt(Prompt(text="go")):
        if isinstance(event, ToolOutput) and session._live and session._live._source:
            session._live._source.close()
        events.append(event)
    turn = desk.fold(events)
    assert [use.output for use in turn.tool_calls] == ["one\ntwo\n"]
    assert turn.usage.total_tokens == model_server.usage.total_tokens


@pytest.mark.real_opencode
def test_event_that_names_no_session_is_kept_unless_it_is_about_the_server(
    desk: Desk, opencode_program: Program, model_server: ModelServer, tmp_path: Path
) -> None:
    faulty = FaultyProgram(tmp_path, opencode_program.path, http=True)
    kinds = ("caw.unknown", "session.error", "server.caw", "message.removed")
    lines = [
        json.dumps({"payload": {"type": kind, "properties": {"a": kind}}}).encode()
        for kind in kinds
    ]
    session = desk.start(options={"binary": str(faulty.path)})
    model_server.script(reply(text("quince")))
    faulty.arm(insert(*lines), b"quince")
    events = desk.ask(session, "go")
    assert faulty.happened
    assert desk.fold(events).result == "quince"
    assert [event for event in events if isinstance(event, VendorEvent)] == [
        VendorEvent(kind=kind, raw={"a": kind}) for kind in kinds[:2]
    ]


@given(st.lists(st.integers(min_value=0, max_value=200), max_size=8))
def test_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    stream = 'id: 1\ndata: {"a":"ü\u2028"}\n\n: ping\n\ndata: one\ndata: two\n\n'.encode()
    parser = SseParser()
    points = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    found = [data for begin, end in pairwise(points) for data in parser.feed(stream[begin:end])]
    assert found == ['{"a":"ü\u2028"}'.encode(), b"one\ntwo"]


def test_copy_for_synchronisation_is_passed_over() -> None:
    assert parse_message(b'{"payload":{"type":"sync","syncEvent":{}}}') is None
