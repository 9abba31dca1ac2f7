"""What a program has switched on in a terminal."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core.terminal.screen_modes import ScreenModes

BEGINS = b"\x1b[?1049h\x1b[?1000;1006h\x1b[?25l\x1b[>1u\x1b=\x1b[2 q\x1b[>4;1m\x1b[31mred\x1b[0m"
ENDS = b"\x1b[>4m\x1b[0 q\x1b>\x1b[<u\x1b[?25h\x1b[?1006;1000l\x1b[?1049l"


def after(*written: bytes) -> ScreenModes:
    modes = ScreenModes()
    for data in written:
        modes.feed(data)
    return modes


def test_what_was_switched_on_is_undone_and_the_other_screen_last() -> None:
    undo = after(BEGINS).undo
    assert after(BEGINS, undo).undo == b""
    assert undo.endswith(b"\x1b[?1049l")


def test_program_that_tidies_up_leaves_nothing_to_undo() -> None:
    assert after(BEGINS, ENDS).undo == b""
    assert after(b"plain text").undo == b""


def test_redo_brings_back_what_undo_took() -> None:
    modes = after(BEGINS)
    assert after(modes.redo).undo == modes.undo


@pytest.mark.parametrize("way", [b"\x1b[?7l", b"\x1b[?25l"])
def test_what_is_usually_on_is_switched_on_again(way: bytes) -> None:
    assert after(way).undo == way.replace(b"l", b"h")


@given(st.lists(st.integers(0, len(BEGINS))))
def test_sequences_may_be_cut_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(BEGINS)]
    pieces = [BEGINS[start:stop] for start, stop in itertools.pairwise(places)]
    assert after(*pieces).undo == after(BEGINS).undo
