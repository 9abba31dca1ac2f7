"""The malformed lines are 24 different ones, each of them one line."""

from __future__ import annotations

from caw_testkit.malformed import malformed_lines

GOOD = b'{"type":"said","turn":{"id":1,"text":"quince"},"parts":[{"text":"quince"}]}'


def test_lines_differ_from_each_other_and_from_the_good_one() -> None:
    assert len({GOOD, *malformed_lines(GOOD).values()}) == 25


def test_each_is_one_line() -> None:
    assert [name for name, line in malformed_lines(GOOD).items() if b"\n" in line] == []


def test_some_are_messages_whose_members_are_spoilt() -> None:
    lines = malformed_lines(GOOD)
    assert lines["null for each member"] == b'{"type": "said", "turn": null, "parts": null}'
    assert lines["a text one level deeper"] == (
        b'{"type": "said", "turn": {"id": "text", "text": "text"}, "parts": [{"text": "quince"}]}'
    )
