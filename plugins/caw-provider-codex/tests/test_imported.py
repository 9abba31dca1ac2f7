"""Another agent's conversation in a new thread of codex's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from caw_core.blocks import SteerBlock, TextBlock, ThinkingBlock, ToolUse
from caw_core.errors import UnsupportedError
from caw_core.trajectory import Trajectory, Turn
from caw_provider_codex.imported import history_items
from caw_testkit.modelserver import echo

if TYPE_CHECKING:
    from caw_testkit.modelserver import ModelServer

    from .conftest import Desk

HISTORY = Trajectory(
    session_id="before",
    provider="claude_code",
    turns=(
        Turn(
            index=3,
            input="list the files",
            output=(
                ThinkingBlock(text="hm"),
                ToolUse(id="t", name="mcp.list files", arguments={"path": "/"}, output="one"),
                SteerBlock(text="only one?"),
                TextBlock(text="There is one."),
            ),
        ),
    ),
)


def test_history_becomes_items_in_order_and_calls_keep_their_results() -> None:
    *items, before = history_items(HISTORY)
    assert [item.get("role", item["type"]) for item in items] == [
        "user",
        "function_call",
        "function_call_output",
        "user",
        "assistant",
    ]
    call, result = items[1:3]
    assert (call["name"], json.loads(call["arguments"])) == ("mcp_list_files", {"path": "/"})
    assert (result["call_id"], result["output"]) == (call["call_id"], "one")
    assert (before["role"], "claude_code" in before["content"][0]["text"]) == ("developer", True)


@pytest.mark.real_codex
def test_model_sees_the_history_and_then_the_prompt(desk: Desk, model_server: ModelServer) -> None:
    model_server.respond(echo)
    session = desk.start(history=HISTORY)
    desk.ask(session, "and now?")
    sent = model_server.requests[-1].body["input"]
    texts = [json.dumps(item) for item in sent]
    places = [
        next(place for place, item in enumerate(texts) if words in item)
        for words in ("list the files", "mcp_list_files", "There is one.", "and now?")
    ]
    assert places == sorted(places)


@pytest.mark.real_codex
def test_codex_exec_takes_no_history(desk: Desk) -> None:
    with pytest.raises(UnsupportedError, match="takes no history"):
        desk.start(history=HISTORY, options={"protocol": "spawn"})
