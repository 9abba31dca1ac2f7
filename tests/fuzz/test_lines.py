"""Bytes to lines, and lines to messages, whatever the bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from caw_core.json_lines import read_line, write_line
from caw_core.process import LineSplitter
from caw_provider_opencode.sse import SseParser, parse_message
from caw_testkit.strategies import json_values, pieces

streams = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"data:", b"data: ", b":", b" "])
    | st.binary(max_size=6),
    max_size=20,
).map(b"".join)


@given(pieces(streams))
def test_lines_are_those_between_the_line_feeds(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.flush()
    *whole, rest = b"".join(chunks).split(b"\n")
    rest = rest.removesuffix(b"\r")
    assert lines == [line.removesuffix(b"\r") for line in whole] + ([rest] if rest else [])


@given(pieces(streams))
def test_events_of_a_stream_do_not_depend_on_where_it_was_cut(chunks: list[bytes]) -> None:
    parser = SseParser()
    found = [data for chunk in chunks for data in parser.feed(chunk)]
    assert found == SseParser().feed(b"".join(chunks))
    for data in found:
        parse_message(data)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_values()))
def test_message_is_read_as_it_was_written(message: dict[str, Any]) -> None:
    (line,) = LineSplitter().feed(write_line(message))
    assert read_line(line).message == message


@given(pieces(st.binary(max_size=60)), json_values())
def test_what_was_read_can_be_written_for_every_reader(junk: list[bytes], value: object) -> None:
    # Members with a number that is not finite, and bytes that are no UTF-8, among good ones.
    bad = b',"n":[NaN,-Infinity,1e999],"t":"' + b"".join(junk).hex().encode() + b'\xff"}'
    message = read_line(b'{"good":' + json.dumps(value).encode() + bad).message
    assert message is not None
    assert (message["good"], message["n"]) == (value, [None, None, None])
    write_line(message)
