"""The local model through `Agent`, found by its entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caw_core import Agent
from caw_core.errors import ContextLimitError, NotResumableError

if TYPE_CHECKING:
    from pathlib import Path


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
