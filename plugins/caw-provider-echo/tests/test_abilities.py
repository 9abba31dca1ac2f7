"""What the echo can do beyond repeating, through `Agent`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from caw_core import Agent, Attachment, Budget, ModelTier, Prompt, ToolGroup
from caw_core.errors import BudgetError, StructuredOutputError, UnsupportedError
from caw_provider_echo.tools import NAMES

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_models_are_made_up_and_one_is_the_default() -> None:
    with Agent("echo").start_session() as session:
        assert [(model.name, model.is_default) for model in session.models()] == [
            ("echo-small", True),
            ("echo-large", False),
        ]
        assert session.send("hi").model == "echo-small"


def test_model_changes_with_the_next_turn() -> None:
    with Agent("echo", model=ModelTier.FAST).start_session() as session:
        assert session.send("one").model == "echo-small"
        session.set_model(ModelTier.STRONGEST)
        turn = session.send("!request")
        assert (turn.model, json.loads(turn.result)["model"]) == ("echo-large", "echo-large")


def test_effort_cannot_be_changed() -> None:
    with (
        Agent("echo").start_session() as session,
        pytest.raises(UnsupportedError, match="cannot reason"),
    ):
        session.set_model(None, reasoning="high")


def test_attachments_are_answered_with_name_type_and_size() -> None:
    image = Attachment(name="a.png", mime_type="image/png", data=b"123")
    file = Attachment(name="b.txt", mime_type="text/plain", data=b"")
    with Agent("echo").start_session() as session:
        turn = session.send(Prompt(text="look", attachments=(image, file)))
    texts = [block.text for block in turn.output if block.type == "text"]  # type: ignore[attr-defined]  # a text block
    assert texts == ["echo: look", "a.png: image/png, 3 bytes\nb.txt: text/plain, 0 bytes"]


def test_value_is_the_structured_answer() -> None:
    with Agent("echo").start_session() as session:
        answer = session.json('!json {"n": 3}', schema=SCHEMA)
        assert (answer.value, answer.turn.structured, answer.turn.result) == (
            {"n": 3},
            {"n": 3},
            "",
        )


@pytest.mark.parametrize("prompt", ["no value", '!json {"n": "three"}'])
def test_answer_that_does_not_fit_can_be_tried(prompt: str) -> None:
    with Agent("echo").start_session() as session:
        with pytest.raises(StructuredOutputError):
            session.json(prompt, schema=SCHEMA, repairs=0)
        with pytest.raises(StructuredOutputError):
            session.json(prompt, schema=SCHEMA, repairs=1)
        assert session.trajectory.num_turns == 3


def test_value_is_text_where_no_form_was_asked_for() -> None:
    with Agent("echo").start_session() as session:
        turn = session.send('!json {"n": 3}')
    assert (turn.result, turn.structured) == ('{"n": 3}', None)


def test_fork_knows_the_prompts_and_goes_its_own_way(tmp_path: Path) -> None:
    with Agent("echo", data_dir=tmp_path).start_session() as session:
        session.send("one")
        with session.fork() as fork:
            fork.send("two")
            session.send("three")
            assert fork.send("!history").result == "one\ntwo\n!history"
            assert session.send("!history").result == "one\nthree\n!history"
            assert fork.info.resume_key == fork.session_id != session.session_id
            handle = fork.resume_handle
    with Agent("echo", data_dir=tmp_path).resume_session(handle) as resumed:
        assert resumed.send("!history").result == "one\ntwo\n!history\n!history"


def test_calls_are_reported_one_by_one_and_make_up_the_turns_usage() -> None:
    with Agent("echo").start_session() as session:
        stream = session.stream("hi\n!calls 3")
        reports = [event for event in stream if event.type == "usage_reported"]
        usage = stream.result().usage
    assert len(reports) == 3
    # The prompt is read by each call; what was said is counted once.
    assert (usage.input_tokens, usage.output_tokens) == (9, 2)


def test_max_turns_ends_the_turn_after_that_many_calls() -> None:
    with Agent("echo", max_turns=2).start_session() as session:
        turn = session.send("!calls 5")
        assert (turn.stop_reason, turn.status) == ("max_turn_requests", "completed")
        assert turn.usage.input_tokens == 4
        assert session.send("!calls 2").stop_reason == "end_turn"


def test_budget_ends_the_turn_between_calls() -> None:
    with Agent("echo", budget=Budget(tokens=5)).start_session() as session:
        with pytest.raises(BudgetError) as caught:
            session.send("!calls 9")
        assert caught.value.turn is not None
        assert caught.value.turn.usage.input_tokens == 6
        with pytest.raises(BudgetError):
            session.send("once more")


def test_tool_outside_the_allow_list_is_declined() -> None:
    with Agent("echo", tools=ToolGroup.READER | ToolGroup.WEB).start_session() as session:
        calls = session.send("!tool read\n!tool write\n!ask shell\n!tool unheard-of").tool_calls
    assert [(call.name, call.status) for call in calls] == [
        ("read", "completed"),
        ("write", "declined"),
        ("shell", "declined"),
        ("unheard-of", "declined"),
    ]
    assert calls[1].output == "there is no tool 'write' in this session"


def test_every_group_has_its_tools_and_no_tool_is_in_two() -> None:
    assert set(NAMES) == set(ToolGroup)
    names = [name for group in NAMES.values() for name in group]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("option", ["mcp_servers", "additional_dirs"])
def test_option_without_effect_is_declared(option: str) -> None:
    assert Agent("echo").provider_info.options[option].support == "unsupported"
