"""Documents: lossless, strict, versioned."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import typing
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caw_core import blocks, events, serialize
from caw_core.blocks import Block, TextBlock, ThinkingBlock, ToolUse, UnknownBlock
from caw_core.errors import TrajectoryError, TrajectoryFormatError, TrajectoryVersionError
from caw_core.events import Event, UnknownEvent
from caw_core.migrations import DOCUMENT_VERSION, migrate
from caw_core.trajectory import (
    ErrorInfo,
    PlanEntry,
    ResolvedOption,
    SessionInfo,
    Trajectory,
    Turn,
)
from caw_core.usage import UsageStats

GOLDEN = Path(__file__).parent / "golden"

# ------------------------------------------------------------------------------------- strategies

_floats = st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _floats | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_objects = st.dictionaries(st.text(max_size=5), _json, max_size=3)
_unknown_members = st.dictionaries(
    st.text(max_size=5).map("x_{}".format) | st.just("extra"), _json, max_size=2
)
_plain: dict[object, st.SearchStrategy[Any]] = {
    str: st.text(max_size=10),
    int: st.integers(),
    bool: st.booleans(),
    float: _floats | st.integers(),
    type(None): st.none(),
    Any: _json,
}
_nested: dict[object, st.SearchStrategy[Any]] = {
    Event: st.builds(events.TextDelta, text=st.text(max_size=10)),
    Trajectory: st.builds(Trajectory, session_id=st.text(max_size=10), provider=st.text()),
}
"""Members that hold a value of the kind that they are in, which would never come to an end."""


def _concrete(module: object, base: type, unknown: type) -> list[Any]:
    found = [cls for cls in vars(module).values() if isinstance(cls, type)]
    return [cls for cls in found if issubclass(cls, base) and cls not in (base, unknown)]


BLOCKS = _concrete(blocks, Block, UnknownBlock)
EVENTS = _concrete(events, Event, UnknownEvent)
VALUES = [UsageStats, ErrorInfo, PlanEntry, ResolvedOption, Turn, SessionInfo, Trajectory]


def _raw() -> st.SearchStrategy[Any]:
    return st.builds(lambda raw, tag: {**raw, "type": f"later-{tag}"}, _objects, st.text())


def _of_type(hint: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911  # one for each kind
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _plain:
        return _plain[hint]
    if hint in _nested:
        return _nested[hint]
    if hint is Block:
        return st.one_of([_built(cls) for cls in BLOCKS] + [st.builds(UnknownBlock, raw=_raw())])
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_of_type(arguments[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return _objects
    if attrs.has(hint):
        return _built(hint)
    return st.one_of([_of_type(argument) for argument in arguments])


def _built(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls, localns={"Trajectory": Trajectory})
    parts = {field.name: _of_type(hints[field.name]) for field in attrs.fields(cls)}
    parts["extra"] = _unknown_members
    parts.pop("raw_output", None)
    return st.builds(cls, **parts)


def _event() -> st.SearchStrategy[Any]:
    return st.one_of([_built(cls) for cls in EVENTS] + [st.builds(UnknownEvent, raw=_raw())])


def _through_json(document: Any) -> Any:
    return json.loads(json.dumps(document))


def _dump(document: Any) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_bytes())


# ------------------------------------------------------------------------------------- round trips


@given(_built(Trajectory))
def test_every_trajectory_survives(trajectory: Trajectory) -> None:
    document = _through_json(trajectory.to_dict())
    assert Trajectory.from_dict(document) == trajectory
    assert Trajectory.from_dict(document).to_dict() == document


@given(_built(Turn))
def test_every_turn_survives(turn: Turn) -> None:
    assert Turn.from_dict(_through_json(turn.to_dict())) == turn


@given(_built(SessionInfo))
def test_every_head_survives(info: SessionInfo) -> None:
    document = _through_json(serialize.session_info_to_dict(info))
    assert serialize.session_info_from_dict(document) == info


@given(_of_type(Block))
def test_every_block_survives(block: Block) -> None:
    assert serialize.block_from_dict(_through_json(serialize.block_to_dict(block))) == block


@given(_event())
def test_every_event_survives(event: Event) -> None:
    assert serialize.event_from_dict(_through_json(serialize.event_to_dict(event))) == event


@given(_built(UsageStats))
def test_every_usage_survives(usage: UsageStats) -> None:
    assert serialize.usage_from_dict(_through_json(serialize.usage_to_dict(usage))) == usage


@given(_raw())
def test_block_of_unknown_kind_leaves_as_it_came(raw: dict[str, Any]) -> None:
    block = serialize.block_from_dict(raw)
    assert isinstance(block, UnknownBlock)
    assert json.dumps(serialize.block_to_dict(block)) == json.dumps(raw)


def test_block_without_a_readable_tag_is_unknown() -> None:
    for raw in ({"text": "a"}, {"type": ["text"]}, {"type": None}):
        assert serialize.block_to_dict(serialize.block_from_dict(raw)) == raw


@given(_unknown_members, st.integers(0, 4))
def test_unknown_members_survive_at_every_level(members: dict[str, Any], level: int) -> None:
    document = _golden("trajectory_v2.json")
    turn = document["turns"][0]
    place = [document, turn, turn["output"][2], turn["usage"], turn["error"]][level]
    place.update(members)
    written = Trajectory.from_dict(document).to_dict()
    for derived in ("usage", "total_usage"):
        del written[derived], document[derived]
    assert written == document


def test_extra_is_no_member_of_a_document() -> None:
    document = Turn(index=0, input="", extra={"new": 1}).to_dict()
    assert document["new"] == 1
    assert "extra" not in document


def test_extra_cannot_replace_a_known_member() -> None:
    assert Turn(index=3, input="", extra={"index": 9, "plan": 9}).to_dict()["index"] == 3
    assert "plan" not in Turn(index=3, input="", extra={"plan": 9}).to_dict()


def test_raw_output_is_never_written() -> None:
    assert "raw_output" not in Turn(index=0, input="", raw_output=("line",)).to_dict()


def test_empty_members_are_left_out_and_the_old_ones_never() -> None:
    assert Turn(index=0, input="").to_dict() == {
        "index": 0,
        "input": "",
        "output": [],
        "usage": serialize.usage_to_dict(UsageStats()),
        "duration_ms": 0,
        "status": "completed",
    }
    assert serialize.block_to_dict(ToolUse(id="1", name="n")) == {
        "type": "tool_use",
        "id": "1",
        "name": "n",
        "arguments": {},
        "output": "",
        "status": "completed",
    }


def test_head_of_a_trajectory_is_written_without_its_turns() -> None:
    trajectory = Trajectory.from_dict(_golden("trajectory_v2.json"))
    document = serialize.session_info_to_dict(trajectory)
    assert document == serialize.session_info_to_dict(trajectory.info)
    assert "turns" not in document


def test_document_shares_nothing_with_the_value() -> None:
    arguments = {"list": [1]}
    document = serialize.block_to_dict(ToolUse(id="1", name="n", arguments=arguments))
    document["arguments"]["list"].append(2)
    assert arguments == {"list": [1]}
    read = serialize.block_from_dict(document)
    document["arguments"]["list"].append(3)
    assert isinstance(read, ToolUse)
    assert read.arguments == {"list": [1, 2]}


def test_value_without_a_form_in_json_is_named() -> None:
    info = SessionInfo(session_id="a", provider="b", metadata={"path": Path()})
    with pytest.raises(TypeError, match="Path has no form in JSON"):
        serialize.session_info_to_dict(info)
    with pytest.raises(TypeError, match="bytes has no form in JSON"):
        Turn(index=0, input="", structured=b"").to_dict()
    with pytest.raises(TypeError, match="name must be str, not int"):
        serialize.block_to_dict(ToolUse(id="1", name="n", arguments={1: 2}))  # type: ignore[dict-item]  # that is the point


# ------------------------------------------------------------------------------------ golden files


def test_golden_trajectory_dumps_to_the_same_bytes() -> None:
    path = GOLDEN / "trajectory_v2.json"
    trajectory = Trajectory.from_dict(json.loads(path.read_bytes()))
    assert _dump(trajectory.to_dict()) == path.read_bytes()


def test_golden_events_dump_to_the_same_bytes() -> None:
    path = GOLDEN / "events_v2.json"
    read = [serialize.event_from_dict(document) for document in json.loads(path.read_bytes())]
    assert _dump([serialize.event_to_dict(event) for event in read]) == path.read_bytes()


def test_golden_files_hold_every_member_of_every_value() -> None:
    trajectory = Trajectory.from_dict(_golden("trajectory_v2.json"))
    turn = trajectory.turns[0]
    read = [serialize.event_from_dict(document) for document in _golden("events_v2.json")]
    values = [*read, *turn.output, *turn.options, *turn.plan, turn, turn.usage, turn.error]
    by_class: dict[type, list[Any]] = {type(trajectory): [trajectory]}
    for value in values:
        by_class.setdefault(type(value), []).append(value)
    assert {*BLOCKS, *EVENTS, UnknownBlock, UnknownEvent, *VALUES} - {SessionInfo} == set(by_class)
    for cls, found in by_class.items():
        for field in attrs.fields(cls):
            if field.name == "raw_output":
                continue
            empty = [value for value in found if getattr(value, field.name) in (None, "", (), {})]
            assert len(empty) < len(found) or field.name in ("stop_reason", "arguments"), field


def test_session_of_the_existing_wrapper_loads() -> None:
    trajectory = Trajectory.from_dict(_golden("trajectory_v1_wrapper.json"))
    first, second = trajectory.turns
    assert (trajectory.provider, trajectory.agent) == ("codex", "codex")
    assert trajectory.metadata == {"thread_id": "thread-1"}
    assert trajectory.resume_key is None
    assert trajectory.extra["usage_limited"] is True
    assert trajectory.extra["mcp_servers"][0]["env"] == {"A": "b"}
    assert [turn.status for turn in trajectory.turns] == ["completed", "completed"]
    assert [turn.index for turn in trajectory.turns] == [0, 1]
    assert (first.usage.cost_usd, first.usage.cost_source) == (None, "unknown")
    assert (second.usage.cost_usd, second.usage.cost_source) == (0.125, "computed")
    assert [type(block) for block in first.output] == [ThinkingBlock, ToolUse, TextBlock]
    assert (first.tool_calls[0].status, first.tool_calls[0].is_error) == ("failed", True)
    assert second.tool_calls[0].status == "completed"
    (nested,) = trajectory.subagent_trajectories
    assert nested is second.tool_calls[0].subagent_trajectory
    assert nested.session_id == "nested"


def test_session_of_the_existing_wrapper_keeps_every_member_it_had() -> None:
    old = _golden("trajectory_v1_wrapper.json")
    new = Trajectory.from_dict(old).to_dict()
    assert _kept(old, new) == []
    again = Trajectory.from_dict(new)
    assert again == Trajectory.from_dict(old)


def _kept(old: Any, new: Any, path: str = "$") -> list[str]:
    """Return where *new* lacks or changes what *old* has; a cost of zero becomes unknown."""
    if isinstance(old, dict):
        if not isinstance(new, dict):
            return [path]
        return [
            problem
            for key, value in old.items()
            for problem in _kept(value, new.get(key, "missing"), f"{path}.{key}")
        ]
    if isinstance(old, list):
        pairs = enumerate(zip(old, new, strict=True))
        return [p for index, (a, b) in pairs for p in _kept(a, b, f"{path}[{index}]")]
    if path.startswith(("$.total_usage", "$.usage")) or path.endswith("cost_usd"):
        return [] if old == new or new is None or "tokens" in path else [path]
    return [] if old == new else [path]


def test_total_usage_counts_what_subagents_used() -> None:
    document = Trajectory.from_dict(_golden("trajectory_v1_wrapper.json")).to_dict()
    old = _golden("trajectory_v1_wrapper.json")
    for member in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert document["usage"][member] == old["usage"][member]
        assert document["total_usage"][member] >= old["usage"][member]
    assert document["total_usage"]["input_tokens"] == old["usage"]["input_tokens"] + 7


def test_unreadable_trajectory_of_a_subagent_stays_and_counts_nothing() -> None:
    call = ToolUse(id="1", name="n", extra={"subagent_trajectory": [1]})
    turn = Turn(index=0, input="", output=(call,))
    trajectory = Trajectory(session_id="a", provider="b", turns=(turn,))
    assert trajectory.to_dict()["total_usage"] == serialize.usage_to_dict(UsageStats())
    assert Trajectory.from_dict(trajectory.to_dict()) == trajectory


def test_derived_members_are_written_and_never_read() -> None:
    turn = Turn(index=0, input="", usage=UsageStats(input_tokens=5), duration_ms=7)
    trajectory = Trajectory(session_id="a", provider="b", turns=(turn,))
    document = trajectory.to_dict()
    assert (document["agent"], document["duration_ms"]) == ("b", 7)
    assert document["usage"]["input_tokens"] == 5
    document.update(agent=1, duration_ms="x", usage=None, total_usage=[])
    assert Trajectory.from_dict(document) == trajectory


def test_members_that_only_the_existing_wrapper_has_are_always_written() -> None:
    document = Trajectory(session_id="a", provider="b").to_dict()
    assert (document["usage_limited"], document["mcp_servers"]) == (False, [])
    assert Trajectory.from_dict(document).extra == {}
    document["usage_limited"] = 0
    assert Trajectory.from_dict(document).extra == {"usage_limited": 0}


# -------------------------------------------------------------------------------------- migrations


def test_migration_changes_neither_its_input_nor_a_current_document() -> None:
    for name in ("trajectory_v1_wrapper.json", "trajectory_v2.json"):
        document = _golden(name)
        before = copy.deepcopy(document)
        migrated = migrate(document)
        assert document == before
        assert migrate(migrated) == migrated
        assert migrated["version"] == DOCUMENT_VERSION


def test_old_document_takes_the_defaults_that_the_wrapper_took() -> None:
    trajectory = Trajectory.from_dict({"turns": [{"output": [{"type": "text"}, {}]}]})
    assert (trajectory.session_id, trajectory.provider) == ("", "")
    assert trajectory.turns[0].output == (TextBlock(text=""), ToolUse(id="", name=""))


def test_old_usage_with_null_counts_and_unknown_blocks_loads() -> None:
    usage = {"input_tokens": None, "cost_usd": 0}
    trajectory = Trajectory.from_dict({"turns": [{"usage": usage, "output": [{"type": "x"}]}]})
    assert trajectory.turns[0].usage == UsageStats()
    assert trajectory.turns[0].output == (UnknownBlock(raw={"type": "x"}),)


def test_old_document_of_the_wrong_shape_is_refused_with_paths() -> None:
    turns = [5, {"output": 5, "usage": 5}, {"output": [5]}]
    with pytest.raises(TrajectoryFormatError) as caught:
        Trajectory.from_dict({"turns": turns})
    assert caught.value.problems == (
        "must be an object, not int @ $.turns[0]",
        "must be an array, not int @ $.turns[1].output",
        "must be an object, not int @ $.turns[1].usage",
        "must be an object, not int @ $.turns[2].output[0]",
    )
    with pytest.raises(TrajectoryFormatError, match=r"\$\.turns"):
        Trajectory.from_dict({"turns": "none"})


@pytest.mark.parametrize("version", [0, -1, True, "2", 1.5, None])
def test_version_that_is_no_positive_integer_is_refused(version: object) -> None:
    with pytest.raises(TrajectoryFormatError, match=r"\$\.version"):
        Trajectory.from_dict({"version": version})


def test_newer_version_is_refused_by_name() -> None:
    for read in (Trajectory.from_dict, serialize.session_info_from_dict):
        with pytest.raises(TrajectoryVersionError, match="Upgrade") as caught:
            read({"version": DOCUMENT_VERSION + 1})
        assert caught.value.version == DOCUMENT_VERSION + 1


# -------------------------------------------------------------------------------------- strictness


@pytest.mark.parametrize(
    ("member", "value", "problem"),
    [
        ("index", True, "must be int, not bool @ $.index"),
        ("index", 1.0, "must be int, not float @ $.index"),
        ("input", 1, "must be str, not int @ $.input"),
        ("input", None, "must be str, not NoneType @ $.input"),
        ("output", "text", "must be an array, not str @ $.output"),
        ("output", [3], "must be an object, not int @ $.output[0]"),
        ("output", [{"type": "text"}], "required member is missing @ $.output[0].text"),
        (
            "output",
            [{"type": "tool_use", "id": "1", "name": "n", "is_error": "false"}],
            "must be bool, not str @ $.output[0].is_error",
        ),
        (
            "output",
            [{"type": "tool_use", "id": "1", "name": "n", "arguments": []}],
            "must be an object, not list @ $.output[0].arguments",
        ),
        (
            "output",
            [{"type": "tool_use", "id": "1", "name": "n", "content": {}}],
            "must be an array, not dict @ $.output[0].content",
        ),
        ("usage", {"cost_usd": True}, "must be float, not bool @ $.usage.cost_usd"),
        ("usage", [], "must be an object, not list @ $.usage"),
        (
            "status",
            "done",
            "must be one of running, completed, interrupted, failed, unknown @ $.status",
        ),
        ("error", {"type": "T"}, "required member is missing @ $.error.message"),
    ],
)
def test_wrong_member_is_named_with_its_path(member: str, value: object, problem: str) -> None:
    document = {"index": 0, "input": "", member: value}
    with pytest.raises(TrajectoryFormatError) as caught:
        Turn.from_dict(document)
    assert caught.value.problems == (problem,)


def test_every_problem_is_told_at_once() -> None:
    document = {"version": 2, "provider": 1, "turns": [{"index": 0}, 5]}
    with pytest.raises(TrajectoryFormatError) as caught:
        Trajectory.from_dict(document)
    assert caught.value.problems == (
        "required member is missing @ $.session_id",
        "must be str, not int @ $.provider",
        "required member is missing @ $.turns[0].input",
        "must be an object, not int @ $.turns[1]",
    )


def test_whole_number_will_do_for_a_float() -> None:
    assert serialize.usage_from_dict({"cost_usd": 1}).cost_usd == 1


def test_problem_quotes_no_value() -> None:
    with pytest.raises(TrajectoryFormatError) as caught:
        Turn.from_dict({"index": "sk-secret", "input": {"k": "sk-secret"}, "status": "sk-secret"})
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "read",
    [
        serialize.trajectory_from_dict,
        serialize.session_info_from_dict,
        serialize.turn_from_dict,
        serialize.block_from_dict,
        serialize.event_from_dict,
        serialize.usage_from_dict,
    ],
)
@pytest.mark.parametrize("data", [None, [], "{}", 3, b""])
def test_what_is_no_object_is_no_document(read: Callable[[Any], object], data: object) -> None:
    with pytest.raises(TrajectoryFormatError, match=r"must be an object.* @ \$"):
        read(data)


def test_member_names_that_are_no_text_are_refused() -> None:
    with pytest.raises(TrajectoryFormatError, match="name must be str"):
        serialize.block_from_dict({"type": "text", "text": "", 1: 2})  # type: ignore[dict-item]  # that is the point


def test_document_nested_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(TrajectoryFormatError):
        serialize.block_from_dict({"type": "later", "deep": deep})
    with pytest.raises(TrajectoryFormatError):
        Turn.from_dict({"index": 0, "input": "", "error": {"data": deep}})
    # Freed link by link: the interpreter's own way of freeing it would use the stack, too.
    while deep:
        deep = deep.pop("a")


@given(_objects, st.data())
def test_damaged_documents_raise_nothing_but_trajectory_errors(
    junk: dict[str, Any], data: st.DataObject
) -> None:
    document = _golden(
        data.draw(st.sampled_from(["trajectory_v1_wrapper.json", "trajectory_v2.json"]))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        _damage(document, data)
    for candidate in (document, junk):
        try:
            read = Trajectory.from_dict(candidate)
        except TrajectoryError:
            continue
        assert Trajectory.from_dict(_through_json(read.to_dict())) == read


def _damage(document: Any, data: st.DataObject) -> None:
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        if data.draw(st.booleans()):
            place[key] = data.draw(_json)
        else:
            del place[key]
        return


# ------------------------------------------------------------------------------------ the converter


def test_converter_is_built_once_by_many_threads() -> None:
    serialize._build.cache_clear()  # a new process would do, at a hundred times the cost
    serialize._writer.cache_clear()  # likewise
    turn = Turn(index=0, input="a")
    with ThreadPoolExecutor(8) as pool:
        documents = list(pool.map(lambda _: turn.to_dict(), range(50)))
    assert all(document == documents[0] for document in documents)
    assert serialize._build.cache_info().misses == 1  # likewise


def test_values_do_not_import_the_converter() -> None:
    code = "import sys, caw_core.trajectory, caw_core.events; print('cattrs' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
