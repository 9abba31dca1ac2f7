"""Writing turns and reading them back."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caw_core.blocks import Block, ImageBlock, TextBlock, ThinkingBlock, ToolUse, UnknownBlock
from caw_core.errors import TrajectoryFormatError, TrajectoryVersionError
from caw_core.trajectory import ErrorInfo, PlanEntry, ResolvedOption, SessionInfo, Trajectory, Turn
from caw_core.usage import UsageStats
from caw_storage_jsonl import JsonlStorage

if TYPE_CHECKING:
    from pathlib import Path

FULL = Turn(
    index=0,
    input="prompt\nwith lines",
    output=(
        ThinkingBlock(text="hm", extra={"turn_index": "mine", "subagent": 1}),
        ToolUse(
            id="1",
            name="shell",
            arguments={"command": ["ls"]},
            output="a\nb",
            content=({"type": "text"},),
            duration_ms=5,
            extra={"shadowed": {"x": 1}, "block_index": None},
        ),
        ToolUse(id="2", name="shell", status="running", output="so far"),
        ToolUse(id="3", name="shell", is_error=True, status="declined"),
        ImageBlock(mime_type="image/png", data="aGk="),
        UnknownBlock(raw={"type": "turn_end", "turn_index": 99, "block_index": -1}),
        UnknownBlock(raw={"no": "type"}),
        TextBlock(text="done \ud800 \u2028 ünï"),
    ),
    usage=UsageStats(input_tokens=5, cost_usd=0.5, cost_source="reported"),
    duration_ms=77,
    status="failed",
    stop_reason="refusal",
    error=ErrorInfo(type="T", message="m"),
    started_at="2026-01-02T03:04:05+00:00",
    model="gpt-5",
    plan=(PlanEntry(text="a"),),
    options=(ResolvedOption(name="cwd", support="native"),),
    extra={"type": "user", "message": 1, "num_turns": 50, "metadata_at": "x", "new": [1]},
)


def load(storage: JsonlStorage, session_id: str = "session-1") -> Trajectory:
    trajectory = storage.load_trajectory(session_id)
    assert trajectory is not None
    return trajectory


def reopened(storage: JsonlStorage) -> JsonlStorage:
    return JsonlStorage(storage.session_dir("x").parent.parent)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def running(*blocks: Block, **members: Any) -> Turn:
    return Turn(index=0, input="prompt", output=blocks, status="running", **members)


def test_turn_comes_back_as_it_was(storage: JsonlStorage, info: SessionInfo) -> None:
    storage.persist_turn(info, FULL)
    assert load(storage) == Trajectory.of(info, (FULL,))
    assert load(reopened(storage)) == Trajectory.of(info, (FULL,))


def test_head_comes_back_as_it_was(storage: JsonlStorage, info: SessionInfo) -> None:
    info = attrs.evolve(info, metadata={"a": [1]}, extra={"type": "x", "subagent": 2})
    storage.persist_session(info)
    assert load(storage) == Trajectory.of(info, ())


def test_last_head_counts(storage: JsonlStorage, info: SessionInfo, truth: Path) -> None:
    storage.persist_session(info)
    storage.persist_turn(attrs.evolve(info, resume_key="key"), FULL)
    assert load(storage).resume_key == "key"
    assert [line["type"] for line in lines(truth)][:3] == ["metadata", "metadata", "user"]


def test_same_call_twice_writes_nothing(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    for turn in (running(), running(TextBlock(text="a")), FULL):
        storage.persist_turn(info, turn)
        storage.persist_session(info)
        before = truth.read_bytes()
        storage.persist_turn(info, turn)
        storage.persist_session(info)
        reopened(storage).persist_turn(info, turn)
        assert truth.read_bytes() == before


def test_earlier_turn_again_writes_nothing(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    turns = [attrs.evolve(FULL, index=index) for index in range(4)]
    for turn in turns:
        storage.persist_turn(info, turn)
    before = truth.read_bytes()
    for turn in turns:
        storage.persist_turn(info, turn)
    assert truth.read_bytes() == before


def test_later_call_replaces_an_earlier_one(storage: JsonlStorage, info: SessionInfo) -> None:
    storage.persist_turn(info, FULL)
    storage.persist_turn(info, attrs.evolve(FULL, index=1))
    for output in (FULL.output[:2], (TextBlock(text="other"), *FULL.output[1:3]), ()):
        turn = attrs.evolve(FULL, input="other", output=output, status="completed", error=None)
        storage.persist_turn(info, turn)
        assert load(storage).turns[0] == turn
    assert load(storage).num_turns == 2


def test_tool_call_is_replaced_by_another_one(storage: JsonlStorage, info: SessionInfo) -> None:
    first = ToolUse(id="1", name="a", output="first")
    for block in (
        ToolUse(id="2", name="b", status="running"),
        ToolUse(id="2", name="b", arguments={"x": 1}, status="running"),
        ToolUse(id="2", name="b", arguments={"x": 1}, output="second"),
        ToolUse(id="2", name="b", arguments={"x": 2}, output="second"),
        TextBlock(text="no tool"),
    ):
        storage.persist_turn(info, attrs.evolve(FULL, output=(first,)))
        storage.persist_turn(info, attrs.evolve(FULL, output=(block,)))
        assert load(storage).turns[0].output == (block,)


def test_running_turn_writes_only_what_is_settled(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, running(TextBlock(text="growing")))
    assert [line["type"] for line in lines(truth)] == ["metadata", "user"]
    call = ToolUse(id="1", name="a", status="running")
    storage.persist_turn(info, running(TextBlock(text="grown"), call))
    assert [line["type"] for line in lines(truth)][2:] == ["text", "tool_call"]
    result = attrs.evolve(call, status="completed", output="x")
    storage.persist_turn(info, running(TextBlock(text="grown"), result))
    assert [line["type"] for line in lines(truth)][4:] == ["tool_result"]


def test_running_turn_comes_back_as_unknown_with_what_was_seen(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    usage = UsageStats(input_tokens=3)
    blocks = (TextBlock(text="a"), ToolUse(id="1", name="a", status="running"))
    storage.persist_turn(info, running(started_at="2026"))
    storage.persist_turn(info, running(*blocks, started_at="2026", usage=usage))
    (turn,) = load(reopened(storage)).turns
    assert (turn.status, turn.input, turn.started_at) == ("unknown", "prompt", "2026")
    assert (turn.output, turn.usage) == (blocks, usage)
    assert turn.error is not None
    assert "died" in turn.error.message


def test_session_goes_on_after_a_turn_that_never_ended(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    storage.persist_turn(info, running(TextBlock(text="a"), ToolUse(id="1", name="a")))
    (unfinished,) = load(storage).turns
    later = reopened(storage)
    later.persist_turn(info, attrs.evolve(FULL, index=1))
    assert load(storage).turns == (unfinished, attrs.evolve(FULL, index=1))
    later.persist_turn(info, unfinished)
    assert load(storage).turns == (unfinished, attrs.evolve(FULL, index=1))


def test_running_state_of_an_ended_turn_is_late_and_writes_nothing(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, FULL)
    before = truth.read_bytes()
    for late in (attrs.evolve(FULL, status="running"), running(TextBlock(text="a"))):
        storage.persist_turn(info, late)
        reopened(storage).persist_turn(info, late)
    assert truth.read_bytes() == before


_blocks = st.one_of(
    st.builds(TextBlock, text=st.text(max_size=3)),
    st.builds(
        ToolUse,
        id=st.sampled_from(["1", "2"]),
        name=st.just("a"),
        arguments=st.dictionaries(st.sampled_from(["x", "y"]), st.text(max_size=1)),
        output=st.text(max_size=2),
        status=st.sampled_from(["running", "completed", "failed"]),
    ),
    st.builds(
        UnknownBlock,
        raw=st.fixed_dictionaries({"type": st.sampled_from(["user", "metadata", "?"])}),
    ),
)
_turns = st.builds(
    Turn,
    index=st.integers(0, 2),
    input=st.sampled_from(["a", "b"]),
    output=st.lists(_blocks, max_size=4).map(tuple),
    status=st.sampled_from(["running", "completed", "interrupted", "unknown"]),
    usage=st.builds(UsageStats, input_tokens=st.integers(0, 2)),
    duration_ms=st.integers(0, 2),
    extra=st.dictionaries(st.sampled_from(["type", "message", "new", "subagent"]), st.integers()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(_turns, st.booleans()), min_size=1, max_size=6))
def test_last_state_of_each_turn_comes_back(
    storage: JsonlStorage, steps: list[tuple[Turn, bool]]
) -> None:
    info = SessionInfo(session_id="drawn", provider="p")
    storage.delete_session(info.session_id)
    last: dict[int, Turn] = {}
    for turn, reopen in steps:
        (reopened(storage) if reopen else storage).persist_turn(info, turn)
        before = last.get(turn.index)
        if before is None or before.status == "running" or turn.status != "running":
            last[turn.index] = turn
    stored = {turn.index: turn for turn in load(storage, info.session_id).turns}
    assert list(stored) == sorted(last)
    for index, turn in last.items():
        if turn.status == "running":
            assert (stored[index].status, stored[index].input) == ("unknown", turn.input)
            assert stored[index].usage == turn.usage
        else:
            assert stored[index] == turn


# ----------------------------------------------------------------------------------------- growth


def test_turn_1000_writes_as_many_bytes_as_turn_10(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    sizes = []
    lease = storage.lease_session(info.session_id)
    for index in range(100, 1101):
        storage.persist_turn(info, attrs.evolve(FULL, index=index))
        sizes.append(truth.stat().st_size)
    lease.release()
    written = [after - before for before, after in itertools.pairwise(sizes)]
    # Only counts and offsets have more digits.
    assert written[999] - written[9] < 64


def test_bytes_stay_below_twice_the_payload(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    for text in ("word " * 60, "Ελληνικά " * 30, 'q"\\\n' * 75):
        session = attrs.evolve(info, session_id=f"s{len(text)}")
        path = storage.session_dir(session.session_id) / truth.name
        blocks: list[Block] = []
        for number in range(20):
            call = ToolUse(id=f"{number}", name="shell", arguments={"c": text}, status="running")
            storage.persist_turn(session, running(*blocks, call))
            blocks.append(attrs.evolve(call, status="completed", output=text * 4))
            storage.persist_turn(session, running(*blocks))
        turn = attrs.evolve(running(*blocks, TextBlock(text=text)), status="completed")
        storage.persist_turn(session, turn)
        payload = len(json.dumps(turn.to_dict(), ensure_ascii=False).encode())
        assert path.stat().st_size < 2 * payload
        assert load(storage, session.session_id).turns == (turn,)


# ------------------------------------------------------------------------------- damage on the disk


def test_torn_last_line_is_passed_over_and_cut_off_on_the_next_write(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, FULL)
    whole = truth.read_bytes()
    for cut in (b'{"type":"us', b"{", b"\xc3", b"\0\0\0"):
        truth.write_bytes(whole + cut)
        assert load(storage).turns == (FULL,)
        storage.persist_turn(info, FULL)
        assert truth.read_bytes() == whole


def test_file_cut_at_any_byte_loads_and_can_be_continued(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_session(info)
    head = len(truth.read_bytes())
    storage.persist_turn(info, attrs.evolve(FULL, output=FULL.output[:3]))
    whole = truth.read_bytes()
    for size in range(head, len(whole), 7):
        truth.write_bytes(whole[:size])
        assert load(storage).info == info
        storage.persist_turn(info, FULL)
        assert load(storage).turns == (FULL,)


def test_last_line_that_only_lacks_its_end_is_kept(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, FULL)
    truth.write_bytes(truth.read_bytes().rstrip(b"\n"))
    assert load(storage).turns == (FULL,)
    later = attrs.evolve(FULL, index=1)
    reopened(storage).persist_turn(info, later)
    assert load(storage).turns == (FULL, later)


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage",
        b"[1]",
        b'{"no": "type"}',
        b'{"type": 5}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type":"text","turn_index":true,"block_index":0,"text":""}',
        b'{"type":"text","turn_index":0,"block_index":-1,"text":""}',
        b'{"type":"text","turn_index":7,"block_index":0,"text":""}',
        b'{"type":"text","turn_index":0,"block_index":0,"text":"","shadowed":1}',
        b'{"type":"block","turn_index":0,"block_index":0}',
        b'{"type":"turn_end","turn_index":0,"num_blocks":"3"}',
    ],
)
def test_garbage_in_the_middle_is_named_with_file_and_line(
    storage: JsonlStorage, info: SessionInfo, truth: Path, garbage: bytes
) -> None:
    storage.persist_turn(info, FULL)
    first, second, *rest = truth.read_bytes().splitlines(keepends=True)
    truth.write_bytes(b"".join([first, second, garbage + b"\n", *rest]))
    before = truth.read_bytes()
    with pytest.raises(TrajectoryFormatError) as caught:
        storage.load_trajectory(info.session_id)
    assert f"{truth}, line 3: " in str(caught.value)
    with pytest.raises(TrajectoryFormatError):
        storage.persist_turn(info, attrs.evolve(FULL, index=1))
    assert truth.read_bytes() == before


def test_missing_block_is_noticed(storage: JsonlStorage, info: SessionInfo, truth: Path) -> None:
    storage.persist_turn(info, FULL)
    kept = [
        line for line in truth.read_bytes().splitlines(keepends=True) if b"thinking" not in line
    ]
    truth.write_bytes(b"".join(kept))
    with pytest.raises(TrajectoryFormatError, match="turn 0 has 7 of its 8 blocks"):
        storage.load_trajectory(info.session_id)


def test_wrong_member_is_named_with_file_and_path(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, FULL)
    truth.write_bytes(truth.read_bytes().replace(b'"is_error":true', b'"is_error":"yes"'))
    with pytest.raises(TrajectoryFormatError) as caught:
        storage.load_trajectory(info.session_id)
    assert str(truth) in str(caught.value)
    assert "$.turns[0].output[3].is_error" in str(caught.value)


def test_lines_of_a_later_version_are_kept_or_passed_over(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    storage.persist_turn(info, running(TextBlock(text="a"), TextBlock(text="b")))
    with truth.open("ab") as file:
        file.write(b'{"type":"hologram","turn_index":0,"block_index":1,"depth":2}\n')
        file.write(b'{"type":"weather","sun":true}\n\n')
    (turn,) = load(storage).turns
    assert turn.output == (TextBlock(text="a"), UnknownBlock(raw={"type": "hologram", "depth": 2}))


def test_newer_version_is_refused(storage: JsonlStorage, info: SessionInfo, truth: Path) -> None:
    storage.persist_turn(info, FULL)
    truth.write_bytes(truth.read_bytes().replace(b'"version":2', b'"version":3'))
    with pytest.raises(TrajectoryVersionError):
        storage.load_trajectory(info.session_id)


def test_file_of_another_session_is_refused(storage: JsonlStorage, info: SessionInfo) -> None:
    storage.persist_turn(info, FULL)
    storage.session_dir(info.session_id).rename(storage.session_dir("other"))
    with pytest.raises(TrajectoryFormatError, match="holds session 'session-1'"):
        storage.load_trajectory("other")


# ------------------------------------------------------------------------------- the files around


def test_ended_session_gets_its_trajectory_in_one_file(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    storage.persist_turn(info, FULL)
    path = storage.session_dir(info.session_id) / "trajectory.json"
    assert not path.exists()
    ended = attrs.evolve(info, completed_at="2026-01-02T03:04:05+00:00")
    storage.persist_session(ended)
    document = json.loads(path.read_bytes())
    assert Trajectory.from_dict(document) == Trajectory.of(ended, (FULL,))
    before = path.stat()
    storage.persist_session(ended)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_lines_count_when_the_trajectory_file_is_stale_or_damaged(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    storage.persist_turn(info, FULL)
    storage.persist_session(attrs.evolve(info, completed_at="2026"))
    storage.persist_turn(info, attrs.evolve(FULL, index=1))
    assert load(storage) == Trajectory.of(info, (FULL, attrs.evolve(FULL, index=1)))
    (storage.session_dir(info.session_id) / "trajectory.json").write_bytes(b"{")
    assert load(storage).num_turns == 2


def test_trajectory_file_alone_is_enough(
    storage: JsonlStorage, info: SessionInfo, truth: Path
) -> None:
    ended = attrs.evolve(info, completed_at="2026")
    storage.persist_turn(ended, FULL)
    storage.persist_session(ended)
    truth.unlink()
    assert load(storage) == Trajectory.of(ended, (FULL,))
    storage.persist_turn(ended, attrs.evolve(FULL, index=1))
    assert load(storage).turns == (FULL, attrs.evolve(FULL, index=1))


def test_damaged_trajectory_file_is_named_where_it_is_all_there_is(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    folder = storage.session_dir(info.session_id)
    folder.mkdir(parents=True)
    for content in (b"{", b"[]", b'{"turns": 5}'):
        (folder / "trajectory.json").write_bytes(content)
        with pytest.raises(TrajectoryFormatError, match=r"trajectory\.json"):
            storage.load_trajectory(info.session_id)


def test_raw_output_is_kept_beside_only_where_there_is_any(
    storage: JsonlStorage, info: SessionInfo
) -> None:
    turns = storage.session_dir(info.session_id) / "turns"
    storage.persist_turn(info, FULL)
    assert not turns.exists()
    storage.persist_turn(info, attrs.evolve(FULL, index=7, raw_output=("{}", "\udcff")))
    storage.persist_turn(info, attrs.evolve(FULL, index=1234, raw_output=("a",)))
    assert sorted(path.name for path in turns.iterdir()) == [
        "007_input.txt",
        "007_raw_output.jsonl",
        "1234_input.txt",
        "1234_raw_output.jsonl",
    ]
    assert (turns / "007_input.txt").read_text() == FULL.input
    assert (turns / "007_raw_output.jsonl").read_bytes() == b"{}\n\\udcff\n"
    assert load(storage).turns[1].raw_output == ()


def test_raw_output_is_written_once(storage: JsonlStorage, info: SessionInfo) -> None:
    turn = attrs.evolve(FULL, raw_output=("a",))
    storage.persist_turn(info, turn)
    path = storage.session_dir(info.session_id) / "turns" / "000_input.txt"
    path.write_text("mine")
    storage.persist_turn(info, turn)
    assert path.read_text() == "mine"
