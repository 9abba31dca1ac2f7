"""Stored records that are played again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from caw_core import Agent
from caw_core.blocks import ImageBlock, SteerBlock, TextBlock, ThinkingBlock, ToolUse
from caw_core.errors import ConfigError, DeadlineError, LimitError, ProviderError
from caw_core.trajectory import ErrorInfo, PlanEntry, Trajectory, Turn
from caw_core.usage import UsageStats
from caw_testkit.cassettes import CassetteMismatchError

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = Turn(
    index=0,
    input="Do it.",
    output=(
        ThinkingBlock(text="Let me think."),
        TextBlock(text="I begin,  with care.\n"),
        ToolUse(
            id="1",
            name="shell",
            arguments={"command": "ls"},
            output="a\nb\n",
            content=({"type": "text", "text": "a\nb\n"},),
            duration_ms=12,
        ),
        ToolUse(id="2", name="shell", output="no", is_error=True, status="declined"),
        SteerBlock(text="Faster!"),
        ToolUse(id="3", name="shell", output="so far", status="running"),
        ImageBlock(mime_type="image/png", data="AAAA"),
        TextBlock(text="Done."),
    ),
    usage=UsageStats(input_tokens=10, output_tokens=5, cost_usd=0.25, cost_source="reported"),
    stop_reason="max_tokens",
    model="gpt-5",
    plan=(PlanEntry(text="one", status="completed"),),
    structured={"answer": 42},
)


def replaying(folder: Path, *turns: Turn, **options: Any) -> Agent:
    file = folder / "record.json"
    record = Trajectory(session_id="recorded", provider="codex", turns=turns)
    file.write_text(json.dumps(record.to_dict()))
    return Agent("replay", auto_wait=False, options={"record": file, **options})


def failed(info: ErrorInfo) -> Turn:
    return Turn(index=0, input="Fail.", status="failed", error=info)


def test_turn_folds_to_an_equal_one(tmp_path: Path) -> None:
    with replaying(tmp_path, EVERYTHING).start_session() as session:
        turn = session.send("Do it.")
    same: dict[str, Any] = {"started_at": "", "duration_ms": 0, "options": ()}
    assert attrs.evolve(turn, **same) == EVERYTHING


def test_error_has_the_facts_that_it_had(tmp_path: Path) -> None:
    when = datetime(2030, 1, 2, tzinfo=UTC)
    info = ErrorInfo.of(LimitError("used up", kind="usage", resets_at=when, source="header"))
    with (
        replaying(tmp_path, failed(info)).start_session() as session,
        pytest.raises(LimitError, match="used up") as caught,
    ):
        session.send("Fail.")
    assert (caught.value.kind, caught.value.resets_at) == ("usage", when)


def test_error_that_makes_its_text_itself_keeps_the_text(tmp_path: Path) -> None:
    info = ErrorInfo.of(DeadlineError("idle", 3.0, hint="Allow more."))
    with (
        replaying(tmp_path, failed(info)).start_session() as session,
        pytest.raises(DeadlineError) as caught,
    ):
        session.send("Fail.")
    assert str(caught.value) == info.message
    assert caught.value.kind == "idle"


@pytest.mark.parametrize("kind", ["StructuredOutputError", "NoSuchError"])
def test_error_that_cannot_be_made_again_is_a_plain_one(tmp_path: Path, kind: str) -> None:
    info = ErrorInfo(type=kind, message="as it was")
    with (
        replaying(tmp_path, failed(info)).start_session() as session,
        pytest.raises(ProviderError, match="as it was"),
    ):
        session.send("Fail.")


def test_interrupted_turn_is_interrupted_again(tmp_path: Path) -> None:
    turn = attrs.evolve(EVERYTHING, status="interrupted", stop_reason="cancelled")
    with replaying(tmp_path, turn).start_session() as session:
        assert session.send("Do it.").status == "interrupted"


def test_turns_follow_in_their_order(tmp_path: Path) -> None:
    turns = [
        Turn(index=place, input="Again.", output=(TextBlock(text=word),), stop_reason="end_turn")
        for place, word in enumerate(("one", "two"))
    ]
    with replaying(tmp_path, *turns).start_session() as session:
        assert [session.send("Again.").result for _ in turns] == ["one", "two"]
        with pytest.raises(CassetteMismatchError, match="one more"):
            session.send("Again.")


def test_other_prompt_is_told(tmp_path: Path) -> None:
    with (
        replaying(tmp_path, EVERYTHING).start_session() as session,
        pytest.raises(CassetteMismatchError, match=r"'Do it\.'.*'Do that\.'"),
    ):
        session.send("Do that.")


def test_other_prompt_passes_where_any_does(tmp_path: Path) -> None:
    with replaying(tmp_path, EVERYTHING, match="any").start_session() as session:
        assert session.send("Do that.").result == "Done."


def test_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "none.json"
    file.write_text("[]")
    with pytest.raises(ConfigError, match="is no record"):
        Agent("replay", options={"record": file}).start_session()


def test_turn_without_a_reason_ends_as_its_status_says(tmp_path: Path) -> None:
    turn = Turn(index=0, input="Do it.", output=(TextBlock(text="Done."),))
    played = replaying(tmp_path, turn).completion("Do it.").turns[0]
    assert (played.status, played.stop_reason) == ("completed", "end_turn")


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf")])
def test_speed_that_makes_no_sense_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(ConfigError, match="'speed' must be a number from 0"):
        replaying(tmp_path, EVERYTHING, speed=speed).completion("Do it.")
