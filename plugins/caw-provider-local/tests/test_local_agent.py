"""The local model through `Agent`, found by its entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core import Agent
from caw_core.errors import (
    ContextLimitError,
    NotResumableError,
    ProviderError,
    StructuredOutputError,
)

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "inhabitants": {"enum": ["few", "many"]},
    },
    "required": ["city", "inhabitants"],
    "additionalProperties": False,
}


@pytest.mark.usefixtures("loaded")
def test_agent_answers_at_no_cost() -> None:
    with Agent("local", max_tokens=10).start_session() as session:
        turn = session.send("Say hello.")
    assert turn.result
    assert turn.status == "completed"
    assert turn.usage.cost_usd == 0.0
    assert turn.model == "smollm2-135m"


@pytest.mark.usefixtures("loaded")
def test_handle_resumes_from_a_record(tmp_path: Path) -> None:
    agent = Agent("local", max_tokens=10, data_dir=tmp_path)
    with agent.start_session() as session:
        first = session.send("Hello.")
        handle = session.resume_handle
    with Agent("local", max_tokens=10, data_dir=tmp_path).resume_session(handle) as session:
        second = session.send("Hello.")
    assert second.usage.total_tokens > first.usage.total_tokens


@pytest.mark.usefixtures("loaded")
def test_handle_without_a_record_is_refused() -> None:
    agent = Agent("local", max_tokens=5)
    with agent.start_session() as session:
        session.send("Hello.")
        handle = session.resume_handle
    with pytest.raises(NotResumableError, match="remembers nothing"):
        agent.resume_session(handle)


@pytest.mark.usefixtures("model_path")
def test_prompt_that_does_not_fit_fails_the_turn() -> None:
    agent = Agent("local", options={"n_ctx": 256})
    with agent.start_session() as session, pytest.raises(ContextLimitError) as caught:
        session.send("one two three four " * 100)
    assert caught.value.turn is not None
    assert caught.value.turn.status == "failed"


@pytest.mark.usefixtures("loaded")
def test_fork_goes_its_own_way_from_the_same_conversation() -> None:
    with Agent("local", max_tokens=10).start_session() as session:
        first = session.send("Hello.")
        with session.fork() as fork:
            in_fork = fork.send("Name a city.")
            in_parent = session.send("Name a city.")
            assert fork.session_id != session.session_id
            assert fork.resume_handle != session.resume_handle
            assert (fork.trajectory.num_turns, session.trajectory.num_turns) == (2, 2)
    assert in_fork.result
    assert in_parent.result
    came_in = {turn.usage.total_tokens - turn.usage.output_tokens for turn in (in_fork, in_parent)}
    # Both read the same conversation: neither has what was said in the other.
    assert len(came_in) == 1
    assert came_in.pop() > first.usage.total_tokens


@pytest.mark.usefixtures("loaded")
def test_answer_has_the_form_that_was_asked_for() -> None:
    with Agent("local", max_tokens=100).start_session() as session:
        answer = session.json("Describe a city.", schema=SCHEMA)
        assert set(answer.value) == {"city", "inhabitants"}
        assert answer.turn.structured == answer.value
        assert session.send("Say hello.").structured is None


@pytest.mark.usefixtures("loaded")
def test_answer_that_meets_max_tokens_has_no_value() -> None:
    with Agent("local", max_tokens=3).start_session() as session:
        with pytest.raises(StructuredOutputError) as caught:
            session.json("Describe a city.", schema=SCHEMA)
        assert caught.value.turn is not None
        assert caught.value.turn.stop_reason == "max_tokens"
        assert session.trajectory.num_turns == 2


@pytest.mark.usefixtures("loaded")
def test_schema_that_no_grammar_can_be_made_of_fails_the_turn() -> None:
    elsewhere = {"$ref": "http://example.test/schema"}
    with (
        Agent("local", max_tokens=10).start_session() as session,
        pytest.raises(ProviderError, match="cannot be held to this JSON Schema"),
    ):
        session.json("Describe a city.", schema=elsewhere)
