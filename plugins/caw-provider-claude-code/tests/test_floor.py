"""Whose turn a message of claude's belongs to, without any program."""

from __future__ import annotations

from typing import Any

import pytest

from caw_provider_claude_code.floor import Floor

PROMPT = "0a7f6f9c-6d0e-4d4c-9f35-2f8a4a6f7a01"
INIT = {"type": "system", "subtype": "init", "session_id": "s"}
NOTICE = {"type": "system", "subtype": "task_notification", "summary": "it ended"}
BEGIN = {"type": "stream_event", "event": {"type": "message_start"}}
ECHO = {"type": "user", "isReplay": True, "uuid": PROMPT}
BLOCK = {"type": "assistant", "message": {"model": "m"}}
SYNTHETIC = {"type": "assistant", "message": {"model": "<synthetic>"}}
RETRY = {"type": "system", "subtype": "api_retry"}
QUEUED = {"type": "command_lifecycle", "command_uuid": PROMPT, "state": "queued"}
STARTED = {"type": "command_lifecycle", "command_uuid": PROMPT, "state": "started"}
END: dict[str, Any] = {"type": "result"}
OWN_END = {"type": "result", "origin": {"kind": "task-notification"}}


def floor(*, sent: bool = True, commands: bool = False, alone: bool = False) -> Floor:
    used = Floor()
    if sent:
        used.prompt_sent(PROMPT, commands=commands, alone=alone)
    return used


def places(used: Floor, *messages: dict[str, Any]) -> list[str]:
    return [used.place(message) for message in messages]


def test_answer_to_a_prompt_is_ours() -> None:
    assert places(floor(), INIT, BEGIN, ECHO, BLOCK, END) == ["ours"] * 5


def test_claude_that_tries_again_before_it_answers_is_at_our_prompt() -> None:
    assert places(floor(), INIT, RETRY)[-1] == "ours"


def test_turn_without_a_prompt_is_claudes_own_from_its_first_model_call() -> None:
    used = floor(sent=False)
    assert places(used, NOTICE, INIT, BEGIN, BLOCK, OWN_END) == ["nobody"] * 2 + ["own"] * 3
    assert used.notices == ["it ended"]


def test_timer_of_claudes_begins_a_turn_without_a_notice_or_an_origin() -> None:
    assert places(floor(sent=False), INIT, BEGIN, BLOCK, END)[1:] == ["own"] * 3


def test_end_without_a_turn_is_nobodys() -> None:
    assert places(floor(sent=False), INIT, END) == ["nobody"] * 2


def test_lines_of_a_subagent_in_the_background_begin_no_turn() -> None:
    assert places(floor(sent=False), {**BLOCK, "parent_tool_use_id": "c"}) == ["nobody"]


def test_prompt_that_is_sent_into_claudes_own_turn_waits_for_its_end() -> None:
    used = floor(sent=False)
    places(used, NOTICE, INIT, BEGIN)
    used.prompt_sent(PROMPT, commands=False, alone=False)
    assert places(used, BLOCK, OWN_END) == ["own"] * 2
    used.notices.clear()
    used.over("own")
    assert places(used, INIT, BEGIN, ECHO, BLOCK, END) == ["ours"] * 5


def test_notice_before_the_answer_announces_a_turn_of_claudes_own() -> None:
    assert places(floor(), NOTICE, INIT, BEGIN, BLOCK, OWN_END)[2:] == ["own"] * 3


def test_notice_within_our_turn_announces_nothing() -> None:
    used = floor()
    assert places(used, INIT, NOTICE, BEGIN, ECHO, BLOCK, END)[1:] == ["ours"] * 5
    assert used.notices == []


def test_prompt_that_is_taken_up_in_the_midst_of_claudes_own_turn_makes_it_ours() -> None:
    messages = (NOTICE, INIT, BEGIN, BLOCK, ECHO, BLOCK, OWN_END)
    assert places(floor(), *messages)[2:] == ["own", "own", "ours", "ours", "ours"]


def test_whole_block_without_an_echo_was_never_ours() -> None:
    assert places(floor(), INIT, BEGIN, BLOCK, END) == ["ours", "ours", "own", "own"]


def test_end_with_an_origin_is_not_that_of_a_prompt_that_was_never_echoed() -> None:
    assert places(floor(), INIT, BEGIN, OWN_END)[-1] == "own"


@pytest.mark.parametrize(("commands", "block"), [(True, BLOCK), (False, SYNTHETIC)])
def test_answer_to_a_command_needs_no_echo(commands: bool, block: dict[str, Any]) -> None:
    assert places(floor(commands=commands), INIT, block, END) == ["ours"] * 3
    assert places(floor(commands=commands), END) == ["ours"]


def test_end_that_names_no_task_after_a_notice_ends_the_prompt() -> None:
    assert places(floor(), NOTICE, INIT, SYNTHETIC, END)[2:] == ["own", "ours"]


def test_newer_claude_says_when_it_takes_a_prompt_up() -> None:
    used = floor()
    assert places(used, QUEUED, INIT, BEGIN, BLOCK) == ["nobody"] * 2 + ["own"] * 2
    used.over("own")
    assert places(used, STARTED, INIT, BEGIN, ECHO, BLOCK, END) == ["ours"] * 6


def test_claude_of_one_prompt_has_no_other_turn() -> None:
    used = floor(alone=True)
    assert places(used, NOTICE, INIT, BEGIN, BLOCK, OWN_END) == ["ours"] * 5


def test_prompt_that_was_never_sent_is_not_expected() -> None:
    used = floor()
    used.over("ours")
    assert places(used, INIT, BEGIN) == ["nobody", "own"]
