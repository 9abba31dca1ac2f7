"""Turns of which the caller does not want to keep everything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core import Agent
from caw_core.blocks import ImageBlock, TextBlock, ToolUse
from caw_core.errors import ConfigError
from caw_core.events import (
    Event,
    ImageDone,
    Steered,
    TextDelta,
    TextDone,
    ToolArguments,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
)
from caw_core.fold import TurnFold
from caw_core.kept_output import LEAST
from caw_core.kept_text import KeptText
from caw_core.provider import NATIVE
from caw_core.redaction import REDACTED, Redactor
from caw_core.sizes import size_of
from tests import flooding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caw_core import Turn
    from tests.conftest import MemoryStorage, Stage

MEBIBYTES = 300
GROWTH = 64


def fold(*events: Event, keep: int | None = LEAST) -> Turn:
    folding = TurnFold(index=0, prompt="p", keep_output=keep)
    for event in events:
        folding.add(event)
    return folding.turn()


def left_out(block: Any) -> int:
    """Return how many characters a block says are left out of it."""
    many: int = block.extra.get("left_out", 0)
    return many


def kept(block: Any) -> str:
    """Return the text of a block without the words in the place of what is left out."""
    text: str = block.output if isinstance(block, ToolUse) else block.text
    return text.replace(f"\n[… {left_out(block)} characters left out …]\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory comes from getrusage")
@pytest.mark.parametrize("way", flooding.WAYS)
def test_turn_that_says_a_great_deal_takes_little_memory(way: str, tmp_path: Path) -> None:
    program = [sys.executable, flooding.__file__, way, str(MEBIBYTES), str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=110, check=False)
    assert not done.returncode, done.stderr
    assert float(done.stdout) < GROWTH


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory comes from getrusage")
def test_flood_of_a_program_that_nobody_reads_while_a_permission_callback_blocks() -> None:
    program = [sys.executable, "-m", "tests.unread_flood", str(MEBIBYTES // 2)]
    done = subprocess.run(
        program,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=Path(flooding.__file__).parents[1],
    )
    assert not done.returncode, done.stderr
    assert float(done.stdout) < GROWTH


# ------------------------------------------------------------------------------------- one text


@given(st.lists(st.text(max_size=40), max_size=60), st.integers(min_value=4, max_value=200))
def test_beginning_and_end_of_a_text_are_kept_and_the_rest_is_counted(
    parts: list[str], room: int
) -> None:
    text, whole = KeptText(room), "".join(parts)
    for part in parts:
        text.grow(part)
    if len(whole) <= 2 * (room // 2):
        assert (text.text(), text.left_out) == (whole, 0)
        return
    half = room // 2
    assert text.left_out == len(whole) - 2 * half
    head, tail = text.text().split(f"\n[… {text.left_out} characters left out …]\n")
    assert (head, tail) == (whole[:half], whole[len(whole) - half :])


@given(
    st.lists(
        st.one_of(
            st.text(max_size=40).map(lambda text: ("grow", text)),
            st.integers(min_value=2, max_value=50).map(lambda room: ("shorten", room)),
            st.just(("text", "")),
        ),
        max_size=40,
    )
)
def test_nothing_of_a_text_is_lost_uncounted_however_it_is_shortened(steps: Any) -> None:
    text, given_so_far = KeptText(60), 0
    for step, argument in steps:
        if step == "grow":
            text.grow(argument)
            given_so_far += len(argument)
        elif step == "shorten":
            text.shorten(argument)
            assert text.size <= argument
        else:
            text.text()
        assert text.size <= 2 * 60
    marker = f"\n[… {text.left_out} characters left out …]\n"
    shown = text.text().replace(marker, "") if text.left_out else text.text()
    assert len(shown) + text.left_out == given_so_far


SECRET = "sk-0123456789"


def parts_of(secret: str, text: str) -> set[str]:
    """Return the parts of four characters that stand in *text* without the whole secret."""
    rest = text.replace(secret, "")
    parts = {secret[start : start + 4] for start in range(len(secret) - 3)}
    return {part for part in parts if part in rest}


@given(
    st.lists(st.sampled_from([SECRET, "..", "....."]), max_size=60),
    st.integers(min_value=4, max_value=200),
    st.lists(st.integers(min_value=2, max_value=50)),
)
def test_no_part_of_a_secret_is_left_where_a_text_is_cut(
    parts: list[str], room: int, shortenings: list[int]
) -> None:
    text = KeptText(room, Redactor([SECRET]))
    for part in parts:
        for piece in (part[:5], part[5:]):
            text.grow(piece)
        if shortenings:
            text.shorten(shortenings.pop())
    text.grow(".")
    assert parts_of(SECRET, text.text()) == set()
    assert text.left_out <= len("".join(parts)) + 1


# ------------------------------------------------------------------------------------- one turn


def test_everything_is_kept_unless_told_otherwise() -> None:
    turn = fold(TextDone(text="x" * 10**6), keep=None)
    assert (len(turn.result), left_out(turn.output[0]), turn.extra) == (10**6, 0, {})


blocks = st.lists(
    st.tuples(
        st.sampled_from(["text", "tool"]),
        st.lists(st.integers(min_value=1, max_value=3000), min_size=1, max_size=8),
    ),
    max_size=40,
)


@given(blocks)
def test_what_is_kept_and_what_is_said_to_be_left_out_is_all_that_there_was(said: Any) -> None:
    folding = TurnFold(index=0, prompt="p", keep_output=LEAST)
    for number, (kind, sizes) in enumerate(said):
        if kind == "tool":
            folding.add(ToolStarted(call_id=str(number), name=""))
        for size in sizes:
            more = "x" * size
            folding.add(
                ToolOutput(call_id=str(number), delta=more)
                if kind == "tool"
                else TextDelta(text=more, block_id=str(number))
            )
            assert size_of(folding.turn().output) <= LEAST
        if kind == "tool":
            folding.add(ToolFinished(call_id=str(number)))
    turn = folding.turn()
    gone = turn.extra.get("left_out", {"blocks": 0, "characters": 0})
    here = sum(len(kept(block)) + left_out(block) for block in turn.output)
    assert here + gone["characters"] == sum(sum(sizes) for _, sizes in said)
    assert len(turn.output) + gone["blocks"] == len(said)
    assert folding.blocks_so_far == len(said)
    assert all(block.status == "completed" for block in turn.tool_calls)


def test_newest_words_are_whole_and_older_output_gives_way() -> None:
    turn = fold(
        ToolStarted(call_id="1", name="build", arguments={"target": "all"}),
        ToolFinished(call_id="1", output="o" * 9_000),
        TextDone(text="It " + "w" * 3_000),
    )
    build, words = turn.output
    assert isinstance(build, ToolUse)
    assert (build.name, build.arguments, build.status) == ("build", {"target": "all"}, "completed")
    assert kept(build) == "o" * 200
    assert build.extra == {"left_out": 8_800}
    assert isinstance(words, TextBlock)
    assert (len(words.text), words.extra) == (3_003, {})


def test_tool_that_runs_gets_its_result_after_everything_around_it_has_gone() -> None:
    turn = fold(
        ToolStarted(call_id="1", name="build"),
        *(TextDone(text="w" * 500, block_id=str(number)) for number in range(100)),
        ToolFinished(call_id="1", output="built"),
    )
    (build,) = turn.tool_calls
    assert (build.name, build.output, build.status) == ("build", "built", "completed")
    assert turn.extra["left_out"]["blocks"] == 101 - len(turn.output)


def test_parts_that_cannot_be_cut_are_left_out_whole() -> None:
    turn = fold(
        ToolStarted(call_id="1", name="write", arguments={"text": "t" * 8_000}),
        ToolFinished(call_id="1", content=({"data": "i" * 8_000},), extra={"raw": "r" * 8_000}),
    )
    (write,) = turn.tool_calls
    assert (write.arguments, write.content) == ({}, ())
    assert write.extra == {"left_out": 3 * 8_000 + len("textdataraw")}


def test_arguments_that_came_in_pieces_are_left_out_whole() -> None:
    pieces = (ToolArguments(call_id="1", delta=part) for part in ('{"a": "', "x" * 20_000, '"}'))
    (use,) = fold(ToolStarted(call_id="1", name="write"), *pieces).tool_calls
    assert use.arguments == {}
    assert use.extra["left_out"] > 10_000


def test_image_is_whole_or_only_named() -> None:
    small = ImageDone(mime_type="image/png", data="i" * 1_000)
    large = ImageDone(mime_type="image/png", data="i" * 8_000, uri="file:///large.png")
    first, second = fold(small, large).output
    assert isinstance(first, ImageBlock)
    assert isinstance(second, ImageBlock)
    assert (second.data, second.uri, second.extra) == ("", "file:///large.png", {"left_out": 8_000})


def test_what_a_person_said_into_the_turn_stays_whole() -> None:
    turn = fold(Steered(text="s" * 1_000), TextDone(text="w" * 9_000), TurnEnded())
    assert turn.output[0].type == "steer"
    assert len(turn.output[0].text) == 1_000  # type: ignore[attr-defined]  # a SteerBlock


def test_late_text_for_a_block_that_is_gone_is_a_new_one() -> None:
    turn = fold(
        TextDelta(text="early", block_id="a"),
        *(TextDone(text="w" * 500, block_id=str(number)) for number in range(100)),
        TextDelta(text="late", block_id="a"),
    )
    assert turn.result == "late"


# ------------------------------------------------------------------------------------ an agent


def test_stream_has_everything_and_the_record_is_the_turn(
    stage: Stage, memory: MemoryStorage
) -> None:
    def answer(_: Any, text: str) -> Iterator[Event]:
        for _ in range(100):
            yield TextDelta(text=text)

    agent = stage.agent(answer, keep_output=LEAST, storage=memory)
    with agent.start_session() as session:
        stream = session.stream("0123456789" * 100)
        heard = sum(len(event.text) for event in stream if isinstance(event, TextDelta))
        turn = stream.result()
    assert heard == 100_000
    assert left_out(turn.output[0]) == 95_000
    assert "[… 95000 characters left out …]" in turn.result
    assert memory.turns[session.session_id][0] == turn == session.trajectory.turns[0]


@pytest.mark.parametrize("at", range(LEAST // 4 - 20, LEAST // 4 + 4))
def test_secret_at_the_cut_leaves_no_part_of_itself_in_the_record(
    stage: Stage, memory: MemoryStorage, at: int
) -> None:
    secret = "canary-across-the-cut"

    def answer(_: Any, text: str) -> Iterator[Event]:
        yield TextDelta(text="." * at)
        yield TextDelta(text=secret)
        yield TextDelta(text="." * 20_000)
        yield TextDelta(text=secret)
        yield TextDelta(text="." * at)

    info = {"options": {"env": NATIVE}}
    agent = stage.agent(
        answer, keep_output=LEAST, storage=memory, env={"A_TOKEN": secret}, info=info
    )
    with agent.start_session() as session:
        session.send("go")
    turn = memory.turns[session.session_id][0]
    assert left_out(turn.output[0])
    assert set(kept(turn.output[0]).replace(REDACTED, "")) == {"."}


@pytest.mark.parametrize("much", [0, LEAST - 1, True, "all", 1e6])
def test_room_that_is_none_is_refused(much: Any) -> None:
    with pytest.raises(ConfigError, match="keep_output is a whole number not below 10000"):
        Agent("echo", keep_output=much)
